"""Configuration: where it is found, which source wins, and what bad input is told."""

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given, settings
from hypothesis import strategies as st

from aerobot.config import (
    BY_KEY,
    SETTINGS,
    find,
    holds_secret,
    home_folder,
    keep_login,
    load,
    login_file,
    read_env,
    set_value,
    state_folder,
    tracked_by_git,
    tracked_secrets,
    user_folder,
    write_private,
    wrong_form,
)
from aerobot.config.env_file import changed_text
from aerobot.config.values import coerced
from aerobot.config.write import change_env, change_toml, changed_toml, with_ignored
from aerobot.errors import ConfigError, UsageError
from aerobot.secret import Secret

ROOT = hasattr(os, "getuid") and os.getuid() == 0


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment whose user folders are this test's own."""
    return {"AEROBOT_CONFIG_HOME": str(tmp_path / "user"), "AEROBOT_STATE_HOME": str(tmp_path / "state")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bot's folder with a boundary above it."""
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    return project


def private(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


# -- which file ------------------------------------------------------------------------------------


def test_flag_beats_variable_beats_nearest_beats_the_users_own(folder: Path, environ: dict[str, str]) -> None:
    """--config > AEROBOT_CONFIG > the nearest aerobot.toml upwards > the user's own."""
    deep = folder / "a" / "b"
    deep.mkdir(parents=True)
    own = Path(environ["AEROBOT_CONFIG_HOME"]) / "aerobot.toml"
    own.parent.mkdir()
    own.touch()
    assert find(config=None, environ=environ, cwd=deep, home=None) == own
    (folder / "aerobot.toml").touch()
    assert find(config=None, environ=environ, cwd=deep, home=None) == folder / "aerobot.toml"
    (folder / "a" / "aerobot.toml").touch()
    assert find(config=None, environ=environ, cwd=deep, home=None) == folder / "a" / "aerobot.toml"
    (folder / "other.toml").touch()
    named = {**environ, "AEROBOT_CONFIG": "../../other.toml"}
    assert find(config=None, environ=named, cwd=deep, home=None) == deep / "../../other.toml"
    flag = folder / "flag.toml"
    flag.touch()
    assert find(config=flag, environ=named, cwd=deep, home=None) == flag


def test_search_stops_at_git_and_at_home(tmp_path: Path, environ: dict[str, str]) -> None:
    """A file above the repository, or above home, is never taken."""
    (tmp_path / "aerobot.toml").touch()
    repository = tmp_path / "repository"
    (repository / ".git").mkdir(parents=True)
    assert find(config=None, environ=environ, cwd=repository, home=None) is None
    home = tmp_path / "home"
    (home / "work").mkdir(parents=True)
    assert find(config=None, environ=environ, cwd=home / "work", home=home) is None
    assert find(config=None, environ=environ, cwd=home / "work", home=None) == tmp_path / "aerobot.toml"


def test_file_in_home_itself_counts(tmp_path: Path, environ: dict[str, str]) -> None:
    """Home is the last folder that is looked at, not the first that is not."""
    (tmp_path / "aerobot.toml").touch()
    (tmp_path / "work").mkdir()
    assert find(config=None, environ=environ, cwd=tmp_path / "work", home=tmp_path) == tmp_path / "aerobot.toml"


@pytest.mark.skipif(not ROOT, reason="only root can give files away: run it as root")
def test_other_peoples_files_are_passed_over_and_named(
    folder: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another user put there is neither configuration nor .env, and that is said; --config means it."""
    monkeypatch.delenv("SUDO_UID", raising=False)
    for name, text in (("aerobot.toml", '[bot]\nname = "theirs"\n'), (".env", "AEROBOT_BOT_NAME=theirs\n")):
        private(folder / name, text)
        os.chown(folder / name, 12345, 12345)
    read = load(environ=environ, cwd=folder)
    assert read.path is None
    assert read.get("bot.name") is None
    assert [w.split(" is ")[0] for w in read.warnings] == [str(folder / "aerobot.toml"), str(folder / ".env")]
    meant = load(config=folder / "aerobot.toml", environ=environ, cwd=folder)
    assert meant.source("bot.name") == ".env AEROBOT_BOT_NAME"
    assert meant.warnings == ()
    set_value(meant, "bot.id", "bt_1")
    assert (folder / "aerobot.toml").stat().st_uid == 12345
    monkeypatch.setenv("SUDO_UID", "12345")
    assert load(environ=environ, cwd=folder).get("bot.name") == "theirs"


def test_named_file_must_be_a_file(folder: Path, environ: dict[str, str]) -> None:
    """A named file that is missing or a folder is a ConfigError with the way out."""
    with pytest.raises(ConfigError) as missing:
        find(config=folder / "no.toml", environ=environ, cwd=folder, home=None)
    assert "does not exist" in missing.value.message
    assert missing.value.hint == f"Write one: aerobot init {folder}"
    with pytest.raises(ConfigError, match="is a folder"):
        find(config=folder, environ=environ, cwd=folder, home=None)
    (folder / "aerobot.toml").mkdir()
    assert load(environ=environ, cwd=folder).path is None


# -- which value -----------------------------------------------------------------------------------

SOURCES = ("file", ".env", "environment", "profile", ".env.dev", "flag")


@pytest.mark.parametrize("strongest", range(len(SOURCES)))
def test_precedence(folder: Path, environ: dict[str, str], strongest: int) -> None:
    """file < .env < environment < profile's section < .env.NAME < flags: each beats all before it."""
    given = SOURCES[: strongest + 1]
    private(
        folder / "aerobot.toml",
        ('bot.name = "file"\n' if "file" in given else "")
        + ("[profiles.dev.bot]\n" + ('name = "profile"\n' if "profile" in given else "")),
    )
    private(folder / ".env", "AEROBOT_BOT_NAME=.env\n" if ".env" in given else "")
    private(folder / ".env.dev", "AEROBOT_BOT_NAME=.env.dev\n" if ".env.dev" in given else "")
    if "environment" in given:
        environ["AEROBOT_BOT_NAME"] = "environment"
    flags = {"bot.name": "flag"} if "flag" in given else {"bot.name": None}
    read = load(profile="dev", environ=environ, cwd=folder, flags=flags)
    assert read.get("bot.name") == SOURCES[strongest]
    places = (
        "aerobot.toml",
        ".env AEROBOT_BOT_NAME",
        "AEROBOT_BOT_NAME",
        "aerobot.toml [profiles.dev]",
        ".env.dev AEROBOT_BOT_NAME",
        "flag",
    )
    assert read.source("bot.name") == places[strongest]
    assert read.is_set("bot.name")


def test_unchosen_profile_changes_nothing(folder: Path, environ: dict[str, str]) -> None:
    """Without -p neither the profile's section nor .env.NAME is read."""
    (folder / "aerobot.toml").write_text('[profiles.dev.bot]\nname = "profile"\n')
    private(folder / ".env.dev", "AEROBOT_BOT_NAME=dev\n")
    assert load(environ=environ, cwd=folder).get("bot.name") is None


def test_defaults(folder: Path, environ: dict[str, str]) -> None:
    """What nobody gave has its default, says so, and is not set."""
    read = load(environ=environ, cwd=folder)
    assert read.get("serve.port") == 8460
    assert read.source("serve.port") == "default"
    assert not any(read.is_set(setting.key) for setting in SETTINGS)
    assert read.folder == folder


def test_login_is_the_weakest_token_and_goes_to_its_own_origin_only(folder: Path, environ: dict[str, str]) -> None:
    """The login counts below every file, and only for the api_url it was made at."""
    keep_login("https://api.aerostack.dev/", Secret("kept"), environ)
    read = load(environ=environ, cwd=folder)
    assert (read.secret("aerostack.token"), read.source("aerostack.token")) == (Secret("kept"), "login")
    assert load(environ=environ, cwd=folder, credentials=False).secret("aerostack.token") is None
    elsewhere = {**environ, "AEROSTACK_API_URL": "https://evil.example"}
    assert load(environ=elsewhere, cwd=folder).secret("aerostack.token") is None
    (folder / "aerobot.toml").write_text('aerostack.token = "file"\n')
    assert load(environ=environ, cwd=folder).secret("aerostack.token") == Secret("file")
    keep_login("https://api.aerostack.dev", None, environ)
    (folder / "aerobot.toml").unlink()
    assert load(environ=environ, cwd=folder).secret("aerostack.token") is None


def test_login_file_is_private(environ: dict[str, str]) -> None:
    """Logins are kept 0600 in a folder 0700, side by side for several origins."""
    path = keep_login("https://a.example", Secret("one"), environ)
    keep_login("https://b.example", Secret("two"), environ)
    assert path == login_file(environ)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert '"https://a.example": "one"' in path.read_text()
    path.write_text("{broken")
    keep_login("https://c.example", Secret("three"), environ)
    assert "three" in path.read_text()


def test_aliases_count_below_their_twin(folder: Path, environ: dict[str, str]) -> None:
    """AEROSTACK_TOKEN is read, and AEROBOT_AEROSTACK_TOKEN of the same source beats it."""
    environ["AEROSTACK_TOKEN"] = "alias"
    assert load(environ=environ, cwd=folder).source("aerostack.token") == "AEROSTACK_TOKEN"
    environ["AEROBOT_AEROSTACK_TOKEN"] = "twin"
    assert load(environ=environ, cwd=folder).secret("aerostack.token") == Secret("twin")


def test_empty_is_not_given(folder: Path, environ: dict[str, str]) -> None:
    """An empty variable or list flag is not given; an empty secret in a file is not set."""
    (folder / "aerobot.toml").write_text('[serve]\nallowed_hosts = ["a"]\n[whatsapp]\napp_secret = ""\n')
    environ["AEROBOT_SERVE_ALLOWED_HOSTS"] = ""
    read = load(environ=environ, cwd=folder, flags={"serve.allowed_hosts": []})
    assert read.get("serve.allowed_hosts") == ("a",)
    assert not read.is_set("whatsapp.app_secret")
    assert read.secret("whatsapp.app_secret") is None


def test_false_and_zero_are_values(folder: Path, environ: dict[str, str]) -> None:
    """``false`` and ``0`` were given by somebody."""
    (folder / "aerobot.toml").write_text("[engine]\nreload = false\n[bot]\nworkflow_enabled = 0\n")
    read = load(environ=environ, cwd=folder)
    assert read.is_set("engine.reload")
    assert read.is_set("bot.workflow_enabled")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_every_setting_has_its_environment_twin(setting: object, folder: Path, environ: dict[str, str]) -> None:
    """AEROBOT_SECTION_KEY sets section.key, whatever its kind."""
    known = BY_KEY[setting.key]  # type: ignore[attr-defined]
    text = {
        "text": "word",
        "integer": str(max(1, int(known.least or 0))),
        "number": "1",
        "boolean": "no",
        "list": "a, b",
        "table": "{}",
    }
    environ[known.variable] = known.choices[-1] if known.choices else text[known.kind]
    read = load(environ=environ, cwd=folder)
    assert read.source(known.key) == known.variable
    assert read.is_set(known.key) == (known.kind != "table")
    assert read.warnings == ()


# -- what is wrong with it -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[bot\n", "is not valid TOML"),
        (b"\xff\xfe[\x00", "is not UTF-8"),
        (b'[bot]\nname = "\xe9"\n', "is not UTF-8 (byte 15)"),
        (b"bot = 3\n", '"bot" must be a section'),
        (
            b"[serve]\nport = 70000\n",
            "serve.port (aerobot.toml) must be a whole number from 0 to 65535, not 70000",
        ),
        (b'[serve]\nport = "x"\n', "must be a whole number"),
        (b"[serve]\nport = true\n", "must be a whole number"),
        (b"[bot]\nconversation_ttl_hours = inf\n", "must be a number, at least 0"),
        (b"[bot]\nconversation_ttl_hours = nan\n", "must be a number, at least 0"),
        (b"[bot]\nplatform = 5\n", "must be one of whatsapp, telegram"),
        (b"[bot]\nname = 1.5\n", "bot.name (aerobot.toml) must be text"),
        (b"[serve]\nallowed_hosts = [1]\n", "must be a list of texts"),
        (b"[bot]\nllm_config = 3\n", "must be a table"),
        (b"[whatsapp]\napp_secret = [1]\n", "must be text, not ***"),
        (b'[whatsapp]\napp_secret = "a\\nb"\n', "line break or control character inside"),
        (b"profiles = 3\n", 'There is no profile "dev"'),
        (b"[profiles]\ndev = 3\n", 'profile "dev" must be made of sections'),
    ],
)
def test_bad_file(folder: Path, environ: dict[str, str], content: bytes, words: str) -> None:
    """Whatever a file holds, the answer is one ConfigError in words, never a traceback."""
    (folder / "aerobot.toml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(profile="dev" if b"profiles" in content else None, environ=environ, cwd=folder)
    assert words in caught.value.message


def test_unknown_names_come_with_the_nearest(folder: Path, environ: dict[str, str]) -> None:
    """A misspelt section, key or variable is named together with the right one; several at once."""
    (folder / "aerobot.toml").write_text('[whatsap]\n[whatsapp]\nphone_number = "1"\n[serve]\nport = "x"\n')
    with pytest.raises(ConfigError) as caught:
        load(environ={**environ, "AEROBOT_SERVE_PRIVATE_PORT": "y"}, cwd=folder)
    assert caught.value.message == "4 settings are wrong."
    assert 'no section or key "whatsap". Did you mean "whatsapp"?' in caught.value.hint
    assert 'no setting "whatsapp.phone_number". Did you mean "whatsapp.phone_number_id"?' in caught.value.hint
    assert "serve.private_port (AEROBOT_SERVE_PRIVATE_PORT) must be" in caught.value.hint
    (folder / "aerobot.toml").write_text("")
    read = load(environ={**environ, "AEROBOT_SERVE_PROT": "1"}, cwd=folder)
    assert read.warnings == ('AEROBOT_SERVE_PROT (environment) is not a setting. Did you mean "AEROBOT_SERVE_PORT"?',)
    with pytest.raises(UsageError) as asked:
        read.get("serve.prot")
    assert asked.value.hint == 'Did you mean "serve.port"?'


def test_bom_and_crlf_are_read(folder: Path, environ: dict[str, str]) -> None:
    """Files as Windows editors save them mean the same."""
    (folder / "aerobot.toml").write_bytes(b'\xef\xbb\xbf[bot]\r\nname = "Acme"\r\n')
    (folder / ".env").write_bytes(b"\xef\xbb\xbfAEROBOT_WHATSAPP_APP_SECRET=s3cret\r\n")
    read = load(environ=environ, cwd=folder)
    assert read.get("bot.name") == "Acme"
    assert read.secret("whatsapp.app_secret") == Secret("s3cret")
    assert not any("line break" in warning for warning in read.warnings)


def test_white_space_around_a_secret_is_left_out_and_said(folder: Path, environ: dict[str, str]) -> None:
    """A secret with a trailing newline works, and the slip is named without the secret."""
    environ["AEROBOT_WHATSAPP_APP_SECRET"] = "abc123\n"
    environ["AEROBOT_WHATSAPP_PHONE_NUMBER_ID"] = " 123 "
    environ["AEROBOT_BOT_SYSTEM_PROMPT"] = " kept \n"
    read = load(environ=environ, cwd=folder)
    assert read.secret("whatsapp.app_secret") == Secret("abc123")
    assert read.get("whatsapp.phone_number_id") == "123"
    assert read.get("bot.system_prompt") == " kept \n"
    assert any("app_secret (AEROBOT_WHATSAPP_APP_SECRET) had a line break" in line for line in read.warnings)
    assert "abc123" not in repr(read)


def test_profiles_are_named_and_cannot_leave_the_folder(folder: Path, environ: dict[str, str]) -> None:
    """An unknown profile lists the known ones; a name with a path in it is refused."""
    (folder / "aerobot.toml").write_text("[profiles.dev.bot]\n[profiles.live.bot]\n")
    with pytest.raises(ConfigError) as caught:
        load(profile="prod", environ=environ, cwd=folder)
    assert caught.value.hint == "Profiles there: dev, live. Make it: aerobot init -p prod"
    with pytest.raises(UsageError):
        load(profile="../../etc/x", environ=environ, cwd=folder)
    private(folder / ".env.only", "AEROBOT_BOT_NAME=x\n")
    assert load(profile="only", environ=environ, cwd=folder).get("bot.name") == "x"


def test_profiles_and_section_of_the_same_name(folder: Path, environ: dict[str, str]) -> None:
    """A profile may be called like a section."""
    (folder / "aerobot.toml").write_text("")
    change_toml(folder / "aerobot.toml", "bot", {"bot.name": "x", "serve.port": 1})
    read = load(profile="bot", environ=environ, cwd=folder)
    assert (read.get("bot.name"), read.get("serve.port")) == ("x", 1)


# -- .env ------------------------------------------------------------------------------------------


def test_env_file_forms(folder: Path) -> None:
    """Quotes, #, export, blank and broken lines mean what python-dotenv says; nothing is interpolated."""
    (folder / ".env").write_text(
        "# a comment\n\nexport A=one\nB='two # not a comment'\nC=\"three\\nlines\"\nD=four # a comment\n"
        "E=five#5\nF=$A-${A}\nG\nH=\n= nothing\nA=last\n"
    )
    assert read_env(folder / ".env") == {
        "A": "last",
        "B": "two # not a comment",
        "C": "three\nlines",
        "D": "four",
        "E": "five#5",
        "F": "$A-${A}",
        "H": "",
    }
    assert read_env(folder / "none") == {}


def test_broken_env_lines_are_named(folder: Path, environ: dict[str, str]) -> None:
    """A line that is no assignment is said by its number; one that is not UTF-8 stops."""
    private(folder / ".env", "AEROBOT_BOT_NAME=x\n= y\n")
    assert load(environ=environ, cwd=folder).warnings == (".env, line 2: not NAME=value, left out.",)
    (folder / ".env").write_bytes(b"A=\xff")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load(environ=environ, cwd=folder)


def test_env_folder_in_place_of_the_file(folder: Path, environ: dict[str, str]) -> None:
    """A folder called .env is nothing to read and a clear error to write."""
    (folder / ".env").mkdir()
    read = load(environ=environ, cwd=folder)
    with pytest.raises(ConfigError, match=r"\.env cannot be"):
        set_value(read, "whatsapp.app_secret", "x")


def test_secrets_readable_by_others_are_said(folder: Path, environ: dict[str, str]) -> None:
    """A .env with a secret must be 0600; one without may be as it likes."""
    (folder / ".env").write_text("AEROBOT_BOT_NAME=x\n")
    (folder / ".env").chmod(0o644)
    assert load(environ=environ, cwd=folder).warnings == ()
    (folder / ".env").write_text("AEROBOT_WHATSAPP_APP_SECRET=x\n")
    assert "other users can read" in load(environ=environ, cwd=folder).warnings[0]


AWKWARD = [
    "plain",
    "with space",
    "a#b # c",
    "it's",
    'say "hi"',
    "$HOME ${HOME} $(id) `id`",
    "back\\slash",
    "ends with \\",
    "\\'",
    "\\\\",
    "'quoted'",
    '"quoted"',
    " around ",
    "line\nbreak",
    "tab\tbed",
    "é✓😀",
    "=",
    "export X=1",
]


@pytest.mark.parametrize("value", AWKWARD)
def test_env_round_trip(folder: Path, value: str) -> None:
    """Any value written to .env is read back the same by python-dotenv, by us, and beside other lines."""
    path = folder / ".env"
    private(path, "# mine\nOTHER='x y'\n\nLAST=\"z\"\n")
    change_env(path, {"KEY": "before"})
    change_env(path, {"KEY": value, "MORE": "it's"})
    assert dotenv_values(path, interpolate=False) == {
        "OTHER": "x y",
        "LAST": "z",
        "KEY": value,
        "MORE": "it's",
    }
    assert path.read_text().startswith("# mine\nOTHER='x y'\n\nLAST=\"z\"\n")
    change_env(path, {"KEY": None, "MORE": None})
    assert path.read_text() == "# mine\nOTHER='x y'\n\nLAST=\"z\"\n"


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from(["A", "B", "C"]), st.text(st.characters(codec="utf-8", exclude_characters="\r\0")))
)
def test_env_text_never_lies(values: dict[str, str]) -> None:
    """Whatever is written either reads back exactly or is refused."""
    try:
        text = changed_text("X=1\nA='old'\n", dict(values))
    except ConfigError:
        return
    import io

    read = dotenv_values(stream=io.StringIO(text), interpolate=False)
    assert read == {"X": "1", "A": "old", **values}


