"""Create, test and run WhatsApp bots for Aerostack."""

__version__ = "0.1.0"
