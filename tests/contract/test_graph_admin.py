"""The client of Graph's set-up calls: bad days against a scripted server, good ones against the emulated Meta."""

import json
import logging
import socket
import threading
import time as clock
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from aerobot.errors import AerobotError, ConfigError, NetworkError, RemoteError, Repeat, UsageError
from aerobot.graph_admin import Callback, GraphAdmin, GraphError, discover
from aerobot.secret import Secret
from tests.emulated import EmulatedMeta

TOKEN, APP_SECRET, APP, NUMBER, WABA = "EAAtokenOfTheTest123", "0123456789abcdef0123456789abcdef", "77", "1001", "2002"
VERIFY = Secret("verify-me-please")
JSON = {"Content-Type": "application/json"}
HTML = (502, {"Content-Type": "text/html"}, b"<html><body>Sorry</body></html>")


# -- a server that says what it is told ----------------------------------------------------------------------


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Script:
    """Answers in the order given, the last one for ever; a float is a wait before hanging up."""

    answers: list[Any] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def say(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []

    def next(self) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def refusal(code: int, message: str = "No", status: int = 400, **more: Any) -> tuple[int, dict[str, Any]]:
    return status, {"error": {"message": f"(#{code}) {message}", "type": "OAuthException", "code": code, **more}}


@pytest.fixture
def graph() -> Iterator[Script]:
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            script.asked.append(Asked(self.command, parts.path, query, headers, body))
            answer = script.next()
            if isinstance(answer, float):
                clock.sleep(answer)
                self.close_connection = True
                return
            status, headers, content = answer if len(answer) == 3 else (answer[0], JSON, json.dumps(answer[1]).encode())
            self.send_response_only(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_port}"
    yield script
    server.shutdown()
    server.server_close()
    thread.join(5)


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def make(url: str, time: Time, **more: Any) -> GraphAdmin:
    given = {"access_token": Secret(TOKEN), "app_secret": Secret(APP_SECRET), "app_id": APP, **more}
    return GraphAdmin(url, "v25.0", clock=lambda: time.now, sleep=time.sleep, random=lambda: 1.0, **given)


@pytest.fixture
def admin(graph: Script, time: Time) -> Iterator[GraphAdmin]:
    with make(graph.url, time) as made:
        yield made


Act = Callable[[GraphAdmin], object]
POSTS: dict[str, Act] = {
    "number override": lambda a: a.set_number_override(NUMBER, "https://bot.example/w", VERIFY),
    "clear": lambda a: a.clear_number_override(NUMBER),
    "WABA override": lambda a: a.set_waba_override(WABA, "https://bot.example/w", VERIFY),
    "register": lambda a: a.register(NUMBER, Secret("123456")),
    "drop": lambda a: a.drop_app_fields(["messages"]),
}


# -- secrets -------------------------------------------------------------------------------------------------


def test_every_call_is_signed_and_proven(graph: Script, admin: GraphAdmin) -> None:
    """The token goes in the header, and with it the proof that we know its app's secret; never in the address."""
    graph.say((200, {"id": NUMBER}))
    admin.number(NUMBER)
    asked = graph.asked[0]
    assert asked.path == f"/v25.0/{NUMBER}"
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    # printf %s TOKEN | openssl dgst -sha256 -hmac APP_SECRET
    assert asked.query["appsecret_proof"] == "4fcafc7ea2616c2cf10f4102586b23fb6a934b30985b91ba817aade58cc0987e"
    assert TOKEN not in asked.path + "".join(asked.query.values())


def test_the_app_speaks_with_its_own_token(graph: Script, admin: GraphAdmin) -> None:
    """Its subscriptions are asked for as id|secret, which Graph takes for nothing else."""
    graph.say((200, {"data": []}))
    assert admin.app_subscriptions() == ()
    assert graph.asked[0].headers["authorization"] == f"Bearer {APP}|{APP_SECRET}"


def test_no_secret_leaves_over_plain_http(time: Time) -> None:
    """Plain http to another machine is refused before anything is sent."""
    with pytest.raises(ConfigError, match="never sent over plain http"):
        make("http://graph.example", time)


def test_a_token_follows_no_redirect(graph: Script, admin: GraphAdmin) -> None:
    """A redirect is said, not followed, and nothing of its query is shown."""
    graph.say((302, {"Location": f"https://evil.example/x?token={TOKEN}"}, b""))
    with pytest.raises(RemoteError, match=r"redirects to https://evil\.example\.") as caught:
        admin.number(NUMBER)
    assert caught.value.status == 302
    assert len(graph.asked) == 1
    assert TOKEN not in caught.value.message + caught.value.hint


def test_errors_carry_no_secret(graph: Script, admin: GraphAdmin) -> None:
    """Whatever Meta repeats in its words, token, app secret and verify token do not reach a person."""
    said = f"Bad {TOKEN} and {APP_SECRET} and {VERIFY.reveal()} here"
    graph.say(refusal(100, said, error_data={"details": said}))
    with pytest.raises(GraphError) as caught:
        admin.set_number_override(NUMBER, "https://bot.example", VERIFY)
    words = caught.value.message + caught.value.hint + str(caught.value) + "".join(map(str, caught.value.args))
    assert "Bad *** and *** and *** here" in words
    for secret in (TOKEN, APP_SECRET, VERIFY.reveal()):
        assert secret not in words


def test_logs_carry_no_secret(graph: Script, admin: GraphAdmin, caplog: pytest.LogCaptureFixture) -> None:
    """httpx writes whole addresses into its log, and debug_token has the token in its own: the query is cut off."""
    caplog.set_level(logging.DEBUG)
    graph.say((200, {"data": {"is_valid": True, "app_id": APP}}))
    assert admin.debug_token().valid
    assert graph.asked[0].query["input_token"] == TOKEN
    assert "/debug_token" in caplog.text
    assert TOKEN not in caplog.text
    assert "appsecret_proof" not in caplog.text


@pytest.mark.parametrize("value", ["abc\n", "Bearer abc", "tök"])
def test_a_token_that_no_header_carries_is_named_not_shown(graph: Script, time: Time, value: str) -> None:
    """A slip of copying is an error of configuration that does not repeat the value."""
    with make(graph.url, time, access_token=Secret(value)) as admin, pytest.raises(ConfigError) as caught:
        admin.number(NUMBER)
    assert "whatsapp.access_token" in caught.value.message
    assert value not in caught.value.message + caught.value.hint
    assert graph.asked == []


@pytest.mark.parametrize(
    ("missing", "act", "said"),
    [
        ({"access_token": None}, lambda a: a.number(NUMBER), "No access token"),
        ({"app_id": None}, lambda a: a.app_subscriptions(), "app_id is not set"),
        ({"app_secret": None}, lambda a: a.app(), "app_secret is not set"),
        ({}, lambda a: a.number("12/../me"), "digits alone"),
        ({}, lambda a: a.waba(""), "business_account_id is not set"),
    ],
)
def test_what_is_missing_is_named(graph: Script, time: Time, missing: dict[str, Any], act: Act, said: str) -> None:
    """A missing credential or an id that is none stops the call before it is sent."""
    with make(graph.url, time, **missing) as admin, pytest.raises(ConfigError, match=said):
        act(admin)
    assert graph.asked == []


# -- repeating -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [HTML, refusal(2, status=503), refusal(131000, status=500), 0.0, (500, {}, b"")])
def test_reading_is_repeated(graph: Script, admin: GraphAdmin, time: Time, failure: Any) -> None:
    """What changes nothing is asked again, with growing waits, however it failed."""
    graph.say(failure, failure, (200, {"id": NUMBER, "display_phone_number": "+1 555"}))
    assert admin.number(NUMBER).display == "+1 555"
    assert time.slept == [1.0, 2.0]


@pytest.mark.parametrize("failure", [HTML, refusal(2, status=503), 0.0, (200, {}, b""), (200, {"success": "perhaps"})])
@pytest.mark.parametrize("name", POSTS)
def test_a_change_is_not_repeated_when_it_may_have_happened(
    graph: Script, admin: GraphAdmin, name: str, failure: Any
) -> None:
    """After an answer that leaves it open, a change is not made twice; the error says that nobody knows."""
    graph.say(failure)
    with pytest.raises(AerobotError) as caught:
        POSTS[name](admin)
    assert len(graph.asked) == 1
    assert caught.value.repeat is Repeat.AMBIGUOUS  # type: ignore[attr-defined]
    assert "doctor" in caught.value.hint


def test_a_change_is_repeated_when_it_was_rejected_before(graph: Script, admin: GraphAdmin, time: Time) -> None:
    """A rate limit is a plain no: it is waited for, as long as Graph asks."""
    status, document = refusal(80007, "Rate limit hit", 429)
    graph.say((status, {**JSON, "Retry-After": "7"}, json.dumps(document).encode()), (200, {"success": True}))
    admin.clear_number_override(NUMBER)
    assert time.slept == [7.0]


def test_registration_is_never_repeated(graph: Script, admin: GraphAdmin) -> None:
    """Ten calls lock a number for three days, so not even a rate limit is answered with another one."""
    graph.say(refusal(80007, status=429))
    with pytest.raises(GraphError):
        admin.register(NUMBER, Secret("123456"))
    assert len(graph.asked) == 1
    with pytest.raises(UsageError, match="six digits"):
        admin.register(NUMBER, Secret("12345"))


def test_patience_ends(graph: Script, admin: GraphAdmin, time: Time) -> None:
    """A wait that is longer than anybody's patience is not begun."""
    graph.say((429, {**JSON, "Retry-After": "3600"}, json.dumps(refusal(4)[1]).encode()))
    with pytest.raises(GraphError) as caught:
        admin.number(NUMBER)
    assert time.slept == []
    assert caught.value.repeat is Repeat.SAFE
    assert "by the hour" in caught.value.hint


def test_success_has_to_be_said(graph: Script, admin: GraphAdmin) -> None:
    """Meta's text "true" counts as success, false does not."""
    graph.say((200, {"success": "true"}))
    admin.clear_number_override(NUMBER)
    graph.say((200, {"success": False}))
    with pytest.raises(GraphError, match="without success") as caught:
        admin.clear_number_override(NUMBER)
    assert caught.value.repeat is Repeat.NEVER


# -- nothing of Graph's --------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"<html>Log in to the hotel</html>", b"garbage", b"[1, 2]"])
def test_what_is_not_graph_is_no_answer(graph: Script, admin: GraphAdmin, content: bytes) -> None:
    """A captive portal answers 200 with a page: that is a trouble of the network, not Graph's no."""
    graph.say((200, {}, content))
    with pytest.raises(NetworkError, match="not as Graph"):
        admin.number(NUMBER)


def test_nobody_listens(time: Time) -> None:
    """A refused connection is safe to repeat, then an error of the network."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with make(url, time) as admin, pytest.raises(NetworkError, match="connection was refused") as caught:
        admin.clear_number_override(NUMBER)
    assert len(time.slept) == 3
    assert caught.value.repeat is Repeat.SAFE


def test_a_name_that_is_not_there(time: Time) -> None:
    """No DNS is said as what it is."""
    with make("https://graph.invalid", time) as admin, pytest.raises(NetworkError) as caught:
        admin.number(NUMBER)
    assert "graph.invalid" in caught.value.message


def test_tls_that_proves_nothing(graph: Script, time: Time) -> None:
    """A server without a proper certificate gets nothing, and is not tried again."""
    with make(graph.url.replace("http:", "https:"), time) as admin, pytest.raises(NetworkError, match="TLS"):
        admin.number(NUMBER)
    assert time.slept == []
    assert graph.asked == []


def test_silence(graph: Script, time: Time) -> None:
    """An answer that does not come in time leaves a change open."""
    graph.say(1.0)
    with make(graph.url, time, read_timeout=0.1) as admin, pytest.raises(NetworkError, match="in time") as caught:
        admin.clear_number_override(NUMBER)
    assert caught.value.repeat is Repeat.AMBIGUOUS


# -- what Graph's no means -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "cause", "said"),
    [
        (refusal(190, "Expired", 401, error_subcode=463), "", "Meta's error 190: The access token has expired."),
        (refusal(100, "Invalid appsecret_proof provided in the API argument"), "secret_wrong", "app secret is not"),
        (refusal(100, "API calls from the server require an appsecret_proof argument"), "proof_needed", "demands"),
        (refusal(100, "Unsupported get request.", error_subcode=33), "not_there", "no number 1001"),
        (refusal(33, "Object does not exist"), "not_there", "no number 1001"),
        (refusal(10, "Application does not have permission", 403), "permission_missing", "does not have permission"),
        (refusal(200, "Permissions error", 403), "permission_missing", "Meta's error 200"),
        (refusal(2500, "Unknown path components: /1001"), "no_such_call", "no GET 1001 in this version"),
        (refusal(424242, "Something new"), "", "Meta's error 424242: .*Something new"),
        (
            refusal(100, "Tried accessing nonexisting field (display) on node type (WhatsAppBusinessAccount)"),
            "ids_swapped",
            "1001 is the id of a WABA, not of a number",
        ),
    ],
)
def test_a_no_has_a_cause_and_a_remedy(graph: Script, admin: GraphAdmin, answer: Any, cause: str, said: str) -> None:
    """Each refusal is one sentence and one remedy, with a name for programs where the cause is known."""
    graph.say(answer)
    with pytest.raises(GraphError, match=said) as caught:
        admin.number(NUMBER)
    assert caught.value.cause == cause
    assert caught.value.hint
    assert caught.value.status == answer[0]
    assert caught.value.failure.code == answer[1]["error"]["code"]
    assert len(graph.asked) == 1


def test_a_field_of_another_version_is_left_out(graph: Script, admin: GraphAdmin) -> None:
    """Where this version of Graph does not have a field, the others are still read."""
    gone = "Tried accessing nonexisting field (throughput) on node type (WhatsAppBusinessPhoneNumber)"
    graph.say(refusal(100, gone), (200, {"id": NUMBER, "status": "CONNECTED"}))
    assert admin.number(NUMBER).connected
    assert "throughput" in graph.asked[0].query["fields"]
    assert "throughput" not in graph.asked[1].query["fields"]


def test_pages_are_followed_by_cursor(graph: Script, admin: GraphAdmin) -> None:
    """Lists are read to their end; the address of the next page, which holds the token, is not used."""
    first = {"data": [{"id": "1"}], "paging": {"cursors": {"after": "A"}, "next": f"https://evil.example/?t={TOKEN}"}}
    graph.say((200, first), (200, {"data": [{"id": "2"}], "paging": {"cursors": {"after": "B"}}}))
    assert [number.id for number in admin.phone_numbers(WABA)] == ["1", "2"]
    assert graph.asked[1].query["after"] == "A"
    assert {asked.path for asked in graph.asked} == {f"/v25.0/{WABA}/phone_numbers"}


@pytest.mark.parametrize("ahead", [-4000, 0, 900])
def test_the_clock_is_compared(graph: Script, admin: GraphAdmin, time: Time, ahead: int) -> None:
    """Every answer's Date, even a refusal's, tells by how much this machine's clock is ahead."""
    date = {"Date": formatdate(time.now - ahead, usegmt=True), **JSON}
    graph.say((400, date, json.dumps(refusal(100)[1]).encode()))
    with pytest.raises(GraphError):
        admin.number(NUMBER)
    assert admin.skew == pytest.approx(ahead, abs=1)
    graph.say((200, {"Date": "yesterday", **JSON}, b'{"id": "1"}'))
    admin.number(NUMBER)
    assert admin.skew == pytest.approx(ahead, abs=1)


def test_strange_answers_are_read_as_far_as_they_go(graph: Script, admin: GraphAdmin) -> None:
    """What has another type than expected is empty, never a crash."""
    graph.say((200, {"id": 5, "throughput": [], "webhook_configuration": "x", "quality_rating": None}))
    number = admin.number(NUMBER)
    assert (number.id, number.throughput, number.callbacks.in_force, number.connected) == ("5", "", None, None)
    graph.say((200, {"data": "none"}))
    assert admin.debug_token().valid is False
    assert admin.subscribed_apps(WABA) == ()


def test_fields_are_merged_never_dropped(graph: Script, admin: GraphAdmin) -> None:
    """The app's fields are read, the new one is added, all are written, and what is there then is read back."""
    there = {"object": "whatsapp_business_account", "callback_url": "https://old.example/w", "active": True}
    before = {**there, "fields": [{"name": "account_update", "version": "v24.0"}]}
    after = {**there, "fields": [{"name": "account_update"}, {"name": "messages"}]}
    page = {"object": "page", "fields": ["feed"]}
    graph.say((200, {"data": [page, before]}), (200, {"success": True}), (200, {"data": [page, after]}))
    assert admin.merge_app_subscription(verify_token=VERIFY).names == ("account_update", "messages")
    written = {name: values[0] for name, values in parse_qs(graph.asked[1].body.decode()).items()}
    assert written == {
        "object": "whatsapp_business_account",
        "callback_url": "https://old.example/w",
        "verify_token": VERIFY.reveal(),
        "fields": "account_update,messages",
    }
    graph.say((200, {"data": [before]}), (200, {"success": True}), (200, {"data": [before]}))
    with pytest.raises(GraphError, match="still does not have messages"):
        admin.merge_app_subscription(verify_token=VERIFY)
    graph.say((200, {"data": []}))
    with pytest.raises(ConfigError, match="no callback URL"):
        admin.merge_app_subscription(verify_token=VERIFY)


def test_a_callback_may_be_too_long(admin: GraphAdmin, graph: Script) -> None:
    """Meta takes 200 characters; more is refused here, in words."""
    with pytest.raises(UsageError, match="200 characters"):
        admin.set_number_override(NUMBER, "https://bot.example/" + "x" * 181, VERIFY)
    assert graph.asked == []


# -- the emulated Meta ---------------------------------------------------------------------------------------


@pytest.fixture
def meta() -> Iterator[EmulatedMeta]:
    with EmulatedMeta() as running:
        yield running


def arrange(meta: EmulatedMeta, **changes: Any) -> None:
    async def on_its_loop() -> None:
        meta.emulator.arrange(**changes)

    meta.run(on_its_loop())


@pytest.fixture
def real(meta: EmulatedMeta) -> Iterator[GraphAdmin]:
    with client_of(meta) as made:
        yield made


def client_of(meta: EmulatedMeta, **more: Any) -> GraphAdmin:
    mine = meta.credentials
    given = {"access_token": Secret(mine.access_token), "app_secret": Secret(mine.app_secret), "app_id": mine.app_id}
    return GraphAdmin(meta.url, "v25.0", sleep=lambda _: None, **{**given, **more})


@pytest.fixture
def webhook() -> Iterator[str]:
    """A webhook that answers the challenge if the verify token is ours."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            right = query["hub.verify_token"] == [VERIFY.reveal()]
            self.send_response(200 if right else 403)
            self.end_headers()
            self.wfile.write(query["hub.challenge"][0].encode() if right else b"")

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_what_a_token_is(meta: EmulatedMeta, real: GraphAdmin) -> None:
    """Kind, app, end, scopes and accounts are told; unlimited is None, not an empty list."""
    token = real.debug_token()
    assert (token.kind, token.app_id, token.valid, token.expires_at) == ("SYSTEM_USER", real.app_id, True, 0)
    assert token.has("whatsapp_business_messaging")
    assert token.targets() == (meta.credentials.business_account_id,)
    arrange(meta, token_targets=None, token_type="USER", token_expires_at=2_000_000_000)
    token = real.debug_token()
    assert token.targets() is None
    assert token.temporary
    assert token.expires_at == 2_000_000_000


@pytest.mark.parametrize("app_id", ["", "ours"])
@pytest.mark.parametrize(("state", "subcode"), [("expired", 463), ("invalidated", 467), ("unknown", None)])
def test_a_dead_token_is_a_finding_not_an_error(
    meta: EmulatedMeta, app_id: str, state: str, subcode: int | None
) -> None:
    """Whether the app's token asks or the dead one itself: it is a token that is not valid, and why."""
    arrange(meta, token=state)
    with client_of(meta, app_id=meta.credentials.app_id if app_id else None) as admin:
        token = admin.debug_token()
    assert not token.valid
    assert token.error is not None
    assert (token.error.code, token.error.subcode) == (190, subcode)


def test_a_token_of_another_app_is_told_with_its_app(meta: EmulatedMeta, real: GraphAdmin) -> None:
    """Our app may not look at it, so it is asked about itself, without the proof that does not fit."""
    other = meta.emulator.portal.other_app
    arrange(meta, token_app_id=other.id)
    token = real.debug_token()
    assert (token.valid, token.app_id, token.application) == (True, other.id, other.name)
    assert real.app_of_token().id == other.id


def test_whether_a_secret_fits(meta: EmulatedMeta, real: GraphAdmin) -> None:
    """The app's own token proves id and secret together; an app that does not exist fits nothing."""
    assert real.secret_fits()
    assert real.app().name
    with client_of(meta, app_secret=Secret("f" * 32)) as admin:
        assert not admin.secret_fits()
    with client_of(meta, app_id="404") as admin:
        assert not admin.secret_fits()


def test_an_app_that_demands_the_proof(meta: EmulatedMeta, real: GraphAdmin) -> None:
    """With the secret all calls pass; without it the error says what is missing."""
    arrange(meta, require_proof=True)
    assert real.number(meta.credentials.phone_number_id).connected
    assert real.debug_token().valid
    assert len(real.app_subscriptions()) == 1
    with client_of(meta, app_secret=None) as admin, pytest.raises(GraphError) as caught:
        admin.number(meta.credentials.phone_number_id)
    assert caught.value.cause == "proof_needed"


def test_what_a_number_is(meta: EmulatedMeta, real: GraphAdmin) -> None:
    """TEST or LIVE, registered, connected, its quality, limit and throughput."""
    mine = meta.credentials
    number = real.number(mine.phone_number_id)
    assert (number.mode, number.registered, number.connected, number.quality) == ("TEST", True, True, "GREEN")
    assert (number.limit, number.throughput, number.last_four) == ("TIER_250", "STANDARD", number.display[-4:])
    arrange(meta, account_mode="LIVE", registered=False, quality_rating="RED")
    (number,) = real.phone_numbers(mine.business_account_id)
    assert (number.mode, number.registered, number.connected, number.quality) == ("LIVE", False, False, "RED")
    assert number.waba_id == mine.business_account_id
    assert real.waba(mine.business_account_id).name


def test_what_an_id_names(meta: EmulatedMeta, real: GraphAdmin) -> None:
    """A number, an account, something else, or nothing that this token sees."""
    mine = meta.credentials
    kinds = [real.kind_of(one) for one in (mine.phone_number_id, mine.business_account_id, mine.app_id, "404")]
    assert kinds == ["number", "waba", "other", ""]


def test_callbacks_of_all_levels(meta: EmulatedMeta, real: GraphAdmin, webhook: str) -> None:
    """Overrides are set with Meta's own challenge, the narrowest is in force, and clearing goes back a level."""
    phone, waba = meta.credentials.phone_number_id, meta.credentials.business_account_id
    assert real.number(phone).callbacks.in_force is None
    assert real.merge_app_subscription(callback_url=f"{webhook}/app", verify_token=VERIFY).names == ("messages",)
    assert real.number(phone).callbacks.in_force == Callback(level="app", url=f"{webhook}/app")
    real.set_waba_override(waba, f"{webhook}/waba", VERIFY)
    real.set_number_override(phone, f"{webhook}/phone", VERIFY)
    callbacks = real.number(phone).callbacks
    assert callbacks.in_force == Callback(level="phone", url=f"{webhook}/phone")
    assert [callbacks.at(level) for level in ("waba", "app")] == [f"{webhook}/waba", f"{webhook}/app"]
    ours = real.subscription(waba)
    assert ours is not None
    assert ours.override == f"{webhook}/waba"
    real.clear_number_override(phone)
    assert real.number(phone).callbacks.in_force == Callback(level="waba", url=f"{webhook}/waba")
    real.clear_waba_override(waba)
    assert real.number(phone).callbacks.in_force == Callback(level="app", url=f"{webhook}/app")
    assert real.subscription(waba) is not None
    assert len([event for event in meta.seen if event["event"] == "challenge" and event["passed"]]) == 3


def test_a_failed_challenge_is_explained(meta: EmulatedMeta, real: GraphAdmin, webhook: str) -> None:
    """Meta's reason comes with it, and nothing has changed."""
    phone = meta.credentials.phone_number_id
    with pytest.raises(GraphError, match=r"no challenge back from the webhook .*403") as caught:
        real.set_number_override(phone, webhook, Secret("another-token"))
    assert caught.value.cause == "challenge_failed"
    assert real.number(phone).callbacks.phone == ""


def test_subscribing_never_clears_an_override(meta: EmulatedMeta, real: GraphAdmin) -> None:
    """The call that subscribes also clears an override, so it is not made where we are subscribed already."""
    waba = meta.credentials.business_account_id
    arrange(meta, account_callback="https://bot.example/waba")
    assert real.subscribe(waba) is False
    ours = real.subscription(waba)
    assert ours is not None
    assert ours.override == "https://bot.example/waba"


def test_subscribing_and_its_lack(meta: EmulatedMeta, real: GraphAdmin, webhook: str) -> None:
    """Without a subscription no override is taken, and clearing one does not subscribe by accident."""
    phone, waba = meta.credentials.phone_number_id, meta.credentials.business_account_id
    arrange(meta, account_subscribed=False)
    real.clear_waba_override(waba)
    assert real.subscription(waba) is None
    with pytest.raises(GraphError) as caught:
        real.set_number_override(phone, webhook, VERIFY)
    assert caught.value.cause == "not_subscribed"
    assert real.subscribe(waba) is True
    real.set_number_override(phone, webhook, VERIFY)


def test_fields_stay_at_app_level(meta: EmulatedMeta, real: GraphAdmin, webhook: str) -> None:
    """Adding messages keeps what was subscribed; one field goes alone; all go only when told."""
    arrange(meta, app_callback=webhook, app_fields=["account_update", "flows"])
    assert set(real.merge_app_subscription(verify_token=VERIFY).names) == {"account_update", "flows", "messages"}
    real.drop_app_fields([])
    real.drop_app_fields(["flows"])
    subscription = real.app_subscription()
    assert subscription is not None
    assert set(subscription.names) == {"account_update", "messages"}
    assert subscription.callback_url == webhook
    real.delete_app_subscription()
    assert real.app_subscription() is None


def test_registration(meta: EmulatedMeta, real: GraphAdmin) -> None:
    """The right PIN registers, a wrong one is named by Meta's code."""
    phone = meta.credentials.phone_number_id
    arrange(meta, registered=False, pin="654321")
    with pytest.raises(GraphError, match="133005") as caught:
        real.register(phone, Secret("111111"))
    assert "111111" not in caught.value.message
    real.register(phone, Secret("654321"))
    assert real.number(phone).registered


def test_templates(meta: EmulatedMeta, real: GraphAdmin) -> None:
    """They come with language, status and the text of their body."""
    (hello,) = real.templates(meta.credentials.business_account_id)
    assert (hello.name, hello.language, hello.status) == ("hello_world", "en_US", "APPROVED")
    assert hello.body.startswith("Welcome")


@pytest.mark.parametrize("ahead", [0, -7200, 600])
def test_the_clock_against_metas(meta: EmulatedMeta, real: GraphAdmin, ahead: int) -> None:
    """How far this clock is ahead is known after any call."""
    arrange(meta, clock_ahead=-ahead)
    real.app()
    assert real.skew == pytest.approx(ahead, abs=2)


# -- discovery -----------------------------------------------------------------------------------------------


def found(meta: EmulatedMeta, **more: Any) -> tuple[Any, list[str]]:
    known = {name: more.pop(name) for name in ("business_account_id", "phone_number_id") if name in more}
    with client_of(meta, **more) as admin:
        result = discover(admin, now=clock.time(), **known)
    return result, [one.name for one in result.findings if one.state in ("failed", "warning")]


def test_token_and_secret_find_the_rest(meta: EmulatedMeta) -> None:
    """From the two secrets alone: app, account, number, and nothing to complain about."""
    mine = meta.credentials
    result, wrong = found(meta, app_id=None)
    assert wrong == []
    assert result.app is not None
    assert result.app.id == mine.app_id
    assert result.secret_fits is True
    assert [waba.id for waba in result.wabas] == [mine.business_account_id]
    assert [(number.id, number.mode) for number in result.numbers] == [(mine.phone_number_id, "TEST")]
    assert [finding.topic for finding in result.findings] == ["token", "scopes", "app", "secret", "WABA", "number"]


def test_several_numbers_are_all_shown(meta: EmulatedMeta) -> None:
    """Who has more than one gets all to choose from, each with its state."""

    async def add() -> None:
        meta.emulator.portal.add_number("15550109999", "Second")

    meta.run(add())
    result, wrong = found(meta)
    assert len(result.numbers) == 2
    assert wrong == ["number_unregistered"]


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"token": "expired"}, ["token_expired"]),
        ({"token": "invalidated"}, ["token_invalid"]),
        ({"token_type": "USER", "token_expires_at": clock.time() + 7200}, ["token_temporary"]),
        ({"token_scopes": ["whatsapp_business_messaging"]}, ["token_scopes_missing"]),
        ({"token_scopes": ["business_management"]}, ["token_scopes_missing"]),
        ({"registered": False}, ["number_unregistered"]),
        ({"number_status": "BANNED"}, ["number_disconnected"]),
        ({"quality_rating": "RED"}, ["number_quality"]),
        ({"outage": "html"}, ["unreachable"]),
    ],
)
def test_what_is_broken_is_named(meta: EmulatedMeta, changes: dict[str, Any], names: list[str]) -> None:
    """Each broken set-up has its own name, said once."""
    arrange(meta, **changes)
    assert found(meta)[1] == names


