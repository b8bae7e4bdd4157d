"""What can be asked of Meta and Aerostack: each fact asked for once, and kept, its failure too."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from aerobot.config import SETTINGS, Settings
from aerobot.errors import AerobotError, NetworkError
from aerobot.graph_admin import AppSubscription, GraphAdmin, Number, SubscribedApp, Token, Waba
from aerobot.secret import Secret

if TYPE_CHECKING:
    from aerobot.aerostack import Aerostack

P = ParamSpec("P")
T = TypeVar("T")
Asker = TypeVar("Asker", bound="Remotes")


class Skip(Exception):
    """A check that cannot be made: why, and what would change that."""

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self.why, self.remedy = why, remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for beside the checks: a PIN to register with, whether to wait for a message, how long (s)."""

    pin: Secret | None = None
    live: bool = False
    timeout: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the remotes may take: seconds to connect, to answer, and for all repeats of a call."""

    connect: float = 5.0
    answer: float = 15.0
    repeats: float = 1.5


def once(read: Callable[Concatenate[Asker, P], T]) -> Callable[Concatenate[Asker, P], T]:
    """Ask for a fact at its first use, and keep what came: a value, or the error that it ended with."""

    def asked(self: Asker, /, *args: P.args, **more: P.kwargs) -> T:
        key = (read, *args)
        if key not in self.facts:
            try:
                self.facts[key] = read(self, *args, **more)
            except (AerobotError, Skip) as error:
                self.facts[key] = error
        found = self.facts[key]
        if isinstance(found, AerobotError | Skip):
            raise found
        return found  # type: ignore[no-any-return]

    return asked


class Remotes:
    """One look at the whole chain; made with ``with``, which closes its clients.

    ``now`` is in unix seconds; ``tell`` hears what a person has to do meanwhile; with ``debug`` what nobody foresaw
    is raised.
    """

    def __init__(
        self,
        settings: Settings,
        wish: Wish | None = None,
        *,
        patience: Patience | None = None,
        debug: bool = False,
        environ: Mapping[str, str] | None = None,
        now: Callable[[], float] = time.time,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.settings, self.wish, self.now, self.tell = settings, wish or Wish(), now, tell
        self.debug = debug
        self.environ = os.environ if environ is None else environ
        self.facts: dict[tuple[object, ...], Any] = {}
        self._patience = patience or Patience()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    # -- settings ------------------------------------------------------------------------------------------

    def text(self, key: str) -> str:
        """A setting that the check cannot do without."""
        if not self.settings.text(key):
            raise Skip(f"{key} is not set", f"aerobot config set {key}")
        return self.settings.text(key)

    def secret(self, key: str) -> Secret:
        """A credential that the check cannot do without."""
        found = self.settings.secret(key)
        if found is None:
            raise Skip(f"{key} is not set", f"aerobot config set {key}")
        return found

    @property
    def hidden(self) -> list[Secret]:
        """Every secret of the settings."""
        return [secret for s in SETTINGS if s.secret and (secret := self.settings.secret(s.key))]

    # -- Graph ---------------------------------------------------------------------------------------------

    @once
    def graph(self) -> GraphAdmin:
        """The client of Graph."""
        settings, wait = self.settings, self._patience
        client = GraphAdmin(
            settings.text("whatsapp.graph_url"),
            settings.text("whatsapp.graph_version"),
            access_token=settings.secret("whatsapp.access_token"),
            app_secret=settings.secret("whatsapp.app_secret"),
            app_id=settings.text("whatsapp.app_id") or None,
            hidden=self.hidden,
            connect_timeout=wait.connect,
            read_timeout=wait.answer,
            patience=wait.repeats,
        )
        return self._open.enter_context(client)

    @once
    def token(self) -> Token:
        """What the access token is; Graph's client learns its app's id from it."""
        self.secret("whatsapp.access_token")
        graph = self.graph()
        token = graph.debug_token()
        told, theirs = graph.app_id, token.app_id
        graph.app_id = theirs or told
        graph.prove = not (told and theirs and told != theirs)
        return token

    @once
    def secret_fits(self) -> bool:
        """Whether the app secret is the app's; where it is not, calls go without the proof by it."""
        self.secret("whatsapp.app_secret")
        graph = self.graph()
        if not graph.app_id:
            raise Skip("whatsapp.app_id is not set", "aerobot config set whatsapp.app_id")
        fits = graph.secret_fits()
        graph.prove = graph.prove and fits
        return fits

    def proven(self) -> GraphAdmin:
        """Graph's client, once it is known whether its calls may carry the proof; silence once is silence."""
        for ask in (self.token, self.secret_fits):
            try:
                ask()
            except NetworkError:
                raise
            except (AerobotError, Skip):
                continue
        return self.graph()

    @once
    def number(self) -> Number:
        """The number of the settings."""
        return self.proven().number(self.text("whatsapp.phone_number_id"))

    def waba_id(self) -> str:
        """The account of the settings, else the only one that the token is limited to."""
        told = self.settings.text("whatsapp.business_account_id")
        targets = self.token().targets() or ()
        return told or (targets[0] if len(targets) == 1 else self.text("whatsapp.business_account_id"))

    @once
    def waba(self) -> Waba:
        """The account."""
        return self.proven().waba(self.waba_id())

    @once
    def numbers(self) -> tuple[Number, ...]:
        """The account's numbers."""
        return self.proven().phone_numbers(self.waba_id())

    @once
    def subscription(self) -> SubscribedApp | None:
        """Our app among those that get the account's webhooks."""
        graph = self.proven()
        if not graph.app_id:
            raise Skip("whatsapp.app_id is not set", "aerobot config set whatsapp.app_id")
        return graph.subscription(self.waba_id())

    @once
    def app_subscription(self) -> AppSubscription | None:
        """What the app gets, and where, unless an override is narrower."""
        self.secret("whatsapp.app_secret")
        return self.proven().app_subscription()

    # -- Aerostack -----------------------------------------------------------------------------------------

    @once
    def aerostack(self) -> "Aerostack":
        """The client of Aerostack."""
        from aerobot.aerostack import Aerostack

        settings, wait = self.settings, self._patience
        token, api_key = settings.secret("aerostack.token"), settings.secret("aerostack.api_key")
        if token is None and api_key is None:
            raise Skip("aerostack.token is not set", "aerobot login")
        client = Aerostack(
            settings.text("aerostack.api_url"),
            token=token,
            api_key=api_key,
            hidden=self.hidden,
            connect_timeout=wait.connect,
            read_timeout=wait.answer,
            patience=wait.repeats,
        )
        return self._open.enter_context(client)

    @once
    def workspaces(self) -> list[dict[str, Any]]:
        """The workspaces of the account."""
        return self.aerostack().workspaces()

    @once
    def bot(self) -> dict[str, Any]:
        """What Aerostack says of the bot."""
        return self.aerostack().bot(self.text("bot.id"))
