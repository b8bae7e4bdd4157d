#!/usr/bin/env python3
"""A stand-in for ngrok's agent binary: it speaks what pyngrok expects of ngrok, and really forwards TCP.

Standard library alone. Run by pyngrok as `ngrok start --none --log stdout [--config F]`: log lines in logfmt, and
the agent API (`/api/tunnels`, `/api/endpoints`: POST, GET, DELETE) on a free port of loopback. The public address
that it hands out is `http://127.0.0.1:PORT`; behind it every connection goes to the tunnel's `addr`. It ends with
its parent, so that a test leaves none behind.

``NGROK_AGENT`` simulates, comma-separated:
  session=ERR_NGROK_4018   the session is refused with this error        silent        it starts and says nothing
  tunnel=ERR_NGROK_334     opening an address is refused                 slow=SECONDS  it comes up late
  offline                  ngrok's servers cannot be reached             garbage       it logs what is no logfmt
  browser                  the warning page, unless the skip header is sent; always-browser: even then
  gone                     the address answers 404, ERR_NGROK_3200       plain         it hands out http://example.com
"""

import contextlib
import http.server
import json
import os
import pathlib
import re
import socket
import sys
import threading
import time
import urllib.parse

VERSION = "3.99.0"
MODES = dict(part.partition("=")[::2] for part in os.environ.get("NGROK_AGENT", "").split(",") if part)
SAYS = {
    "ERR_NGROK_105": "The authtoken you specified does not look like a proper ngrok authtoken. Your authtoken: {token}",
    "ERR_NGROK_107": "The authtoken you specified is properly formed, but it is invalid. Your authtoken: {token}",
    "ERR_NGROK_108": "Your account is limited to 1 simultaneous ngrok agent sessions.",
    "ERR_NGROK_334": "failed to start tunnel: The endpoint 'https://acme.ngrok.app' is already online.",
    "ERR_NGROK_4018": "Usage of ngrok requires a verified account and authtoken.",
}
tunnels: dict[str, "Tunnel"] = {}


def log(level: str, message: str, **more: str) -> None:
    fields = "".join(f" {key}={json.dumps(value) if ' ' in value else value}" for key, value in more.items())
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    print(f"t={stamp} lvl={level} msg={json.dumps(message)}{fields}", flush=True)


def token_given(arguments: list[str]) -> str:
    """As ngrok: the flag, else the environment, else the configuration file."""
    if "--authtoken" in arguments:
        return arguments[arguments.index("--authtoken") + 1]
    if os.environ.get("NGROK_AUTHTOKEN"):
        return os.environ["NGROK_AUTHTOKEN"]
    home = os.environ.get("XDG_CONFIG_HOME")
    folder = pathlib.Path(home) if home else pathlib.Path.home() / ".config"
    default = folder / "ngrok" / "ngrok.yml"
    path = arguments[arguments.index("--config") + 1] if "--config" in arguments else default
    try:
        found = re.search(r"authtoken\"?\s*:\s*\"?([\w-]+)", pathlib.Path(path).read_text("utf-8"))
    except OSError:
        return ""
    return found[1] if found else ""


class Tunnel:
    """A public port and what it leads to."""

    def __init__(self, name: str, options: dict) -> None:
        self.name = name
        self.options = options
        address = options.get("addr") or options.get("upstream", {}).get("url", "80")
        parts = urllib.parse.urlsplit(address if "://" in address else f"http://localhost:{address}")
        self.target = (parts.hostname, parts.port or 80)
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self) -> str:
        if "plain" in MODES:
            return "http://example.com"
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def described(self) -> dict:
        return {
            "name": self.name,
            "ID": "0123456789abcdef",
            "uri": f"/api/tunnels/{urllib.parse.quote(self.name)}",
            "public_url": self.url,
            "url": self.url,
            "proto": "https",
            "config": {"addr": self.options.get("addr"), "inspect": self.options.get("inspect", True)},
            "options": self.options,
            "metrics": {},
        }

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            more = client.recv(65536)
            if not more:
                client.close()
                return
            head += more
        if "gone" in MODES:
            answer(client, "404 Not Found", "ERR_NGROK_3200", "The endpoint is offline.")
        elif "always-browser" in MODES or ("browser" in MODES and b"ngrok-skip-browser-warning" not in head.lower()):
            answer(client, "200 OK", "ERR_NGROK_6024", "<html>You are about to visit ...</html>")
        else:
            self.forward(client, head)

    def forward(self, client: socket.socket, head: bytes) -> None:
        try:
            upstream = socket.create_connection(self.target, timeout=5)
        except OSError:
            answer(client, "502 Bad Gateway", "ERR_NGROK_8012", "<html>dial tcp: connection refused</html>")
            return
        upstream.settimeout(None)
        upstream.sendall(head)
        threading.Thread(target=pump, args=(client, upstream), daemon=True).start()
        pump(upstream, client)


