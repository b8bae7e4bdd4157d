"""Media over real sockets: from Meta or the configured Graph alone, bounded, the token sent nowhere else."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from aerobot.errors import AerobotError, NetworkError, RemoteError, Repeat
from aerobot.secret import Secret
from aerobot.sender import Line, Sender, is_metas

TOKEN = "EAAG-token-of-this-test"
LINE = Line(phone_number_id="106540352242922", access_token=Secret(TOKEN))
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Place:
    """A server that notes who came with which Authorization."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.answers: dict[str, Handler] = {}

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.path, request.headers.get("Authorization", "")))
        handler = self.answers.get(request.path)
        return await handler(request) if handler else web.Response(status=404)

    def says(self, path: str, **answer: Any) -> None:
        async def answered(_: web.Request) -> web.Response:
            return web.Response(**answer)

        self.answers[path] = answered

    def points(self, url: object) -> None:
        """Media 7 lies there."""

        async def answered(_: web.Request) -> web.Response:
            return web.json_response({"messaging_product": "whatsapp", "url": url, "id": "7"})

        self.answers["/v25.0/7"] = answered


@pytest.fixture
async def graph() -> AsyncIterator[Place]:
    place = Place()
    await place.start()
    yield place
    await place.stop()


@pytest.fixture
async def stranger() -> AsyncIterator[Place]:
    place = Place()
    await place.start()
    yield place
    await place.stop()


@pytest.fixture
async def sender(graph: Place) -> AsyncIterator[Sender]:
    made = Sender(graph_url=graph.url, version="v25.0", timeout=5, media_most=1_000_000)
    await made.start()
    yield made
    await made.close()


async def test_media_is_opened_with_the_token(graph: Place, sender: Sender) -> None:
    """Its address is asked for, then fetched where the Graph that is configured says, if that is itself."""
    graph.points(f"{graph.url}/whatsapp_business/attachments/?mid=7&ext=1&hash=ARo_x%2F-y")
    graph.says("/whatsapp_business/attachments/", body=b"the bytes")
    assert await sender.open(LINE, "7") == b"the bytes"
    assert [auth for _, auth in graph.seen] == [f"Bearer {TOKEN}"] * 2


@pytest.mark.parametrize(
    "spelling",
    [
        "http://127.0.0.1:{stranger}/x", "http://localhost:{stranger}/x", "http://[::1]:{stranger}/x",
        "http://127.0.0.1:{graph}@127.0.0.1:{stranger}/x", "http://127.0.0.1:{stranger}\\@127.0.0.1:{graph}/x",
        "http://127.0.0.1:{stranger}#@127.0.0.1:{graph}/x", "http://127.0.0.1:{graph}.127.0.0.1:{stranger}/x",
        "https://127.0.0.1:{graph}/x", "//127.0.0.1:{stranger}/x", "/x", "x", "", None, 7, "http://[", "http://a:b/",
        "file:///etc/passwd", "http:// 127.0.0.1:{stranger}/x", "http://127.0.0.1:{stranger}/\r\nX: y",
    ],
)  # fmt: skip
async def test_no_other_address_is_called(graph: Place, stranger: Place, sender: Sender, spelling: object) -> None:
    """However the address is spelt, nobody but Graph hears of the token; the error names no secret."""
    given = spelling.format(graph=graph.port, stranger=stranger.port) if isinstance(spelling, str) else spelling
    graph.points(given)
    stranger.says("/x", body=b"stolen")
    with pytest.raises(RemoteError) as caught:
        await sender.open(LINE, "7")
    assert stranger.seen == []
    assert [path for path, _ in graph.seen] == ["/v25.0/7"]
    assert TOKEN not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(graph: Place, stranger: Place, sender: Sender, status: int) -> None:
    """Not with the token and not without it, not of the address and not of the bytes."""
    stranger.says("/x", body=b"stolen")
    graph.points(f"{graph.url}/file")
    graph.says("/file", status=status, headers={"Location": f"{stranger.url}/x"})
    with pytest.raises(RemoteError, match=str(status)):
        await sender.open(LINE, "7")
    graph.says("/v25.0/7", status=status, headers={"Location": f"{stranger.url}/x"})
    with pytest.raises(AerobotError):
        await sender.open(LINE, "7")
    assert stranger.seen == []


