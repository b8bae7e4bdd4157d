"""The quick tunnel: our code unpatched in front of a stand-in binary that forwards TCP, and which maker is taken."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from aerobot.errors import AerobotError, ConfigError, NetworkError, Repeat
from aerobot.secret import Secret
from aerobot.tunnel import Tunnel, open_tunnel, prove
from aerobot.tunnel.cloudflared import HEAD_START
from aerobot.tunnel.cloudflared_errors import PAGES, explain, page_code
from aerobot.tunnel.ngrok import terms
from tests.running import Running, environment
from tests.tunnels import CLOUDFLARED, NGROK, PATH, VERIFY, alive, host, record


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a real server."""
    with host() as found:
        yield found


@pytest.fixture(autouse=True)
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """The stand-in as cloudflared, in a home of this test's own; a call sets what it simulates."""
    monkeypatch.setenv("CLOUDFLARED_BIN", str(CLOUDFLARED))
    monkeypatch.setenv("CLOUDFLARED_AGENT_RECORD", str(tmp_path / "record.json"))
    monkeypatch.setenv("PYNGROK_NGROK_PATH", str(NGROK))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("NGROK_AUTHTOKEN", "NGROK_AGENT", "CLOUDFLARED_AGENT"):
        monkeypatch.delenv(name, raising=False)
    return lambda modes: monkeypatch.setenv("CLOUDFLARED_AGENT", modes)


async def opened(port: int, **more: object) -> Tunnel:
    """A tunnel to ``port``, with whatever differs from the usual."""
    given: dict[str, object] = {
        "port": port,
        "host": "127.0.0.1",
        "provider": "cloudflared",
        "authtoken": None,
        "domain": None,
        "report": lambda text: None,
        **more,
    }
    return await open_tunnel(**given)  # type: ignore[arg-type]


async def refusal(port: int, **more: object) -> AerobotError:
    """The error that opening ends with."""
    with pytest.raises(AerobotError) as caught:
        await opened(port, **more)
    return caught.value


def told(tmp_path: Path) -> dict[str, object]:
    """What the stand-in was started with."""
    return record(tmp_path / "record.json")


async def test_open_prove_close(port: int, tmp_path: Path) -> None:
    """A quick tunnel leads to the port, is proven through its address, and is gone with its process after close."""
    tunnel = await opened(port)
    await prove(tunnel.url, PATH, VERIFY, attempts=1)
    pid = told(tmp_path)["pid"]
    assert alive(pid)
    assert tunnel.alive
    assert tunnel.terms.provider == "cloudflared"
    assert "a new address at each start" in tunnel.terms.limits
    await tunnel.close()
    assert not alive(pid)
    assert not tunnel.alive
    with pytest.raises(NetworkError):
        await prove(tunnel.url, PATH, VERIFY, attempts=1)
    await tunnel.close()


