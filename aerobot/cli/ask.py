"""`aerobot ask`: one message to the bot itself, without WhatsApp."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from aerobot.cli.account import Local, connect, which_bot
from aerobot.cli.command import BOTS, Run, command
from aerobot.cli.fields import text_of
from aerobot.errors import NoReplyError, RemoteError, UsageError
from aerobot.terminal import safe

if TYPE_CHECKING:
    from aerobot.aerostack import Aerostack

Message = Annotated[
    str, typer.Argument(metavar="MESSAGE", help="What to say; - reads it from stdin.", show_default=False)
]
Whom = Annotated[
    str | None, typer.Option("--bot", metavar="BOT", help="A bot's id; without one, bot.id of the settings.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app,
        "ask",
        panel=BOTS,
        examples=(
            'aerobot ask "Where is order 1234?"',
            'aerobot ask "Hi" --bot bt_a1b2c3d4e5f6g7h8i9j0 --json',
        ),
    )
    def ask(run: Run, message: Message, *, bot: Whom = None, local: Local = False) -> None:
        """Ask the bot one question and print its answer.

        The real bot answers, with its model and its tools but without WhatsApp, and Aerostack bills it like
        any message. It may take a minute. It is never repeated by itself.
        """
        text = text_of(message, run.terminal, what="message") if message == "-" else message
        if not text.strip():
            raise UsageError("The message is empty.")
        settings = run.settings()
        with connect(run, settings, local=local) as api:
            bot_id = which_bot(api, settings, bot)
            if not local:
                run.terminal.say("The real bot answers, and Aerostack bills it like any message.")
            with run.terminal.busy("Thinking"):
                answer = api.shown(_asked(api, bot_id, text))
        _tell(run, answer, local=local)


def _asked(api: "Aerostack", bot_id: str, text: str) -> dict[str, Any]:
    """The answer; a local bot that fails or is late is a reply that did not come, no trouble of the host's."""
    try:
        return api.test(bot_id, text)
    except RemoteError as error:
        if api.remote.local and error.status in (502, 504):
            raise NoReplyError(error.message.partition(": ")[2] or error.message, error.hint) from None
        raise


def _tell(run: Run, answer: dict[str, Any], *, local: bool) -> None:
    run.terminal.document(answer)
    for call in answer.get("tool_calls") or []:
        _tell_tool(run, call if isinstance(call, dict) else {"toolName": str(call)})
    reply = answer.get("response")
    if not isinstance(reply, str) or not reply.strip():
        raise NoReplyError("The bot answered without a text.", "All it said: the same with --json")
    run.terminal.result(safe(reply, lines=True))
    run.terminal.say(safe(", ".join(_figures(answer))))
    run.terminal.say('Next: aerobot send-test "Hi"' if local else "Next: aerobot activate")


def _tell_tool(run: Run, call: dict[str, Any]) -> None:
    name = str(call.get("toolName") or call.get("name") or "tool")
    took = f"  {call['latencyMs']} ms" if "latencyMs" in call else ""
    run.terminal.step("failed" if call.get("success") is False else "ok", "tool", safe(f"{name}{took}"))
    if run.terminal.verbose:
        run.terminal.say(safe(f"            {call.get('arguments')} -> {call.get('result')}"))


def _figures(answer: dict[str, Any]) -> list[str]:
    """Tokens, cost, time and conversation, as far as the answer tells; a local engine spends nothing."""
    tokens, figures = answer.get("tokens"), []
    if isinstance(tokens, dict) and any(tokens.values()):
        figures.append(f"{tokens.get('input')} tokens in, {tokens.get('output')} out")
    cost, latency = answer.get("cost_cents"), answer.get("latency_ms")
    if isinstance(cost, int | float) and (cost or figures):
        figures.append(f"{cost:g} cent" + ("" if cost == 1 else "s"))
    if isinstance(latency, int | float):
        figures.append(f"{latency / 1000:.1f} s" if latency >= 1000 else f"{latency:.0f} ms")
    if answer.get("conversation_id"):
        figures.append(f"conversation {answer['conversation_id']}")
    return figures
