"""ngrok, driven by pyngrok in threads: the agent is found or downloaded, started, and killed at the end.

The authtoken reaches the agent in a file of this user alone, never on a command line that others can list.
"""

import asyncio
import contextlib
import json
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aerobot.errors import ConfigError, NetworkError
from aerobot.secret import Secret
from aerobot.tunnel.base import Report, Terms, local_address, public_origin
from aerobot.tunnel.ngrok_errors import AUTHTOKEN_PAGE, explain
from aerobot.tunnel.ngrok_setup import Progress, on_path, own_configuration, own_path, token_in

if TYPE_CHECKING:
    from pyngrok.process import NgrokProcess

START_SECONDS = 20
"""How long the agent may take to come up and to open the address."""
DOWNLOAD_SECONDS = 300
PROBE_SECONDS = 300
"""Every five minutes makes 8,640 requests in a month; the free plan has 20,000 for everything."""
FREE = (
    "ngrok's free plan: 20,000 requests and 1 GB a month, 4,000 requests a minute, three agents at once. A message "
    "that you answer is about four requests: it and three receipts. One address is yours to keep: set tunnel.domain "
    "to it (https://dashboard.ngrok.com/domains); any other may change at each start."
)
"""https://ngrok.com/docs/pricing-limits/free-plan-limits, as of 2026."""


def terms(url: str) -> Terms:
    """What comes with an address of ngrok's: those of the free plan show it in their name."""
    free = url.endswith((".ngrok-free.app", ".ngrok-free.dev"))
    return Terms(provider="ngrok", limits=FREE if free else "", probe_seconds=PROBE_SECONDS)


async def open_ngrok(
    *,
    port: int,
    host: str,
    authtoken: Secret | None,
    domain: str | None,
    agent_path: str | None = None,
    report: Report,
    started: Callable[[Callable[[], None]], None] = lambda kill: None,
    start_seconds: float = START_SECONDS,
) -> "NgrokTunnel":
    """Open an ngrok tunnel to ``host:port`` of this machine and return it.

    The agent is ``agent_path``, else ``PYNGROK_NGROK_PATH``, else an ``ngrok`` on PATH, else pyngrok's own,
    which is downloaded once (``report`` is told so). ``started`` is given what kills it at once. Without an
    ``authtoken`` the agent's own configuration or ``NGROK_AUTHTOKEN`` must have one. ``ConfigError`` for a token,
    a domain or a binary that does not do, ``NetworkError`` for everything that another try may mend.
    """
    agent = await asyncio.to_thread(_Agent, authtoken, agent_path, report)
    started(agent.stop)
    try:
        if agent.missing:
            await _in_thread(agent.download, asyncio.get_running_loop(), limit=DOWNLOAD_SECONDS)
        url = await _in_thread(agent.start, local_address(host, port), domain, limit=start_seconds)
        return NgrokTunnel(url=public_origin(url), agent=agent)
    except BaseException:
        await asyncio.shield(asyncio.to_thread(agent.stop))
        raise


async def _in_thread(call: Callable[..., Any], *arguments: object, limit: float) -> Any:
    thread = asyncio.create_task(asyncio.to_thread(call, *arguments))
    done, _ = await asyncio.wait({thread}, timeout=limit)
    if not done:
        thread.add_done_callback(lambda late: late.cancelled() or late.exception())
        raise NetworkError(f"ngrok's agent gave no answer within {limit:g} s.", "ngrok diagnose may tell why.")
    return thread.result()


class NgrokTunnel:
    """An open tunnel and the agent that holds it open."""

    def __init__(self, *, url: str, agent: "_Agent") -> None:
        self._url = url
        self._agent = agent

    @property
    def url(self) -> str:
        """The origin that Meta can call."""
        return self._url

    @property
    def terms(self) -> Terms:
        """The plan's limits, where the address shows the plan."""
        return terms(self._url)

    @property
    def alive(self) -> bool:
        """Whether the agent still runs."""
        return self._agent.running

    async def close(self) -> None:
        """Kill the agent: the address is gone with it."""
        await asyncio.to_thread(self._agent.stop)

    def kill(self) -> None:
        """The same at once."""
        self._agent.stop()


