"""Splitting, the session window, and the spellings of numbers."""

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from aerobot.whatsapp.rules import is_late, number_forms, short, split, units, window

HOUR = 3_600_000
NOW = 1_763_899_200_000

TEXTS = st.lists(
    st.sampled_from(
        [
            "a",
            "word",
            "Ende. ",
            "?! ",
            " ",
            "\n",
            "\n\n",
            "\r\n",
            "\t",
            "ü",
            "漢字",
            "😀",
            "👩‍👩‍👧",
            "🇩🇪",
            "e\u0301",
            "\u00a0",
        ]
    ),
    max_size=120,
).map("".join) | st.text(st.characters(), max_size=200)


@pytest.mark.parametrize("text", ["Hi", " padded ", "a\n\n b", "x" * 4096, "😀" * 2048, "a" * 4095 + "\n"])
def test_what_fits_stays_as_it_is(text: str) -> None:
    """Up to 4,096 UTF-16 code units nothing is changed, not even white space at the ends."""
    assert split(text) == (text,)


@pytest.mark.parametrize("text", ["", " ", "\n" * 9000])
def test_white_space_is_nothing_to_say(text: str) -> None:
    """Graph refuses blank messages, so there are none."""
    assert split(text) == ()


def test_an_emoji_counts_twice() -> None:
    """WhatsApp counts UTF-16 code units: 2,049 emoji are too long for one message."""
    assert [len(part) for part in split("😀" * 2049)] == [2048, 1]
    assert units("a😀") == 3


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("aaaa bbbbb\n\ncc dd. e\nff gg", ("aaaa bbbbb", "cc dd. e\nff gg")),
        ("aaaa bbbb cc\ndd. ee ff gg", ("aaaa bbbb cc", "dd. ee ff gg")),
        ("aaaa bbbb cc. dd ee ff gg", ("aaaa bbbb cc.", "dd ee ff gg")),
        ('aaaa bbbb "cc!" dd ee ff gg', ('aaaa bbbb "cc!"', "dd ee ff gg")),
        ("aaaa bbbb cc dd ee ff gg hh", ("aaaa bbbb cc dd ee", "ff gg hh")),
        ("aa\n\nbbbb cc dd ee ff gg hh", ("aa\n\nbbbb cc dd ee ff", "gg hh")),
        ("aaaa bbbbbbbbbbbbbbbbbbbb", ("aaaa", "bbbbbbbbbbbbbbbbbbbb")),
        ("a b" + "c" * 24, ("a", "b" + "c" * 19, "ccccc")),
        ("a" * 20 + " \n " + "b" * 5, ("a" * 20, "bbbbb")),
        ("a" * 25, ("a" * 20, "a" * 5)),
        (" " + "a" * 25, (" " + "a" * 19, "a" * 6)),
    ],
    ids=[
        "paragraph", "line", "sentence", "quoted-sentence", "word", "early-paragraph-loses", "early-space",
        "early-then-none", "space-at-the-limit", "none", "leading-space",
    ],
)  # fmt: skip
def test_where_a_text_is_cut(text: str, parts: tuple[str, ...]) -> None:
    """Paragraph before line before sentence before word in the second half, else the last white space."""
    assert split(text, 20) == parts


def test_no_cluster_is_cut() -> None:
    """Without white space a text is cut between grapheme clusters: families, flags and accents stay whole."""
    assert split("👩‍👩‍👧‍👦" * 3, 24) == ("👩‍👩‍👧‍👦" * 2, "👩‍👩‍👧‍👦")
    assert split("a🇩🇪🇫🇷🇮🇹", 8) == ("a🇩🇪", "🇫🇷🇮🇹")
    assert split("x" * 9 + "e\u0301z", 10) == ("x" * 9, "e\u0301z")


def test_a_cluster_longer_than_a_message_is_cut_all_the_same() -> None:
    """A letter under a mountain of accents is sent in parts; nothing of it is lost."""
    text = "a" + "\u0301" * 50
    parts = split(text, 20)
    assert "".join(parts) == text
    assert [units(part) for part in parts] == [20, 20, 11]


@given(TEXTS, st.integers(4, 60))
def test_nothing_but_white_space_is_lost(text: str, limit: int) -> None:
    """Parts are never too long or blank, come in order, and between them is only white space."""
    rest = text
    for part in split(text, limit):
        assert part.strip()
        assert units(part) <= limit
        gap, found, rest = rest.partition(part)
        assert found
        assert not gap.strip()
    assert not rest.strip()


@given(TEXTS, st.integers(24, 60))
def test_cuts_respect_clusters(text: str, limit: int) -> None:
    """Parts joined at the places where no white space was lost have the clusters of the whole text."""
    clusters = regex.findall(r"\X", "".join(text.split()))
    if any(units(cluster) > limit for cluster in clusters) or "\u0301" in text:
        return
    joined = [cluster for part in split(text, limit) for cluster in regex.findall(r"\X", part)]
    assert [c for c in "".join(joined) if not c.isspace()] == [c for c in text if not c.isspace()]


def test_a_long_book_is_split() -> None:
    """A text of a megabyte is split as well as a short one."""
    text = "All work and no play makes a dull bot. " * 26_000
    parts = split(text)
    assert all(part.endswith("bot.") for part in parts[:-1])
    assert " ".join(part.strip() for part in parts) == text.strip()


@pytest.mark.parametrize(
    ("age", "open_"),
    [
        (0, True),
        (24 * HOUR - 1, True),
        (24 * HOUR + 299_000, True),
        (24 * HOUR + 300_001, False),
        (-HOUR, True),
    ],
)
def test_the_window_closes_after_24_hours_and_5_minutes(age: int, open_: bool) -> None:
    """A window is called closed only when it surely is; its end is told without the grace."""
    found = window(NOW - age, NOW)
    assert (found.known, found.open, found.closes_at) == (True, open_, NOW - age + 24 * HOUR)


def test_an_unknown_window_is_tried() -> None:
    """Without a message of the user's nothing is known, and Meta decides."""
    found = window(None, NOW)
    assert (found.known, found.open, found.closes_at) == (False, True, None)


def test_a_late_message_is_one_whose_window_has_closed() -> None:
    """Messages without a time are never late."""
    assert is_late(NOW // 1000 - 24 * 3600 - 301, NOW)
    assert not is_late(NOW // 1000 - 24 * 3600 - 299, NOW)
    assert not is_late(None, NOW)


@pytest.mark.parametrize(
    ("digits", "forms"),
    [
        ("5491123456789", ("5491123456789", "541123456789")),
        ("541123456789", ("541123456789", "5491123456789")),
        ("5215512345678", ("5215512345678", "525512345678")),
        ("525512345678", ("525512345678", "5215512345678")),
        ("5531987654321", ("5531987654321", "553187654321")),
        ("553187654321", ("553187654321", "5531987654321")),
        ("553132654321", ("553132654321",)),
        ("5511932654321", ("5511932654321",)),
        ("16315554821", ("16315554821",)),
        ("US.48151623420070", ("US.48151623420070",)),
        ("", ("",)),
    ],
)
def test_the_spellings_of_a_number(digits: str, forms: tuple[str, ...]) -> None:
    """Mobiles of Argentina, Mexico and Brazil have two spellings; Brazilian landlines and all others one."""
    assert number_forms(digits) == forms


@pytest.mark.parametrize(
    ("who", "shown"),
    [("16315554821", "··4821"), ("US.48151623420070", "··0070"), ("12", "··12"), ("", "··")],
)
def test_a_user_is_shown_by_four_characters(who: str, shown: str) -> None:
    """No whole number stands on a terminal."""
    assert short(who) == shown
