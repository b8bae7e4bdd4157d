"""The emulated Meta without its port: the phones, Graph, webhooks and what becomes of them, wired together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import aiohttp

from aerobot.emulator.bubble import Bubble
from aerobot.emulator.callbacks import Callbacks
from aerobot.emulator.calls import Calls, GraphCall
from aerobot.emulator.clock import Clock
from aerobot.emulator.deliver import Courier
from aerobot.emulator.faults import Faults
from aerobot.emulator.graph_api import GraphApi
from aerobot.emulator.graph_blocks import GraphBlocks
from aerobot.emulator.graph_media import GraphMedia
from aerobot.emulator.graph_messages import GraphMessages
from aerobot.emulator.ids import Ids
from aerobot.emulator.journal import Journal
from aerobot.emulator.limits import Limits
from aerobot.emulator.links import Links
from aerobot.emulator.media import Files
from aerobot.emulator.person import Person
from aerobot.emulator.phone import DEFAULT, World
from aerobot.emulator.portal import Portal
from aerobot.emulator.receipts import Receipts
from aerobot.emulator.settings import Settings
from aerobot.emulator.wire import Wire


class Meta:
    """Everything that a reset makes anew; the set-up (``portal``), ids, clock and journal are given.

    ``address`` tells under which URL Graph is reached.
    """

    def __init__(
        self,
        *,
        portal: Portal,
        ids: Ids,
        clock: Clock,
        journal: Journal,
        settings: Settings,
        address: Callable[[], str],
        allow_external: bool,
    ) -> None:
        self.portal = portal
        self.ids = ids
        self.clock = clock
        self.journal = journal
        self.settings = settings
        business = portal.business
        self.world = World(journal=journal, clock=clock)
        self.files = Files(ids, clock)
        self.calls = Calls(lambda: clock.milliseconds)
        self.faults = Faults(lambda armed: journal.add("faults", armed=armed))
        self.callbacks = Callbacks(ids, journal, allow_external=allow_external)
        self.courier = Courier(
            secret=portal.app.secret,
            journal=journal,
            clock=clock,
            settings=self._settings,
            target=business.callback,
            obstacle=business.obstacle,
            arrived=self._arrived,
            allow_external=allow_external,
        )
        self.receipts = Receipts(
            world=self.world, courier=self.courier, line=business.line, clock=clock, settings=self._settings
        )
        self.person = Person(
            world=self.world,
            courier=self.courier,
            files=self.files,
            line=business.line,
            ids=ids,
            clock=clock,
            address=lambda number: address() + self.files.path(number),
            blocked=lambda phone, number: phone in business.numbers[number].blocked,
        )
        self._links = Links(self.world, self.files)
        self._wire = Wire()
        self.graph = self._graph()

    def _graph(self) -> GraphApi:
        messages = GraphMessages(
            business=self.portal.business,
            world=self.world,
            files=self.files,
            links=self._links,
            faults=self.faults,
            limits=Limits(self.clock),
            receipts=self.receipts,
            wire=self._wire,
            clock=self.clock,
            ids=self.ids,
            settings=self._settings,
        )
        return GraphApi(
            portal=self.portal,
            callbacks=self.callbacks,
            blocks=GraphBlocks(self.portal.business, self._key, self.world.window_open),
            messages=messages,
            media=GraphMedia(files=self.files),
            faults=self.faults,
            wire=self._wire,
            calls=self.calls,
            journal=self.journal,
            ids=self.ids,
            now=self.clock,
        )

    def _settings(self) -> Settings:
        return self.settings

    def _key(self, user: str) -> str:
        """The phone of a number or user id."""
        digits = user.lstrip("+")
        return digits if digits.isdigit() else self.world.by_user_id(user)

    def _arrived(self, wamids: Sequence[str]) -> None:
        for wamid in wamids:
            self.world.tick(wamid, "delivered")

    def start(self, session: aiohttp.ClientSession) -> None:
        """Use this client."""
        self.courier.start(session)
        self._links.start(session)
        self.callbacks.start(session)

    def people(self) -> None:
        """The user who is there from the start."""
        self.world.add_user(DEFAULT)

    def change(self, changes: Mapping[str, object]) -> None:
        """Change settings. Raises ``ValueError`` with a sentence."""
        self.settings = self.settings.changed(changes)
        self.journal.add("settings", settings=self.settings.document())
        if not self.settings.hold and self.courier.holds:
            self.courier.release()

    def story(self, bubble: Bubble) -> dict[str, object]:
        """All that is known of one message: its webhooks, and the Graph calls that made it or answered it."""
        calls = self.calls.about(bubble.id)
        if bubble.direction == "in":
            calls += [call for call in self._answers(bubble) if call not in calls]
        return {
            "message": bubble.document(),
            "deliveries": [found.document() for found in self.courier.deliveries.about(bubble.id)],
            "calls": [call.document() for call in sorted(calls, key=lambda call: call.call)],
        }

    def _answers(self, bubble: Bubble) -> list[GraphCall]:
        """What was sent in the chat until the user wrote again."""
        answers: set[str] = set()
        asked = False
        for other in self.world.bubbles(*bubble.chat):
            if asked and other.direction == "in":
                break
            if asked:
                answers.add(other.id)
            asked = asked or other.id == bubble.id
        return self.calls.making(answers)

    def stop_waiting(self) -> None:
        """Let go of callers that are kept waiting."""
        self._wire.stop()

    async def stop(self) -> None:
        """Drop what is on its way."""
        self._wire.stop()
        await self.receipts.stop()
        await self._links.stop()
        await self.courier.stop()

    # -- keeping --

    def kept(self) -> dict[str, Any]:
        """The state as JSON."""
        return {
            "clock": self.clock.offset,
            "settings": self.settings.document(),
            "world": self.world.kept(),
            "files": self.files.kept(),
            "receipts": self.receipts.kept(),
            "deliveries": self.courier.kept(),
            "faults": self.faults.armed,
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Take in what ``kept`` gave. Raises ``KeyError``, ``TypeError`` or ``ValueError`` for anything else."""
        self.settings = Settings().changed(kept["settings"])
        self.files.restore(kept["files"])
        self.world.restore(kept["world"])
        self.courier.deliveries.restore(kept["deliveries"])
        self.faults.restore(kept["faults"])
        self.receipts.restore(kept["receipts"], self.world.bubbles())
