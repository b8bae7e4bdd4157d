"""Secrets print as stars, wherever they end up, and go nowhere in the clear."""

import copy
import json
import traceback
from dataclasses import dataclass

import pytest

from aerobot.secret import NAMES, Secret, is_loopback, masked, may_carry_secrets

VALUE = "EAAG-very-secret"


@dataclass(frozen=True)
class Holder:
    token: Secret
    name: str = "x"


def test_a_secret_prints_as_stars() -> None:
    """In every form in which a value gets into text."""
    secret = Secret(VALUE)
    forms = [repr(secret), str(secret), f"{secret}", f"{secret!r}", "%s" % secret, repr([secret]), repr({"a": secret})]  # noqa: UP031
    assert all(VALUE not in form and "***" in form for form in [*forms, repr(Holder(secret)), str(Holder(secret))])


def test_a_secret_is_given_only_by_name() -> None:
    """``reveal`` is the one way; JSON refuses it, and a traceback does not show it."""
    secret = Secret(VALUE)
    assert secret.reveal() == VALUE
    with pytest.raises(TypeError):
        json.dumps({"token": secret})
    with pytest.raises(TypeError):
        vars(secret)
    try:
        raise RuntimeError(f"it failed with {secret}")
    except RuntimeError:
        assert VALUE not in traceback.format_exc()


def test_secrets_compare_and_hash_by_value() -> None:
    """So that settings and bots that hold them can be compared, and an empty one counts as none."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert not Secret("")
    assert copy.copy(Secret("a")) == Secret("a")


@pytest.mark.parametrize("name", sorted(NAMES))
def test_fields_with_secret_names_are_masked(name: str) -> None:
    """At any depth, in any case, whatever their value is."""
    document = {"list": [{name: VALUE}, {name.upper(): VALUE}], "deep": {"deeper": {name: {"inner": VALUE}}}}
    assert VALUE not in json.dumps(masked(document))


def test_what_is_no_secret_stays() -> None:
    """Masking changes nothing else, not the original either; empty secrets stay visible as missing."""
    document = {"name": "Acme", "access_token": "", "verify_token": None, "n": [1, 2.5, True], "id": "x"}
    assert masked(document) == document
    given = {"platform_config": {"access_token": VALUE, "phone_number_id": "1"}, "tuple": (1, Secret(VALUE))}
    assert masked(given) == {"platform_config": {"access_token": "***", "phone_number_id": "1"}, "tuple": [1, "***"]}
    assert given["platform_config"] == {"access_token": VALUE, "phone_number_id": "1"}


@pytest.mark.parametrize(
    ("url", "stays"),
    [
        ("http://localhost:8080/x", True),
        ("http://127.0.0.1", True),
        ("http://127.9.9.9:1", True),
        ("http://[::1]:8080", True),
        ("http://LOCALHOST", True),
        ("http://127.0.0.1.evil.example", False),
        ("http://127.evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://127.0.0.1@evil.example", False),
        ("http://evil.example/127.0.0.1", False),
        ("http://0.0.0.0", False),
        ("http://192.168.1.1", False),
        ("127.0.0.1", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine_alone(url: str, stays: bool) -> None:
    """Names that only look like it are elsewhere."""
    assert is_loopback(url) is stays
    assert may_carry_secrets(url) is stays


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://graph.facebook.com", True),
        ("HTTPS://graph.facebook.com", True),
        ("http://graph.facebook.com", False),
        ("ftp://graph.facebook.com", False),
        ("graph.facebook.com", False),
    ],
)
def test_secrets_leave_over_https_alone(url: str, may: bool) -> None:
    """Plain http would show them to everybody on the way."""
    assert may_carry_secrets(url) is may


@pytest.mark.parametrize("url", ["http://[", "https://[::1", "http://[evil]/"])
def test_an_address_that_is_none_carries_nothing(url: str) -> None:
    """A broken address is refused, not an exception."""
    assert not is_loopback(url)
    assert not may_carry_secrets(url)