def test_env_is_never_readable_by_others(folder: Path) -> None:
    """The file and the temporary beside it are 0600 from their first moment, whatever the umask."""
    before = os.umask(0)
    seen: set[int] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for path in folder.glob(".env*"):
                try:
                    seen.add(path.stat().st_mode & 0o777)
                except OSError:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number in range(100):
            change_env(folder / ".env", {"A": str(number)})
    finally:
        os.umask(before)
        stop.set()
        watcher.join()
    assert seen == {0o600}


# -- writing ---------------------------------------------------------------------------------------


def test_set_value_puts_secrets_into_env_and_the_rest_into_toml(folder: Path, environ: dict[str, str]) -> None:
    """A secret goes to .env (0600) and leaves aerobot.toml; anything else goes to aerobot.toml."""
    (folder / "aerobot.toml").write_text('# top\n[whatsapp] # Meta\napp_secret = "old" # oops\n')
    read = load(environ=environ, cwd=folder)
    assert "holds secrets (whatsapp.app_secret)" in read.warnings[0]
    assert set_value(read, "whatsapp.app_secret", "new") == folder / ".env"
    assert set_value(read, "whatsapp.phone_number_id", "42") == folder / "aerobot.toml"
    assert (folder / ".env").read_text() == "AEROBOT_WHATSAPP_APP_SECRET=new\n"
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600
    assert (folder / "aerobot.toml").read_text() == '# top\n[whatsapp] # Meta\nphone_number_id = "42"\n'
    read = load(environ=environ, cwd=folder)
    assert read.warnings == ()
    assert read.secret("whatsapp.app_secret") == Secret("new")
    set_value(read, "whatsapp.app_secret", None)
    set_value(read, "whatsapp.phone_number_id", None)
    assert not load(environ=environ, cwd=folder).is_set("whatsapp.app_secret")
    assert (folder / "aerobot.toml").read_text() == "# top\n[whatsapp] # Meta\n"


