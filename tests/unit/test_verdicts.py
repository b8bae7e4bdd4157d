"""The pure verdicts on credentials, numbers and webhooks."""

import dataclasses
from collections.abc import Iterator

import pytest

from aerobot.errors import NetworkError, Repeat
from aerobot.graph_admin import (
    App,
    AppSubscription,
    Callback,
    Callbacks,
    Finding,
    GraphError,
    Number,
    SubscribedApp,
    Token,
    Waba,
    forms,
    verdicts,
    worst,
)
from aerobot.graph_admin.finding import REMEDY, SEEN, when
from aerobot.graph_admin.values import MANAGEMENT, MESSAGING, Field, Granted
from aerobot.secret import Secret
from aerobot.whatsapp.messages import Failure

NOW = 1_800_000_000  # 2027-01-15 08:00 UTC
HOUR, DAY = 3600, 86_400
GOOD = Token(
    kind="SYSTEM_USER", app_id="982018266106360", application="Acme Bots", expires_at=0, scopes=(MESSAGING, MANAGEMENT)
)
LONG = "A name that is much longer than anybody would like to read on a line of eighty"
NUMBER = Number(
    id="155564639800631", display="+1 555-010-4477", mode="TEST", status="CONNECTED", quality="GREEN",
    platform_type="CLOUD_API",
)  # fmt: skip
WABA = Waba(id="213247980736555", name=LONG)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are shown in this machine's zone; the tests' is UTC."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def but(**changes: object) -> Token:
    return dataclasses.replace(GOOD, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("token", "name", "state", "seen"),
    [
        (GOOD, "token_life", "ok", "a system user's, does not expire"),
        (but(expires_at=None), "token_life", "ok", "a system user's, its end unknown"),
        (but(expires_at=NOW + 30 * DAY), "token_life", "ok", "a system user's, until 2027-02-14"),
        (but(expires_at=NOW + 2 * DAY), "token_dies_soon", "warning", "dies 2027-01-17"),
        (but(kind="USER", expires_at=NOW + HOUR), "token_temporary", "warning", "temporary, dies today 09:00"),
        (but(kind="USER", expires_at=NOW + DAY), "token_temporary", "warning", "temporary, dies tomorrow 08:00"),
        (but(kind="USER", expires_at=0), "token_life", "ok", "a person's, does not expire"),
        (but(kind="PAGE"), "token_kind", "failed", "is of the kind PAGE: it may not act for WhatsApp"),
        (but(expires_at=NOW - DAY), "token_expired", "failed", "expired yesterday 08:00"),
        (but(expires_at=NOW, valid=False), "token_expired", "failed", "expired today 08:00"),
        (but(valid=False), "token_invalid", "failed", "Meta says that it is not valid"),
    ],
)
def test_how_long_a_token_lives(token: Token, name: str, state: str, seen: str) -> None:
    """Lasting, temporary, dying, dead: each is said with its moment, and all but the first with the recipe."""
    found = verdicts.token_life(token, now=NOW)
    assert (found.name, found.state, found.seen) == (name, state, seen)
    assert bool(found.remedy) == (state != "ok")


@pytest.mark.parametrize(
    ("subcode", "name", "seen"),
    [
        (463, "token_expired", "The access token has expired"),
        (467, "token_invalid", "The access token was withdrawn or its user logged out"),
        (None, "token_invalid", "The access token is invalid or expired"),
    ],
)
def test_why_a_token_is_dead(subcode: int | None, name: str, seen: str) -> None:
    """Meta's subcode tells an expired token from one that was withdrawn."""
    found = verdicts.token_life(Token(valid=False, error=Failure(code=190, subcode=subcode)), now=NOW)
    assert (found.name, found.seen) == (name, seen)


