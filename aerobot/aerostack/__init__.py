"""The Aerostack API: its client, and what a credential may tell before a call."""

from aerobot.aerostack.answers import warnings_of
from aerobot.aerostack.client import Aerostack
from aerobot.aerostack.credentials import BY_HAND, jwt_expiry, when

__all__ = ["BY_HAND", "Aerostack", "jwt_expiry", "warnings_of", "when"]
