"""What cloudflared's log and Cloudflare's error pages mean, and what helps.

Sources (2026): cloudflared's `quick_tunnel.go`; https://developers.cloudflare.com/support/troubleshooting/http-status-codes/.
"""

import re
from collections.abc import Mapping

from aerobot.errors import AerobotError, ConfigError, NetworkError, Repeat

INSTALL_PAGE = "https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/downloads/"
_NGROK = "or take ngrok: --tunnel-provider ngrok"
_UDP = (
    "Let it use TCP: set TUNNEL_TRANSPORT_PROTOCOL=http2 (cloudflared's own --protocol http2) and start again,\n"
    f"{_NGROK}"
)
_EDGE = f"Let it out to port 7844 (TCP and UDP), try another network, {_NGROK}"

_LOG: tuple[tuple[str, str, str, Repeat], ...] = (
    (
        r"error code: 1015|429 Too Many Requests",
        "Cloudflare opens no more quick tunnels for this network now: there were too many (1015).",
        f"Wait some minutes, for each try counts; {_NGROK}",
        Repeat.BLOCKED,
    ),
    (
        r"x509|certificate signed by",
        "The way to Cloudflare has a certificate that is not theirs.",
        f"A proxy that opens TLS? Try another network, {_NGROK}",
        Repeat.AMBIGUOUS,
    ),
    (
        r"failed to (unmarshal|parse) quick Tunnel|failed to read quick-tunnel response",
        "Cloudflare's quick tunnels are out of order at the moment.",
        f"Nobody guarantees them: https://www.cloudflarestatus.com, {_NGROK}",
        Repeat.SAFE,
    ),
    (
        r"failed to request quick Tunnel",
        "Cloudflare cannot be reached.",
        "Is there a network, a firewall? api.trycloudflare.com must be reachable.",
        Repeat.SAFE,
    ),
    (
        r"Unauthorized: Tunnel not found",
        "Cloudflare has given up this quick tunnel.",
        "A new one has another address: start again.",
        Repeat.SAFE,
    ),
    (
        r"(?i)dial to edge with quic|no recent network activity|quic.*(blocked|timeout)|UDP.*port 7844",
        "This network does not let cloudflared out by QUIC (UDP, port 7844).",
        _UDP,
        Repeat.AMBIGUOUS,
    ),
    (
        r"TLS handshake with edge|Unable to establish connection with Cloudflare edge|:7844|argotunnel\.com",
        "This network does not let cloudflared out to Cloudflare (port 7844).",
        _EDGE,
        Repeat.AMBIGUOUS,
    ),
)

PAGES: Mapping[int, tuple[str, str]] = {
    1015: ("Cloudflare lets no more requests through for a while.", "A quick tunnel is for tests: wait a minute."),
    1016: ("Cloudflare knows the address no more.", "The tunnel is gone: start again for a new one."),
    1033: ("Cloudflare knows the address, but reaches no tunnel behind it yet.", "If it stays so: " + _UDP),
    1101: ("Cloudflare's own part of the way fails.", "Try again: https://www.cloudflarestatus.com"),
}
"""The numbers on Cloudflare's error pages; each may pass by itself."""


def explain(text: str) -> AerobotError:
    """What cloudflared said before it failed, as one sentence and one remedy."""
    if re.search(r"flag provided but not defined|[Uu]nknown (flag|command)|No help topic", text):
        return ConfigError("The cloudflared on this machine is too old.", f"Update it: {INSTALL_PAGE}")
    for pattern, sentence, remedy, repeat in _LOG:
        if re.search(pattern, text):
            return NetworkError(sentence, remedy, repeat=repeat)
    words = " ".join(text.split())
    words = words if len(words) <= 200 else "…" + words[-199:]
    said = f": {words}" if words else " and said nothing"
    return NetworkError(f"cloudflared opened no tunnel{said}", f"Try again, {_NGROK}")


def page_code(status: int, body: str) -> int:
    """The number of Cloudflare's error page; 0 if it is none."""
    found = re.search(r"(?i)error(?:\s+code)?:?\s*(1\d{3})\b|\"error_code\":\s*(1\d{3})\b", body)
    if found and status in (403, 429, 500, 502, 503, 530):
        return int(found[1] or found[2])
    return 1033 if status == 530 else 0
