#!/usr/bin/env python3
"""A stand-in for the `cloudflared` binary: it logs as quick tunnels do, and really forwards TCP.

Standard library alone. Run as `cloudflared tunnel [--config F] --no-autoupdate --url http://HOST:PORT`; the log goes
to stderr. The public address that it hands out is `http://127.0.0.1:PORT`, another one at each start; behind it
every connection goes to `--url`. As the real one, it lets `ingress` in its configuration (`--config`, else
`~/.cloudflared/config.yml`) answer 404 to everything. It ends with its parent, so that a test leaves none behind.

``CLOUDFLARED_AGENT`` simulates, comma-separated:
  limited    Cloudflare refuses: 429, error code 1015        offline    Cloudflare's API cannot be reached
  broken     Cloudflare's API answers nonsense               old        it does not know its flags
  quic       UDP is blocked, and it goes on trying           fallback   UDP is blocked, HTTP/2 works after a second
  silent     it starts and says nothing                      garbage    it logs what is no text
  dies       it ends after it gave an address                plain      it hands out http://example.com
  early=N    the first N requests are answered 530, 1033     gone       every request is
  port=N     the address has this port at each start
"""

import contextlib
import json
import os
import pathlib
import socket
import sys
import threading
import time
import urllib.parse

MODES = dict(part.partition("=")[::2] for part in os.environ.get("CLOUDFLARED_AGENT", "").split(",") if part)
THANKS = (
    "Thank you for trying Cloudflare Tunnel. Doing so, without a Cloudflare account, is a quick way to experiment and "
    "try it out. However, be aware that these account-less Tunnels have no uptime guarantee."
)
QUIC = 'error="failed to dial to edge with quic: timeout: no recent network activity" connIndex=0 event=0 ip=198.41.0.1'


def log(level: str, text: str) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print(f"{stamp} {level} {text}", file=sys.stderr, flush=True)


def given(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1] if name in arguments else ""


class Tunnel:
    """The public port and what it leads to."""

    def __init__(self, url: str, rules: bool) -> None:
        parts = urllib.parse.urlsplit(url)
        self.target = (parts.hostname, parts.port or 80)
        self.rules = rules
        self.early = int(MODES.get("early", 0))
        self.listener = socket.create_server(("127.0.0.1", int(MODES.get("port", 0))))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def accept(self) -> None:
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            more = client.recv(65536)
            if not more:
                client.close()
                return
            head += more
        if "gone" in MODES or self.early > 0:
            self.early -= 1
            answer(client, "530 <none>", "error code: 1033")
        elif self.rules:
            answer(client, "404 Not Found", "")
        else:
            self.forward(client, head)

    def forward(self, client: socket.socket, head: bytes) -> None:
        try:
            upstream = socket.create_connection(self.target, timeout=5)
        except OSError:
            log("ERR", f'error="Unable to reach the origin service." originService=http://{self.target[0]}')
            answer(client, "502 Bad Gateway", "<html>Bad gateway</html>")
            return
        upstream.settimeout(None)
        upstream.sendall(head)
        threading.Thread(target=pump, args=(client, upstream), daemon=True).start()
        pump(upstream, client)


def answer(client: socket.socket, status: str, body: str) -> None:
    head = f"HTTP/1.1 {status}\r\nServer: cloudflare\r\nCF-RAY: 9e20d748cc2d0df6-FRA\r\n"
    client.sendall(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
    client.close()


def pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def end_with_parent() -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(0)


def refuse() -> None:
    """The ends that come before an address."""
    if "limited" in MODES:
        said = "invalid character 'e' looking for beginning of value"
        log("ERR", f'Error unmarshaling QuickTunnel response: error code: 1015 error="{said}" '
                   'status_code="429 Too Many Requests"')  # fmt: skip
        sys.exit(f"failed to unmarshal quick Tunnel: {said}")
    if "offline" in MODES:
        where = '"https://api.trycloudflare.com/tunnel": dial tcp: lookup api.trycloudflare.com: no such host'
        sys.exit(f"failed to request quick Tunnel: Post {where}")
    if "broken" in MODES:
        sys.exit("failed to parse quick Tunnel ID: invalid UUID length: 0")


def boxed(url: str) -> None:
    lines = ["Your quick Tunnel has been created! Visit it at (it may take some time to be reachable):", url]
    width = max(map(len, lines))
    for line in ["+" + "-" * (width + 4) + "+", *(f"|  {x:<{width}}  |" for x in lines), "+" + "-" * (width + 4) + "+"]:
        log("INF", line)


def connect() -> None:
    log("INF", "Initial protocol quic")
    if "quic" in MODES or "fallback" in MODES:
        log("WRN", f"Failed to create new quic connection {QUIC}")
        log("INF", "Retrying connection in up to 2s connIndex=0 event=0 ip=198.41.0.1")
        while "quic" in MODES:
            time.sleep(1)
            log("ERR", f"Failed to dial a quic connection {QUIC}")
        time.sleep(1)
        log("INF", "Switching to fallback protocol http2 connIndex=0 event=0 ip=198.41.0.1")
    log("INF", "Registered tunnel connection connIndex=0 connection=830bf962-7674-4e02-b648-65177c832c67 event=0 "
               "ip=198.41.0.1 location=fra08 protocol=quic")  # fmt: skip


def run(arguments: list[str]) -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    own = pathlib.Path(given(arguments, "--config") or pathlib.Path.home() / ".cloudflared" / "config.yml")
    config = own.read_text("utf-8") if own.exists() else ""
    if record := os.environ.get("CLOUDFLARED_AGENT_RECORD"):
        names = sorted(name for name in os.environ if name.startswith("TUNNEL_"))
        told = {"pid": os.getpid(), "arguments": arguments, "config": config, "environ": names}
        pathlib.Path(record).write_text(json.dumps(told))
    if "silent" in MODES:
        time.sleep(60)
    if "old" in MODES:
        sys.exit("Incorrect Usage: flag provided but not defined: -no-autoupdate")
    log("INF", THANKS)
    log("INF", "Requesting new quick Tunnel on trycloudflare.com...")
    refuse()
    tunnel = Tunnel(given(arguments, "--url"), "ingress" in config)
    if "garbage" in MODES:
        sys.stderr.buffer.write(b"\xff\xfe" + b"x" * 200_000 + b"\n")
        sys.stderr.flush()
    boxed("http://example.com" if "plain" in MODES else tunnel.url)
    log("ERR", "Cannot determine default origin certificate path. No file cert.pem in [~/.cloudflared]")
    log("INF", "Starting metrics server on 127.0.0.1:20241/metrics")
    if "dies" in MODES:
        sys.exit(1)
    threading.Thread(target=tunnel.accept, daemon=True).start()
    connect()
    while True:
        time.sleep(1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["tunnel"]:
        run(sys.argv[2:])
    elif sys.argv[1:2] in (["version"], ["--version"]):
        print("cloudflared version 2026.2.0 (built 2026-02-11-1200 UTC)")
    else:
        sys.exit(f"the stand-in for cloudflared knows no {sys.argv[1:]}")