def test_swapped_ids_are_recognised(meta: EmulatedMeta) -> None:
    """With a token that names its accounts, and with one that does not; what there is is found all the same."""
    mine = meta.credentials
    swapped = {"business_account_id": mine.phone_number_id, "phone_number_id": mine.business_account_id}
    result, wrong = found(meta, **swapped)
    assert wrong == ["ids_swapped"]
    assert [number.id for number in result.numbers] == [mine.phone_number_id]
    arrange(meta, token_targets=None)
    assert set(found(meta, **swapped)[1]) == {"ids_swapped"}


def test_a_number_of_another_account(meta: EmulatedMeta) -> None:
    """The account is read and does not have the number; the number itself is looked at too."""
    mine, other = meta.credentials, meta.emulator.portal.other_account_id
    arrange(meta, number_account_id=other, token_targets=None)
    result, wrong = found(meta, business_account_id=mine.business_account_id, phone_number_id=mine.phone_number_id)
    assert wrong == ["waba_without_numbers", "number_not_in_waba"]
    assert [number.id for number in result.numbers] == [mine.phone_number_id]
    arrange(meta, token_targets=[other])
    _, wrong = found(meta, business_account_id=mine.business_account_id, phone_number_id=mine.phone_number_id)
    assert wrong == ["token_other_waba"]


