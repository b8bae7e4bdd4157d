"""Which maker of tunnels is taken, and why."""

import asyncio
from collections.abc import Callable

from aerobot.errors import ConfigError
from aerobot.secret import Secret
from aerobot.tunnel.base import Report, Tunnel
from aerobot.tunnel.cloudflared import INSTALL_PAGE, find_cloudflared, open_cloudflared
from aerobot.tunnel.ngrok import open_ngrok
from aerobot.tunnel.ngrok_errors import AUTHTOKEN_PAGE
from aerobot.tunnel.ngrok_setup import token_source

PROVIDERS = ("auto", "ngrok", "cloudflared")


async def open_tunnel(
    *,
    port: int,
    host: str,
    provider: str = "auto",
    authtoken: Secret | None,
    domain: str | None,
    agent_path: str | None = None,
    report: Report,
    started: Callable[[Callable[[], None]], None] = lambda kill: None,
    start_seconds: float | None = None,
) -> Tunnel:
    """Open a tunnel to ``host:port`` of this machine and return it.

    ``auto`` takes ngrok if it has an authtoken, else cloudflared if that is installed, and reports why.
    ``authtoken``, ``domain`` and ``agent_path`` are ngrok's. ``started`` is given what kills the tunnel's process
    at once. ``ConfigError`` where nothing can be opened before something is set or installed, ``NetworkError``
    for everything that another try may mend.
    """
    if provider not in PROVIDERS:
        raise ConfigError(f"tunnel.provider: {provider} is unknown.", f"One of {', '.join(PROVIDERS)}.")
    if provider == "auto":
        provider = await asyncio.to_thread(_chosen, authtoken, report)
    limit = {} if start_seconds is None else {"start_seconds": start_seconds}
    if provider == "cloudflared":
        if domain:
            report(f"tunnel.domain ({domain}) is ngrok's: a quick tunnel of cloudflared has a new address each time")
        return await open_cloudflared(port=port, host=host, report=report, started=started, **limit)
    return await open_ngrok(
        port=port,
        host=host,
        authtoken=authtoken,
        domain=domain,
        agent_path=agent_path,
        report=report,
        started=started,
        **limit,
    )


def _chosen(authtoken: Secret | None, report: Report) -> str:
    reason = token_source(authtoken)
    if reason is not None:
        report(f"ngrok is taken, since {reason}")
        return "ngrok"
    if find_cloudflared() is not None:
        report("cloudflared is taken, since it is installed and ngrok has no authtoken")
        return "cloudflared"
    raise ConfigError(
        "A tunnel needs an ngrok authtoken, and there is none; cloudflared is not installed either.",
        f"A free one: {AUTHTOKEN_PAGE}\nthen: aerobot config set tunnel.authtoken\n"
        f"Or install cloudflared, which needs no account: {INSTALL_PAGE}",
    )
