"""The client of the Aerostack API against the emulated one, over real sockets."""

import base64
import socket
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest

from aerobot.aerostack import Aerostack, jwt_expiry, warnings_of
from aerobot.errors import AerobotError, ConfigError, NetworkError, RemoteError, Repeat, UsageError
from aerobot.secret import Secret
from tests.aerostack_api import ACCOUNT_KEY, EMAIL, PASSWORD, AerostackApi, Fault, jwt

NEW = {"name": "Acme", "platform": "whatsapp", "workspace_id": "ws_1", "system_prompt": "Be kind."}
NOW = 1_800_000_000.0


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def api() -> Iterator[AerostackApi]:
    with AerostackApi() as running:
        running.token = jwt(expires_in=10**9)
        yield running


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def client(api: AerostackApi, time: Time) -> Iterator[Aerostack]:
    with make(api.url, time, token=Secret(api.token)) as made:
        yield made


def make(url: str, time: Time, **more: Any) -> Aerostack:
    return Aerostack(url, clock=time.clock, sleep=time.sleep, random=lambda: 1.0, **more)


def port_without_listener() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- reading -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapped", [False, True])
def test_objects_are_read_bare_and_wrapped(api: AerostackApi, client: Aerostack, wrapped: bool) -> None:
    """A bot is the same bot, whether it comes bare or as {"bot": …}; unknown fields are kept."""
    api.wrapped = wrapped
    api.add_bot(id="bt_1", name="Acme", field_of_the_future={"a": 1})
    assert client.bot("bt_1")["field_of_the_future"] == {"a": 1}
    assert client.create_bot(NEW)["id"] == "bt_00000000000000000002"
    assert client.update_bot("bt_1", {"name": "Other"})["name"] == "Other"
    assert client.activate("bt_1")["webhook_url"].endswith("/whatsapp/bt_1")
    assert client.test("bt_1", "Hi")["response"] == "You said: Hi"
    assert client.deactivate("bt_1")["status"] == "inactive"
    client.delete_bot("bt_1")
    assert "bt_1" not in api.bots


@pytest.mark.parametrize("listed", ["named", "bare", "data"])
def test_lists_are_read_in_every_form(api: AerostackApi, client: Aerostack, listed: Any) -> None:
    """A list is found under its name, under "data", and bare."""
    api.listed = listed
    api.add_bot(id="bt_1")
    assert [bot["id"] for bot in client.bots()] == ["bt_1"]


def test_what_stands_beside_a_wrapped_object_is_kept(api: AerostackApi, client: Aerostack) -> None:
    """The warnings beside a wrapped bot are not lost, and texts and objects are both read."""
    warnings = ["token dies soon", {"code": "W1", "message": "no app_secret"}]
    api.fail(
        Fault(
            status=200,
            body={"success": True, "bot": {"id": "bt_1", "status": "active"}, "warnings": warnings},
        )
    )
    answer = client.activate("bt_1")
    assert answer["id"] == "bt_1"
    assert "success" not in answer
    assert warnings_of(answer) == ["token dies soon", "no app_secret (W1)"]


@pytest.mark.parametrize("shape", ["nested", "plain", "flat"])
def test_every_shape_of_error_is_understood(api: AerostackApi, client: Aerostack, shape: Any) -> None:
    """The remote's own words reach the person, whatever the shape they came in."""
    api.errors = shape
    with pytest.raises(RemoteError, match=r"refused this \(400\): system_prompt required") as caught:
        client.create_bot({**NEW, "system_prompt": ""})
    assert caught.value.code == 4
    assert caught.value.status == 400


def test_a_list_that_is_none_is_refused(api: AerostackApi, client: Aerostack) -> None:
    """An answer of success without a list is an error, not an empty list."""
    api.fail(Fault(status=200, body={"hello": 1}))
    with pytest.raises(RemoteError, match="without a list of bots"):
        client.bots()


def test_a_refusal_with_status_200_is_a_refusal(api: AerostackApi, client: Aerostack) -> None:
    """{"success": false} and a lone "error" are believed more than the status line."""
    api.add_bot(id="bt_1")
    api.fail(Fault(status=200, body={"error": "LLM is down"}))
    with pytest.raises(RemoteError, match="LLM is down"):
        client.test("bt_1", "Hi")


def test_creation_without_an_id_is_ambiguous(api: AerostackApi, client: Aerostack) -> None:
    """A creation that was answered without an id may have happened: the caller has to look."""
    api.fail(Fault(method="POST", status=201, body={"ok": True}))
    with pytest.raises(RemoteError) as caught:
        client.create_bot(NEW)
    assert caught.value.repeat is Repeat.AMBIGUOUS


