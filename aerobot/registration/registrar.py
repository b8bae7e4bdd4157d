"""Asks Graph what stands, sets our callback, puts back what stood. Blocking: called in threads.

Its law: what stands is written down before it is changed, and only what is still ours is taken away.
Sources: WhatsApp Business Management API (Webhook overrides), Graph API (App Subscriptions), v25.0.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aerobot.errors import AerobotError, ConfigError, RemoteError
from aerobot.graph_admin import GraphAdmin
from aerobot.graph_admin.values import AppSubscription, Callbacks
from aerobot.registration import plan
from aerobot.registration.plan import NAMES, Obstacle, Ownership, PutBack, Standing, Wish
from aerobot.registration.records import Corrupt, Level, Record, Records, host_of
from aerobot.secret import Secret, is_loopback

if TYPE_CHECKING:
    from filelock import BaseFileLock

BROKEN = (502, 504, 530)
"""What proxies and tunnels answer when nothing is behind them."""
CLOSED = ("ERR_NGROK_3200", "ERR_NGROK_8012")


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Whose registration it is: the number, its account (empty: found by the token), the token that Meta is given.

    ``mine`` are addresses that were set with the same verify token and can therefore be set again.
    """

    phone_number_id: str
    business_account_id: str
    verify_token: Secret
    mine: frozenset[str] = frozenset()
    config: str | None = None
    profile: str | None = None


