"""Graph's calls about set-up: their client, what they tell, and the verdicts on it. Never on the hot path."""

from aerobot.graph_admin.client import GraphAdmin
from aerobot.graph_admin.discover import Discovered, discover
from aerobot.graph_admin.failures import GraphError
from aerobot.graph_admin.finding import Finding, State, worst
from aerobot.graph_admin.values import (
    App,
    AppSubscription,
    Callback,
    Callbacks,
    Level,
    Number,
    SubscribedApp,
    Template,
    Token,
    Waba,
)

__all__ = [
    "App",
    "AppSubscription",
    "Callback",
    "Callbacks",
    "Discovered",
    "Finding",
    "GraphAdmin",
    "GraphError",
    "Level",
    "Number",
    "State",
    "SubscribedApp",
    "Template",
    "Token",
    "Waba",
    "discover",
    "worst",
]
