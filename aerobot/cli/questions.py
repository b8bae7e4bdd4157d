"""What `aerobot init` asks: each value with what it is for and where a portal shows it, and what it must look like."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aerobot.config import known, wrong_form
from aerobot.secret import Secret
from aerobot.terminal import Terminal

META = """\
From Meta: https://developers.facebook.com/apps > your app. None yet? Create App
(type Business), then WhatsApp > Set up, which brings a free test number.
"""
AEROSTACK = "From Aerostack (both can wait until `aerobot create`):\n"
LEAST_TOKEN = 60
"""Characters: Meta's access tokens have more, most of them two hundred."""
LEAST_ID = 13
"""Digits: ids of phone numbers have about 15; what has fewer may be the phone number itself."""
IDS = ("whatsapp.phone_number_id", "whatsapp.business_account_id", "whatsapp.app_id")

Problem = tuple[str, str]
"""A setting's key, and what is wrong with its value."""


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

    @property
    def name(self) -> str:
        """The label without its notes."""
        return self.label.partition(" (")[0]


QUESTIONS = (
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
        key="whatsapp.app_secret",
        label="App secret (hidden, recommended)",
        why="Proves that a message is really Meta's: App settings > Basic > App secret.",
    ),
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
        key="whatsapp.app_id",
        label="App ID (optional)",
        why="Leads you to the right pages of the portal: App settings > Basic > App ID.",
    ),
    Question(
        key="aerostack.workspace_id",
        label="Workspace ID (optional)",
        why="The workspace whose tools the bot uses; a single one is found without it.",
    ),
    Question(key="bot.name", label="Bot's name (optional)", why="What you and your team call it."),
)
BY_KEY = {question.key: question for question in QUESTIONS}


def questions(values: Mapping[str, str]) -> Iterator[Question]:
    """Those that the platform in ``values`` needs: Meta's only for whatsapp."""
    whatsapp = values.get("bot.platform", "whatsapp") == "whatsapp"
    return (q for q in QUESTIONS if whatsapp or known(q.key).section != "whatsapp")


def ask(terminal: Terminal, question: Question, values: Mapping[str, str]) -> str:
    """The answer, empty where it may be; whatever is wrong with it is said, and it is asked for again."""
    terminal.say(question.why, style="bright_black")
    setting = known(question.key)
    while True:
        answer = terminal.ask(question.label, hidden=setting.secret)
        if answer and setting.secret:
            terminal.say(f"  ({len(answer)} characters)")
        wrong = _wrong(question, answer, values)
        if wrong:
            terminal.say(f"  {terminal.mark('failed')} {wrong}")
        elif not (odd := odd_shape(question.key, answer)) or _kept(terminal, odd):
            terminal.say()
            return answer


def _wrong(question: Question, answer: str, values: Mapping[str, str]) -> str:
    """Why the answer cannot be taken, as a sentence."""
    if not answer:
        return "It is needed." if question.needed else ""
    wrong = wrong_form(known(question.key), answer)
    twin = _twin(question.key, answer, values)
    if twin:
        return f"That is the {twin}: one is in the other's place."
    return f"It {wrong}." if wrong else ""


def _twin(key: str, text: str, values: Mapping[str, str]) -> str:
    """The other id of Meta's that has the same value; empty where none has."""
    others = (other for other in IDS if key in IDS and other != key and values.get(other) == text)
    return next((BY_KEY[other].name for other in others), "")


def _kept(terminal: Terminal, odd: str) -> bool:
    terminal.say(f"  {terminal.painted_mark('warning')} It {odd}.")
    return terminal.confirm("Keep it all the same?")


def odd_shape(key: str, text: str) -> str:
    """What is strange about a value that can be taken, as the end of a sentence; empty where nothing is."""
    from aerobot.graph_admin import forms

    form = {"whatsapp.access_token": forms.access_token, "whatsapp.app_secret": forms.app_secret}.get(key)
    if key == "whatsapp.verify_token":
        form = forms.verify_token
    if not text:
        return ""
    if form is not None and (found := form(Secret(text))).state != "ok":
        return found.seen
    if key == "whatsapp.access_token" and len(text) < LEAST_TOKEN:
        return f"has {len(text)} characters; Meta's have a hundred and more"
    if key == "whatsapp.phone_number_id" and len(text) < LEAST_ID:
        return f"has {len(text)} digits; Meta's IDs have about 15 (not the phone number itself)"
    return ""


def complaints(values: Mapping[str, str], *, missing: bool = True) -> list[Problem]:
    """Everything that is malformed and, with ``missing``, what is not there and how to give it."""
    found: list[Problem] = []
    for question in questions(values):
        text, setting = values.get(question.key, ""), known(question.key)
        if not text and question.needed and missing:
            found.append((question.key, f"is missing: {setting.variable if setting.secret else question.flag}"))
        elif text and (wrong := wrong_form(setting, text)):
            found.append((question.key, wrong))
    platforms = known("bot.platform").choices
    if values.get("bot.platform", platforms[0]) not in platforms:
        found.append(("bot.platform", f"must be one of {', '.join(platforms)}"))
    for key, other in ((IDS[0], IDS[1]), (IDS[0], IDS[2]), (IDS[1], IDS[2])):
        if values.get(key) and values[key] == values.get(other):
            words = f"and {known(other).name} are the same: one is in the other's place"
            found.append((key, words))
    return found
