"""Pictures that a bot sends as links: fetched when they are on this machine, never from anywhere else."""

import asyncio

import aiohttp

from aerobot.emulator.media import Files
from aerobot.emulator.phone import World
from aerobot.emulator.places import is_here

MOST = 16 * 1024 * 1024


class Links:
    """Fetches loopback links in the background, so that the phone can show them."""

    def __init__(self, world: World, files: Files) -> None:
        self._world = world
        self._files = files
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, session: aiohttp.ClientSession) -> None:
        """Use this client."""
        self._session = session

    def fetch(self, wamid: str, link: str) -> None:
        """Attach what is behind a link to a message, if that is on this machine and can be had."""
        if not is_here(link):
            return
        task = asyncio.ensure_future(self._run(wamid, link))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, wamid: str, link: str) -> None:
        assert self._session is not None
        patience = aiohttp.ClientTimeout(total=10)
        try:
            async with self._session.get(link, allow_redirects=False, timeout=patience) as response:
                data = await response.content.read(MOST + 1)
                while len(data) <= MOST and (more := await response.content.read(MOST)):
                    data += more
                if response.status == 200 and len(data) <= MOST:
                    file = self._files.add(data, response.content_type)
                    self._world.attach(wamid, file.id)
        except (TimeoutError, aiohttp.ClientError, ValueError, TypeError, OSError):
            return  # the phone shows the link itself

    async def stop(self) -> None:
        """Fetch nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
