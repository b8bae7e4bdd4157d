"""What the tests of tunnels share: a host behind them that answers, and the stand-ins' records."""

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from aerobot.secret import Secret

NGROK = Path(__file__).parent / "ngrok_agent.py"
CLOUDFLARED = Path(__file__).parent / "cloudflared_agent.py"
VERIFY = Secret("verify me & more=1")
PATH = "/api/bots/webhook/whatsapp/bt_1"


class Host(BaseHTTPRequestHandler):
    """Answers the handshake and /healthz as the public listener does."""

    def do_GET(self) -> None:
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        path = urlsplit(self.path).path
        if path == "/healthz":
            self.reply(200, "ok")
        elif path == PATH and query.get("hub.verify_token") == VERIFY.reveal():
            self.reply(200, query["hub.challenge"])
        else:
            self.reply(403 if path == PATH else 404, "")

    def reply(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def host() -> Iterator[int]:
    """A real server; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def record(path: Path) -> dict[str, object]:
    """What a stand-in was started with last."""
    told: dict[str, object] = json.loads(path.read_text())
    return told


def alive(pid: object) -> bool:
    """Whether a process is there."""
    try:
        os.kill(int(str(pid)), 0)
    except ProcessLookupError:
        return False
    return True
