"""The engine that shows what a bot can say: the sandbox's default."""

from pathlib import Path

from aerobot.bot import (
    Buttons,
    Image,
    List,
    LocationRequest,
    Reaction,
    Reply,
    Row,
    Section,
    Text,
    Turn,
)

PICTURE = Path(__file__).with_name("demo.jpg")

MENU = Buttons(
    "Hi, I am aerobot's demo. Everything you see went through a real signed webhook, a queue on disk and an "
    "emulated WhatsApp.\n\nWhat shall I show you?",
    ["A list", "A picture", "Something else"],
    footer="Or just write to me",
)
AGAIN = Buttons("What shall I show you?", ["A list", "A picture", "Something else"])
LIST = List(
    "A list opens from below and can hold up to ten rows.",
    "Open the list",
    [
        Section("Things to see", [
            Row("A picture", "uploaded first, then sent by its id"),
            Row("A long text", "split where a person would split it"),
            Row("My location", "asks you to share it"),
        ]),
        Section("Things to try", [
            Row("A reaction", "an emoji on your message"),
            Row("Nothing", "a bot may also stay silent"),
        ]),
    ],
)  # fmt: skip
MORE = Buttons("There is more:", ["A long text", "My location", "A reaction"])
LONG = "\n\n".join(
    f"{number}. A message on WhatsApp ends at 4,096 characters. aerobot cuts a longer one at a paragraph, else at a "
    "line, else at a sentence, else between two words, and never inside an emoji like 👩‍👩‍👧‍👦 or a flag like 🇳🇱. "
    "Nothing but the white space at the cut is lost, and the pieces arrive in order."
    for number in range(1, 18)
)


class Demo:
    """Answers each choice with the kind of reply it names, and anything else with an echo and the menu."""

    name = "demo"
    needs_history = False

    async def start(self) -> None:
        """Nothing to load."""

    async def reply(self, turn: Turn) -> tuple[Reply, ...]:
        """The reply that was asked for."""
        message = turn.message
        if message.kind == "reaction":
            return ()
        if message.location is not None:
            place = message.location
            return (Text(f"You are at {place.latitude}, {place.longitude}. Thank you!"), MORE)
        if message.attachment is not None:
            return (Text(f"I received this: {message.text}"), AGAIN)
        return self._chosen(turn, message.text.strip().casefold())

    def _chosen(self, turn: Turn, text: str) -> tuple[Reply, ...]:
        match text:
            case "a list" | "list":
                return (LIST,)
            case "a picture" | "picture" | "image":
                return (Image(path=str(PICTURE), caption="Sent by its media id, like any upload"), MORE)
            case "something else" | "more":
                return (MORE,)
            case "a long text" | "long":
                return (Text(LONG),)
            case "my location" | "location":
                return (LocationRequest("Where are you? Tap the button to share a place."),)
            case "a reaction" | "reaction":
                return (Reaction(turn.message.id, "🎉"), Text("Look at your message."))
            case "nothing":
                return ()
            case "hi" | "hello" | "hey" | "menu" | "help" | "start":
                return (MENU,)
        return (Text(f"You said: {turn.text}"), AGAIN) if turn.text.strip() else (MENU,)

    def doing(self, turn_id: int) -> str:
        """It is never at anything for long."""
        return ""

    async def close(self) -> None:
        """Nothing to let go of."""
