"""The interview of `aerobot init`: the two secrets first, then what could be found is shown, the rest asked for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aerobot.cli.finder import APP, PHONE, SECRET, SPACE, TOKEN, WABA, Finder, filled, named
from aerobot.cli.questions import AEROSTACK, BY_KEY, META, ask
from aerobot.config import known
from aerobot.secret import MASK
from aerobot.terminal import Terminal, safe

if TYPE_CHECKING:
    from aerobot.graph_admin import Discovered

HEAD = """\
This makes aerobot.toml (to commit) and .env (secrets, readable by you alone).
Enter skips what is optional. Ctrl-C stops; nothing is written before the end.
"""
OTHER = "another one, by its ID"


class Interview:
    """One interview; ``given`` is what need not be asked, ``finder`` is left out where nothing shall be looked up."""

    def __init__(self, terminal: Terminal, given: Mapping[str, str], finder: Finder | None) -> None:
        self._terminal, self._finder = terminal, finder
        self._given, self.values = dict(given), dict(given)
        self._asked: set[str] = set()
        self._found: Discovered | None = None

    def run(self) -> dict[str, str]:
        """``given``, what was found, and the answers; Ctrl-C is a ``KeyboardInterrupt``."""
        self._terminal.say(HEAD)
        if self.values.get("bot.platform", "whatsapp") == "whatsapp":
            self._terminal.say(META, style="bold")
            self._credentials()
            self._number()
            for key in (WABA, APP):
                self._ask(key)
        self._workspace()
        self._ask("bot.name")
        return self.values

    def _ask(self, key: str) -> None:
        """Ask once for what is not known; what was given is shown, what was found has been."""
        question = BY_KEY[key]
        if key in self._asked:
            return
        self._asked.add(key)
        if key in self._given:
            shown = MASK if known(key).secret else safe(self._given[key])
            self._terminal.say(f"{question.name}: {shown} (given)\n")
        elif key not in self.values and (answer := ask(self._terminal, question, self.values)):
            self.values[key] = answer

    def _again(self, *keys: str) -> None:
        """Forget these answers and ask once more."""
        for key in keys:
            if key not in self._given:
                self.values.pop(key, None)
                self._asked.discard(key)
        for key in keys:
            self._ask(key)

    # -- Meta ----------------------------------------------------------------------------------------------------

    def _credentials(self) -> None:
        """Token and secret, until they will do or are kept all the same; then what they lead to."""
        self._ask(TOKEN)
        self._ask(SECRET)
        self._look()
        while (bad := self._bad()) and bad not in self._given:
            name = BY_KEY[bad].name.lower()
            if self._terminal.confirm(f"Keep this {name} all the same?"):
                break
            self._again(bad)
            self._look()
        if self._found is None or self._bad() == TOKEN:
            return
        if self._found.app is None and APP not in self._given:
            self._wanted(APP)
        if not self._found.wabas and WABA not in self._given:
            self._wanted(WABA)
        self.values = filled(self.values, self._found, choose=False)

    def _look(self) -> None:
        if self._finder is not None:
            self._found = self._finder.look(self.values)
            self._terminal.say()

    def _bad(self) -> str:
        """The credential that cannot be right, if any."""
        found = self._found
        if found is None:
            return ""
        if found.token is not None and not found.token.valid:
            return TOKEN
        return SECRET if found.secret_fits is False else ""

    def _wanted(self, key: str) -> None:
        """Ask for what leads on, and look with it."""
        self._ask(key)
        if key in self.values:
            self._look()

    # -- the number ----------------------------------------------------------------------------------------------

    def _number(self) -> None:
        if PHONE in self._given:
            self._ask(PHONE)
        elif chosen := self._offered():
            self.values[PHONE] = chosen
        else:
            self._by_hand()
        self.values = filled(self.values, self._found, choose=False)

    def _offered(self) -> str:
        """One of the numbers that were found; empty where there is none, or it is not the one."""
        numbers = self._found.numbers if self._found is not None else ()
        if len(numbers) == 1:
            taken = self._terminal.confirm(f"Use {named(numbers[0])}?", default=True)
            self._terminal.say()
            return numbers[0].id if taken else ""
        if not numbers:
            return ""
        self._terminal.say("Which number shall the bot answer on?")
        options = [*((number.id, named(number)) for number in numbers), ("", OTHER)]
        chosen = self._terminal.choose("Number", options)
        self._terminal.say()
        return chosen

    def _by_hand(self) -> None:
        """Ask for the ids; where Meta can be asked, a number that it does not know is pointed out."""
        self._ask(PHONE)
        self._ask(WABA)
        while self._found is not None and self._bad() != TOKEN:
            self._look()
            numbers = self._found.numbers if self._found is not None else ()
            if self._found is None or any(number.id == self.values[PHONE] for number in numbers):
                return
            if self._terminal.confirm("Meta does not show that number. Keep it all the same?"):
                return
            self._again(PHONE, WABA)

    # -- Aerostack -----------------------------------------------------------------------------------------------

    def _workspace(self) -> None:
        self._terminal.say(AEROSTACK, style="bold")
        spaces = self._finder.workspaces() if self._finder is not None and SPACE not in self.values else []
        if len(spaces) == 1:
            self.values[SPACE] = spaces[0][0]
            self._terminal.say()
        elif spaces:
            self._terminal.say("Which workspace shall the bot belong to?")
            options = [*((key, f"{name}  {key}") for key, name in spaces), ("", "decide later")]
            if chosen := self._terminal.choose("Number", options):
                self.values[SPACE] = chosen
        else:
            self._ask(SPACE)
