"""What a person arranges at Meta's portal: tokens, apps, accounts, numbers, templates; here, for tests too."""

import base64
from collections.abc import Callable, Iterable, Sequence

from aerobot.emulator import arrange
from aerobot.emulator.arrange import Changes
from aerobot.emulator.business import Business, Number
from aerobot.emulator.credentials import Credentials
from aerobot.emulator.ids import Ids
from aerobot.emulator.templates import Template, of_body
from aerobot.emulator.tokens import SCOPES, App, Token, Tokens


class Portal:
    """The set-up of the emulated world. A fresh one is healthy, except that no callback was ever set.

    There are our app and another one, our account and another one, each with the template ``hello_world``; our
    number is a registered test number in our account, our app is subscribed to the account and to the field
    ``messages``, and the token among the credentials is a system user's that never expires.
    """

    def __init__(
        self,
        *,
        credentials: Credentials,
        name: str,
        ids: Ids,
        now: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self.business = Business(credentials, name, changed)
        self.tokens = Tokens(self.business.apps, now)
        self._ids = ids
        self._now = now
        self._main = Token(
            value=credentials.access_token,
            app_id=credentials.app_id,
            issued_at=int(now()) - 86400,
            targets=(credentials.business_account_id,),
        )
        self.tokens.keep(self._main)

    @property
    def app(self) -> App:
        """Ours: its id and secret are among the credentials."""
        return self.business.app

    @property
    def other_app(self) -> App:
        """An app that has nothing to do with ours; its secret is a real one."""
        return self.business.other_app

    @property
    def other_account_id(self) -> str:
        """A WhatsApp Business Account that is not among the credentials."""
        return self.business.other_account_id

    def arrange(self, changes: Changes) -> None:
        """Change the world. Raises ``ValueError`` for names and values that are not in ``arrange.Changes``."""
        good = arrange.checked(dict(changes))
        self._main = arrange.apply(good, business=self.business, tokens=self.tokens, token=self._main, now=self._now())

    def issue_token(
        self,
        *,
        type: str = "SYSTEM_USER",  # noqa: A002 - Meta's own word
        expires_at: float = 0,
        scopes: Sequence[str] = SCOPES,
        targets: Sequence[str] | None = (),
        app_id: str = "",
    ) -> str:
        """Another token beside the main one; its value.

        ``expires_at`` in seconds since 1970 (0: never), ``targets`` the accounts it is granted (none given: ours;
        None: any), ``app_id`` whose it is (default: ours). Raises ``ValueError`` for an app that is not there.
        """
        app_id = app_id or self.app.id
        arrange.checked({"token_type": type, "token_expires_at": expires_at, "token_scopes": list(scopes)})
        if app_id not in self.business.apps:
            raise ValueError(f"There is no app {app_id!r}; there are {', '.join(self.business.apps)}.")
        granted = None if targets is None else tuple(targets) or (self.business.account_id,)
        raw = self._ids.dice("token").getrandbits(720).to_bytes(90, "big")
        letters = base64.b64encode(raw, altchars=b"Za").decode()
        token = Token(
            value=f"EAA{letters}",
            app_id=app_id,
            type=type,
            issued_at=int(self._now()),
            expires_at=int(expires_at),
            scopes=tuple(scopes),
            targets=granted,
        )
        self.tokens.keep(token)
        return token.value

    def restore_tokens(self, tokens: Iterable[Token]) -> None:
        """Know these tokens and no others."""
        main = self._main.value
        for token in self.tokens.all():
            self.tokens.forget(token.value)
        for token in tokens:
            self.tokens.keep(token)
        self._main = self.tokens.get(main) or self._main

    def add_number(
        self, phone: str, name: str, *, account_id: str = "", registered: bool = False, account_mode: str = "LIVE"
    ) -> str:
        """Another number, in digits, of an account (default: ours); its id.

        It can be read, registered and given an override; once registered it sends and receives like the main one.
        """
        id_ = f"1{self._ids.dice('number').randrange(10**14):014d}"
        number = Number(
            id=id_,
            phone=phone.lstrip("+"),
            name=name,
            account_id=self.business.accounts[account_id or self.business.account_id].id,
            account_mode=account_mode,
            registered=registered,
            status="CONNECTED" if registered else "PENDING",
            pin="",
        )
        self.business.put_number(number)
        return id_

    def add_template(
        self, name: str, body: str, *, language: str = "en_US", status: str = "APPROVED", category: str = "UTILITY"
    ) -> None:
        """Another template of our account with a body alone; ``put_template`` takes any."""
        id_ = self.new_template_id()
        self.put_template(of_body(id=id_, name=name, language=language, status=status, category=category, body=body))

    def new_template_id(self) -> str:
        """An id that no template has."""
        return f"4{self._ids.dice('template').randrange(10**14):014d}"

    def put_template(self, template: Template, account_id: str = "") -> None:
        """Add or change a template of an account (default: ours); by name and language."""
        account = account_id or self.business.account_id
        key = (template.name, template.language)
        others = tuple(t for t in self.business.templates[account] if (t.name, t.language) != key)
        self.business.templates[account] = (*others, template)

    def document(self) -> dict[str, object]:
        """How things stand, without any secret.

        ``callback`` is the one in force, ``levels`` the one at each level, ``obstacle`` why webhooks of messages
        are not sent at all (empty: they are).
        """
        business, token = self.business, self._main
        number, subscription = business.number, business.subscriptions.get(business.app.id)
        died = token.died(self._now())
        return {
            "callback": business.callback(number.id),
            "levels": business.levels(business.app.id, number),
            "obstacle": business.obstacle(number.id),
            "fields": list(subscription.fields) if subscription else [],
            "subscribed_apps": list(business.accounts[business.account_id].apps),
            "token": {
                "known": self.tokens.get(token.value) is not None,
                "dead": died.subcode if died else None,
                "type": token.type,
                "app_id": token.app_id,
                "expires_at": token.expires_at,
                "scopes": list(token.scopes),
                "targets": None if token.targets is None else list(token.targets),
            },
            "number": {
                "account_id": number.account_id,
                "account_mode": number.account_mode,
                "status": number.status,
                "registered": number.registered,
            },
            "app_id": business.app.id,
            "other_app_id": business.other_app.id,
            "account_id": business.account_id,
            "other_account_id": business.other_account_id,
        }