def test_set_value_writes_the_profile_in_use(folder: Path, environ: dict[str, str]) -> None:
    """With -p the profile's section and .env.NAME are written, and nothing else."""
    (folder / "aerobot.toml").write_text('[bot]\nname = "base"\n\n[profiles.dev.bot]\nname = "dev"\n')
    read = load(profile="dev", environ=environ, cwd=folder)
    set_value(read, "bot.id", "bt_1")
    set_value(read, "serve.port", "9000")
    assert set_value(read, "whatsapp.access_token", "t") == folder / ".env.dev"
    again = load(profile="dev", environ=environ, cwd=folder)
    assert (again.get("bot.id"), again.get("serve.port")) == ("bt_1", 9000)
    plain = load(environ=environ, cwd=folder)
    assert (plain.get("bot.name"), plain.get("bot.id"), plain.get("serve.port")) == ("base", None, 8460)


def test_set_value_makes_the_file(folder: Path, environ: dict[str, str]) -> None:
    """Without a file ./aerobot.toml is made."""
    assert set_value(load(environ=environ, cwd=folder), "bot.id", "bt_1") == folder / "aerobot.toml"
    assert (folder / "aerobot.toml").read_text() == '[bot]\nid = "bt_1"\n'


def test_table_with_a_secret_inside_goes_to_env(folder: Path, environ: dict[str, str]) -> None:
    """Of a platform's credentials some fields are secret: the table is kept out of aerobot.toml."""
    read = load(environ=environ, cwd=folder)
    assert holds_secret(BY_KEY["bot.platform_config"], {"bot_token": "x"})
    assert not holds_secret(BY_KEY["bot.platform_config"], {"application_id": "x"})
    set_value(read, "bot.platform_config", '{"bot_token": "1:it\'s"}')
    assert load(environ=environ, cwd=folder).get("bot.platform_config") == {"bot_token": "1:it's"}
    assert not (folder / "aerobot.toml").exists()


