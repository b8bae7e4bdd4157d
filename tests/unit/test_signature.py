"""Handshake and signature: what is accepted, and what the operator is told about the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerobot.whatsapp.signature import Challenge, challenge, check

SECRET = "5f2b8c0e9d7a4136b1c2d3e4f5a60718"
OLD = "0123456789abcdef0123456789abcdef"
BODY = b'{"object":"whatsapp_business_account","entry":[]}'
# All digests here were made with: openssl dgst -sha256 -hmac KEY
GOOD = "sha256=513113c6e0655d90a1591ca4ee5faf9b1982e646aa197aafc2a1ab8a5b651e74"
BY_OLD = "sha256=eefab58106e73358686845848feb95c56372e7391b3dc050b6a31c8c5f347ece"
BY_STRANGER = "sha256=e8bbcb542d3f062c63cae6988c10a0cd8f76d31a9a5a6ddb31f2cbff057eadbd"

QUERY = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": "Blue-Lamp"}


def test_a_signature_by_our_secret_is_good() -> None:
    """HMAC-SHA256 over the raw body with the app secret is accepted."""
    verdict = check(BODY, GOOD, [SECRET])
    assert verdict.ok
    assert verdict.reason == ""


def test_a_signature_by_the_previous_secret_is_good() -> None:
    """While a secret is being changed, both the current and the previous one are accepted."""
    assert check(BODY, BY_OLD, [SECRET, OLD]).ok
    assert check(BODY, GOOD, [SECRET, OLD]).ok


def test_bytes_that_are_no_text_are_signed_as_they_are() -> None:
    """The signature covers bytes, whatever they mean."""
    header = "sha256=c3584916f2714cd08e937b00b1dff1bb9a6bd008b9d5280facc628fd6bf4c1cf"
    assert check(b"\xff\x00\xfe binary", header, [SECRET]).ok


def test_upper_case_digits_are_accepted() -> None:
    """Hexadecimal digits mean the same in upper case."""
    assert check(BODY, GOOD.upper(), [SECRET]).ok


@pytest.mark.parametrize(
    ("header", "sha1", "reason", "said"),
    [
        (None, None, "missing", "no X-Hub-Signature-256"),
        ("   ", None, "missing", "no X-Hub-Signature-256"),
        (None, "sha1=2fd4e1c67a2d28fced849ee1bb76e7391b93eb12", "sha1_only", "SHA-1"),
        ("sha1=2fd4e1c67a2d28fced849ee1bb76e7391b93eb12", None, "sha1_only", "SHA-1"),
        (GOOD.removeprefix("sha256="), None, "malformed", "does not begin with sha256="),
        (GOOD[:-1], None, "malformed", "63 digits instead of 64"),
        (GOOD[:-1] + "g", None, "malformed", "not hexadecimal"),
        ("sha256=" + "é" * 64, None, "malformed", "not hexadecimal"),
        ("sha256=\udcff", None, "malformed", "1 digits"),
        (BY_STRANGER, None, "mismatch", "a secret that is not ours"),
    ],
)
def test_a_signature_that_is_not_good_is_explained(
    header: str | None, sha1: str | None, reason: str, said: str
) -> None:
    """Whatever is wrong with the header has its own word and sentence."""
    verdict = check(BODY, header, [SECRET], sha1_header=sha1)
    assert not verdict.ok
    assert verdict.reason == reason
    assert said in verdict.detail
    assert verdict.remedy


@pytest.mark.parametrize("secrets", [[], [""]])
def test_without_a_secret_nothing_is_good(secrets: list[str]) -> None:
    """No secret, or an empty one, never makes a signature good."""
    empty_key = "sha256=" + "0" * 64
    assert check(BODY, empty_key, secrets).reason == "no_secret"


def test_a_changed_body_is_not_good() -> None:
    """One byte more is another message."""
    assert check(BODY + b" ", BY_STRANGER, [SECRET]).reason == "mismatch"


def test_a_body_that_got_lost_is_named() -> None:
    """A signed request whose body is empty points to whoever swallowed it."""
    assert check(b"", GOOD, [SECRET]).reason == "empty_body"


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (f" {SECRET}\n", "white space"),
        (f'"{SECRET}"', "quotation marks"),
        (SECRET.upper(), "lower case"),
    ],
)
def test_a_mistyped_secret_is_recognised(secret: str, said: str) -> None:
    """A secret pasted with white space, quotation marks or in capitals is refused, and named as the cause."""
    verdict = check(BODY, GOOD, [secret])
    assert not verdict.ok
    assert verdict.reason == "secret_spelling"
    assert said in verdict.detail


META = rb'{"text":"Gr\u00fc\u00dfe","url":"https:\/\/x.y\/z"}'
LIBRARY = '{"text":"Grüße","url":"https://x.y/z"}'.encode()


@pytest.mark.parametrize(
    ("body", "digest"),
    [
        (LIBRARY, "d414f30986df94d0f56882153870959b96f95f1c10496f84d8d56e6bb0477eb0"),
        (META, "92c6cdcb913a9260f076494ab9186002f5f2a2a69905db7ee78504107402fd83"),
        (META, "6b35827db13d35785d2b3c6970e487888af6f91494507f4388cc736b03b7fecd"),
        (META, "c1c1c803d3d53f470cbe8dc43893c7bc1814cb113f951d71ba89ff2eef7a9362"),
        (BODY, "7d2f9c9dfaa30ae9922323504604ccefd07f7af8be3e51e63a7e94f812370135"),
        (BODY, "27b8c54d21251d2b027d0b047fc0caef3270581ec913be85823732271be82fbc"),
    ],
    ids=["meta-then-rewritten", "compact", "spaced", "escaped", "entry-spaced", "line-feed"],
)
def test_a_body_that_was_written_again_is_recognised(body: bytes, digest: str) -> None:
    """The right secret over the same JSON in other bytes is refused, and named as the cause."""
    verdict = check(body, f"sha256={digest}", [SECRET])
    assert not verdict.ok
    assert verdict.reason == "rewritten"


@pytest.mark.parametrize("body", [b"[" * 5000, b"9" * 5000, b"\xff\xfe", b'"\\ud800"', b"{"])
def test_no_body_stops_the_explanation(body: bytes) -> None:
    """Bodies that are no JSON, too deep or too big for numbers are a plain mismatch."""
    assert check(body, BY_STRANGER, [SECRET]).reason == "mismatch"


@given(st.binary(max_size=200), st.one_of(st.none(), st.text(st.characters(), max_size=90)))
def test_no_header_raises(body: bytes, header: str | None) -> None:
    """Whatever the header is, there is a verdict; without the secret it is never good."""
    assert not check(body, header, [SECRET]).ok


def test_no_verdict_tells_the_secret() -> None:
    """Neither secret nor expected digest stands in anything that is printed."""
    for header in (None, "x", BY_STRANGER, GOOD[:-1]):
        said = repr(check(BODY, header, [SECRET + " "]))
        assert SECRET not in said
        assert GOOD[7:] not in said


def test_a_handshake_is_echoed() -> None:
    """The challenge comes back verbatim where the token is ours."""
    assert challenge(QUERY, "Blue-Lamp") == Challenge(ok=True, body="1158201444")


@pytest.mark.parametrize("text", ["007", "a b<c>", "9" * 5000, "ünï"])
def test_a_challenge_is_text(text: str) -> None:
    """Meta calls it a number here and a string there, so it is neither converted nor escaped."""
    assert challenge(QUERY | {"hub.challenge": text}, "Blue-Lamp").body == text


@pytest.mark.parametrize(
    ("query", "token", "reason", "said"),
    [
        (QUERY, "blue-lamp", "case", "upper and lower case"),
        (QUERY, "Blue-Lamp ", "white_space", "configured here"),
        (QUERY | {"hub.verify_token": " Blue-Lamp"}, "Blue-Lamp", "white_space", "came with white space"),
        (QUERY | {"hub.verify_token": "Größe\udcff"}, "Blue-Lamp", "mismatch", "not the one configured"),
        (QUERY, "", "no_verify_token", "No verify token is configured"),
        (QUERY | {"hub.mode": "unsubscribe"}, "Blue-Lamp", "mode", "not subscribe"),
        ({}, "Blue-Lamp", "missing", "hub.mode, hub.verify_token, hub.challenge"),
        (QUERY | {"hub.challenge": ""}, "Blue-Lamp", "missing", "without hub.challenge"),
    ],
)
def test_a_refused_handshake_is_explained(query: dict[str, str], token: str, reason: str, said: str) -> None:
    """A handshake that is not ours echoes nothing, and the operator learns why without seeing a token."""
    answer = challenge(query, token)
    assert (answer.ok, answer.body, answer.reason) == (False, "", reason)
    assert said in answer.detail
    assert "lamp" not in (answer.detail + answer.remedy).lower()


def test_the_secret_that_fits_is_named() -> None:
    """While an app secret is changed, whoever changes it wants to know which one Meta uses."""
    header = "sha256=419f84c3dfb1dabfe377f5a34859584b8faa83144c2a3b2b72a8c4ded4e293a6"
    assert [check(b"{}", header, secrets).fits for secrets in (["old", "new"], ["new", "old"])] == [0, 1]
