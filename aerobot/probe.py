"""Prove that a webhook works: announce, deliver what Meta would deliver, and learn what became of it.

It only talks HTTP: to the private listener with its token, to the public one as Meta does. The other half, a real
message and its receipts, is followed here too.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from aerobot.emulator import webhooks
from aerobot.errors import NetworkError, NoReplyError, RemoteError, UsageError
from aerobot.host.record import HostRecord
from aerobot.secret import Secret
from aerobot.whatsapp.messages import ORDER

if TYPE_CHECKING:
    import httpx

TEST_ACCOUNT = "102290129340398"
"""The business account id in test deliveries where the real one is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What the host said to an announcement: whose message it will be, and whether replies are kept there."""

    bot_id: str
    phone_number_id: str
    capture: bool
    timeout_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What a webhook answered to a delivery."""

    status: int
    text: str
    milliseconds: int


def headers(body: bytes, secret: Secret | None) -> dict[str, str]:
    """The headers that Meta sends; without a secret, none that signs."""
    signature = {"X-Hub-Signature-256": webhooks.sign(body, secret.reveal())} if secret else {}
    return {"Content-Type": "application/json", "User-Agent": "facebookexternalua", **signature}


def deliver(url: str, body: bytes, secret: Secret | None, *, timeout: float = 15.0) -> Delivered:
    """Post one delivery as Meta does; ``NetworkError`` where nothing answers."""
    import httpx

    started = time.monotonic()
    try:
        answer = httpx.post(url, content=body, headers=headers(body, secret), timeout=timeout, trust_env=False)
    except httpx.InvalidURL as error:
        raise UsageError(f"{url!r} is not an address: {error}.") from None
    except httpx.HTTPError as error:
        raise _unreachable(url, error) from None
    return Delivered(
        status=answer.status_code, text=answer.text[:500], milliseconds=round((time.monotonic() - started) * 1000)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was tried on a webhook by our own request: ``state`` is ok, warning or failed."""

    name: str
    state: str
    seen: str
    remedy: str = ""
    milliseconds: int = 0


def verified(url: str, verify_token: Secret, app_secret: Secret | None, *, phone_number_id: str) -> tuple[Check, ...]:
    """Meta's handshake and a signed delivery, both made by us; what nobody's message is (a receipt of none) is sent.

    A last try is signed with a secret that nobody has. It stops where the next try would say nothing new.
    """
    first = _handshake(url, verify_token)
    if first.state != "ok":
        return (first,)
    if app_secret is None:
        words = "not tried: whatsapp.app_secret is not set"
        return first, Check(name="signed", state="warning", seen=words, remedy="aerobot config set whatsapp.app_secret")
    body = _receipt_of_nothing(phone_number_id)
    signed = _taken(deliver(url, body, app_secret))
    return (first, signed) if signed.state != "ok" else (first, signed, _forged(deliver(url, body, _nobodys())))


def _handshake(url: str, verify_token: Secret) -> Check:
    from urllib.parse import urlsplit

    from aerobot.tunnel import prove

    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    started = time.monotonic()
    try:
        asyncio.run(prove(origin, url.removeprefix(origin), verify_token, attempts=1))
    except NetworkError as error:
        return Check(name="challenge", state="failed", seen=error.message, remedy=error.hint)
    took = round((time.monotonic() - started) * 1000)
    return Check(name="challenge", state="ok", seen="answered our own request", milliseconds=took)


def _receipt_of_nothing(phone_number_id: str) -> bytes:
    random = Random()  # noqa: S311 - an id that nobody has, not a secret
    line = webhooks.Line(
        business_account_id=TEST_ACCOUNT, phone_number_id=phone_number_id, display_phone_number="15550783881"
    )
    wamid = webhooks.new_wamid(random, outgoing=True)
    user = webhooks.Sender(phone="15550000000")
    status = webhooks.status(wamid, "sent", recipient=user, timestamp=int(time.time()))
    return webhooks.wire(webhooks.receipt(line, user, status))


def _taken(answer: Delivered) -> Check:
    took = answer.milliseconds
    if answer.status == 200:
        return Check(name="signed", state="ok", seen="200 to our signed delivery", milliseconds=took)
    remedy = {
        401: "It did not see the signature: does a proxy drop X-Hub-Signature-256?",
        403: "It checks with another app secret than whatsapp.app_secret of these settings.",
        404: "It knows the challenge and not the delivery: is the path right for POST too?",
    }.get(answer.status, "Meta repeats whatever is not answered with 200, for a week.")
    seen = f"{answer.status} to our signed delivery"
    return Check(name="signed", state="failed", seen=seen, remedy=remedy, milliseconds=took)


def _forged(answer: Delivered) -> Check:
    if answer.status != 200:
        return Check(name="forged", state="ok", seen=f"a wrong signature is refused ({answer.status})")
    words = "a wrong signature is accepted too: anybody could pose as Meta"
    return Check(name="forged", state="warning", seen=words, remedy="Give that host the app secret.")


def _nobodys() -> Secret:
    import secrets

    return Secret(secrets.token_hex(16))


class TestChannel:
    """The private listener's side of a test: announce a message, then ask what became of it."""

    __test__ = False

    def __init__(self, host: HostRecord) -> None:
        self._host = host

    def announce(self, wamid: str, *, bot_id: str, phone_number_id: str, deliver: bool) -> Announced:
        """Tell the host that a message with this id is a test."""
        wanted = {"wamid": wamid, "bot_id": bot_id, "phone_number_id": phone_number_id, "deliver": deliver}
        answer = self._call("POST", "/api/test/announce", json=wanted)
        return Announced(**{key: answer[key] for key in Announced.__dataclass_fields__})

    def verdict(self, bot_id: str, wamid: str, *, timeout: float) -> Mapping[str, Any]:
        """What became of a message: once it is settled, or as it is after ``timeout`` seconds."""
        until = time.monotonic() + timeout
        while True:
            left = max(0.0, until - time.monotonic())
            query = {"bot_id": bot_id, "wamid": wamid, "wait": f"{min(left, 30.0):.3f}"}
            verdict = self._call("GET", "/api/test/verdict", params=query)
            if verdict.get("settled") or time.monotonic() >= until:
                return verdict

    def _call(self, method: str, path: str, **more: Any) -> Mapping[str, Any]:
        import httpx

        token = {"Authorization": f"Bearer {self._host.private_token.reveal()}"}
        try:
            answer = httpx.request(
                method, self._host.private_url + path, headers=token, timeout=45.0, trust_env=False, **more
            )
        except httpx.HTTPError as error:
            raise _unreachable(self._host.private_url, error) from None
        try:
            document = answer.json()
        except ValueError:
            document = {}
        if answer.status_code != 200:
            message = (document.get("error") or {}).get("message") or f"HTTP {answer.status_code}"
            raise RemoteError(f"The local host refused the test: {message}.", status=answer.status_code)
        return document if isinstance(document, dict) else {}


def _unreachable(url: str, error: "httpx.HTTPError") -> NetworkError:
    import httpx

    origin = "/".join(url.split("/")[:3]).removeprefix("http://")
    if isinstance(error, httpx.ConnectError):
        return NetworkError(f"Nothing listens on {origin}.", "Start one: aerobot serve, or aerobot sandbox.")
    if isinstance(error, httpx.TimeoutException):
        return NetworkError(f"{origin} did not answer in time.", "Is the host busy, or stopped?")
    return NetworkError(f"The connection to {origin} broke: {error}.")


def payload(text: str, *, wamid: str, now: int, phone_number_id: str) -> dict[str, Any]:
    """A body from a file, made new: its first message gets this id and time, its number is the host's.

    Raises ``ValueError`` where it holds no message.
    """
    document = json.loads(text)
    try:
        value = document["entry"][0]["changes"][0]["value"]
        message = value["messages"][0]
        message["id"], message["timestamp"] = wamid, str(now)
        value.setdefault("metadata", {})["phone_number_id"] = phone_number_id
    except (KeyError, IndexError, TypeError):
        raise ValueError("it holds no message (entry[0].changes[0].value.messages[0])") from None
    return document  # type: ignore[no-any-return]


def judged(verdict: Mapping[str, Any], *, waited: float, describe: Callable[[float], str] = "{:.1f} s".format) -> None:
    """Return where the bot answered; raise a ``NoReplyError`` that says why it did not."""
    if not verdict.get("stored"):
        raise NoReplyError("The message was accepted but not stored.", "The host's own output says why.")
    failed = [part for part in verdict["parts"] if part["state"] in ("failed", "not_sent")]
    if not verdict["settled"]:
        raise _late(verdict, describe(waited))
    if failed:
        error = failed[0].get("error") or {}
        code = f"{error['code']} " if error.get("code") is not None else ""
        raise NoReplyError(
            f"The reply was not delivered: {code}{error.get('title', 'unknown')}.", str(error.get("remedy") or "")
        )
    if verdict["outcome"] == "fell_back":
        raise NoReplyError(
            f"The bot failed and fell back: {verdict['error']}.", "The fallback above is what a user sees."
        )
    if verdict["state"] == "failed":
        raise NoReplyError(
            f"The bot failed: {verdict['error'] or verdict['reason']}.",
            "A user hears nothing then, or bot.fallback_message.",
        )
    if verdict["state"] == "ignored":
        raise NoReplyError(*_ignored(str(verdict["reason"])))


def _ignored(reason: str) -> tuple[str, str]:
    return {
        "silent": ("The bot said nothing.", "Its reply() returned nothing for this message."),
        "inactive": ("The bot is not active: the message was recorded.", "aerobot activate --local"),
        "late": ("The message is older than the 24-hour window.", "Leave out --set on its timestamp."),
    }.get(reason, (f'A message of this kind ("{reason}") is recorded and not answered.', "Try --type text."))


def _late(verdict: Mapping[str, Any], waited: str) -> NoReplyError:
    if verdict.get("doing"):
        return NoReplyError(f"No reply within {waited}.", f"The engine is still at {verdict['doing']}.")
    waiting = [part for part in verdict["parts"] if part["state"] in ("planned", "sending", "unknown")]
    if waiting:
        error = (waiting[0].get("error") or {}).get("title") or "no answer from Graph yet"
        return NoReplyError(f"No reply delivered within {waited}: {error}.", "It is kept, and tried again.")
    if not verdict.get("claimed"):
        return NoReplyError(f"No reply within {waited}: the message waits to be taken up.", "Is the number paused?")
    return NoReplyError(f"No reply within {waited}.", "The engine is still running.")


# -- a real message ------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Journey:
    """A message that Graph accepted, and the receipts that came for it; times count from its sending, in ms."""

    wamid: str
    recipient: str
    milliseconds: int
    receipts: list[Mapping[str, Any]] = field(default_factory=list)
    lost: bool = False
    """Whether the host stopped before the waiting was over."""

    @property
    def state(self) -> str:
        """accepted, sent, delivered, read, played or failed: the furthest, for receipts come in any order."""
        statuses = [str(receipt["status"]) for receipt in self.receipts]
        return max(statuses, key=lambda status: ORDER.get(status, 0), default="accepted")

    @property
    def failure(self) -> Mapping[str, Any] | None:
        """The receipt that says it failed."""
        return next((receipt for receipt in self.receipts if receipt["status"] == "failed"), None)

    def reached(self, status: str) -> bool:
        """Whether it came so far; Meta may leave ``delivered`` out where the user reads at once."""
        return self.failure is None and ORDER.get(self.state, 0) >= ORDER.get(status, 0)


async def receipts(
    journey: Journey,
    stream: AsyncIterator[Mapping[str, Any]],
    until: str,
    *,
    timeout: float,
    tell: Callable[[Mapping[str, Any]], None],
) -> None:
    """Take the message's receipts from a host's events: up to a status, a failure, or ``timeout`` seconds."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(timeout):
            async for event in stream:
                if event.get("event") != "receipt" or event.get("wamid") != journey.wamid:
                    continue
                took = journey.milliseconds + round((time.monotonic() - started) * 1000)
                known = {key: event.get(key) for key in ("status", "code", "error", "remedy")}
                journey.receipts.append({**known, "milliseconds": took})
                tell(journey.receipts[-1])
                if journey.failure or journey.reached(until):
                    return
    except TimeoutError:
        return
    except NetworkError:
        journey.lost = True
        return
    journey.lost = True


@asynccontextmanager
async def following(host: HostRecord) -> AsyncIterator[AsyncIterator[Mapping[str, Any]]]:
    """A host's events from now on; ``NetworkError`` where it cannot be followed, or when it goes."""
    import aiohttp

    def gone(error: Exception) -> NetworkError:
        words = f"The local host (pid {host.pid}) cannot be followed: {str(error) or type(error).__name__}"
        return NetworkError(words, "Does it still run? aerobot status")

    async def lines(answer: aiohttp.ClientResponse) -> AsyncIterator[Mapping[str, Any]]:
        try:
            async for line in answer.content:
                yield json.loads(line)
        except (aiohttp.ClientError, ConnectionError, ValueError) as error:
            raise gone(error) from None

    bearer = {"Authorization": f"Bearer {host.private_token.reveal()}"}
    limits = aiohttp.ClientTimeout(total=None, sock_connect=5)
    async with aiohttp.ClientSession(timeout=limits, headers=bearer) as session:
        try:
            async with asyncio.timeout(5):
                answer = await session.get(f"{host.private_url}/api/events")
        except (aiohttp.ClientError, OSError) as error:
            raise gone(error) from None
        async with answer:
            if answer.status != 200:
                raise gone(ValueError(f"HTTP {answer.status}"))
            yield lines(answer)


def window_at(host: HostRecord, *, phone_number_id: str, number: str) -> int | None:
    """When a user last wrote, by Meta's time in ms, as far as a host knows; one that does not say knows nothing."""
    import httpx

    bearer = {"Authorization": f"Bearer {host.private_token.reveal()}"}
    query = {"phone_number_id": phone_number_id, "number": number}
    try:
        answer = httpx.get(f"{host.private_url}/api/window", params=query, headers=bearer, timeout=5, trust_env=False)
        at = answer.json().get("window_at")
    except (httpx.HTTPError, ValueError, AttributeError):
        return None
    return at if isinstance(at, int) and not isinstance(at, bool) else None