async def test_it_is_told_one_port_and_nothing_of_the_users_tunnels(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own configuration and TUNNEL_ variables, made for named tunnels, do not reach a quick one."""
    own = tmp_path / ".cloudflared" / "config.yml"
    own.parent.mkdir()
    own.write_text("tunnel: mine\ningress:\n  - service: http_status:404\n")
    monkeypatch.setenv("TUNNEL_TOKEN", "anothers")
    monkeypatch.setenv("TUNNEL_LOGLEVEL", "error")
    monkeypatch.setenv("TUNNEL_TRANSPORT_PROTOCOL", "http2")
    tunnel = await opened(port, host="0.0.0.0")
    await prove(tunnel.url, PATH, VERIFY, attempts=1)
    found = told(tmp_path)
    arguments = [str(word) for word in found["arguments"]]  # type: ignore[attr-defined]
    config = Path(arguments[1])
    assert arguments == ["--config", str(config), "--no-autoupdate", "--url", f"http://127.0.0.1:{port}"]
    assert found["environ"] == ["TUNNEL_TRANSPORT_PROTOCOL"]
    assert config.exists()
    await tunnel.close()
    assert not config.parent.exists()


@pytest.mark.parametrize(
    ("modes", "code", "words", "hint"),
    [
        ("limited", 5, "there were too many (1015)", "Wait some minutes"),
        ("offline", 5, "Cloudflare cannot be reached", "api.trycloudflare.com"),
        ("broken", 5, "out of order", "cloudflarestatus.com"),
        ("old", 3, "too old", "developers.cloudflare.com"),
        ("quic", 5, "by QUIC (UDP, port 7844)", "TUNNEL_TRANSPORT_PROTOCOL=http2"),
        ("dies", 5, "opened no tunnel and said nothing", "ngrok"),
        ("silent", 5, "gave no answer within 2 s", "firewall"),
        ("plain", 5, "is not https", "Meta calls https alone"),
    ],
)
async def test_refusals_in_words(
    port: int, agent: Callable[[str], None], tmp_path: Path, modes: str, code: int, words: str, hint: str
) -> None:
    """Each way to fail is one sentence with its cure and its exit code, and leaves no process."""
    agent(modes)
    error = await refusal(port, start_seconds=2)
    assert (error.code, words in error.message) == (code, True), error.message
    assert hint in error.hint
    assert not alive(told(tmp_path)["pid"])


@pytest.mark.parametrize("modes", ["fallback", "garbage"])
async def test_it_is_waited_for(port: int, agent: Callable[[str], None], modes: str) -> None:
    """HTTP/2 after blocked QUIC, and lines that are no text or too long, do no harm."""
    agent(modes)
    tunnel = await opened(port)
    await prove(tunnel.url, PATH, VERIFY, attempts=1)
    await tunnel.close()


async def test_interrupted_opening_leaves_no_process(port: int, agent: Callable[[str], None], tmp_path: Path) -> None:
    """Ctrl-C while it starts kills it; so does the hand that `started` was given."""
    agent("silent")
    kills: list[Callable[[], None]] = []
    for kind in ("cancelled", "killed"):
        opening = asyncio.create_task(opened(port, started=kills.append))
        while not (tmp_path / "record.json").exists():
            assert not opening.done()
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)
        if kind == "cancelled":
            opening.cancel()
        else:
            kills[-1]()
        with pytest.raises((asyncio.CancelledError, NetworkError)):
            await opening
        assert not alive(told(tmp_path)["pid"])
        (tmp_path / "record.json").unlink()


async def test_binary_that_is_none(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be run, an override that leads nowhere, and no binary at all are ConfigErrors."""
    fake = tmp_path / "cloudflared-of-another-system"
    fake.write_bytes(b"\x00\x01")
    fake.chmod(0o755)
    monkeypatch.setenv("CLOUDFLARED_BIN", str(fake))
    error = await refusal(port)
    assert (error.code, str(fake) in error.message) == (3, True)
    monkeypatch.setenv("CLOUDFLARED_BIN", "/nowhere/cloudflared")
    error = await refusal(port)
    assert (error.code, error.message) == (3, "CLOUDFLARED_BIN is /nowhere/cloudflared, which cannot be run.")
    monkeypatch.delenv("CLOUDFLARED_BIN")
    monkeypatch.setenv("PATH", str(tmp_path))
    error = await refusal(port)
    assert (error.code, error.message) == (3, "cloudflared is not installed.")
    assert "developers.cloudflare.com" in error.hint


# -- the choice -------------------------------------------------------------------------------------


async def test_auto_takes_ngrok_where_it_has_a_token(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting, NGROK_AUTHTOKEN, then ngrok's own configuration: any of them decides for ngrok, and is named."""
    said: list[str] = []
    own = tmp_path / "ngrok" / "ngrok.yml"
    own.parent.mkdir()
    own.write_text('version: "3"\nagent:\n  authtoken: three\n')
    tunnel = await opened(port, provider="auto", report=said.append)
    assert tunnel.terms.provider == "ngrok"
    await tunnel.close()
    monkeypatch.setenv("NGROK_AUTHTOKEN", "two")
    await (await opened(port, provider="auto", report=said.append)).close()
    await (await opened(port, provider="auto", report=said.append, authtoken=Secret("one"))).close()
    assert said == [
        "ngrok is taken, since ngrok's own configuration has an authtoken",
        "ngrok is taken, since NGROK_AUTHTOKEN is set",
        "ngrok is taken, since tunnel.authtoken is set",
    ]


async def test_auto_takes_cloudflared_without_a_token(port: int) -> None:
    """Without a token cloudflared is taken, and what ngrok alone could give is said to be missing."""
    said: list[str] = []
    tunnel = await opened(port, provider="auto", domain="acme.ngrok.app", report=said.append)
    assert tunnel.terms.provider == "cloudflared"
    await tunnel.close()
    assert said == [
        "cloudflared is taken, since it is installed and ngrok has no authtoken",
        "tunnel.domain (acme.ngrok.app) is ngrok's: a quick tunnel of cloudflared has a new address each time",
        "asking Cloudflare for a quick tunnel",
    ]


async def test_auto_asks_for_the_token_where_nothing_is_there(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither token nor cloudflared: a ConfigError with the page of the token, and the way without an account."""
    monkeypatch.delenv("CLOUDFLARED_BIN")
    monkeypatch.setenv("PATH", str(tmp_path))
    error = await refusal(port, provider="auto")
    assert isinstance(error, ConfigError)
    assert "needs an ngrok authtoken, and there is none" in error.message
    assert "https://dashboard.ngrok.com/get-started/your-authtoken" in error.hint
    assert "install cloudflared, which needs no account" in error.hint


async def test_unknown_maker(port: int) -> None:
    """A maker that nobody knows is refused with those that are known."""
    error = await refusal(port, provider="localtunnel")
    assert (error.code, error.hint) == (3, "One of auto, ngrok, cloudflared.")


# -- the proof --------------------------------------------------------------------------------------


async def test_proof_waits_for_cloudflare_and_counts_down(port: int, agent: Callable[[str], None]) -> None:
    """Error 1033 passes when the edge knows the tunnel: waits of a second and more are said, with the tries left."""
    agent("early=4")
    tunnel = await opened(port)
    waits: list[float] = []
    said: list[str] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    await prove(tunnel.url, PATH, VERIFY, head_start=8, report=said.append, sleep=sleep)
    await tunnel.close()
    assert waits == [8, 0.5, 1, 2, 4]
    assert said[0] == f"{tunnel.url} is a new name: asking for it in 8 s"
    words = "Cloudflare knows the address, but reaches no tunnel behind it yet. (1033)"
    assert said[1] == f"{words} Asking again in 1 s, 6 more times at most."
    assert said[-1] == f"{words} Asking again in 4 s, 4 more times at most."


async def test_pages_of_cloudflare_are_recognised(port: int, agent: Callable[[str], None]) -> None:
    """A tunnel that the edge never reaches, and a listener that is not there, are told apart."""
    agent("gone")
    tunnel = await opened(port)
    with pytest.raises(NetworkError, match="1033") as caught:
        await prove(tunnel.url, PATH, VERIFY, attempts=1)
    assert "http2" in caught.value.hint
    await tunnel.close()
    agent("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    tunnel = await opened(free)
    with pytest.raises(NetworkError, match="answers with 502"):
        await prove(tunnel.url, PATH, VERIFY, attempts=1)
    await tunnel.close()


def test_numbers_on_cloudflares_pages() -> None:
    """They stand in plain text, in HTML and in JSON; a body of ours that says error 1000 is none of theirs."""
    assert page_code(530, "error code: 1033") == 1033
    assert page_code(530, "<h1>Error <span>1033</span></h1>") == 1033
    assert page_code(530, '{"title": "x", "error_code": 1016}') == 1016
    assert page_code(429, "error code: 1015") == 1015
    assert page_code(200, "error code: 1015") == 0
    assert page_code(404, "nothing here") == 0
    for sentence, remedy in PAGES.values():
        assert sentence.endswith(".")
        assert remedy


@pytest.mark.parametrize(
    ("line", "words", "repeat"),
    [
        ("ERR x error code: 1015 status_code=429", "too many (1015)", Repeat.BLOCKED),
        ("failed to request quick Tunnel: x509: certificate signed by unknown authority", "not theirs", None),
        ("failed to request quick Tunnel: context deadline exceeded", "cannot be reached", Repeat.SAFE),
        ("ERR error=\"Unauthorized: Tunnel not found\" connIndex=0", "given up this quick tunnel", Repeat.SAFE),
        ("WRN your machine/network is getting its egress UDP to port 7844 blocked", "by QUIC", None),
        ("ERR TLS handshake with edge error: read tcp 1.2.3.4:5->198.41.200.193:7844: i/o timeout", "port 7844", None),
    ],
)  # fmt: skip
def test_log_lines_in_words(line: str, words: str, repeat: Repeat | None) -> None:
    """Lines of cloudflared's log are one sentence with a remedy; what makes it worse says so to whoever repeats."""
    error = explain(line)
    assert isinstance(error, NetworkError)
    assert words in error.message
    assert error.hint
    assert repeat in (None, error.repeat)
    assert len(explain("x" * 1000).message) < 250


def test_free_plans_say_their_limits_where_they_apply() -> None:
    """An address of ngrok's free plan shows it; our own requests through it stay a fraction of what it allows."""
    free = terms("https://abc.ngrok-free.app")
    assert "20,000 requests" in free.limits
    assert 31 * 86400 / free.probe_seconds < 20_000 / 2
    assert terms("https://acme.ngrok.app").limits == ""
    assert HEAD_START > 0


# -- the command line -------------------------------------------------------------------------------


def test_serve_goes_through_a_quick_tunnel(tmp_path: Path) -> None:
    """`serve --tunnel` without a token takes cloudflared, says so, and leaves no process behind."""
    env = environment(
        tmp_path,
        {
            "AEROBOT_WHATSAPP_PHONE_NUMBER_ID": "123456789012345",
            "AEROBOT_WHATSAPP_ACCESS_TOKEN": "t",
            "AEROBOT_WHATSAPP_VERIFY_TOKEN": "v",
            "AEROBOT_WHATSAPP_APP_SECRET": "s",
            "AEROBOT_WHATSAPP_GRAPH_URL": "http://127.0.0.1:9",
            "AEROBOT_SERVE_PORT": "0",
            "AEROBOT_SERVE_PRIVATE_PORT": "0",
        },
    )
    with Running(["serve", "echo", "--tunnel", "--json"], cwd=tmp_path, env=env) as running:
        public = running.event("ready", timeout=40)["public_url"]
        assert httpx.get(f"{public}/healthz").text == "ok"
        assert httpx.get(f"{public}/api/bots").status_code == 404
        pid = told(tmp_path)["pid"]
        assert running.stop() == 130
    assert not alive(pid)
    said = [json.loads(line).get("detail", "") for line in running.lines]
    assert "cloudflared is taken, since it is installed and ngrok has no authtoken" in said
