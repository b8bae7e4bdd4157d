"""What people's handlers are given and may return: the public API of ``aerobot.bot``."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

import aerobot.bot
from aerobot.bot import (
    Attachment,
    Audio,
    Button,
    Buttons,
    Contact,
    Conversation,
    Document,
    Image,
    Link,
    List,
    Location,
    LocationRequest,
    Message,
    Reaction,
    ReplyError,
    Router,
    Row,
    Section,
    Sticker,
    Template,
    Text,
    Turn,
    Video,
    replies,
)
from aerobot.errors import AerobotError


def turn(text: str = "Hi", *, kind: str = "text", choice: str = "", more: tuple[str, ...] = ()) -> Turn:
    messages = [Message(id=f"m{n}", kind="text", text=before) for n, before in enumerate(more)]
    last = Message(id="last", kind=kind, text=text, choice=choice)
    return Turn(messages=(*messages, last), conversation=Conversation(id=1, bot_id="bt"))


# -- what may be returned ------------------------------------------------------------------------------------


def generated() -> Iterator[object]:
    yield "a"
    yield None
    yield [Text("b"), ""]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, []),
        ("", []),
        (" \n\t", []),
        ("Hi", ["Hi"]),
        (Text("Hi"), ["Hi"]),
        (["a", Text("b"), None, ["c", ("d",)]], ["a", "b", "c", "d"]),
        ((), []),
        (generated(), ["a", "b"]),
        (Buttons("Which?", ["A", "B"]), ["Which?\n[A] [B]"]),
    ],
)
def test_an_answer_becomes_replies(answer: object, said: list[str]) -> None:
    """Text, replies, several of them, nested or generated, or nothing; empty text is nothing."""
    assert [reply.said for reply in replies(answer)] == said


@pytest.mark.parametrize("answer", [42, 1.5, True, b"bytes", {"text": "Hi"}, object(), ["fine", 42], print])
def test_anything_else_is_an_error_that_names_it(answer: object) -> None:
    """The handler's author learns what was returned and what may be."""
    with pytest.raises(ReplyError) as caught:
        replies(answer)
    assert "aerobot.bot" in caught.value.hint
    culprit = answer[-1] if isinstance(answer, list) else answer
    assert type(culprit).__name__ in caught.value.message


def test_everything_that_is_promised_can_be_imported() -> None:
    """``__all__`` is the documentation's list."""
    assert all(hasattr(aerobot.bot, name) for name in aerobot.bot.__all__)


# -- limits --------------------------------------------------------------------------------------------------

E = "👍"  # two of Meta's characters

GOOD: list[Callable[[], object]] = [
    lambda: Text("x" * 100_000),
    lambda: Button("x" * 20, "i" * 256),
    lambda: Button(E * 10),
    lambda: Buttons("x" * 1024, ["A", "B", "C"], header="h" * 60, footer="f" * 60),
    lambda: Row("x" * 24, "d" * 72, "i" * 200),
    lambda: Section("", ["A"]),
    lambda: Section("x" * 24, [f"{n}" for n in range(10)]),
    lambda: List("x" * 4096, "b" * 20, [f"{n}" for n in range(10)]),
    lambda: List("x", "b", [Section("1", ["A"]), Section("2", ["B"])], header="h" * 60, footer="f" * 60),
    lambda: Image(link="https://example.com/a.png", caption="c" * 1024),
    lambda: Video(id="1"),
    lambda: Audio(path="a.ogg"),
    lambda: Document(link="https://example.com/a.pdf", filename="a.pdf"),
    lambda: Sticker(id="1"),
    lambda: Location(90, -180, name="n", address="a"),
    lambda: LocationRequest("x" * 1024),
    lambda: Link("x" * 1024, "t" * 20, "https://example.com"),
    lambda: Contact("Ana", "+31612345678"),
    lambda: Reaction("wamid.1", ""),
    lambda: Template("hello_world"),
]

BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: Text(""), "empty"),
    (lambda: Text(" \n"), "empty"),
    (lambda: Text(42), "int"),  # type: ignore[arg-type]
    (lambda: Button(""), "title"),
    (lambda: Button("x" * 21), "20"),
    (lambda: Button(E * 10 + "x"), "20"),
    (lambda: Button("x", "i" * 257), "256"),
    (lambda: Buttons("", ["A"]), "text"),
    (lambda: Buttons("x" * 1025, ["A"]), "1024"),
    (lambda: Buttons("x", []), "1 to 3"),
    (lambda: Buttons("x", ["A", "B", "C", "D"]), "1 to 3"),
    (lambda: Buttons("x", ["A", "A"]), "differ"),
    (lambda: Buttons("x", [Button("A", "1"), Button("B", "1")]), "differ"),
    (lambda: Buttons("x", ["A"], header="h" * 61), "header"),
    (lambda: Buttons("x", ["A"], footer="f" * 61), "footer"),
    (lambda: Row(""), "title"),
    (lambda: Row("x" * 25), "24"),
    (lambda: Row("x", "d" * 73), "72"),
    (lambda: Row("x", id="i" * 201), "200"),
    (lambda: Section("x" * 25, ["A"]), "24"),
    (lambda: Section("x", []), "1 to 10"),
    (lambda: List("x" * 4097, "b", ["A"]), "4096"),
    (lambda: List("x", "", ["A"]), "button"),
    (lambda: List("x", "b" * 21, ["A"]), "20"),
    (lambda: List("x", "b", []), "1 to 10"),
    (lambda: List("x", "b", [f"{n}" for n in range(11)]), "1 to 10"),
    (lambda: List("x", "b", [Section("1", [*"ABCDEF"]), Section("2", [*"GHIJKL"])]), "1 to 10"),
    (lambda: List("x", "b", [Section("1", ["A"]), "B"]), "not both"),
    (lambda: List("x", "b", [Section("", ["A"]), Section("2", ["B"])]), "title"),
    (lambda: List("x", "b", ["A", "A"]), "differ"),
    (lambda: Image(), "exactly one"),
    (lambda: Image(link="https://x", id="1"), "exactly one"),
    (lambda: Image(link="ftp://x"), "https://"),
    (lambda: Image(link="javascript:x"), "https://"),
    (lambda: Document(id="1", caption="c" * 1025), "1024"),
    (lambda: Location(91, 0), "latitude"),
    (lambda: Location(0, -181), "longitude"),
    (lambda: Location(float("nan"), 0), "latitude"),
    (lambda: LocationRequest(""), "text"),
    (lambda: Link("x", "t" * 21, "https://x"), "20"),
    (lambda: Link("x", "t", "example.com"), "https://"),
    (lambda: Contact(""), "name"),
]


@pytest.mark.parametrize("make", GOOD, ids=range(len(GOOD)))
def test_whatever_whatsapp_takes_can_be_said(make: Callable[[], object]) -> None:
    """Every kind of reply, at its limits."""
    assert len(replies(make())) == 1 if not isinstance(make(), Button | Row | Section) else True


@pytest.mark.parametrize(("make", "word"), BAD, ids=range(len(BAD)))
def test_whatever_whatsapp_refuses_is_refused_where_it_is_made(make: Callable[[], object], word: str) -> None:
    """The error names the field and its limit, before anything is sent; an emoji counts as two characters."""
    with pytest.raises(ReplyError, match=word):
        make()


# -- turns ---------------------------------------------------------------------------------------------------


def test_a_turn_says_what_was_said() -> None:
    """``text`` is all messages, one a line; ``message`` is the last."""
    asked = turn("three", more=("one", "two"))
    assert asked.text == "one\ntwo\nthree"
    assert asked.message.id == "last"


async def test_a_turn_opens_media_for_sync_and_async_handlers() -> None:
    """``open`` is awaited, ``read`` blocks; both give the bytes or the error."""

    def opener(attachment: Attachment) -> "Future[bytes]":
        future: Future[bytes] = Future()
        future.set_result(attachment.id.encode())
        return future

    asked = Turn(messages=turn().messages, conversation=turn().conversation, opener=opener)
    picture = Attachment(kind="image", id="123")
    assert await asked.open(picture) == b"123"
    assert asked.read(picture) == b"123"
    with pytest.raises(AerobotError):
        turn().read(picture)


# -- the router ----------------------------------------------------------------------------------------------


@pytest.fixture
def router() -> Router:
    router = Router()

    @router.on("help", " Menu ")
    def menu(turn: Turn) -> str:
        return "menu"

    @router.matching(r"order (\d+)")
    async def order(turn: Turn) -> list[str]:
        return ["order", turn.text]

    @router.kind("image", "document")
    def file(turn: Turn) -> Iterator[str]:
        yield "file"

    @router.on("order 1")
    def never(turn: Turn) -> str:
        return "the first that fits answers"

    return router


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (turn("HELP"), ["menu"]),
        (turn("  menu\n"), ["menu"]),
        (turn("Get help", choice="help"), ["menu"]),
        (turn("my ORDER 12 please"), ["order", "my ORDER 12 please"]),
        (turn("order 1"), ["order", "order 1"]),
        (turn("[Image]", kind="image"), ["file"]),
        (turn("help me"), []),
        (turn("help", more=("order 7",)), ["menu"]),
        (turn(""), []),
    ],
)
async def test_the_first_rule_that_fits_answers(router: Router, asked: Turn, said: list[str]) -> None:
    """By text or tapped id, by pattern, by kind, of the last message; without one that fits nothing is said."""
    assert [reply.said for reply in await router(asked)] == said


async def test_otherwise_answers_the_rest(router: Router) -> None:
    """And a decorated handler stays what it was."""

    @router.otherwise
    def anything(turn: Turn) -> str:
        return "what?"

    assert anything(turn()) == "what?"
    assert [reply.said for reply in await router(turn("xyz"))] == ["what?"]
    assert router.handler_for(turn("xyz")) is anything