class _Agent:
    """One agent process; every method blocks and is called in a thread."""

    def __init__(self, authtoken: Secret | None, agent_path: str | None, report: Report) -> None:
        from pyngrok.conf import PyngrokConfig

        logging.getLogger("pyngrok").addHandler(logging.NullHandler())  # else its errors go to stderr raw
        self._authtoken = authtoken
        self._report = report
        self._folder: str | None = None
        self._stopped = self._killed = False
        self._process: NgrokProcess | None = None
        own = own_path()
        self.config: PyngrokConfig = PyngrokConfig(
            config_path=str(own),
            ngrok_path=agent_path or os.environ.get("PYNGROK_NGROK_PATH") or on_path(),
            request_timeout=15,
            config_version="2",  # the API that every agent of version 3 has
            log_event_callback=self._remember,
        )
        self.config.auth_token = None  # or pyngrok would put it on the command line
        self.missing = not Path(self.config.ngrok_path).exists()
        self._give_token(own_configuration(own))

    def _give_token(self, own: dict[str, Any]) -> None:
        if self._authtoken is None:
            if not token_in(own) and not os.environ.get("NGROK_AUTHTOKEN"):
                raise ConfigError(
                    "ngrok wants an authtoken, and there is none.",
                    f"A free one: {AUTHTOKEN_PAGE}\nthen: aerobot config set tunnel.authtoken",
                )
            return
        token = self._authtoken.reveal()
        if str(own.get("version")) == "3":
            inner = own.get("agent")
            own["agent"] = {**(inner if isinstance(inner, dict) else {}), "authtoken": token}
        else:
            own = {"version": "2", **own, "authtoken": token}
        self._folder = tempfile.mkdtemp(prefix="aerobot-ngrok-")
        self.config.config_path = str(Path(self._folder) / "ngrok.yml")
        descriptor = os.open(self.config.config_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(own, stream, default=str)  # JSON is YAML too
        if os.environ.get("NGROK_AUTHTOKEN", token) != token:
            self.config.auth_token = token  # nothing else is stronger than that variable

    def download(self, loop: asyncio.AbstractEventLoop) -> None:
        """Install the agent where pyngrok keeps it, telling how far it is."""
        from pyngrok import installer
        from pyngrok.exception import PyngrokError

        def tell(text: str) -> None:
            loop.call_soon_threadsafe(self._report, text)

        tell("ngrok's agent is not on this machine yet: downloading it, about 10 MB, once")
        try:
            with contextlib.redirect_stdout(Progress(sys.stdout, tell, lambda: self._stopped)):
                installer.install_ngrok(self.config.ngrok_path, self.config.ngrok_version, timeout=30)
        except (PyngrokError, OSError) as error:
            raise NetworkError(
                f"ngrok's agent could not be downloaded: {str(error).rpartition(': ')[2]}",
                "Install it yourself, so that `ngrok` is on PATH: https://ngrok.com/download",
            ) from None

    def start(self, address: str, domain: str | None) -> str:
        """Start the agent, open the address, and return it."""
        from pyngrok import ngrok
        from pyngrok.exception import PyngrokError, PyngrokNgrokError, PyngrokNgrokHTTPError

        options = {"schemes": ["https"], "inspect": False, **({"domain": domain} if domain else {})}
        name = f"aerobot-{address.rpartition(':')[2]}"
        try:
            opened = ngrok.connect(address, "http", name, self.config, **options)
            self._remember(None)
            return str(opened.public_url)
        except PyngrokNgrokHTTPError as error:
            raise explain(error.body, self._authtoken) from None
        except PyngrokNgrokError as error:
            raise explain(f"{_last_words(error)} {self._unread()}", self._authtoken) from None
        except (PyngrokError, ValueError) as error:
            raise ConfigError(f"pyngrok cannot use ngrok as it is set up here: {error}.") from None
        except OSError as error:
            path = self.config.ngrok_path
            raise ConfigError(
                f"{path} cannot be run: {error.strerror or error}.", "Is it ngrok's agent for this system?"
            ) from None
        finally:
            if self._stopped:
                self._kill()

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.proc.poll() is None

    def stop(self) -> None:
        """Kill the agent, also one that is still starting, and take its files away."""
        self._stopped = True
        self._kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _kill(self) -> None:
        from pyngrok import ngrok, process

        if self._killed:
            return  # what pyngrok runs by now is another tunnel's
        # Looked up past pyngrok's lock, which is held for as long as an agent that starts says nothing.
        held = process._current_processes.get(self.config.ngrok_path) or self._process  # noqa: SLF001
        if held is not None:
            self._killed = True
            with contextlib.suppress(OSError):
                held.proc.kill()
            held.proc.wait()
            ngrok.kill(self.config)
            _close_log(held)

    def _unread(self) -> str:
        """The errors in what an agent that ended at once has said, which pyngrok then reads no further."""
        process = self._process.proc if self._process else None
        if process is None or process.stdout is None or process.poll() is None:
            return ""
        with contextlib.suppress(OSError, ValueError):
            found = re.findall(r'\berr="((?:[^"\\]|\\.)*)"', process.stdout.read())
            return " ".join(dict.fromkeys(found[-2:]))
        return ""

    def _remember(self, _: object) -> None:
        from pyngrok import process

        self._process = process._current_processes.get(self.config.ngrok_path, self._process)  # noqa: SLF001


def _close_log(held: "NgrokProcess") -> None:
    """End pyngrok's reading of the agent's log, which it leaves open."""
    reader = held._monitor_thread  # noqa: SLF001
    if reader is not None:
        reader.join(timeout=2)
    if held.proc.stdout is not None:
        held.proc.stdout.close()


def _last_words(error: Any) -> str:
    told = [log.err for log in error.ngrok_logs if log.err and log.err != "<nil>"]
    return " ".join(dict.fromkeys([error.ngrok_error or "", *told[-2:], *([] if told else [str(error)])]))