@pytest.mark.parametrize(
    ("scopes", "state", "words"),
    [
        ((MESSAGING, MANAGEMENT), "ok", "may message and manage"),
        ((MANAGEMENT,), "failed", "lacks whatsapp_business_messaging: cannot send"),
        ((MESSAGING,), "warning", "lacks whatsapp_business_management: cannot set up"),
        (("email",), "failed", "lacks whatsapp_business_messaging and"),
        ((), "skipped", "does not tell"),
    ],
)
def test_what_a_token_may(scopes: tuple[str, ...], state: str, words: str) -> None:
    """Without messaging no bot works; without management it talks and cannot be set up."""
    found = verdicts.token_scopes(but(scopes=scopes))
    assert found.state == state
    assert words in found.seen
    granular = tuple(Granted(scope=scope, targets=None) for scope in scopes)
    assert verdicts.token_scopes(but(scopes=(), granular=granular)) == found


def test_whose_a_token_is() -> None:
    """A token of another app than the one we were told fails with both named."""
    assert verdicts.token_app(GOOD, GOOD.app_id).state == "ok"
    assert verdicts.token_app(GOOD, "").seen == "Acme Bots (982018266106360)"
    found = verdicts.token_app(GOOD, "111")
    assert found.name == "token_other_app"
    assert "982018266106360" in found.seen
    assert "whatsapp.app_id 982018266106360" in found.remedy


@pytest.mark.parametrize(
    ("targets", "state"), [(None, "ok"), (("2",), "ok"), (("1", "2"), "ok"), (("1",), "failed"), ((), "failed")]
)
def test_which_accounts_a_token_may_use(targets: tuple[str, ...] | None, state: str) -> None:
    """No list means every account; a list without ours means not ours."""
    token = but(granular=(Granted(scope=MANAGEMENT, targets=targets),))
    assert verdicts.token_reaches(token, "2").state == state


def test_whether_the_secret_fits() -> None:
    """A wrong one is said with what it would do."""
    assert verdicts.secret_fit(True, "Acme").state == "ok"
    found = verdicts.secret_fit(False, LONG)
    assert (found.name, found.state) == ("secret_wrong", "failed")
    assert found.seen.endswith("every webhook would be refused")


@pytest.mark.parametrize(
    ("ids", "kinds", "name", "seen"),
    [
        (("1", "2"), {}, "ids_in_place", "number 1"),
        (("1", "2"), {"phone_kind": "number", "waba_kind": "waba"}, "ids_in_place", "number 1"),
        (("1", "2"), {"phone_kind": "waba", "waba_kind": "number"}, "ids_swapped", "are swapped"),
        (("1", "2"), {"phone_kind": "waba"}, "ids_swapped", "are swapped"),
        (("1", "2"), {"waba_kind": "number"}, "ids_swapped", "are swapped"),
        (("1", "2"), {"phone_kind": "waba", "waba_kind": "waba"}, "ids_swapped", "phone_number_id holds the WABA's"),
        (("1", "2"), {"phone_kind": "number", "waba_kind": "number"}, "ids_swapped", "business_account_id holds a"),
        (("1", "1"), {}, "ids_swapped", "phone_number_id holds the WABA's id"),
        (("1", "2"), {"phone_kind": "other"}, "ids_wrong", "no phone number's id"),
    ],
)
def test_ids_in_each_others_place(ids: tuple[str, str], kinds: dict[str, str], name: str, seen: str) -> None:
    """The ids look alike; what they name tells which is in whose place."""
    found = verdicts.ids_in_place(*ids, **kinds)  # type: ignore[arg-type]
    assert found.name == name
    assert seen in found.seen