@pytest.mark.parametrize(
    "text",
    [
        'bot.name = "x"\n',
        'bot = { name = "x" }\n',
        '[bot]\nname = "x"\n[serve]\nport = 1\n[bot.llm_config]\na = 1\n',
        '\ufeff[bot]\r\nname = "x" # mine\r\n',
        '[profiles.dev.bot]\nname = "y"\n[bot]\nname = "x"\n',
        "# only a comment",
    ],
)
def test_toml_of_any_shape_is_changed_in_place(folder: Path, environ: dict[str, str], text: str) -> None:
    """Dotted, inline, out-of-order and CRLF tables are changed without harm to the rest."""
    path = folder / "aerobot.toml"
    path.write_bytes(text.encode())
    before = load(environ=environ, cwd=folder)
    set_value(before, "bot.description", "d")
    set_value(before, "whatsapp.app_id", "7")
    after = load(environ=environ, cwd=folder)
    assert (after.get("bot.description"), after.get("whatsapp.app_id")) == ("d", "7")
    assert after.get("bot.name") == before.get("bot.name")
    written = path.read_bytes().decode()
    assert ("# mine" in text) == ("# mine" in written)
    assert written.count("\r\n") == (written.count("\n") if "\r\n" in text else 0)


def test_toml_that_cannot_hold_a_value(folder: Path, environ: dict[str, str]) -> None:
    """TOML has no null: the file stays as it was and the error says so."""
    read = load(environ=environ, cwd=folder)
    with pytest.raises(ConfigError, match=r"aerobot\.toml cannot be changed"):
        set_value(read, "bot.llm_config", '{"a": null}')
    with pytest.raises(ConfigError):
        changed_toml("[bot\n", None, {"bot.name": "x"})
    assert not (folder / "aerobot.toml").exists()