class Registrar:
    """Registrations of one number. Every method raises what ``GraphAdmin`` raises; ``tell`` hears what to know."""

    def __init__(
        self,
        admin: GraphAdmin,
        records: Records,
        who: Who,
        *,
        tell: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
        pid: int | None = None,
    ) -> None:
        self._admin, self._records, self._who = admin, records, who
        self._tell, self._clock, self._pid = tell, clock, os.getpid() if pid is None else pid

    # -- what is there -----------------------------------------------------------------------------------------

    def look(self, level: Level = "phone") -> Standing:
        """What stands, at every level. ``level`` is the one that is wanted: app takes the app secret."""
        with self._admin as admin:
            number = admin.number(self._who.phone_number_id)
            account = self._account()
            subscribed = admin.subscription(account) is not None
            known, subscription = self._fields(level)
        record = self.record()
        return Standing(
            number=number,
            business_account_id=account,
            app_id=admin.app_id,
            subscribed=subscribed,
            fields=subscription.names if subscription else None,
            fields_known=known,
            record=record,
            alive=record is not None and self._records.alive(record),
        )

    def obstacles(self, standing: Standing, level: Level, url: str = "") -> tuple[Obstacle, ...]:
        """What needs a yes before a callback (``url``, where it is known already) is set there."""
        return plan.obstacles(standing, level, Ownership(mine={*self._who.mine, url}, answers=answers))

    def record(self) -> Record | None:
        """What is written down about the number; one that cannot be read is named, kept aside, and is none."""
        try:
            return self._records.read(self._who.phone_number_id)
        except Corrupt as error:
            self._tell(f"{error.message} {error.hint}")
            return None

    def _account(self) -> str:
        """The number's account; the app's id is found on the way."""
        admin = self._admin
        if self._who.business_account_id:
            admin.app_id = admin.app_id or admin.app_of_token().id
            return self._who.business_account_id
        token = admin.debug_token()
        admin.app_id = admin.app_id or token.app_id or admin.app_of_token().id
        for account in token.targets() or ():
            if any(number.id == self._who.phone_number_id for number in admin.phone_numbers(account)):
                return account
        words = "whatsapp.business_account_id is not set, and the access token does not tell it."
        raise ConfigError(words, "aerobot config set whatsapp.business_account_id")

    def _fields(self, level: Level) -> tuple[bool, AppSubscription | None]:
        """Whether it can be told what the app gets, and that."""
        try:
            return True, self._admin.app_subscription()
        except (ConfigError, RemoteError):
            if level == "app":
                raise
            return False, None

    # -- setting -----------------------------------------------------------------------------------------------

    def register(self, wish: Wish, url: str, *, lasting: bool = False) -> "Registration":
        """Point Meta at ``url``; Meta asks it for the challenge before it agrees.

        What was not agreed to is raised as a ``UsageError``, before anything is changed.
        """
        if not self._who.verify_token:
            words = "whatsapp.verify_token is not set: Meta has to be given one."
            raise ConfigError(words, "aerobot init invents one.")
        with self._records.alone(self._who.phone_number_id):
            standing = self._cleared(wish, url)
            heritage = plan.inherit(standing, wish.level, lasting=lasting)
            record = Record(
                phone_number_id=self._who.phone_number_id,
                display=standing.display,
                business_account_id=standing.business_account_id,
                app_id=standing.app_id,
                level=wish.level,
                urls=(*(old for old in heritage.urls if old != url), url),
                before=heritage.before,
                fields=heritage.fields,
                pid=self._pid,
                config=self._who.config,
                profile=self._who.profile,
                at=int(self._clock() * 1000),
                lasting=lasting,
                under=heritage.under,
            )
            held = None if lasting else self._records.hold(record)
            try:
                self._records.write(record)
                self._set(record, subscribed=standing.subscribed)
            except BaseException:
                self._withdraw(record, standing)
                if held is not None:
                    held.release()
                raise
            self._records.tidy(standing.record)
        return Registration(self, record, held, standing)

    def _cleared(self, wish: Wish, url: str) -> Standing:
        """What stands once an unfinished registration at another level was put back."""
        standing = self.look(wish.level)
        refused = [one for one in self.obstacles(standing, wish.level, url) if one.kind not in wish.agreed]
        if refused:
            raise refused[0].error
        old = standing.record
        if old is None or old.lasting or old.level == wish.level:
            return standing
        self._tell(f"Put back: {self._undo(old).words}")
        self._records.drop(old)
        return self.look(wish.level)

    def _set(self, record: Record, *, subscribed: bool) -> None:
        """The app is subscribed to the account first: Meta takes no override before that."""
        with self._admin as admin:
            if not subscribed and admin.subscribe(record.business_account_id):
                self._tell(f"The app gets the webhooks of WABA {record.business_account_id} now; that stays so.")
            self._write(record, record.url)

    def _write(self, record: Record, url: str) -> None:
        token = self._who.verify_token
        match record.level:
            case "phone":
                self._admin.set_number_override(record.phone_number_id, url, token)
            case "waba":
                self._admin.set_waba_override(record.business_account_id, url, token)
            case "app":
                self._admin.merge_app_subscription(verify_token=token, callback_url=url)

    def _withdraw(self, record: Record, found: Standing) -> None:
        """After a failure: what was set all the same is put back. Where that fails too, the record stays."""
        try:
            with self._admin as admin:
                there = admin.number(record.phone_number_id).callbacks.at(record.level)
            if there == record.url != found.callbacks.at(record.level):
                self._undo(record)
            elif found.record is not None:
                self._records.write(found.record)
                self._records.tidy(record)
                return
            self._records.drop(record)
        except AerobotError as error:
            self._tell(f"What stood before is still written down: {error.message} aerobot webhook clear")

    # -- putting back ------------------------------------------------------------------------------------------

    def finish(self, *, take_over: bool = False) -> PutBack | None:
        """Put back what a registration that nobody holds any more changed; ``None`` where there is no record."""
        with self._records.alone(self._who.phone_number_id):
            record = self.record()
            if record is None:
                return None
            if self._records.alive(record) and not take_over:
                words = f"{record.display} is served by an aerobot that runs ({record.holder})."
                raise ConfigError(words, f"It puts things back when it stops: kill -INT {record.pid}")
            ended = self._undo(record)
            self._records.drop(record)
            return ended

    def clear(self, level: Level) -> PutBack:
        """Take away what stands at a level, whoever set it; at the level app with all its fields."""
        with self._records.alone(self._who.phone_number_id), self._admin as admin:
            number = admin.number(self._who.phone_number_id)
            if number.callbacks.at(level):
                self._erase(level, self._who.phone_number_id, "" if level != "waba" else self._account())
            now = plan.after(number.callbacks, level, "")
            why = f"no {NAMES[level]} any more"
            return PutBack(display=number.display or number.id, now=now, how="changed", why=why)

    def forget(self) -> Record | None:
        """Drop the record without a word to Meta."""
        with self._records.alone(self._who.phone_number_id):
            record = self.record()
            if record is not None:
                self._records.drop(replace(record, under=None))
            return record

    def _undo(self, record: Record) -> PutBack:
        with self._admin as admin:
            admin.app_id = admin.app_id or record.app_id
            callbacks = admin.number(record.phone_number_id).callbacks
            standing, former = callbacks.at(record.level), record.former
            ended = PutBack(display=record.display, now=callbacks.in_force)
            if standing == former:
                return ended
            if standing not in record.urls:
                return replace(ended, how="changed", why="set meanwhile by somebody else, left alone")
            return self._restored(record, callbacks)

    def _restored(self, record: Record, callbacks: Callbacks) -> PutBack:
        """Our own callback taken away, and the former one set again where its verify token is known."""
        level, former = record.level, record.former
        good = PutBack(display=record.display, now=plan.after(callbacks, level, former))
        if not former and not (level == "app" and record.fields):
            self._erase(level, record.phone_number_id, record.business_account_id)
            return good
        why = "its verify token is not known here"
        if former in {*self._who.mine, *(record.under.urls if record.under else ())}:
            try:
                self._write(record, former)
                self._drop_added(record)
                return good
            except RemoteError as error:
                why = error.message.rstrip(".")
        if level == "app":
            words = f"{host_of(former) or 'no callback'} was there before and cannot be set again: {why}"
            return replace(good, now=plan.after(callbacks, level, record.url), how="lost", why=words)
        self._erase(level, record.phone_number_id, record.business_account_id)
        words = f"{host_of(former)} was there before and cannot be set again: {why}"
        return replace(good, now=plan.after(callbacks, level, ""), how="lost", why=words)

    def _drop_added(self, record: Record) -> None:
        if record.level == "app" and record.fields is not None and "messages" not in record.fields:
            self._admin.drop_app_fields(("messages",))

    def _erase(self, level: Level, number: str, account: str) -> None:
        match level:
            case "phone":
                self._admin.clear_number_override(number)
            case "waba":
                self._admin.clear_waba_override(account)
            case "app":
                self._admin.delete_app_subscription()

    # -- a registration that is in force -----------------------------------------------------------------------

    def move(self, record: Record, url: str) -> Record:
        """The same registration with another address; the record says so first."""
        with self._records.alone(record.phone_number_id):
            self._must_be_ours(record)
            moved = replace(record, urls=(*(old for old in record.urls if old != url), url))
            self._records.write(moved)
            self._set(moved, subscribed=False)
            return moved

    def end(self, record: Record) -> PutBack:
        """Put back what stood before; where another aerobot took the number meanwhile, nothing is touched."""
        with self._records.alone(record.phone_number_id):
            there = self.record()
            if there is None or there.pid != record.pid:
                who = f"another aerobot took it ({there.holder})" if there else "its record is gone"
                return PutBack(display=record.display, now=None, how="taken", why=f"left alone: {who}")
            ended = self._undo(there)
            self._records.drop(there)
            return ended

    def _must_be_ours(self, record: Record) -> None:
        there = self.record()
        if there is not None and there.pid != record.pid:
            raise ConfigError(f"{record.display} was taken by another aerobot ({there.holder}).")
        with self._admin as admin:
            url = admin.number(record.phone_number_id).callbacks.at(record.level)
        if url not in record.urls:
            where = host_of(url) or "nothing"
            words = f"{record.display} was pointed at {where} by somebody else meanwhile: left alone."
            raise ConfigError(words, "To have it here again: start once more.")


class Registration:
    """A registration in force, held by this process until it is put back or the process ends."""

    def __init__(self, registrar: Registrar, record: Record, held: "BaseFileLock | None", found: Standing) -> None:
        self._registrar, self._held = registrar, held
        self.record = record
        self.found = found
        """What stood when it was made."""

    def move(self, url: str) -> None:
        """Register again, for the address changed."""
        self.record = self._registrar.move(self.record, url)

    def put_back(self) -> PutBack:
        """Everything as it was, if it can be; on an error the record stays, so that the next start does it."""
        try:
            return self._registrar.end(self.record)
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Hold the number no longer; the record stays as it is."""
        if self._held is not None:
            self._held.release()


def answers(url: str, timeout: float = 5.0) -> bool:
    """Whether some program answers there; what a tunnel or proxy says in its place does not count."""
    import httpx

    try:
        answer = httpx.get(url, timeout=timeout, trust_env=not is_loopback(url))
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
    return answer.status_code not in BROKEN and answer.headers.get("ngrok-error-code", "") not in CLOSED