@pytest.mark.parametrize(
    ("changes", "name", "state", "words"),
    [
        ({}, "number_works", "ok", "+1 555-010-4477, TEST, connected, GREEN"),
        ({"quality": "UNKNOWN", "mode": "LIVE"}, "number_works", "ok", "+1 555-010-4477, LIVE, connected"),
        ({"status": "", "platform_type": ""}, "number_works", "ok", "+1 555-010-4477, TEST, GREEN"),
        ({"display": "", "mode": ""}, "number_works", "ok", "155564639800631, connected, GREEN"),
        ({"platform_type": "NOT_APPLICABLE"}, "number_unregistered", "failed", "NOT registered"),
        ({"status": "DISCONNECTED"}, "number_disconnected", "failed", "DISCONNECTED: it cannot"),
        ({"status": "BANNED"}, "number_disconnected", "failed", "BANNED"),
        ({"status": "FLAGGED"}, "number_limited", "warning", "quality is low"),
        ({"status": "RESTRICTED"}, "number_limited", "warning", "restricted"),
        ({"quality": "RED"}, "number_quality", "warning", "quality RED"),
        ({"quality": "YELLOW"}, "number_works", "ok", "YELLOW"),
    ],
)
def test_what_a_number_can(changes: dict[str, str], name: str, state: str, words: str) -> None:
    """Unregistered and disconnected numbers fail, limited and ill-reputed ones warn; what is not told is not judged."""
    found = verdicts.number_works(dataclasses.replace(NUMBER, **changes))  # type: ignore[arg-type]
    assert (found.name, found.state) == (name, state)
    assert words in found.seen


def test_whether_the_number_is_the_accounts() -> None:
    """If not, those that it has are named."""
    assert verdicts.number_in_waba(NUMBER.id, WABA, [NUMBER]).state == "ok"
    found = verdicts.number_in_waba("404", WABA, [NUMBER])
    assert found.name == "number_not_in_waba"
    assert NUMBER.id in found.remedy
    assert verdicts.account(WABA, [NUMBER]).seen.endswith("(213247980736555), 1 number")
    assert verdicts.account(WABA, []).state == "warning"


def test_whether_the_account_feeds_the_app() -> None:
    """The most common silent death is said in capitals, with the call that heals it."""
    assert verdicts.app_subscribed(SubscribedApp(id="1", name="Acme"), "Acme", WABA.id).state == "ok"
    found = verdicts.app_subscribed(None, "Acme Bots", WABA.id)
    assert found.seen == 'app "Acme Bots" is NOT subscribed: no message can arrive'
    assert found.remedy == "aerobot doctor --fix (will POST /213247980736555/subscribed_apps)"


@pytest.mark.parametrize(
    ("subscription", "seen"),
    [
        (AppSubscription(object="o", fields=(Field(name="messages"),)), "messages on"),
        (AppSubscription(object="o", fields=(Field(name="flows"),)), "messages is not subscribed at app level"),
        (AppSubscription(object="o", fields=(Field(name="messages"),), active=False), "messages is inactive"),
        (None, "messages is not subscribed at app level"),
    ],
)
def test_whether_the_app_wants_messages(subscription: AppSubscription | None, seen: str) -> None:
    """Without the field at app level no override brings a message."""
    found = verdicts.field_subscribed(subscription)
    assert found.seen.startswith(seen)
    assert found.name == ("field_on" if seen == "messages on" else "field_missing")


@pytest.mark.parametrize(
    ("skew", "state", "seen"),
    [
        (None, "skipped", "skipped: nothing answered with a date"),
        (0.4, "ok", "right"),
        (-40.0, "ok", "40 s behind"),
        (299.0, "ok", "299 s ahead"),
        (301.0, "warning", "5 min ahead"),
        (-5400.0, "failed", "90 min behind"),
        (9 * 3600.0, "failed", "9 h ahead"),
        (-400 * DAY, "failed", "400 days behind"),
    ],
)
def test_how_wrong_a_clock_may_be(skew: float | None, state: str, seen: str) -> None:
    """Five minutes are borne, an hour does harm."""
    found = verdicts.clock(skew)
    assert found.state == state
    assert found.seen.startswith(seen)


