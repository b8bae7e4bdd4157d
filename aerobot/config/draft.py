"""A bot's first files, drafted as text and then written all or none: aerobot.toml, .env and .gitignore."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aerobot.config.env_file import changed_text
from aerobot.config.read import read_env
from aerobot.config.settings import known
from aerobot.config.table import SETTINGS
from aerobot.config.write import changed_toml, read_file, with_ignored, write_private
from aerobot.errors import ConfigError

_TOML = """\
# The settings of this bot. Commit this file; the secrets are in .env, which stays out of git.
# Every setting with its value and where that comes from: aerobot config show

[bot]
# name = "Acme Support"
# platform = "whatsapp"
# system_prompt_file = "prompt.md"     # what the bot is told to be
# id = "bt_..."                        # aerobot create writes it here

[aerostack]
# workspace_id = "..."                 # aerobot workspaces lists yours; a single one is found

[whatsapp]
# phone_number_id = "..."              # Meta > WhatsApp > API Setup
# business_account_id = "..."          # the same page
# app_id = "..."                       # Meta > App settings > Basic
# access_token, app_secret and verify_token are in .env, as AEROBOT_WHATSAPP_ACCESS_TOKEN ...

[serve]
# engine = "bot.py"                    # what answers when this bot runs here: aerobot serve
"""
_ENV = "# The secrets of this bot: never commit this file, nor paste it anywhere.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is to be written: settings by key (secrets as text) for ``toml`` and the ``.env`` beside it.

    With a ``profile`` its sections and its ``.env.NAME`` are meant.
    """

    toml: Path
    profile: str | None
    values: Mapping[str, str] = field(repr=False)

    @property
    def env(self) -> Path:
        """Where the secrets go."""
        return self.toml.parent / (f".env.{self.profile}" if self.profile else ".env")

    @property
    def gitignore(self) -> Path:
        """What keeps them out of git."""
        return self.toml.parent / ".gitignore"

    def taken(self) -> tuple[Path, ...]:
        """The files whose settings would be overwritten; a ``.env`` of other programs alone is not one."""
        ours = {name for setting in SETTINGS for name in (setting.variable, *setting.aliases)}
        env = (self.env,) if ours & read_env(self.env).keys() or self.env.is_dir() else ()
        if self.profile is None:
            return ((self.toml,) if self.toml.exists() else ()) + env
        return ((self.toml,) if self.profile in self._profiles() else ()) + env

    def _profiles(self) -> Mapping[str, object]:
        import tomllib

        try:
            profiles = tomllib.loads(read_file(self.toml)).get("profiles", {})
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{self.toml} is not valid TOML: {error}.", "Mend that line first.") from None
        return profiles if isinstance(profiles, Mapping) else {}

    def write(self) -> tuple[Path, ...]:
        """Write what changes and return those files; if one fails, the others are put back as they were."""
        toml, env, ignored = (read_file(path) for path in (self.toml, self.env, self.gitignore))
        secrets = {known(key).variable: value for key, value in self.values.items() if known(key).secret}
        others = {key: value for key, value in self.values.items() if not known(key).secret}
        fresh = _fresh({} if self.profile else others)
        files = [
            (self.gitignore, ignored, with_ignored(ignored), 0o644),
            (self.env, env, changed_text(env or _ENV, secrets), 0o600),
            (self.toml, toml, changed_toml(toml or fresh, self.profile, others), 0o644),
        ]
        changed = [(path, after, mode) for path, before, after, mode in files if after != before]
        _write_all(changed)
        return tuple(path for path, _, _ in changed)


def _fresh(values: Mapping[str, str]) -> str:
    """A new file's text, in which each sample of a setting that has a value gives way to it."""
    import tomlkit

    lines, section = [], ""
    for line in _TOML.splitlines():
        section = line.strip("[]") if line.startswith("[") else section
        name = line.removeprefix("# ").partition(" = ")[0]
        value = values.get(f"{section}.{name}")
        lines.append(line if value is None else f"{name} = {tomlkit.item(value).as_string()}")
    return "\n".join(lines) + "\n"


def _write_all(files: Sequence[tuple[Path, str, int]]) -> None:
    before = {path: path.read_bytes() if path.exists() else None for path, _, _ in files}
    try:
        for path, text, mode in files:
            _make_folder(path.parent)
            write_private(path, text, mode)
    except BaseException:
        for path, content in before.items():
            _put_back(path, content)
        raise


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}.", "Name another folder.") from None


def _put_back(path: Path, content: bytes | None) -> None:
    if content is None and path.exists():
        path.unlink()
    elif content is not None and path.read_bytes() != content:
        write_private(path, content.decode("utf-8"), path.stat().st_mode & 0o777)
