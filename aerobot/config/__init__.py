"""Every setting, declared once; where its value came from is always known."""

from aerobot.config.places import (
    FILE,
    find,
    home_folder,
    in_git,
    login_file,
    state_folder,
    tracked_by_git,
    user_folder,
)
from aerobot.config.read import load, read_env, tracked_secrets
from aerobot.config.settings import Settings, Value, check_profile_name, known
from aerobot.config.table import BY_KEY, SECTIONS, SETTINGS, Setting
from aerobot.config.values import holds_secret, wrong_form
from aerobot.config.write import keep_login, set_value, write_private

__all__ = [
    "BY_KEY",
    "FILE",
    "SECTIONS",
    "SETTINGS",
    "Setting",
    "Settings",
    "Value",
    "check_profile_name",
    "find",
    "holds_secret",
    "home_folder",
    "in_git",
    "keep_login",
    "known",
    "load",
    "login_file",
    "read_env",
    "set_value",
    "state_folder",
    "tracked_by_git",
    "tracked_secrets",
    "user_folder",
    "write_private",
    "wrong_form",
]