# -- the look of secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("EAAGm0PX4ZCpsBA", ""),
        ("", "is empty"),
        ("EAAB\n", "ends with a line break"),
        ("EAAB ", "ends with white space"),
        ("\r\nEAAB", "begins with a line break"),
        ("EAA B", "has white space inside"),
        ("EAA\nB", "has a line break inside"),
        ('"EAAB"', "stands in quotation marks"),
        ("EAA\u200bB", "has characters that no credential has"),
        ("Bearer-EAAB", 'begins with "Bearer": that word is not part of it'),
        ("eyJhbGciOi.eyJzdWIi.sig", "is a JWT, perhaps Aerostack's login, not Meta's token"),
        ("0123456789abcdef0123456789abcdef", "looks like the app secret"),
        ("1029384756|0123456789abcdef", "is the app's own token, which may not act for WhatsApp"),
        ("1029384756", "is a number: an id in the token's place?"),
    ],
)
def test_the_look_of_an_access_token(value: str, problem: str) -> None:
    """Only what is surely none is named; tokens have no form."""
    found = forms.access_token(Secret(value))
    assert (found.state, found.seen) == (("failed", problem) if problem else ("ok", "looks whole"))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("0123456789abcdef0123456789abcdef", ""),
        ("0123456789abcdef0123456789abcdef\n", "ends with a line break"),
        ("0123456789ABCDEF0123456789ABCDEF", "has capitals; Meta's are in lower case"),
        ("0123456789abcdef", "has 16 characters; Meta's have 32"),
        ("0123456789abcdef0123456789abcdeg", "has other characters than 0-9 and a-f"),
        ("EAAGm0PX4ZCpsBA", "looks like an access token"),
    ],
)
def test_the_look_of_an_app_secret(value: str, problem: str) -> None:
    """It has 32 hexadecimal digits in lower case; a slip of copying is named."""
    found = forms.app_secret(Secret(value))
    assert found.name == "app_secret_form"
    assert (found.state, found.seen) == (("failed", problem) if problem else ("ok", "looks whole"))


@pytest.mark.parametrize(
    ("value", "state", "problem"),
    [
        ("k7QdP0wZr3n8", "ok", "looks whole"),
        ("k7QdP0wZr3n8\n", "failed", "ends with a line break"),
        ("hello", "warning", "has 5 characters: easily guessed"),
        ("k7Qd+P0w&r3n8", "warning", "has characters that some programs lose in an address"),
        ("x" * 300, "failed", "is longer than 255 characters"),
    ],
)
def test_the_look_of_a_verify_token(value: str, state: str, problem: str) -> None:
    """Whole, long enough, and safe in an address."""
    found = forms.verify_token(Secret(value))
    assert (found.state, found.seen) == (state, problem)


# -- findings ------------------------------------------------------------------------------------------------


def test_errors_become_findings() -> None:
    """No network is a warning, Meta's no fails under the name of its cause, else of its code."""
    offline = verdicts.of_error("number", NetworkError("Nothing listens.", "Check it."))
    assert (offline.state, offline.name) == ("warning", "unreachable")
    refused = GraphError("No.", "Do.", repeat=Repeat.NEVER, failure=Failure(code=131031))
    assert verdicts.of_error("number", refused).name == "refused_131031"
    named = GraphError("No.", "Do.", repeat=Repeat.NEVER, cause="not_there")
    found = verdicts.of_error("WABA", named)
    assert (found.name, found.topic, found.state) == ("not_there", "WABA", "failed")
    assert (found.seen, found.remedy) == ("No.", "Do.")


def test_the_worst_comes_first() -> None:
    """A failure beats a warning, and what is fine is nothing to mention."""
    fine, warned, failed = (
        Finding(name=state, topic="t", state=state, seen="") for state in ("ok", "warning", "failed")
    )
    assert worst([fine, warned, failed, warned]) is failed
    assert worst([fine, warned]) is warned
    assert worst([fine]) is None


