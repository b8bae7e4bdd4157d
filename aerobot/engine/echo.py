"""The engine that says what it heard."""

from aerobot.bot import Reply, Text, Turn


class Echo:
    """Answers with the engine text of the turn."""

    name = "echo"
    needs_history = False

    async def start(self) -> None:
        """Nothing to load."""

    async def reply(self, turn: Turn) -> tuple[Reply, ...]:
        """The turn's own text; nothing for an empty one."""
        return (Text(turn.text),) if turn.text.strip() else ()

    def doing(self, turn_id: int) -> str:
        """It is never at anything for long."""
        return ""

    async def close(self) -> None:
        """Nothing to let go of."""
