"""docs/emulator.md tells the truth: every setting, call, kind of call and special recipient stands in it."""

import re
from pathlib import Path

import pytest

from aerobot.emulator.control_phones import ControlPhones
from aerobot.emulator.control_world import ControlWorld
from aerobot.emulator.credentials import Credentials
from aerobot.emulator.environment import environment
from aerobot.emulator.presets import CALLS, PRESETS, SPECIAL
from aerobot.emulator.server import Emulator
from aerobot.emulator.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text("utf-8")


@pytest.mark.parametrize("name", sorted(Settings().document()))
def test_settings(name: str) -> None:
    """Each by its name, in the table."""
    assert re.search(rf"^\| .*`{name}`.* \|", PAGE, re.MULTILINE)


def test_defaults() -> None:
    """The defaults of the table are those of the code."""
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| ([^|]+) \| ", PAGE, re.MULTILINE)
    told = {name: default.strip() for names, default in rows for name in re.findall(r"`([a-z_]+)`", names)}
    for name, value in Settings().document().items():
        if isinstance(value, list):
            assert told[name] == ", ".join(f"{one:g}" for one in value)
        elif not name.endswith("_delay"):
            assert told[name] == (
                str(value).lower()
                if isinstance(value, bool)
                else f"{value:g}"
                if isinstance(value, float)
                else str(value)
            )
    assert told["sent_delay"] == "0.05, 0.05, 0.1"


def test_calls_of_the_control_api() -> None:
    """Each route stands there with its method."""
    emulator = Emulator(seed=1)
    for method, path, _ in (*ControlPhones(emulator).routes(), *ControlWorld(emulator).routes()):
        known = re.search(rf"`[A-Z, `]*\b{method}\b[^|]*?{re.escape(path)}[`\[?]", PAGE)
        assert known, (method, path)


def test_variables() -> None:
    """Each that --print env prints, ours by their prefix."""
    credentials = Credentials(
        phone_number_id="1", display_phone_number="2", business_account_id="3", app_id="4",
        access_token="5", app_secret="6", verify_token="7",
    )  # fmt: skip
    for name in environment(credentials, "http://127.0.0.1:1"):
        assert f"`{name}`" in PAGE or name.startswith("AEROBOT_WHATSAPP_"), name


def test_faults() -> None:
    """Every kind of call, and the special recipients that are named trigger what is said of them."""
    assert all(f"`{call}`" in PAGE for call in CALLS)
    for digits in re.findall(r"`\+(1 555 \d{3} \d{4})`", PAGE):
        assert SPECIAL[digits.replace(" ", "")] in PRESETS
