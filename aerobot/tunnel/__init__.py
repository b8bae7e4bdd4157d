"""A public https address for the public listener's port, and for nothing else: opened, proven, watched, closed."""

from aerobot.tunnel.base import Terms, Tunnel
from aerobot.tunnel.choose import open_tunnel
from aerobot.tunnel.proof import prove
from aerobot.tunnel.watch import Pace, Watch

__all__ = ["Pace", "Terms", "Tunnel", "Watch", "open_tunnel", "prove"]