def test_modes_and_links_are_kept(folder: Path, environ: dict[str, str]) -> None:
    """A file keeps its mode; where it is a link, the file behind it is replaced and the link stays."""
    real = folder / "dotfiles.toml"
    real.write_text("")
    real.chmod(0o664)
    (folder / "aerobot.toml").symlink_to(real)
    set_value(load(environ=environ, cwd=folder), "bot.name", "x")
    assert (folder / "aerobot.toml").is_symlink()
    assert real.read_text() == '[bot]\nname = "x"\n'
    assert real.stat().st_mode & 0o777 == 0o664


def test_failed_write_leaves_the_former_file(folder: Path) -> None:
    """What cannot be written (a folder in the way, text that is no text) leaves everything as it was."""
    (folder / "file").write_text("before")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_private(folder / "file", "lone \ud800 surrogate")
    (folder / "dir").mkdir()
    with pytest.raises(ConfigError, match="it is a folder"):
        write_private(folder / "dir", "x")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_private(folder / "file" / "below", "x")
    assert (folder / "file").read_text() == "before"
    assert sorted(p.name for p in folder.iterdir()) == [".git", "dir", "file"]


def test_parallel_changes_all_arrive(folder: Path) -> None:
    """Eight processes that change one file at once lose nothing and never leave half a file."""
    program = (
        "import sys; from pathlib import Path; from aerobot.config.write import change_env, change_toml\n"
        "for n in range(5):\n"
        "    change_env(Path('.env'), {f'K{sys.argv[1]}_{n}': 'v'})\n"
        "    change_toml(Path('aerobot.toml'), f'p{sys.argv[1]}', {'bot.max_tokens_per_turn': n})\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(n)], cwd=folder) for n in range(8)]
    assert [process.wait(60) for process in running] == [0] * 8
    assert len(read_env(folder / ".env")) == 40
    for number in range(8):
        read = load(profile=f"p{number}", environ={}, cwd=folder, credentials=False)
        assert read.get("bot.max_tokens_per_turn") == 4
    assert not list(folder.glob("*.tmp")) + list(folder.glob(".*.tmp"))


READ_ONLY = """
import os, tomlkit, dotenv.parser
from aerobot.config import load, set_value
from aerobot.errors import ConfigError
read = load(environ={}, credentials=False)
os.setuid(54321) if os.getuid() == 0 else None
for key in ("bot.name", "whatsapp.app_secret"):
    try:
        set_value(read, key, "x")
    except ConfigError as error:
        print(error.message, error.hint)
"""


def test_read_only_folder() -> None:
    """In a folder that cannot be written nothing is, and the answer is a ConfigError."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        done = subprocess.run([sys.executable, "-c", READ_ONLY], cwd=name, capture_output=True, text=True)
        assert done.stderr == ""
        assert done.stdout.count("cannot be written: Permission denied. Is the folder writable") == 2
        assert not list(Path(name).iterdir())


# -- folders of the user, git ----------------------------------------------------------------------

NO_HOME = """
import os, sys, platformdirs.unix, tempfile
from aerobot.config import load, home_folder, state_folder, user_folder, keep_login
for name in list(os.environ):
    if name in ("HOME",) or name.startswith(("XDG_", "AEROBOT_")):
        del os.environ[name]
os.setuid(54321) if os.getuid() == 0 else None
os.chdir("/")
from aerobot.errors import ConfigError
from aerobot.secret import Secret
assert home_folder() is None, home_folder()
assert load().path is None
print(state_folder(os.environ).name)
for call in (lambda: user_folder(os.environ), lambda: keep_login("https://a.example", Secret("x"))):
    try:
        call()
    except ConfigError as error:
        print(error.message, error.hint)
"""


@pytest.mark.skipif(not ROOT, reason="only root can become a user without a passwd entry: run it as root")
def test_no_home_folder() -> None:
    """A user whom the system does not know can read and run, and is told where a login would go."""
    done = subprocess.run([sys.executable, "-c", NO_HOME], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    words = "This system knows no home folder for you. Set HOME, or AEROBOT_CONFIG_HOME to a folder of yours."
    assert done.stdout.splitlines() == ["aerobot-54321", words, words]


def test_folders_have_their_variables(tmp_path: Path, environ: dict[str, str]) -> None:
    """AEROBOT_CONFIG_HOME and AEROBOT_STATE_HOME name the user's folders; ~ means home."""
    assert user_folder(environ) == tmp_path / "user"
    assert state_folder(environ) == tmp_path / "state"
    assert user_folder({"AEROBOT_CONFIG_HOME": "~/x"}) == Path.home() / "x"
    assert home_folder() == Path.home()


def test_a_secret_in_a_tracked_file_is_found(folder: Path, environ: dict[str, str]) -> None:
    """A file with secrets that git tracks is named with the cure; an ignored one is not."""
    (folder / ".git").rmdir()
    private(folder / ".env", "AEROBOT_WHATSAPP_APP_SECRET=x\n")
    assert not tracked_by_git(folder / ".env")
    for command in (["init", "-q"], ["add", ".env"]):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    (folder / "aerobot.toml").write_text('[whatsapp]\naccess_token = "x"\n')
    read = load(environ=environ, cwd=folder)
    assert [path.name for path in read.secret_files] == ["aerobot.toml", ".env"]
    assert tracked_secrets(read) == (".env holds secrets, and git tracks it: git rm --cached .env, then renew them.",)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ".env\n.env.*\n.aerobot/\n"),
        ("*.pyc", "*.pyc\n.env\n.env.*\n.aerobot/\n"),
        (".env\n", ".env\n.env.*\n.aerobot/\n"),
        (".env*\n/.aerobot\n", ".env*\n/.aerobot\n.aerobot/\n"),
        (".env\n.env.*\n.aerobot\n", ".env\n.env.*\n.aerobot\n"),
        ("x\r\n", "x\r\n.env\r\n.env.*\r\n.aerobot/\r\n"),
    ],
)
def test_gitignore_gets_what_is_missing(before: str, after: str) -> None:
    """Only missing lines are added, at the end, with the file's own line ends."""
    assert with_ignored(before) == after
    assert with_ignored(after) == after