# -- repeating ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [Fault(status=429), Fault(status=502), Fault(status=503), Fault(status=504), Fault(drop="before")],
)
def test_reading_is_repeated_after_passing_trouble(
    api: AerostackApi, client: Aerostack, time: Time, fault: Fault
) -> None:
    """A GET is repeated after 429, 502, 503, 504 and a lost connection, with waits that double."""
    api.fail(fault, times=2)
    assert client.bots() == []
    assert time.slept == [1.0, 2.0]


def test_reading_is_given_up_in_the_end(api: AerostackApi, client: Aerostack) -> None:
    """Four attempts, then the last error is told."""
    api.fail(Fault(status=503), times=9)
    with pytest.raises(RemoteError, match="failed with 503"):
        client.bots()
    assert len(api.seen) == 4


def test_an_internal_error_is_not_repeated(api: AerostackApi, client: Aerostack) -> None:
    """A 500 fails at once: it would fail again."""
    api.fail(Fault(status=500))
    with pytest.raises(RemoteError, match="failed with 500: made to fail with 500"):
        client.bots()
    assert len(api.seen) == 1


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(status=500), Fault(drop="after"), Fault(drop="before")])
def test_creation_is_not_repeated_when_it_may_have_happened(api: AerostackApi, client: Aerostack, fault: Fault) -> None:
    """What changes something is sent once, unless it certainly was not processed; else: ambiguous."""
    api.fail(fault)
    with pytest.raises((RemoteError, NetworkError)) as caught:
        client.create_bot(NEW)
    assert caught.value.repeat is Repeat.AMBIGUOUS
    assert len(api.seen) == 1


def test_a_silent_creation_is_a_network_error_that_is_ambiguous(api: AerostackApi, time: Time) -> None:
    """A read timeout of POST /api/bots is exit 5, and repeat tells the caller to look first."""
    api.fail(Fault(method="POST", delay=0.5))
    with (
        make(api.url, time, token=Secret(api.token), read_timeout=0.1) as client,
        pytest.raises(NetworkError, match="did not answer in time") as caught,
    ):
        client.create_bot(NEW)
    assert (caught.value.code, caught.value.repeat) == (5, Repeat.AMBIGUOUS)


def test_creation_is_repeated_where_it_was_certainly_not_processed(api: AerostackApi, client: Aerostack) -> None:
    """After 429 a creation is sent again: a rate limit stands before any effect."""
    api.fail(Fault(method="POST", status=429))
    assert client.create_bot(NEW)["name"] == "Acme"
    assert len(api.bots) == 1


def test_nobody_listening_is_tried_again_and_named(time: Time) -> None:
    """A refused connection is repeated even for a POST (nothing was sent), then told with exit 5."""
    port = port_without_listener()
    with make(f"http://127.0.0.1:{port}", time, token=Secret(jwt())) as client:
        time.now = 1000.0
        with pytest.raises(NetworkError, match=f"Nothing listens at 127.0.0.1:{port}") as caught:
            client.create_bot(NEW)
    assert caught.value.code == 5
    assert time.slept == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("fault", [Fault(status=429), Fault(status=503), Fault(drop="before")])
def test_login_and_test_are_never_repeated(api: AerostackApi, client: Aerostack, fault: Fault) -> None:
    """Five failed logins lock an account, and each test is billed: both are sent once, whatever happens."""
    api.add_bot(id="bt_1")
    for call in (lambda: client.login(EMAIL, Secret(PASSWORD)), lambda: client.test("bt_1", "Hi")):
        api.fail(fault)
        before = len(api.seen)
        with pytest.raises(AerobotError):
            call()
        assert len(api.seen) == before + 1


def test_a_test_may_take_longer_than_other_calls(api: AerostackApi, time: Time) -> None:
    """The platform thinks for up to 60 s about a test; the client's read timeout is not what ends it."""
    api.add_bot(id="bt_1")
    api.fail(Fault(path="/api/bots/bt_1/test", delay=0.6))
    with make(api.url, time, token=Secret(api.token), read_timeout=0.2) as client:
        assert client.test("bt_1", "Hi")["response"] == "You said: Hi"


def test_retry_after_is_obeyed(api: AerostackApi, client: Aerostack, time: Time) -> None:
    """Retry-After in seconds is the least that is waited."""
    api.fail(Fault(status=429, headers={"Retry-After": "7"}))
    client.bots()
    assert time.slept == [7.0]


