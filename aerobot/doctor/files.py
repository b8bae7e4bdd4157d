"""The files: which configuration is in force, and whether its secrets are kept from others and from git."""

import os

from aerobot.config import tracked_by_git
from aerobot.doctor.context import Context
from aerobot.doctor.outcome import ok
from aerobot.graph_admin import Finding
from aerobot.graph_admin.finding import finding

TOPIC = "files"
SECRETS = "https://git-scm.com/docs/gitignore"


def configuration(context: Context) -> Finding:
    """The file in force."""
    settings = context.settings
    profile = f" [{settings.profile}]" if settings.profile else ""
    if settings.path is not None:
        return ok("config_found", TOPIC, settings.path.name + profile)
    if any(settings.is_set(key) for key in ("whatsapp.phone_number_id", "whatsapp.access_token", "bot.id")):
        return ok("config_environment", TOPIC, "no aerobot.toml: the environment alone")
    return finding("config_missing", TOPIC, "failed", "no aerobot.toml here, and nothing is set", "aerobot init")


def permissions(context: Context) -> Finding:
    """Whether others can read a file that holds secrets."""
    files = context.settings.secret_files
    for path in files:
        mode = path.stat().st_mode & 0o777
        if os.name == "posix" and mode & 0o077:
            seen = f"{path.name} holds secrets and is {mode:04o}: others can read it"
            return finding("env_readable", TOPIC, "failed", seen, f"chmod 600 {path.name}")
    return ok("env_private", TOPIC, ", ".join(f"{path.name} 0600" for path in files) or "no file holds secrets")


def git(context: Context) -> Finding:
    """Whether git keeps a secret."""
    for path in context.settings.secret_files:
        if tracked_by_git(path):
            seen = f"{path.name} holds secrets, and git tracks it"
            remedy = f"git rm --cached {path.name}, then renew every secret in it"
            return finding("env_tracked", TOPIC, "failed", seen, remedy, SECRETS)
    return ok("env_untracked", TOPIC, "not in git")


def committed(context: Context) -> Finding:
    """Whether a secret stands in the file that people commit."""
    path = context.settings.path
    if path is not None and path in context.settings.secret_files:
        seen = f"{path.name} holds secrets, and people commit that file"
        return finding("toml_secrets", TOPIC, "warning", seen, "aerobot config set KEY moves one to .env")
    return ok("toml_clean", TOPIC, "")


def slips(context: Context) -> Finding:
    """What reading the settings had to say beside all that."""
    told = [w for w in context.settings.warnings if "hold" not in w]
    white = next((w for w in told if " around it" in w), "")
    if white:
        key, _, rest = white.partition(" (")
        where, _, what = rest.partition(") had ")
        seen = f"{key} had {what.partition(' around')[0]} around it"
        return finding("secret_white_space", TOPIC, "warning", seen, f"It is left out here; mend it in {where}")
    if told:
        return finding("settings_warning", TOPIC, "warning", told[0], "aerobot config show")
    return ok("settings_clean", TOPIC, "")
