"""What `aerobot init` asks: each value with what it is for and where a portal shows it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aerobot.config import known, wrong_form
from aerobot.secret import MASK
from aerobot.terminal import Terminal

HEAD = """\
This makes aerobot.toml (to commit) and .env (secrets, readable by you alone).
Enter skips what is optional. Ctrl-C stops; nothing is written before the end.
"""
META = """\
From Meta: https://developers.facebook.com/apps > your app. None yet? Create App
(type Business), then WhatsApp > Set up, which brings a free test number.
"""
AEROSTACK = "From Aerostack (both can wait until `aerobot create`):\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One setting that is asked for: its label, and why it is wanted and where it stands."""

    key: str
    label: str
    why: str
    needed: bool = False

    @property
    def flag(self) -> str:
        """The flag that gives it."""
        return "--" + known(self.key).name.replace("_", "-")


QUESTIONS = (
    Question(
        key="whatsapp.phone_number_id",
        label="Phone number ID",
        why="The number your bot answers on: WhatsApp > API Setup > Phone number ID.",
        needed=True,
    ),
    Question(
        key="whatsapp.business_account_id",
        label="WhatsApp Business Account ID (optional)",
        why="The account that the number belongs to: WhatsApp > API Setup.",
    ),
    Question(
        key="whatsapp.access_token",
        label="Access token (hidden)",
        why="What your bot sends with. The one on API Setup is temporary: fine to try, dead\n"
        "after 24 hours. A lasting one: https://business.facebook.com/settings > System\n"
        "users > Generate token, with the permission whatsapp_business_messaging (and\n"
        "whatsapp_business_management, if aerobot is to set up webhooks for you).",
        needed=True,
    ),
    Question(
        key="whatsapp.app_id",
        label="App ID (optional)",
        why="Leads you to the right pages of the portal: App settings > Basic > App ID.",
    ),
    Question(
        key="whatsapp.app_secret",
        label="App secret (hidden, recommended)",
        why="Proves that a message is really Meta's: App settings > Basic > App secret.",
    ),
    Question(
        key="aerostack.workspace_id",
        label="Workspace ID (optional)",
        why="The workspace whose tools the bot uses; a single one is found without it.",
    ),
    Question(key="bot.name", label="Bot's name (optional)", why="What you and your team call it."),
)


def questions(values: Mapping[str, str]) -> Iterator[Question]:
    """Those that the platform in ``values`` needs: Meta's only for whatsapp."""
    whatsapp = values.get("bot.platform", "whatsapp") == "whatsapp"
    return (q for q in QUESTIONS if whatsapp or known(q.key).section != "whatsapp")


def ask_all(terminal: Terminal, values: Mapping[str, str]) -> dict[str, str]:
    """``values`` and the answers to what they leave open; Ctrl-C is a KeyboardInterrupt."""
    answers = dict(values)
    terminal.say(HEAD)
    for question in questions(values):
        if question.key == "whatsapp.phone_number_id":
            terminal.say(META, style="bold")
        if question.key == "aerostack.workspace_id":
            terminal.say(AEROSTACK, style="bold")
        if question.key in values:
            shown = MASK if known(question.key).secret else values[question.key]
            terminal.say(f"{question.label.partition(' (')[0]}: {shown} (given)\n")
        elif answer := _ask(terminal, question):
            answers[question.key] = answer
    return answers


def _ask(terminal: Terminal, question: Question) -> str:
    terminal.say(question.why, style="bright_black")
    setting = known(question.key)
    while True:
        answer = terminal.ask(question.label, hidden=setting.secret)
        wrong = wrong_form(setting, answer) if answer else ("is needed" if question.needed else "")
        if not wrong:
            terminal.say()
            return answer
        terminal.say(f"  {terminal.mark('failed')} It {wrong}.")


def complaints(values: Mapping[str, str]) -> list[str]:
    """Everything that is missing or malformed, each with the setting's name and how to give it."""
    found = []
    for question in questions(values):
        text, setting = values.get(question.key, ""), known(question.key)
        if not text and question.needed:
            found.append(f"{question.key} is missing: {setting.variable if setting.secret else question.flag}")
        elif text and (wrong := wrong_form(setting, text)):
            found.append(f"{question.key} {wrong}")
    platforms = known("bot.platform").choices
    if values.get("bot.platform", platforms[0]) not in platforms:
        found.append(f"bot.platform must be one of {', '.join(platforms)}")
    number = values.get("whatsapp.phone_number_id")
    if number and number == values.get("whatsapp.business_account_id"):
        found.append("phone_number_id and business_account_id are the same: one is in the other's place")
    return found
