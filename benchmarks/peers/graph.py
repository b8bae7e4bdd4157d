"""A Graph that accepts whatever is sent, as cheaply as it can, and counts: what it costs is not what is measured.

``GET /`` tells how many messages were accepted, how many differ, how many read receipts came, and when the last did.
"""

import asyncio
import json
import re
import sys
import time

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
_TEXT = re.compile(rb'"body": ?"([^"]*)"')


class Counts:
    """What was accepted so far; ``last`` by the machine's monotonic clock."""

    def __init__(self) -> None:
        self.accepted = self.read = 0
        self.last = 0.0
        self.texts: set[bytes] = set()

    def document(self) -> bytes:
        """The counts as JSON."""
        return json.dumps(
            {"accepted": self.accepted, "different": len(self.texts), "read": self.read, "last": self.last}
        ).encode()


class Graph(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what can be written to."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._buffer, 0, end)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < size:
                return
            body, self._buffer = self._buffer[:size], self._buffer[size:]
            said = self._said(body, end)
            self._transport.write(_ANSWER % (len(said), said))  # type: ignore[attr-defined]

    def _said(self, request: bytes, end: int) -> bytes:
        counts = self._counts
        if request.startswith(b"GET"):
            return counts.document()
        if b'"status"' in request[end:]:
            counts.read += 1
            return b'{"success":true}'
        counts.accepted += 1
        counts.last = time.monotonic()
        text = _TEXT.search(request, end)
        counts.texts.add(text[1] if text else request[end:])
        return b'{"messaging_product":"whatsapp","messages":[{"id":"wamid.bench%d"}]}' % counts.accepted


async def main() -> None:
    """Listen until killed."""
    counts = Counts()
    server = await asyncio.get_running_loop().create_server(lambda: Graph(counts), "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
