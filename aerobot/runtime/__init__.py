"""The composition root: settings → store, clients, listeners, worker; started and stopped in order."""

from aerobot.runtime.emulation import Emulation, Wishes
from aerobot.runtime.host import GRACE, Host
from aerobot.runtime.meta import registrar_of, registrations
from aerobot.runtime.sandbox import Sandbox
from aerobot.runtime.values import Options, database_path, leaves_loopback, settings_bot, system_prompt

__all__ = [
    "GRACE",
    "Emulation",
    "Host",
    "Options",
    "Sandbox",
    "Wishes",
    "database_path",
    "leaves_loopback",
    "registrar_of",
    "registrations",
    "settings_bot",
    "system_prompt",
]