def test_a_token_without_accounts_asks_for_nothing(meta: EmulatedMeta) -> None:
    """An unlimited token names no account: without a known one the step is left out, not failed."""
    arrange(meta, token_targets=None)
    result, wrong = found(meta)
    assert wrong == []
    assert result.numbers == ()
    assert result.findings[-1].state == "skipped"
    result, wrong = found(meta, business_account_id=meta.credentials.business_account_id)
    assert len(result.numbers) == 1


def test_the_secret_of_another_app(meta: EmulatedMeta) -> None:
    """It is named, and the rest goes on without the proof that does not fit."""
    result, wrong = found(meta, app_secret=Secret("f" * 32))
    assert wrong == ["secret_wrong"]
    assert result.secret_fits is False
    assert len(result.numbers) == 1
    arrange(meta, token_app_id=meta.emulator.portal.other_app.id)
    assert found(meta)[1] == ["token_other_app", "secret_wrong"]


def test_without_a_secret_it_goes_on(meta: EmulatedMeta) -> None:
    """No app secret: nothing is said about it, the rest is found; a token is needed."""
    result, wrong = found(meta, app_secret=None, app_id=None)
    assert (wrong, result.secret_fits) == ([], None)
    assert result.app is not None
    result, wrong = found(meta, access_token=None)
    assert wrong == ["refused"]
    assert result.offline is False
