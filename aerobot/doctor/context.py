"""One look at the whole chain: what the remotes say, which hosts run here, and who is meant to answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aerobot.config import state_folder
from aerobot.doctor import private
from aerobot.doctor.remotes import Remotes, Skip, once
from aerobot.doctor.whose import Owner, origin_of, whose
from aerobot.errors import AerobotError
from aerobot.graph_admin import Callback
from aerobot.host import record
from aerobot.host.paths import path_of
from aerobot.store.roster import derived_id

AEROSTACK = "https://api.aerostack.dev"
"""Where Aerostack's webhooks are, whatever origin its API was asked under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """The address to try, and by which way that is: ``through the tunnel``, ``at Aerostack``, ``on this machine`` …"""

    url: str
    way: str


class Context(Remotes):
    """Made with ``with``, as ``Remotes`` says. ``reached``: our challenge was answered at the address in force."""

    reached = False

    def bot_ids(self) -> tuple[str, ...]:
        """The ids under which our bot's webhook may stand."""
        number = self.settings.text("whatsapp.phone_number_id")
        ids = (self.settings.text("bot.id"), derived_id(number) if number else "")
        return tuple(bot_id for bot_id in ids if bot_id)

    # -- the local host ------------------------------------------------------------------------------------

    @once
    def hosts(self) -> tuple[record.HostRecord, ...]:
        """The hosts that run here for this number or this configuration, the newest first.

        A sandbox counts only for its own number: that of the command beside it (``--exec``).
        """
        found = record.running(state_folder(self.environ) / "hosts")
        real = tuple(r for r in found if r.sandbox_secret is None)
        fits = record.of_number(found, self.settings.text("whatsapp.phone_number_id"))
        fits = fits or record.of_config(real, str(self.settings.path or ""))
        return tuple(sorted(fits, key=lambda r: -r.started_at))

    def host(self) -> record.HostRecord | None:
        """The one that is meant."""
        return next(iter(self.hosts()), None)

    @once
    def about_host(self) -> Mapping[str, Any]:
        """What that host says of itself."""
        host = self.host()
        if host is None:
            raise Skip("the host first", "aerobot serve")
        return private.about(host)

    def _ways(self, host: record.HostRecord) -> tuple[Webhook, ...]:
        """The origins at which a host here can be reached, the widest first."""
        here = Webhook(url=host.local_url, way="on this machine")
        if not host.public_url or host.public_url == host.local_url:
            return (here,)
        own = origin_of(host.public_url) == origin_of(self.settings.text("serve.public_url"))
        return Webhook(url=host.public_url, way="through serve.public_url" if own else "through the tunnel"), here

    def called(self) -> str:
        """The number as people know it, and whether it is TEST or LIVE; empty where Meta did not tell."""
        try:
            number = self.number()
        except (AerobotError, Skip):
            return ""
        return ", ".join(word for word in (number.display, number.mode) if word)

    # -- both ----------------------------------------------------------------------------------------------

    @once
    def owner(self, url: str) -> Owner:
        """Whose an address is that Meta calls."""
        return whose(
            url,
            paths=tuple(path_of(bot_id) for bot_id in self.bot_ids()),
            aerostack=(AEROSTACK, self.settings.text("aerostack.api_url")),
            laptop={there.url: there.way for host in self.hosts() for there in self._ways(host)},
            public_url=self.settings.text("serve.public_url"),
        )

    def in_force(self) -> Callback | None:
        """The address that Meta calls; nothing where that is not known."""
        try:
            return self.number().callbacks.in_force
        except (AerobotError, Skip):
            return None

    def place(self) -> str:
        """Who is meant to answer: ``aerostack``, or ``local`` for a host of one's own."""
        there = self.in_force()
        owner = self.owner(there.url) if there else None
        if owner is not None and owner.ours:
            return "aerostack" if owner.kind == "aerostack" else "local"
        logged_in = self.settings.secret("aerostack.token") or self.settings.secret("aerostack.api_key")
        return "local" if self.host() or not (logged_in and self.settings.text("bot.id")) else "aerostack"

    def webhook(self) -> Webhook | None:
        """The address to try: the one in force where it is ours, else the host's own; ``None`` where there is none."""
        there = self.in_force()
        if there is not None and self.owner(there.url).ours:
            return Webhook(url=there.url, way=self.owner(there.url).way)
        return self.own_webhook()

    def own_webhook(self) -> Webhook | None:
        """Where our own host, or our bot at Aerostack, can be reached."""
        host, ids = self.host(), self.bot_ids()
        if host is not None and ids:
            there = self._ways(host)[0]
            return Webhook(url=there.url + path_of(ids[0]), way=there.way)
        if self.place() == "aerostack":
            origin = self.settings.text("aerostack.api_url").rstrip("/")
            return Webhook(url=origin + path_of(self.settings.text("bot.id")), way="at Aerostack")
        return None