@pytest.mark.parametrize(
    "media_id",
    [
        "", ".", "..", "../..", "../me", "7/../8", "7?fields=x", "7#x", "%2e%2e", "7/messages", "a b", "7\r\nX: y",
        "\0", "é", "\u2025", "http://127.0.0.1/", "x" * 5000,
    ],
)  # fmt: skip
async def test_an_id_is_an_id_and_no_path(graph: Place, sender: Sender, media_id: str) -> None:
    """An id comes from a webhook: one that would lead elsewhere at Graph is not asked about."""
    with pytest.raises(AerobotError):
        await sender.open(LINE, media_id)
    assert graph.seen == []


async def test_the_ids_of_meta_and_of_the_emulator_are_ids(graph: Place, sender: Sender) -> None:
    """Digits, letters, and what stands between them."""
    for media_id in ("1003383421387256", "media.1", "ABC_def-9"):
        with pytest.raises(RemoteError):
            await sender.open(LINE, media_id)
    assert [path for path, _ in graph.seen] == ["/v25.0/1003383421387256", "/v25.0/media.1", "/v25.0/ABC_def-9"]


async def test_what_is_too_large_is_not_read_to_its_end(graph: Place, sender: Sender) -> None:
    """Announced or not, packed or not: the limit ends it, and just below it is taken."""
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            for _ in range(1000):
                await answer.write(b"x" * 100_000)
                sent += 100_000
        except (ConnectionError, asyncio.CancelledError):
            pass
        return answer

    graph.points(f"{graph.url}/file")
    graph.answers["/file"] = endless
    with pytest.raises(RemoteError, match="larger"):
        await sender.open(LINE, "7")
    assert sent < 50_000_000
    graph.says("/file", body=b"x" * 1_000_001)
    with pytest.raises(RemoteError, match="larger"):
        await sender.open(LINE, "7")
    graph.says("/file", body=gzip.compress(b"x" * 50_000_000), headers={"Content-Encoding": "gzip"})
    with pytest.raises(AerobotError):  # ours, or that of an aiohttp which unpacks no more than it was asked for
        await sender.open(LINE, "7")
    graph.says("/file", body=b"x" * 1_000_000)
    assert len(await sender.open(LINE, "7")) == 1_000_000