def answer(client: socket.socket, status: str, code: str, body: str) -> None:
    head = f"HTTP/1.1 {status}\r\nNgrok-Error-Code: {code}\r\nContent-Type: text/html\r\n"
    client.sendall(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
    client.close()


def pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


class Api(http.server.BaseHTTPRequestHandler):
    """The agent's API."""

    def reply(self, status: int, document: object) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        kind = "endpoints" if "endpoints" in self.path else "tunnels"
        self.reply(200, {kind: [tunnel.described() for tunnel in tunnels.values()], "uri": self.path})

    def do_POST(self) -> None:
        options = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "tunnel" in MODES:
            code = MODES["tunnel"]
            said = f"{SAYS.get(code, 'failed to start tunnel: refused.')}\r\n\r\n{code}\r\n"
            details = {"err": said.format(token=TOKEN)}
            refusal = {"error_code": 103, "status_code": 502, "msg": "failed to start tunnel", "details": details}
            return self.reply(502, refusal)
        name = options["name"]
        tunnels[name] = Tunnel(name, options)
        log("info", "started tunnel", obj="tunnels", name=name, addr=str(options.get("addr")), url=tunnels[name].url)
        return self.reply(201, tunnels[name].described())

    def do_DELETE(self) -> None:
        tunnel = tunnels.pop(urllib.parse.unquote(self.path.rpartition("/")[2]), None)
        if tunnel is not None:
            tunnel.listener.close()
        self.reply(204, None)

    def log_message(self, *_: object) -> None:
        pass


def end_with_parent() -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(0)


def start(arguments: list[str]) -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    if record := os.environ.get("NGROK_AGENT_RECORD"):
        told = {"pid": os.getpid(), "arguments": arguments, "token": TOKEN}
        pathlib.Path(record).write_text(json.dumps(told))
    if "silent" in MODES:
        time.sleep(60)
    time.sleep(float(MODES.get("slow", 0)))
    if "garbage" in MODES:
        print('this is "not logfmt', flush=True)
    api = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    log("info", "no configuration paths supplied", obj="tunnels")
    log("info", "starting web service", obj="web", addr=f"127.0.0.1:{api.server_port}", allow_hosts="[]")
    if "offline" in MODES:
        error = "failed to dial ngrok server: dial tcp: lookup connect.ngrok-agent.com: no such host"
        log("eror", "failed to reconnect session", obj="csess", id="1", err=error)
        sys.exit(1)
    code = MODES.get("session") or ("" if TOKEN else "ERR_NGROK_4018")
    if code:
        said = SAYS.get(code, "refused.").format(token=TOKEN)
        error = f"authentication failed: {said}\\r\\n\\r\\n{code}\\r\\n"
        log("eror", "failed to auth", obj="tunnels.session", err=error)
        log("crit", "command failed", err=error)
        sys.exit(1)
    log("info", "tunnel session started", obj="tunnels.session")
    log("info", "client session established", obj="csess", id="1")
    while True:
        time.sleep(1)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    TOKEN = token_given(arguments)
    if arguments[:1] == ["start"]:
        start(arguments)
    elif arguments[:2] in (["config", "add-authtoken"], ["authtoken"]):
        print("Authtoken saved to configuration file: ngrok.yml")
    elif arguments[:2] == ["config", "check"]:
        print("Valid configuration file at ngrok.yml")
    elif arguments[:1] in (["version"], ["--version"]):
        print(f"ngrok version {VERSION}")
    else:
        sys.exit(f"the stand-in for ngrok knows no {arguments}")
