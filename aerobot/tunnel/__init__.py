"""A public https address for the public listener's port, and for nothing else: opened, proven, closed."""

from aerobot.tunnel.base import Tunnel
from aerobot.tunnel.ngrok import open_tunnel
from aerobot.tunnel.proof import prove

__all__ = ["Tunnel", "open_tunnel", "prove"]