async def test_a_body_that_breaks_off_is_no_file(graph: Place, sender: Sender) -> None:
    """Half of it is nothing."""

    async def half(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        await answer.prepare(request)
        await answer.write(b"x" * 500)
        assert request.transport is not None
        request.transport.abort()
        return answer

    graph.points(f"{graph.url}/file")
    graph.answers["/file"] = half
    with pytest.raises(NetworkError):
        await sender.open(LINE, "7")


async def test_a_graph_that_is_silent_is_named(graph: Place) -> None:
    """An error says what it was, also where it has no words of its own."""
    released = asyncio.Event()

    async def silent(_: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    graph.answers["/v25.0/7"] = silent
    sender = Sender(graph_url=graph.url, version="v25.0", timeout=0.2)
    await sender.start()
    try:
        with pytest.raises(NetworkError, match=r"reached: \w*[Tt]imeout"):
            await sender.open(LINE, "7")
    finally:
        released.set()
        await sender.close()


# -- a token that is being changed ---------------------------------------------------------------------------


FORMER, NEW = "EAAG-former", "EAAG-new"
CHANGED = Line(phone_number_id=LINE.phone_number_id, access_token=Secret(NEW), previous_token=Secret(FORMER))
EXPIRED = '{"error": {"message": "(#190) expired", "code": 190}}'


class Changing:
    """Graph beside a sender; Meta takes the tokens of ``taken`` alone."""

    def __init__(self, graph: Place) -> None:
        self.graph = graph
        self.taken = {FORMER}
        self.told: list[str] = []
        self.sender = Sender(graph_url=graph.url, version="v25.0", timeout=5, tell=self.told.append)
        graph.answers[f"/v25.0/{LINE.phone_number_id}/media"] = self.guarded({"id": "media.1"})
        graph.answers["/v25.0/7"] = self.guarded({"url": f"{graph.url}/file"})
        graph.answers["/file"] = self.guarded(b"the bytes")

    def guarded(self, answer: object) -> Handler:
        async def answered(request: web.Request) -> web.Response:
            await request.read()
            if request.headers["Authorization"].removeprefix("Bearer ") not in self.taken:
                return web.Response(status=401, text=EXPIRED)
            return web.Response(body=answer) if isinstance(answer, bytes) else web.json_response(answer)

        return answered

    @property
    def calls(self) -> list[tuple[str, str]]:
        """What was called so far with which token, and begin anew."""
        calls = [(path.rpartition("/")[2], auth.removeprefix("Bearer ")) for path, auth in self.graph.seen]
        self.graph.seen.clear()
        return calls


@pytest.fixture
async def changing(graph: Place) -> AsyncIterator[Changing]:
    changing = Changing(graph)
    await changing.sender.start()
    yield changing
    await changing.sender.close()


async def test_an_upload_uses_the_token_that_meta_takes(changing: Changing, tmp_path: Path) -> None:
    """190 is followed by the number's other token, whichever that is; the file goes whole both times; it is told."""
    done: list[int] = []
    for number, taken in enumerate((FORMER, NEW)):
        file = tmp_path / f"{number}.png"
        file.write_bytes(b"\x89PNG" * 1000)
        changing.taken = {taken}
        assert await changing.sender.upload(CHANGED, file, progress=lambda so_far, _: done.append(so_far)) == "media.1"
        assert done[-1] == 4000
        assert changing.calls == [("media", NEW if taken == FORMER else FORMER), ("media", taken)]
    assert [words.rpartition(": ")[2] for words in changing.told] == [
        "access_token_previous is used",
        "access_token is used",
    ]


async def test_media_is_opened_with_the_token_that_meta_takes(changing: Changing) -> None:
    """Also where Meta lets go of a token between telling the address and giving the bytes."""
    assert await changing.sender.open(CHANGED, "7") == b"the bytes"
    assert changing.calls == [("7", NEW), ("7", FORMER), ("file", FORMER)]
    assert len(changing.told) == 1
    both = changing.guarded({"url": f"{changing.graph.url}/file"})

    async def address(request: web.Request) -> web.StreamResponse:
        answer = await both(request)
        changing.taken = {NEW}
        return answer

    changing.graph.answers["/v25.0/7"] = address
    assert await changing.sender.open(CHANGED, "7") == b"the bytes"
    assert changing.calls == [("7", FORMER), ("file", FORMER), ("file", NEW)]
    assert len(changing.told) == 2


async def test_media_that_no_token_opens(changing: Changing) -> None:
    """Each is tried once, and the error is Meta's; nothing is told to have changed."""
    changing.taken = set()
    with pytest.raises(RemoteError) as caught:
        await changing.sender.open(CHANGED, "7")
    assert (caught.value.status, caught.value.repeat) == (401, Repeat.BLOCKED)
    assert changing.calls == [("7", NEW), ("7", FORMER)]
    with pytest.raises(RemoteError):
        await changing.sender.open(LINE, "7")
    assert changing.calls == [("7", TOKEN)]
    assert changing.told == []


GRAPH = "https://graph.facebook.com/v25.0"


@pytest.mark.parametrize(
    "url",
    [
        "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1&ext=2&hash=x",
        "https://LOOKASIDE.fbsbx.com/x",
        "https://scontent.xx.fbcdn.net/v/t1?x=1",
        "https://mmg.whatsapp.net/d/f/x.enc",
        "https://lookaside.fbsbx.com:443/x",
        "https://graph.facebook.com/v25.0/x",
        "https://graph.facebook.com:443/x",
    ],
)
def test_metas_addresses(url: str) -> None:
    """The hosts from which Meta serves media, over https at its port, and Graph itself."""
    assert is_metas(url, GRAPH)


@pytest.mark.parametrize(
    "url",
    [
        "http://lookaside.fbsbx.com/x", "http://graph.facebook.com/x", "https://lookaside.fbsbx.com:8443/x",
        "https://lookaside.fbsbx.com.evil.example/x", "https://evilfbsbx.com/x", "https://fbcdn.net.evil.example/",
        "https://evil.example/lookaside.fbsbx.com", "https://evil.example?.fbsbx.com", "https://evil.example#.fbsbx.com",
        "https://lookaside.fbsbx.com@evil.example/x", "https://user:pw@lookaside.fbsbx.com/x",
        "https://evil.example\\.fbsbx.com/", "https://evil.example\\@lookaside.fbsbx.com/",
        "https://evil.example%2f.fbsbx.com/", "https://evil.example\t.fbsbx.com/", "https://lookaside.fbsbx.com./x",
        "https://lookaside.fbsbx.com:/x", "https://l.facebook.com/l.php?u=evil", "https://www.facebook.com/x",
        "https://graph.facebook.com:8443/x", "https://lookaside。fbsbx.com/", "https://ſcontent.fbcdn.net/",
        "ftp://lookaside.fbsbx.com/x", "javascript:alert(1)", "https://", "https://.fbsbx.com/", "https://-.fbsbx.com\n/",
    ],
)  # fmt: skip
def test_addresses_that_only_look_like_it(url: str) -> None:
    """Another host, port, scheme or user, and whatever two programs might read differently."""
    assert not is_metas(url, GRAPH)
