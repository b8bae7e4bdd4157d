"""One request to Graph, as a value, and whom it is about: a number, an account (WABA) or the app."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from aerobot.errors import ConfigError, UsageError
from aerobot.secret import Secret

PHONE_ID, WABA_ID, APP_ID = "whatsapp.phone_number_id", "whatsapp.business_account_id", "whatsapp.app_id"
LONGEST_CALLBACK = 200
"""The longest override address that Meta takes, in characters."""

Credential = Literal["token", "app"]
Body = Mapping[str, object] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. ``about`` is what it concerns; ``setting`` is the one that names that.

    ``params`` (query) and ``body`` may hold ``Secret`` values; they are revealed when they are sent, nowhere else.
    """

    method: str
    path: str
    params: Mapping[str, object] = field(default_factory=dict, repr=False)
    body: Mapping[str, object] | None = field(default=None, repr=False)
    form: bool = False
    """Whether the body is sent as a form instead of JSON."""
    credential: Credential = "token"
    proof: bool = True
    """Whether the access token is accompanied by its proof, where an app secret is held."""
    repeats: bool = True
    about: str = "such thing"
    """In words: ``number 123``, ``WABA 456``, ``app 789``."""
    setting: str = ""

    @property
    def reads(self) -> bool:
        """Whether it changes nothing, so that it may be repeated whatever happened."""
        return self.method == "GET"


def on_number(number: str, edge: str = "", body: Body = None, *, params: Body = None) -> Call:
    """A call about a number: with a body it changes something."""
    return _on(id_in(number, PHONE_ID) + edge, f"number {number}", PHONE_ID, body, params)


def on_waba(waba: str, edge: str = "", body: Body = None, *, params: Body = None) -> Call:
    """A call about a WhatsApp Business account: with a body it changes something."""
    return _on(id_in(waba, WABA_ID) + edge, f"WABA {waba}", WABA_ID, body, params)


def _on(path: str, about: str, setting: str, body: Body, params: Body) -> Call:
    method = "GET" if body is None else "POST"
    return Call(method=method, path=path, params=params or {}, body=body, about=about, setting=setting)


def the_app(app_id: str) -> Call:
    """The app itself, by its own token."""
    path, params = id_in(app_id, APP_ID), {"fields": "id,name"}
    return Call(method="GET", path=path, params=params, credential="app", about=f"app {app_id}", setting=APP_ID)


def on_app(app_id: str, method: str, *, body: Body = None, params: Body = None) -> Call:
    """A call about the app's own subscriptions, which take the app's own token alone."""
    path = the_app(app_id).path + "/subscriptions"
    return replace(the_app(app_id), method=method, path=path, params=params or {}, body=body, form=True)


def override(url: str, verify_token: Secret) -> dict[str, object]:
    """What sets an override, at whatever level."""
    if len(url) > LONGEST_CALLBACK:
        raise UsageError(f"Meta takes addresses of at most {LONGEST_CALLBACK} characters; this has {len(url)}.")
    return {"override_callback_uri": url, "verify_token": verify_token}


def id_in(value: str, name: str) -> str:
    """An id of Meta's, which has digits alone; anything else is a ``ConfigError``."""
    if not re.fullmatch(r"[0-9]{1,32}", value):
        what = f'"{value}" is not an id of Meta\'s: {name} has digits alone.' if value else f"{name} is not set."
        raise ConfigError(what, f"aerobot config set {name}" if "." in name else "")
    return value
