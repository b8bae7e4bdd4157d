"""From a token and an app secret to everything that a bot's settings need; each step that fails is explained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from aerobot.errors import AerobotError, NetworkError
from aerobot.graph_admin import verdicts
from aerobot.graph_admin.client import GraphAdmin, Kind
from aerobot.graph_admin.finding import Finding
from aerobot.graph_admin.values import MANAGEMENT, MESSAGING, App, Number, Token, Waba

MOST_ACCOUNTS = 20

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """What was found; ``findings`` explain it and what is missing, in the order of the steps.

    ``secret_fits`` is ``None`` where it could not be told; ``offline`` that the steps ended for lack of a network.
    """

    token: Token | None = None
    app: App | None = None
    secret_fits: bool | None = None
    wabas: tuple[Waba, ...] = ()
    numbers: tuple[Number, ...] = ()
    findings: tuple[Finding, ...] = ()
    offline: bool = False


def discover(admin: GraphAdmin, *, now: float, business_account_id: str = "", phone_number_id: str = "") -> Discovered:
    """Ask Graph for the app, the accounts, their numbers, and what the token and the secret are worth.

    ``now`` is in unix seconds; the ids are those known already, if any. A token that is limited to no account
    names none: then only what is known is tried. Afterwards ``admin`` knows the ``app_id``, and leaves out the proof
    where the secret is another app's. Nothing is raised: what went wrong is among the findings.
    """
    return _Search(admin, now, business_account_id, phone_number_id).run()


class _Search:
    """The steps in order. ``_try`` keeps what went wrong; without a network the rest is left out."""

    def __init__(self, admin: GraphAdmin, now: float, business_account_id: str, phone_number_id: str) -> None:
        self.admin, self.now = admin, now
        self.waba_id, self.phone_id = business_account_id, phone_number_id
        self.findings: list[Finding] = []
        self.offline = False

    def run(self) -> Discovered:
        token = self._try("token", self.admin.debug_token)
        if token is not None:
            self.findings += [verdicts.token_life(token, now=self.now)]
            if token.valid:
                self.findings += [verdicts.token_scopes(token)]
        app = self._app(token)
        fits = self._secret(app)
        dead = token is not None and not token.valid
        wabas, numbers = ((), ()) if dead else self._accounts(token)
        return Discovered(
            token=token,
            app=app,
            secret_fits=fits,
            wabas=wabas,
            numbers=numbers,
            findings=tuple(self.findings),
            offline=self.offline,
        )

    def _try(self, topic: str, step: Callable[[], Value]) -> Value | None:
        if self.offline:
            return None
        try:
            return step()
        except AerobotError as error:
            self.offline = isinstance(error, NetworkError)
            found = verdicts.of_error(topic, error)
            if all(found.seen != other.seen for other in self.findings):  # one cause is said once
                self.findings.append(found)
        return None

    def _app(self, token: Token | None) -> App | None:
        """The token's own app; the one that we were told where Graph does not say."""
        told = self.admin.app_id
        if token is not None and token.app_id:
            self.findings.append(verdicts.token_app(token, told))
            self.admin.app_id = token.app_id
            return App(id=token.app_id, name=token.application)
        if told:
            return App(id=told)
        if token is not None and not token.valid:
            return None
        app = self._try("app", self.admin.app_of_token)
        if app is None or not app.id:
            return None
        self.admin.app_id = app.id
        self.findings.append(verdicts.token_app(Token(app_id=app.id, application=app.name), ""))
        return app

    def _secret(self, app: App | None) -> bool | None:
        if app is None or not self.admin.has_secret:
            return None
        fits = self._try("secret", self.admin.secret_fits)
        if fits is not None:
            self.findings.append(verdicts.secret_fit(fits, app.name or app.id))
        if fits is False:
            self.admin.prove = False
        return fits

    def _accounts(self, token: Token | None) -> tuple[tuple[Waba, ...], tuple[Number, ...]]:
        if token is not None and token.knows_scopes and not token.has(MANAGEMENT):
            self.findings.append(verdicts.skipped("WABA", f"this needs {MANAGEMENT}"))
            return (), ()
        targets = _targets(token)
        if targets is not None and self.phone_id in targets:
            return self._swapped(targets)
        if targets is None:
            targets = (self.waba_id,) if self.waba_id else ()
            if not targets and not self.offline:
                why = "the token names no account"
                self.findings.append(verdicts.skipped("WABA", why, "Give its id: WhatsApp > API Setup"))
        elif token is not None and self.waba_id and self.waba_id not in targets:
            self.findings.append(verdicts.token_reaches(token, self.waba_id))
        wabas, numbers = self._read(targets)
        if self.phone_id and not any(number.id == self.phone_id for number in numbers):
            self._missed(wabas, numbers)
        self.findings += [verdicts.number_works(number) for number in numbers]
        return tuple(wabas), tuple(numbers)

    def _swapped(self, targets: Sequence[str]) -> tuple[tuple[Waba, ...], tuple[Number, ...]]:
        """What we were told to be the number is an account of the token's: what there is is shown all the same."""
        wabas, numbers = self._read(targets)
        kind: Kind = "number" if any(number.id == self.waba_id for number in numbers) else ""
        self.findings.append(verdicts.ids_in_place(self.phone_id, self.waba_id, phone_kind="waba", waba_kind=kind))
        return tuple(wabas), tuple(numbers)

    def _read(self, targets: Sequence[str]) -> tuple[list[Waba], list[Number]]:
        wabas: list[Waba] = []
        numbers: list[Number] = []
        for waba_id in targets[:MOST_ACCOUNTS]:
            waba = self._try("WABA", partial(self.admin.waba, waba_id))
            found = self._try("number", partial(self.admin.phone_numbers, waba_id)) if waba else None
            if waba is None:
                continue
            wabas.append(waba)
            if found is not None:
                self.findings.append(verdicts.account(waba, found))
                numbers += found
        return wabas, numbers

    def _missed(self, wabas: Sequence[Waba], numbers: list[Number]) -> None:
        """The number that we were told, which no account showed: it is asked for by itself."""
        ours = [waba for waba in wabas if waba.id == self.waba_id]
        if ours:
            theirs = [number for number in numbers if number.waba_id == self.waba_id]
            self.findings.append(verdicts.number_in_waba(self.phone_id, ours[0], theirs))
        number = self._try("number", partial(self.admin.number, self.phone_id))
        if number is not None:
            numbers.append(number)


def _targets(token: Token | None) -> Sequence[str] | None:
    """The accounts that a token is limited to; ``None`` where to none, or it was not told."""
    if token is None:
        return None
    managed = token.targets(MANAGEMENT)
    return token.targets(MESSAGING) if managed is None else managed
