"""A host and an emulated Meta that know each other, on this machine alone."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aerobot import events
from aerobot.config import Settings, Value
from aerobot.runtime.emulation import Emulation, Wishes
from aerobot.runtime.host import GRACE, Host
from aerobot.runtime.values import Options
from aerobot.secret import Secret

if TYPE_CHECKING:
    from aerobot.emulator.server import Emulator


class Sandbox:
    """A host and an emulated Meta that know each other, on this machine alone.

    A ``temporary`` folder goes when it is abandoned; with ``keeps`` the phones' chats are kept there, beside the store.
    """

    def __init__(
        self,
        settings: Settings,
        options: Options,
        emit: Callable[[events.Event], None],
        *,
        folder: Path,
        temporary: bool = False,
        keeps: bool = False,
    ) -> None:
        self._settings = settings
        self._options = options
        self._emit = emit
        self._folder = folder
        self._temporary = temporary
        self._emulation = Emulation(
            Wishes(
                port=settings.get("emulator.port"),
                seed=settings.get("emulator.seed"),
                name=settings.text("bot.name") or "Aerobot",
                free_port=True,
                state=folder / "emulator.json" if keeps else None,
                environ=options.environ,
            )
        )
        self.emulator: Emulator | None = None
        self.host: Host | None = None

    async def start(self) -> events.Ready:
        """Start the emulator, then the host with its credentials, then point the one at the other."""
        self.emulator = emulator = await self._emulation.start()
        try:
            self.host = Host(_emulated(self._settings, emulator, self._folder), self._options, self._emit)
            ready = await self.host.start()
            await emulator.connect(ready.webhook_url)
        except BaseException:
            await self.stop()
            raise
        return replace(ready, page_url=emulator.page_url)

    async def stop(self, grace: float = GRACE) -> None:
        """Stop both, the host first, so that its last answers still arrive."""
        if self.host is not None:
            await self.host.stop(grace)
        if self.emulator is not None:
            await self._emulation.stop()

    def abandon(self) -> None:
        """Leave at once; the temporary store goes too."""
        if self.host is not None:
            self.host.abandon()
        self._emulation.abandon()
        if self._temporary:
            shutil.rmtree(self._folder, ignore_errors=True)


def _emulated(settings: Settings, emulator: "Emulator", folder: Path) -> Settings:
    """The settings with the emulator's credentials in the place of real ones, and a store of its own."""
    found = emulator.credentials
    values = {
        "whatsapp.phone_number_id": found.phone_number_id,
        "whatsapp.access_token": Secret(found.access_token),
        "whatsapp.verify_token": Secret(found.verify_token),
        "whatsapp.app_secret": Secret(found.app_secret),
        "whatsapp.access_token_previous": None,
        "whatsapp.app_secret_previous": None,
        "whatsapp.business_account_id": found.business_account_id,
        "whatsapp.app_id": found.app_id,
        "whatsapp.graph_url": emulator.graph_url,
        "serve.public_url": None,
        "serve.host": "127.0.0.1",
        "serve.private_host": "127.0.0.1",
        "serve.database": str(folder / "aerobot.db"),
        "bot.id": None,
    }
    layer = {key: Value(value=value, source="sandbox") for key, value in values.items()}
    return replace(settings, values={**settings.values, **layer})