def test_rate_limit_reset_is_measured_by_the_servers_own_clock(
    api: AerostackApi, client: Aerostack, time: Time
) -> None:
    """X-RateLimit-Reset counts from the answer's Date, whatever the clock here says."""
    server = 1_700_000_000
    headers = {"Date": formatdate(server, usegmt=True), "X-RateLimit-Reset": str(server + 45)}
    api.fail(Fault(status=429, headers=headers))
    client.bots()
    assert time.slept == [45.0]


def test_a_wait_beyond_patience_is_told_instead(api: AerostackApi, client: Aerostack, time: Time) -> None:
    """Nobody is kept waiting for ten minutes: the wait is named, exit 4."""
    api.fail(Fault(status=429, headers={"Retry-After": "600"}))
    with pytest.raises(RemoteError, match="rate limit is reached") as caught:
        client.bots()
    assert caught.value.hint == "Try again in 600 s."
    assert time.slept == []


def test_waits_are_told(api: AerostackApi, time: Time) -> None:
    """A person hears why it takes longer, and how long."""
    heard: list[str] = []
    api.fail(Fault(status=503))
    with make(api.url, time, token=Secret(api.token), tell=heard.append) as client:
        client.bots()
    assert heard == ["Aerostack failed with 503: made to fail with 503 (INTERNAL_ERROR). Again in 1 s."]


# -- where it goes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 404])
def test_a_web_page_is_not_the_api(api: AerostackApi, client: Aerostack, status: int) -> None:
    """HTML instead of JSON: this address is not the Aerostack API (exit 4)."""
    api.fail(Fault(status=status, body="<!doctype html><title>Welcome</title>"))
    with pytest.raises(RemoteError, match=f"answered {status} with a web page: that is not the Aerostack API"):
        client.bots()


def test_a_web_page_with_an_error_of_the_server_is_passing_trouble(api: AerostackApi, client: Aerostack) -> None:
    """A gateway's 502 page says nothing about the address: it is repeated."""
    api.fail(Fault(status=502, body="<html>Bad gateway</html>"))
    assert client.bots() == []


def test_no_token_follows_a_redirect(api: AerostackApi, client: Aerostack) -> None:
    """A redirect to another host is refused with its name, and that host hears nothing."""
    with AerostackApi() as elsewhere:
        api.fail(Fault(status=302, headers={"Location": f"{elsewhere.url}/api/bots"}, body=""))
        with pytest.raises(RemoteError, match=f"redirects to {elsewhere.url}"):
            client.bots()
        assert elsewhere.seen == []