def test_a_moment_is_said_as_people_say_it() -> None:
    """Near days by name, far ones by date, and no moment is too late for a calendar."""
    assert when(NOW + 12 * HOUR, NOW) == "today 20:00"
    assert when(NOW + 20 * HOUR, NOW) == "tomorrow 04:00"
    assert when(NOW + 90 * DAY, NOW) == "2027-04-15"
    assert when(99_999_999_999_999, NOW).startswith("9999-")


def all_findings() -> Iterator[Finding]:
    """Every verdict at its longest."""
    token = but(application=LONG, granular=(Granted(scope=MANAGEMENT, targets=("213247980736555",)),))
    for end in (None, 0, NOW + 30 * DAY, NOW + DAY, NOW - DAY):
        for kind in ("SYSTEM_USER", "USER", "PAGE"):
            yield verdicts.token_life(but(kind=kind, expires_at=end), now=NOW)
    yield from (verdicts.token_scopes(but(scopes=scopes)) for scopes in ((MESSAGING,), (MANAGEMENT,), ("x",), ()))
    yield from (verdicts.token_app(token, "111111111111111"), verdicts.token_reaches(token, "999999999999999"))
    yield verdicts.secret_fit(False, LONG)
    for kind_a, kind_b in (("waba", ""), ("waba", "waba"), ("number", "number"), ("other", "")):
        yield verdicts.ids_in_place("1" * 15, "2" * 15, phone_kind=kind_a, waba_kind=kind_b)  # type: ignore[arg-type]
    for status in ("CONNECTED", "FLAGGED", "RESTRICTED", "RATE_LIMITED", "DISCONNECTED", "UNVERIFIED"):
        yield verdicts.number_works(dataclasses.replace(NUMBER, status=status, quality="RED"))
    yield verdicts.number_works(dataclasses.replace(NUMBER, platform_type="NOT_APPLICABLE"))
    yield from (verdicts.account(WABA, []), verdicts.account(WABA, [NUMBER] * 12))
    yield from (verdicts.number_in_waba("4" * 15, WABA, []), verdicts.number_in_waba("4" * 15, WABA, [NUMBER]))
    yield from (verdicts.app_subscribed(None, LONG, WABA.id), verdicts.field_subscribed(None))
    yield from (verdicts.clock(skew) for skew in (None, 400.0, -40 * DAY))
    for secret in ("", "a\n", "a b", "eyJ.a.b", "1|2", "Bearer x", "x" * 300, "f" * 32, "F" * 32, "a+b&c"):
        yield from (form(Secret(secret)) for form in (forms.access_token, forms.app_secret, forms.verify_token))


def test_a_finding_is_one_line_with_one_remedy() -> None:
    """Mark, topic and words fit into 80 columns uncut, the remedy too; what is not fine has one."""
    for found in all_findings():
        assert len(found.topic) <= 9
        assert len(found.seen) <= SEEN, found
        assert len(found.remedy) <= REMEDY, found
        assert not found.seen.endswith("…"), found
        assert "…" not in found.remedy, found
        assert found.remedy or found.state in ("ok", "skipped"), found
        assert found.link.startswith("https://") or not found.link
        assert "\n" not in found.seen + found.remedy


# -- values --------------------------------------------------------------------------------------------------


def test_the_narrowest_callback_is_in_force() -> None:
    """Phone before WABA before app; none set is none."""
    assert Callbacks().in_force is None
    assert Callbacks(app="a").in_force == Callback(level="app", url="a")
    assert Callbacks(app="a", waba="w").in_force == Callback(level="waba", url="w")
    assert Callbacks(app="a", waba="w", phone="p").in_force == Callback(level="phone", url="p")


def test_values_are_values() -> None:
    """They compare by content and cannot be changed."""
    assert App(id="1") == App(id="1", name="")
    with pytest.raises(dataclasses.FrozenInstanceError):
        App(id="1").id = "2"  # type: ignore[misc]
