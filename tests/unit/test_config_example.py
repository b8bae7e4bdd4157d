"""config.example.toml says about every setting what the code says."""

import re
from pathlib import Path

from aerobot.config import SETTINGS, Settings, load
from aerobot.config.values import described

EXAMPLE = Path(__file__).parent.parent.parent / "config.example.toml"
TEXT = EXAMPLE.read_text("utf-8")
LINE = re.compile(r"^#(\w+) = (.+?)(?:    # (.*))?$")


def lines_by_key() -> list[tuple[str, str, str]]:
    """(key, comment above it, remark behind it) of every setting that the example names, in its order."""
    found, section, above = [], "", ""
    for line in TEXT.splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
        if (setting := LINE.match(line)) and "profiles" not in above:
            found.append((f"{section}.{setting[1]}", above, setting[3] or ""))
        above = f"{above} {line.removeprefix('# ')}".strip() if line.startswith("#") else ""
    return found


def uncommented(tmp_path: Path) -> Settings:
    """The example with all its settings in force."""
    path = tmp_path / "aerobot.toml"
    path.write_text(re.sub(r"(?m)^#(?=\w+ = |\[)", "", TEXT), "utf-8")
    return load(config=path, environ={}, credentials=False)


def test_every_setting_stands_there_once_in_the_codes_order() -> None:
    """Nothing is missing, nothing is there twice, nothing is made up."""
    assert [key for key, _, _ in lines_by_key()] == [setting.key for setting in SETTINGS]


def test_meanings_choices_and_limits_are_the_codes() -> None:
    """Above each setting stands its meaning, with its choices, limits and other names."""
    for setting, (_, above, _) in zip(SETTINGS, lines_by_key(), strict=True):
        assert setting.meaning in above
        if setting.choices or setting.least is not None:
            assert described(setting).lower() in above.lower()
        for name in setting.aliases:
            assert name in above
        assert (f"Secret: in .env, as {setting.variable}." in above) == setting.secret


def test_as_it_stands_it_changes_nothing(tmp_path: Path) -> None:
    """The example is valid TOML and sets nothing."""
    path = tmp_path / "aerobot.toml"
    path.write_text(TEXT, "utf-8")
    read = load(config=path, environ={}, credentials=False)
    assert not any(read.is_set(setting.key) for setting in SETTINGS)


def test_uncommented_it_loads_and_shows_the_defaults(tmp_path: Path) -> None:
    """Each line is a valid one; it shows the default, or says that there is none."""
    read = uncommented(tmp_path)
    remarks = {key: remark for key, _, remark in lines_by_key()}
    for setting in SETTINGS:
        assert read.source(setting.key) == "aerobot.toml"
        if setting.default is not None:
            assert read.get(setting.key) == setting.default
        assert (remarks[setting.key] == "no default") == (setting.default is None and not setting.secret)
    profile = load(config=tmp_path / "aerobot.toml", profile="live", environ={}, credentials=False)
    assert profile.get("whatsapp.phone_number_id") == "998877665544332"
