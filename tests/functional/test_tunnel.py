"""The tunnel: real pyngrok in front of a stand-in agent that forwards TCP, and a real HTTP server behind it."""

import asyncio
import gc
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from aerobot.errors import AerobotError, ConfigError, NetworkError
from aerobot.secret import Secret
from aerobot.tunnel import Tunnel, open_tunnel, prove
from aerobot.tunnel.base import local_address, public_origin
from aerobot.tunnel.ngrok_errors import MEANINGS, explain

AGENT = Path(__file__).parent.parent / "ngrok_agent.py"
TOKEN = Secret("2abcDEFghi_authtoken")
VERIFY = Secret("verify me & more=1")
PATH = "/api/bots/webhook/whatsapp/bt_1"


class Host(BaseHTTPRequestHandler):
    """Answers the handshake as the public listener does; other paths play the wrong host."""

    def do_GET(self) -> None:
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        path = urlsplit(self.path).path
        if path == PATH and query.get("hub.verify_token") == VERIFY.reveal():
            self.reply(200, query["hub.challenge"])
        elif path == PATH:
            self.reply(403, "")
        elif path == "/page":
            self.reply(200, "<html>Welcome</html>")
        elif path == "/moved":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:9/")
            self.end_headers()
        elif path == "/broken":
            self.reply(502, "")
        else:
            self.reply(404, "")

    def reply(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a real server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    serving.join()


@pytest.fixture(autouse=True)
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """The stand-in as pyngrok's agent, in a home of this test's own; a call sets what it simulates."""
    monkeypatch.setenv("PYNGROK_NGROK_PATH", str(AGENT))
    monkeypatch.setenv("NGROK_AGENT_RECORD", str(tmp_path / "record.json"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("NGROK_AUTHTOKEN", "NGROK_AGENT"):
        monkeypatch.delenv(name, raising=False)
    yield lambda modes: monkeypatch.setenv("NGROK_AGENT", modes)
    gc.collect()


def record(tmp_path: Path) -> dict[str, object]:
    """What the agent was started with."""
    told: dict[str, object] = json.loads((tmp_path / "record.json").read_text())
    return told


def alive(pid: object) -> bool:
    """Whether a process is there."""
    try:
        os.kill(int(str(pid)), 0)
    except ProcessLookupError:
        return False
    return True


async def opened(port: int, **more: object) -> Tunnel:
    """A tunnel to ``port``, with whatever differs from the usual."""
    given: dict[str, object] = {
        "port": port,
        "host": "127.0.0.1",
        "authtoken": TOKEN,
        "domain": None,
        "provider": "ngrok",
        "report": lambda text: None,
        **more,
    }
    return await open_tunnel(**given)  # type: ignore[arg-type]


async def refusal(port: int, **more: object) -> AerobotError:
    """The error that opening ends with."""
    with pytest.raises(AerobotError) as caught:
        await opened(port, **more)
    return caught.value


async def test_open_prove_close(port: int, tmp_path: Path) -> None:
    """A tunnel leads to the port, is proven through its public address, and is gone with its agent after close."""
    tunnel = await opened(port)
    await prove(tunnel.url, PATH, VERIFY)
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{tunnel.url}/page")).text == "<html>Welcome</html>"
    pid = record(tmp_path)["pid"]
    assert alive(pid)
    await tunnel.close()
    assert not alive(pid)
    with pytest.raises(NetworkError):
        await prove(tunnel.url, PATH, VERIFY, attempts=1)
    await tunnel.close()


async def test_only_the_port_is_exposed(port: int) -> None:
    """The agent is told one address, https alone, and not to keep the requests."""
    tunnel = await opened(port, host="0.0.0.0", domain="acme.ngrok.app")
    from pyngrok import ngrok
    from pyngrok.conf import PyngrokConfig

    config = PyngrokConfig(ngrok_path=str(AGENT), config_version="2")
    there = await asyncio.to_thread(ngrok.get_tunnels, config)
    assert [one.data["options"] for one in there] == [
        {
            "name": f"aerobot-{port}",
            "addr": f"http://127.0.0.1:{port}",
            "proto": "http",
            "schemes": ["https"],
            "inspect": False,
            "domain": "acme.ngrok.app",
        }
    ]
    await tunnel.close()


async def test_authtoken_never_stands_on_a_command_line(port: int, tmp_path: Path) -> None:
    """The token reaches the agent in a file of ours alone, which is gone afterwards; its other settings stay."""
    own = tmp_path / "ngrok" / "ngrok.yml"
    own.parent.mkdir()
    own.write_text('version: "3"\nagent:\n  authtoken: anothers\n  region: eu\n')
    tunnel = await opened(port)
    told = record(tmp_path)
    arguments = [str(word) for word in told["arguments"]]  # type: ignore[attr-defined]
    assert told["token"] == TOKEN.reveal()
    assert not any(TOKEN.reveal() in word for word in arguments)
    given = Path(arguments[arguments.index("--config") + 1])
    assert given.stat().st_mode & 0o777 == 0o600
    assert json.loads(given.read_text())["agent"] == {"authtoken": TOKEN.reveal(), "region": "eu"}
    assert "anothers" in own.read_text()
    await tunnel.close()
    assert not given.parent.exists()


async def test_authtoken_of_ngroks_own(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a setting ngrok's own configuration (either version) or NGROK_AUTHTOKEN gives the token."""
    own = tmp_path / "ngrok" / "ngrok.yml"
    own.parent.mkdir()
    for text in ('version: "2"\nauthtoken: two\n', 'version: "3"\nagent:\n  authtoken: three\n'):
        own.write_text(text)
        await (await opened(port, authtoken=None)).close()
        assert record(tmp_path)["token"] in text
    own.unlink()
    monkeypatch.setenv("NGROK_AUTHTOKEN", "fromtheenvironment")
    await (await opened(port, authtoken=None)).close()
    told = record(tmp_path)
    assert told["token"] == "fromtheenvironment"
    assert "fromtheenvironment" not in str(told["arguments"])
    await (await opened(port)).close()
    assert record(tmp_path)["token"] == TOKEN.reveal()


async def test_no_authtoken_at_all(port: int, tmp_path: Path) -> None:
    """Without any token nothing is started: a ConfigError with the page that shows it."""
    error = await refusal(port, authtoken=None)
    assert isinstance(error, ConfigError)
    assert error.message == "ngrok wants an authtoken, and there is none."
    assert "https://dashboard.ngrok.com/get-started/your-authtoken" in error.hint
    assert not (tmp_path / "record.json").exists()


@pytest.mark.parametrize(
    ("modes", "code", "words"),
    [
        ("session=ERR_NGROK_4018", 3, "verified account"),
        ("session=ERR_NGROK_105", 3, "does not look like one"),
        ("session=ERR_NGROK_107", 3, "reset, revoked or mistyped"),
        ("session=ERR_NGROK_108", 5, "as many agents as its plan allows"),
        ("session=ERR_NGROK_121", 3, "too old"),
        ("session=ERR_NGROK_99999", 5, "ERR_NGROK_99999"),
        ("tunnel=ERR_NGROK_334", 5, "online already"),
        ("tunnel=ERR_NGROK_313", 3, "pick a subdomain"),
        ("tunnel=ERR_NGROK_314", 3, "hostname of your own"),
        ("tunnel=ERR_NGROK_320", 3, "another ngrok account"),
        ("offline", 5, "ngrok's servers cannot be reached"),
        ("plain", 5, "is not https"),
    ],
)
async def test_refusals_in_words(
    port: int, agent: Callable[[str], None], tmp_path: Path, modes: str, code: int, words: str
) -> None:
    """Each of ngrok's errors is one sentence with its cure and its exit code; no token, no agent left behind."""
    agent(modes)
    error = await refusal(port)
    assert error.code == code
    assert words in error.message
    assert error.hint
    assert TOKEN.reveal() not in error.message + error.hint
    assert not alive(record(tmp_path)["pid"])


async def test_slow_and_garbled_start(port: int, agent: Callable[[str], None]) -> None:
    """An agent that comes up late, or logs lines that are no logfmt, is waited for."""
    agent("slow=1.5,garbage")
    tunnel = await opened(port)
    await prove(tunnel.url, PATH, VERIFY)
    await tunnel.close()


async def test_silent_agent_is_given_up(port: int, agent: Callable[[str], None], tmp_path: Path) -> None:
    """An agent that never says a word is killed after the limit, though pyngrok would wait for its first line."""
    agent("silent")
    error = await refusal(port, start_seconds=1)
    assert error.message == "ngrok's agent gave no answer within 1 s."
    assert error.code == 5
    assert not alive(record(tmp_path)["pid"])


async def test_interrupted_opening_leaves_no_agent(port: int, agent: Callable[[str], None], tmp_path: Path) -> None:
    """Ctrl-C while the agent starts kills it."""
    agent("silent")
    opening = asyncio.create_task(opened(port))
    while not (tmp_path / "record.json").exists():
        assert not opening.done()
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.1)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert not alive(record(tmp_path)["pid"])


async def test_binary_that_is_none(port: int, tmp_path: Path) -> None:
    """A file that cannot be run is a ConfigError that names it."""
    fake = tmp_path / "ngrok-of-another-system"
    fake.write_bytes(b"\x00\x01")
    fake.chmod(0o755)
    error = await refusal(port, agent_path=str(fake))
    assert error.code == 3
    assert str(fake) in error.message


async def test_broken_configuration_of_ngrok(port: int, tmp_path: Path) -> None:
    """ngrok's own file, if it cannot be read, is named."""
    own = tmp_path / "ngrok" / "ngrok.yml"
    own.parent.mkdir()
    own.write_text("a: [b\n")
    error = await refusal(port)
    assert (error.code, str(own) in error.message) == (3, True)


ON_PATH = """
import asyncio, sys
from aerobot.secret import Secret
from aerobot.tunnel import open_tunnel
async def main():
    tunnel = await open_tunnel(
        port=9, host="127.0.0.1", provider="ngrok", authtoken=Secret("t"), domain=None, report=print
    )
    await tunnel.close()
try:
    asyncio.run(main())
except Exception as error:
    print(type(error).__name__, error, error.hint)
"""


def run_on_path(tmp_path: Path, folder: Path) -> str:
    """Open a tunnel in a process of its own whose PATH is ``folder`` and whose network leads nowhere."""
    environ = {
        "PATH": f"{folder}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "NGROK_AGENT_RECORD": str(tmp_path / "record.json"),
        "https_proxy": "http://127.0.0.1:9",
    }
    done = subprocess.run([sys.executable, "-c", ON_PATH], env=environ, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout


def test_agent_on_path_is_preferred(tmp_path: Path) -> None:
    """An `ngrok` on PATH is used, and nothing is downloaded."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ngrok").symlink_to(AGENT)
    assert run_on_path(tmp_path, folder) == ""
    assert record(tmp_path)["token"] == "t"


def test_pyngroks_own_command_is_no_agent_and_the_download_is_said(tmp_path: Path) -> None:
    """pyngrok's `ngrok` command is passed over; the download is announced first, and its failure has a cure."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ngrok").write_text("#!/usr/bin/python3\nfrom pyngrok.ngrok import main\nmain()\n")
    (folder / "ngrok").chmod(0o755)
    said = run_on_path(tmp_path, folder).splitlines()
    assert said[0] == "ngrok's agent is not on this machine yet: downloading it, about 10 MB, once"
    assert said[1].startswith("NetworkError ngrok's agent could not be downloaded: ")
    assert "https://ngrok.com/download" in said[1]


# -- the proof --------------------------------------------------------------------------------------


async def fails(url: str, path: str = PATH, token: Secret = VERIFY, attempts: int = 2) -> tuple[str, int]:
    """What proving says, and how often it waited."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    with pytest.raises(NetworkError) as caught:
        await prove(url, path, token, attempts=attempts, sleep=sleep)
    assert caught.value.hint
    assert token.reveal() not in caught.value.message + caught.value.hint
    return caught.value.message, len(waits)


@pytest.mark.parametrize(
    ("path", "words", "waits"),
    [
        ("/page", "answers with a web page instead of our challenge", 1),
        ("/moved", "redirects elsewhere", 0),
        ("/broken", "answers with 502", 1),
        ("/else", "knows nothing of this webhook (404)", 1),
    ],
)
async def test_wrong_hosts_are_told_apart(port: int, path: str, words: str, waits: int) -> None:
    """Whoever answers instead of us is described; what another try cannot mend is not tried again."""
    message, waited = await fails(f"http://127.0.0.1:{port}", path)
    assert words in message
    assert waited == waits


async def test_another_verify_token(port: int) -> None:
    """403 means that a host of ours answers, with another token."""
    message, waited = await fails(f"http://127.0.0.1:{port}", token=Secret("an0ther"))
    assert "another verify token" in message
    assert waited == 0


@pytest.mark.parametrize(
    ("modes", "words", "waits"),
    [
        ("always-browser", "shows its warning page", 0),
        ("gone", "says that the tunnel is offline. (ERR_NGROK_3200)", 1),
    ],
)
async def test_ngroks_own_pages(port: int, agent: Callable[[str], None], modes: str, words: str, waits: int) -> None:
    """ngrok's interstitial and its offline page are recognised."""
    agent(modes)
    tunnel = await opened(port)
    message, waited = await fails(tunnel.url)
    await tunnel.close()
    assert words in message
    assert waited == waits


async def test_warning_page_is_skipped(port: int, agent: Callable[[str], None]) -> None:
    """The header that skips the warning page is sent."""
    agent("browser")
    tunnel = await opened(port)
    await prove(tunnel.url, PATH, VERIFY, attempts=1)
    await tunnel.close()


async def test_nothing_behind_the_tunnel() -> None:
    """A port on which nothing listens is ERR_NGROK_8012, in words."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    tunnel = await opened(free)
    message, _ = await fails(tunnel.url)
    await tunnel.close()
    assert "cannot reach the listener behind it. (ERR_NGROK_8012)" in message


async def test_name_and_certificate(tmp_path: Path) -> None:
    """A name that is not in the DNS, and a certificate that nobody signed, are said as that."""
    message, waited = await fails("https://nowhere.invalid")
    assert message == "https://nowhere.invalid is not in the DNS yet."
    assert waited == 1
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    message, _ = await fails(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    server.close()
    await server.wait_closed()
    assert "is not valid; Meta would refuse it too" in message


async def test_proof_waits_for_a_host_that_comes_late(port: int) -> None:
    """Back-off doubles from the first pause to 8 s at most, and stops at the first success."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        late = taken.getsockname()[1]
    waits: list[float] = []
    servers: list[ThreadingHTTPServer] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 6:
            servers.append(ThreadingHTTPServer(("127.0.0.1", late), Host))
            threading.Thread(target=servers[0].serve_forever).start()

    await prove(f"http://127.0.0.1:{late}", PATH, VERIFY, sleep=sleep)
    assert waits == [0.5, 1, 2, 4, 8, 8]
    await asyncio.to_thread(servers[0].shutdown)
    servers[0].server_close()


async def test_verify_token_goes_to_https_or_loopback_alone() -> None:
    """A plain-http address beyond loopback is refused before anything is sent."""
    message, waited = await fails("http://example.com")
    assert message == "The tunnel's address http://example.com is not https."
    assert waited == 0


def test_addresses() -> None:
    """An origin is scheme and host; the agent reaches a listener on all interfaces by loopback."""
    assert public_origin("https://acme.ngrok.app/") == "https://acme.ngrok.app"
    assert public_origin("http://[::1]:80") == "http://[::1]:80"
    assert local_address("::", 1) == "http://[::1]:1"
    assert local_address("0.0.0.0", 1) == "http://127.0.0.1:1"


def test_every_meaning_is_a_sentence_with_a_remedy() -> None:
    """The table of ngrok's errors speaks in sentences."""
    for code, meaning in MEANINGS.items():
        error = explain(f"... ERR_NGROK_{code} ...")
        assert error.message == f"{meaning.sentence} (ERR_NGROK_{code})"
        assert meaning.sentence.endswith(".")
        assert len(error.message) < 110
        assert error.hint


def test_unknown_errors_keep_the_token_to_themselves() -> None:
    """An error without a meaning of ours is passed on, short, without the token."""
    error = explain("odd: Your authtoken: abc " + "x" * 500 + TOKEN.reveal(), TOKEN)
    assert "abc" not in error.message
    assert len(error.message) < 250
    assert "certificate" in explain("tls: x509: certificate signed by unknown authority").message
