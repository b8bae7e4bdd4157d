"""The load generator, a process of its own: keep-alive connections, each with one request under way at a time.

    python -m benchmarks.load --url http://127.0.0.1:8460/path --bodies FILE --connections 64 --seconds 5

It prints one JSON document: answered, refused, seconds, the median and 99th percentile in milliseconds. With ``--rate``
it sends so many a second, no faster, and counts those that no connection was free for as they come due.
"""

import argparse
import asyncio
import contextlib
import json
import re
import statistics
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TICK = 0.005


def requests(path: Path, url: str, most: int) -> list[bytes]:
    """Up to ``most`` (0: all) whole HTTP requests, made before the clock runs."""
    address = urlsplit(url)
    head = f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nUser-Agent: facebookexternalua\r\n"
    head += "Accept: */*\r\nContent-Type: application/json\r\nContent-Length: %d\r\nX-Hub-Signature-256: %s\r\n\r\n"
    found = []
    with path.open("rb") as file:
        for line in file:
            signature, _, body = line.rstrip(b"\n").partition(b" ")
            found.append((head % (len(body), signature.decode())).encode() + body)
            if len(found) == most:
                break
    return found


class Feed:
    """Hands out requests until the time or they are over, and takes the answers."""

    def __init__(self, waiting: list[bytes], seconds: float, rate: float) -> None:
        self._next: Iterator[bytes] = iter(waiting)
        self._rate = rate
        self._sent = 0
        self._idle: deque[Caller] = deque()
        self._open = 0
        self._seconds = seconds
        self.started = self.ended = 0.0
        self.answered = self.refused = 0
        self.times: list[float] = []
        self.over = asyncio.Event()

    async def run(self, callers: list["Caller"]) -> None:
        """Let all begin, and wait until each has its last answer."""
        self.started = time.perf_counter()
        self._open = len(callers)
        for caller in callers:
            self.serve(caller)
        while not self.over.is_set() and self._rate:
            await asyncio.sleep(_TICK)
            for _ in range(len(self._idle)):
                self.serve(self._idle.popleft())
        await self.over.wait()

    def serve(self, caller: "Caller") -> None:
        """Give a connection its next request, let it wait for one, or let it go."""
        now = time.perf_counter()
        if self._rate and self._sent > (now - self.started) * self._rate and now < self.started + self._seconds:
            self._idle.append(caller)
            return
        request = next(self._next, None) if now < self.started + self._seconds else None
        if request is None:
            self.leave()
            return
        self._sent += 1
        caller.say(request, now)

    def leave(self) -> None:
        """A connection has nothing more to do, or is gone."""
        self._open -= 1
        if self._open == 0:
            self.ended = time.perf_counter()
            self.over.set()


class Caller(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._buffer = b""
        self._asked = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what can be written to."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]

    def say(self, request: bytes, now: float) -> None:
        """Send one request."""
        assert self._transport is not None
        self._asked = now
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take an answer, whole or in pieces, then go on."""
        data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        length = _LENGTH.search(data, 0, end) if end >= 0 else None
        if length is None or len(data) < end + 4 + int(length[1]):
            self._buffer = data
            return
        self._buffer = b""
        feed = self._feed
        feed.times.append(time.perf_counter() - self._asked)
        if data.startswith(b"HTTP/1.1 200 "):
            feed.answered += 1
        else:
            feed.refused += 1
        self._asked = 0.0
        feed.serve(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that ends while it waits for an answer was refused one."""
        if self._asked:
            self._feed.refused += 1
            self._feed.leave()


async def measure(url: str, waiting: list[bytes], *, connections: int, seconds: float, rate: float) -> dict[str, float]:
    """Send for so many seconds, or until all is sent, and count."""
    address = urlsplit(url)
    feed = Feed(waiting, seconds, rate)
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Caller(feed), address.hostname, address.port) for _ in range(connections)
    ]
    started = time.monotonic()
    await feed.run([caller for _, caller in made])
    for transport, _ in made:
        transport.close()
    times = sorted(feed.times) or [float("nan")]
    return {
        "answered": feed.answered,
        "refused": feed.refused,
        "started": started,
        "seconds": feed.ended - feed.started,
        "median_ms": statistics.median(times) * 1000,
        "p99_ms": times[int(len(times) * 0.99)] * 1000,
    }


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--bodies", type=Path, required=True)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second; 0: as fast as they are answered")
    parser.add_argument("--most", type=int, default=0, help="requests at most; 0: all of the file")
    given = parser.parse_args()
    waiting = requests(given.bodies, given.url, given.most)
    with contextlib.suppress(ImportError):  # the faster the generator, the more of the machine is the server's
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    found = measure(given.url, waiting, connections=given.connections, seconds=given.seconds, rate=given.rate)
    print(json.dumps(asyncio.run(found)))


if __name__ == "__main__":
    main()
