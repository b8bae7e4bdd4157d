"""The client of the Aerostack API, method by method.

What is known of it stands in docs.aerostack.dev/bots/api-reference. Calls that its pages only hint at are
marked *inferred* here; where one is missing, the words say that the platform may not offer it.
"""

import re
from collections.abc import Mapping
from typing import Any

from aerobot.aerostack.answers import Document, error_in, list_in, object_in, token_in
from aerobot.aerostack.channel import Channel
from aerobot.aerostack.credentials import BY_HAND
from aerobot.aerostack.failures import ABSENT, Call, no_token
from aerobot.errors import AerobotError, RemoteError, Repeat, UsageError
from aerobot.secret import Secret

BOTS = "/api/bots"
WORKSPACES = "/api/community/mcp/workspaces"
LOGIN = "/api/auth/login"
TEST_TIMEOUT = 90.0
"""Seconds: the platform itself may think for 60 (``timeout_ms``)."""


class Aerostack(Channel):
    """The Aerostack API, or a running host that speaks it; made and closed as ``Channel`` says."""

    # -- the account ---------------------------------------------------------------------------------------

    def login(self, email: str, password: Secret) -> Secret:
        """``POST /api/auth/login`` (inferred): the token. Never repeated: five attempts lock an address."""
        self._hidden.append(password)
        body = {"email": email, "password": password.reveal()}
        call = Call(method="POST", path=LOGIN, body=body, repeats=False, proves=False)
        try:
            document = self._ask(call)
        except RemoteError as error:
            raise self._not_offered(call, error) if error.status in ABSENT else error from None
        token = token_in(document)
        if not token:
            raise RemoteError(*no_token(document))
        return Secret(token)

    def workspaces(self) -> list[Document]:
        """``GET /api/community/mcp/workspaces``."""
        return self._list(Call(method="GET", path=WORKSPACES), "workspaces")

    def create_workspace(self, name: str) -> Document:
        """``POST /api/community/mcp/workspaces``; ``name`` has at least two characters."""
        call = Call(method="POST", path=WORKSPACES, body={"name": name})
        return self._object(call, "workspace", ("id",), "a workspace's id")

    # -- bots ----------------------------------------------------------------------------------------------

    def bots(self) -> list[Document]:
        """``GET /api/bots``: your bots, in short."""
        return self._list(Call(method="GET", path=BOTS), "bots")

    def create_bot(self, document: Mapping[str, Any]) -> Document:
        """``POST /api/bots``. An error whose ``repeat`` is ``AMBIGUOUS`` may have created it all the same."""
        return self._object(Call(method="POST", path=BOTS, body=document), "bot", ("id",), "the bot's id")

    def bot(self, bot_id: str) -> Document:
        """``GET /api/bots/:id`` (inferred); where that is not offered, what the list says of the bot."""
        call = Call(method="GET", path=_path(bot_id))
        try:
            return self._object(call, "bot", ("id",), "the bot's id")
        except RemoteError as error:
            if error.status not in ABSENT or self.remote.local:
                raise self._named(bot_id, error) from None
        for known in self.bots():
            if known.get("id") == bot_id:
                self._tell(f"{self.remote.name} shows no single bots: this is what its list says.")
                return known
        raise self._unknown(bot_id)

    def update_bot(self, bot_id: str, changes: Mapping[str, Any]) -> Document:
        """``PATCH /api/bots/:id`` (sure for ``platform_config`` alone, which it replaces as a whole)."""
        return self._of_bot(Call(method="PATCH", path=_path(bot_id), body=changes), bot_id, ("id",))

    def delete_bot(self, bot_id: str) -> None:
        """``DELETE /api/bots/:id`` (inferred)."""
        self._of_bot(Call(method="DELETE", path=_path(bot_id)), bot_id, ())

    def activate(self, bot_id: str) -> Document:
        """``POST /api/bots/:id/activate``: status, webhook_url, manual_setup_required, warnings."""
        marks = ("webhook_url", "status", "manual_setup_required")
        return self._of_bot(Call(method="POST", path=_path(bot_id, "/activate")), bot_id, marks)

    def deactivate(self, bot_id: str) -> Document:
        """``POST /api/bots/:id/deactivate`` (inferred)."""
        return self._of_bot(Call(method="POST", path=_path(bot_id, "/deactivate")), bot_id, ("status", "id"))

    def test(self, bot_id: str, message: str) -> Document:
        """``POST /api/bots/:id/test``: a real answer, at a message's price. Never repeated."""
        path = _path(bot_id, "/test")
        body = {"message": message}
        call = Call(method="POST", path=path, body=body, repeats=False, read_timeout=TEST_TIMEOUT)
        return self._of_bot(call, bot_id, ("response",))

    # -- reading -------------------------------------------------------------------------------------------

    def _list(self, call: Call, name: str) -> list[Document]:
        document = self._ask(call)
        found = list_in(document, name)
        if found is None:
            raise self._without(call, f"a list of {name}", document)
        return found

    def _object(self, call: Call, name: str, marks: tuple[str, ...], wanted: str) -> Document:
        document = self._ask(call)
        found = object_in(document, name, marks)
        if not found:
            raise self._without(call, wanted, document)
        return found

    def _without(self, call: Call, wanted: str, document: object) -> RemoteError:
        """An answer of success that lacks what it is for: whether the call had its effect is unknown."""
        said = error_in(document)
        words = f"{self.remote.name} answered {call.method} {call.path} without {wanted}{said and ': '}{said}."
        return self._cleaned(RemoteError(words, repeat=Repeat.NEVER if call.reads else Repeat.AMBIGUOUS))

    def _of_bot(self, call: Call, bot_id: str, marks: tuple[str, ...]) -> Document:
        try:
            document = self._ask(call)
        except RemoteError as error:
            raise self._absent(call, bot_id, error) if error.status in ABSENT else error from None
        found = object_in(document, "bot", marks)
        if not found and isinstance(document, Mapping) and (document.get("error") or document.get("success") is False):
            raise self._cleaned(RemoteError(f"{self.remote.name} refused this: {error_in(document) or document}."))
        return found or (dict(document) if isinstance(document, Mapping) else {})

    def _absent(self, call: Call, bot_id: str, error: RemoteError) -> RemoteError:
        """Why a bot's own path was not found: a wrong id, or a call that the platform does not offer."""
        if self.remote.local:
            return self._named(bot_id, error)
        try:
            ids = {bot.get("id") for bot in self.bots()}
        except AerobotError:
            return self._not_offered(call, error)
        return self._not_offered(call, error) if bot_id in ids else self._unknown(bot_id)

    def _named(self, bot_id: str, error: RemoteError) -> RemoteError:
        return self._unknown(bot_id) if error.status == 404 else error

    def _unknown(self, bot_id: str) -> RemoteError:
        hint = "Those it knows: aerobot bots list" + (" --local" if self.remote.local else "")
        return RemoteError(f"{self.remote.name} knows no bot {bot_id}.", hint, status=404)

    def _not_offered(self, call: Call, error: RemoteError) -> RemoteError:
        by_dashboard = "Its documentation only hints at it; the dashboard can: https://app.aerostack.dev"
        hint = BY_HAND if call.path == LOGIN else by_dashboard
        words = f"The platform may not offer {call.method} {call.path}. {error.message}"
        return RemoteError(words, hint, status=error.status)


def _path(bot_id: str, end: str = "") -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,200}", bot_id):
        hint = "They look like bt_a1b2c3d4e5f6g7h8i9j0: aerobot bots list"
        raise UsageError(f'"{bot_id}" is not a bot\'s id.', hint)
    return f"{BOTS}/{bot_id}{end}"