# -- forms -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("whatsapp.phone_number_id", "123456789012345", ""),
        ("whatsapp.phone_number_id", "+1 555", "must be digits alone"),
        ("whatsapp.phone_number_id", "１２３", "must be digits alone"),
        ("aerostack.api_url", "https://api.aerostack.dev", ""),
        ("aerostack.api_url", "http://127.0.0.1:8462/", ""),
        (
            "aerostack.api_url",
            "https://api.aerostack.dev/api",
            "must be an origin: https://host, without a path",
        ),
        ("aerostack.api_url", "api.aerostack.dev", "must be an origin: https://host, without a path"),
        ("aerostack.api_url", "https://a:b@c", "must be an origin: https://host, without a path"),
        ("aerostack.api_url", "https://a:x", "must be an origin: https://host, without a path"),
        ("whatsapp.access_token", "EAAB c", "must not have white space inside"),
        ("bot.name", "any thing", ""),
    ],
)
def test_forms(key: str, text: str, words: str) -> None:
    """What a person types is held against its form, in words."""
    assert wrong_form(BY_KEY[key], text) == words


def test_settings_print_no_secret() -> None:
    """A secret is *** in repr and in errors."""
    value = coerced(BY_KEY["whatsapp.app_secret"], "s3cret", "test")
    assert repr(value) == "***"
    assert isinstance(value, Secret)