@pytest.mark.parametrize(
    "url",
    [
        "http://api.aerostack.dev",
        "http://192.168.1.5:8787",
        "http://127.0.0.1.evil.example",
        "http://0.0.0.0",
    ],
)
def test_no_secret_goes_in_the_clear(url: str) -> None:
    """Plain http is refused unless it stays on this machine, and the setting is named (exit 3)."""
    with pytest.raises(ConfigError, match=r"aerostack\.api_url is plain http"):
        Aerostack(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1/", "https://x.example"])
def test_loopback_and_https_are_fine(url: str) -> None:
    """Plain http to this machine, and https to any."""
    assert Aerostack(url).remote.origin == url.rstrip("/")


@pytest.mark.parametrize("url", ["", "api.aerostack.dev", "ftp://x", "https://u:pw@x", "https://x/api", "https://[::1"])
def test_an_address_that_is_no_origin_is_refused(url: str) -> None:
    """Nothing but scheme, host and port; a password in it is not repeated."""
    with pytest.raises(ConfigError, match="must be an origin") as caught:
        Aerostack(url)
    assert "pw" not in caught.value.message + caught.value.hint


def test_loopback_never_goes_through_a_proxy(
    api: AerostackApi, client: Aerostack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy of the environment never sees what stays on this machine."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port_without_listener()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert client.bots() == []


def test_a_name_that_nobody_has_is_named(time: Time) -> None:
    """DNS failures say which host (exit 5)."""
    with (
        make("https://nowhere.invalid", time, token=Secret(jwt(expires_in=10**9))) as client,
        pytest.raises(NetworkError, match=r"nowhere\.invalid cannot be found"),
    ):
        client.bots()


def test_tls_trouble_is_named_and_not_repeated(api: AerostackApi, time: Time) -> None:
    """A server that cannot do TLS is told as such (exit 5), once."""
    with (
        make(api.url.replace("http:", "https:"), time, token=Secret(api.token)) as client,
        pytest.raises(NetworkError, match=r"cannot prove who it is \(TLS\)") as caught,
    ):
        client.bots()
    assert caught.value.repeat is Repeat.NEVER
    assert time.slept == []


# -- who is asking -----------------------------------------------------------------------------------------


def test_the_token_goes_as_bearer(api: AerostackApi, client: Aerostack) -> None:
    """A token is the Authorization header, and an account key beside it is not sent."""
    with Aerostack(api.url, token=Secret(api.token), api_key=Secret(ACCOUNT_KEY)) as both:
        both.bots()
    headers = api.seen[-1].headers
    assert headers["Authorization"] == f"Bearer {api.token}"
    assert "X-API-Key" not in headers


def test_the_account_key_goes_alone(api: AerostackApi, time: Time) -> None:
    """Without a token the account key is sent as X-API-Key."""
    with make(api.url, time, api_key=Secret(ACCOUNT_KEY)) as client:
        assert client.workspaces()[0]["id"] == "ws_1"
    assert api.seen[-1].headers["X-API-Key"] == ACCOUNT_KEY
    assert "Authorization" not in api.seen[-1].headers


@pytest.mark.parametrize(
    ("credentials", "hint"),
    [
        ({"token": Secret(ACCOUNT_KEY)}, "aerobot config set aerostack.api_key"),
        ({"api_key": Secret("eyJhbGciOi.J9.x")}, "aerobot login --token -"),
        ({"token": Secret("mwt_123")}, "aerobot login"),
        ({"token": Secret("Bearer eyJ.a.b")}, "login --token -"),
        ({"token": Secret("eyJ.a\n.b")}, "login --token -"),
        ({}, "aerobot login"),
    ],
)
def test_a_credential_in_the_wrong_place_is_refused(api: AerostackApi, credentials: Any, hint: str) -> None:
    """Misplaced, malformed or missing: exit 3 with the way out, its value unsaid, and nothing is sent."""
    with Aerostack(api.url, **credentials) as client, pytest.raises(ConfigError) as caught:
        client.bots()
    assert hint in caught.value.hint
    assert ACCOUNT_KEY not in caught.value.message
    assert api.seen == []


def test_an_expired_login_is_named_before_the_call(api: AerostackApi) -> None:
    """An expired token is told with its date; the call is not made."""
    with (
        Aerostack(api.url, token=Secret(jwt(expires_in=-60))) as client,
        pytest.raises(ConfigError, match=r"Your Aerostack login expired on \d{4}-\d\d-\d\d \d\d:\d\d\."),
    ):
        client.bots()
    assert api.seen == []


def test_a_refused_login_is_a_matter_of_credentials(api: AerostackApi) -> None:
    """401 is exit 3, with the command that mends it."""
    with (
        Aerostack(api.url, token=Secret(jwt(email="other@acme.example"))) as client,
        pytest.raises(ConfigError, match="does not accept your login: Unauthorized") as caught,
    ):
        client.bots()
    assert caught.value.hint.startswith("Log in again: aerobot login")


def test_login_gives_the_token(api: AerostackApi) -> None:
    """The login sends no credential but e-mail and password, and its answer is a Secret."""
    with Aerostack(api.url, token=Secret("eyJ.old.one")) as client:
        assert client.login(EMAIL, Secret(PASSWORD)).reveal() == api.token
    assert "Authorization" not in api.seen[0].headers


def test_a_login_without_a_token_says_what_came(api: AerostackApi) -> None:
    """A platform that wants a second factor is quoted by its fields, and the way by hand is shown."""
    api.login_answer = {"requires_2fa": True, "challenge": "sesame-sesame"}
    with (
        Aerostack(api.url) as client,
        pytest.raises(RemoteError, match="only challenge, requires_2fa") as caught,
    ):
        client.login(EMAIL, Secret(PASSWORD))
    assert "aerobot login --token -" in caught.value.hint
    assert "sesame" not in caught.value.message + caught.value.hint


def test_a_login_that_is_not_offered_says_so(api: AerostackApi) -> None:
    """404 on the inferred login: the platform may not offer it, and the way by hand is shown."""
    api.offered.discard("login")
    api.fail(Fault(path="/api/auth/login", status=404))
    with (
        Aerostack(api.url) as client,
        pytest.raises(RemoteError, match="may not offer POST /api/auth/login") as caught,
    ):
        client.login(EMAIL, Secret(PASSWORD))
    assert "aerobot login --token -" in caught.value.hint


def token_with(payload: bytes) -> str:
    return f"a.{base64.urlsafe_b64encode(payload).decode()}.c"


@pytest.mark.parametrize(
    ("token", "expiry"),
    [
        (token_with(b'{"exp": 1760000000.9}'), 1760000000),
        (token_with(b'{"exp": 1760000000}').replace("=", ""), 1760000000),
        (token_with(b'{"exp": "soon"}'), None),
        (token_with(b'{"exp": true}'), None),
        (token_with(b'{"exp": 1e400}'), None),
        (token_with(b'{"exp": NaN}'), None),
        (token_with(b'{"exp": -1}'), None),
        (token_with(b"[1]"), None),
        (token_with(b"[" * 100_000), None),
        ("a.%%%.c", None),
        ("a.é.c", None),
        ("a.b.c", None),
        ("not a jwt", None),
    ],
)
def test_the_expiry_of_a_token_is_read_without_trust(token: str, expiry: int | None) -> None:
    """``exp`` of the payload where it makes sense, else None; nothing raises."""
    assert jwt_expiry(Secret(token)) == expiry


# -- what is not offered -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lacks", "call"),
    [
        ("patch", lambda c: c.update_bot("bt_1", {"name": "x"})),
        ("delete", lambda c: c.delete_bot("bt_1")),
        ("deactivate", lambda c: c.deactivate("bt_1")),
    ],
)
def test_a_call_that_is_not_offered_is_told_from_a_wrong_id(
    api: AerostackApi, client: Aerostack, lacks: str, call: Any
) -> None:
    """404 or 405 for a bot that the list knows: the platform may not offer the call; else: no such bot."""
    api.offered.discard(lacks)
    api.add_bot(id="bt_1")
    with pytest.raises(RemoteError, match="The platform may not offer"):
        call(client)
    api.bots.clear()
    with pytest.raises(RemoteError, match="Aerostack knows no bot bt_1"):
        call(client)


def test_a_bot_is_shown_from_the_list_where_single_bots_are_not_offered(api: AerostackApi, client: Aerostack) -> None:
    """GET /api/bots/:id is inferred; without it the list's entry has to do."""
    api.offered.discard("get")
    api.add_bot(id="bt_1", name="Acme")
    assert client.bot("bt_1")["name"] == "Acme"
    with pytest.raises(RemoteError, match="knows no bot bt_2"):
        client.bot("bt_2")


@pytest.mark.parametrize("bot_id", ["", "../auth", "bt 1", "bt/1", "bt_1?x", "bt_\x00", "b" * 201])
def test_an_id_that_is_none_is_never_put_into_a_path(client: Aerostack, api: AerostackApi, bot_id: str) -> None:
    """Whatever is not a bot's id is a usage error (exit 2), and nothing is sent."""
    with pytest.raises(UsageError):
        client.delete_bot(bot_id)
    assert api.seen == []


# -- secrets -----------------------------------------------------------------------------------------------


def test_no_error_repeats_a_secret(api: AerostackApi) -> None:
    """A remote that quotes our secrets in its refusal is quoted without them."""
    hidden = Secret("EAABsbCS1234")
    api.fail(Fault(status=400, body={"error": f"bad access_token EAABsbCS1234 for {api.token}"}))
    with (
        Aerostack(api.url, token=Secret(api.token), hidden=[hidden]) as client,
        pytest.raises(RemoteError) as caught,
    ):
        client.create_bot(NEW)
    assert caught.value.message == "Aerostack refused this (400): bad access_token *** for ***."


def test_what_is_shown_is_masked(api: AerostackApi) -> None:
    """Secrets are masked by their field's name, and by their value wherever it stands."""
    client = Aerostack(api.url, token=Secret("eyJ.secret.token"), hidden=[Secret("k7QdP0wZr3n8")])
    answer = {
        "platform_config": {"access_token": "x"},
        "warnings": ["k7QdP0wZr3n8 is weak"],
        "tokens": {"input": 1},
    }
    assert client.shown(answer) == {
        "platform_config": {"access_token": "***"},
        "warnings": ["*** is weak"],
        "tokens": {"input": 1},
    }


def test_repr_has_no_secret(api: AerostackApi) -> None:
    """Neither the client nor a call shows a body or a token."""
    from aerobot.aerostack.failures import Call

    assert "hunter2" not in repr(Call(method="POST", path="/", body={"password": "hunter2"}))
    assert api.token not in repr(vars(Aerostack(api.url, token=Secret(api.token))))
