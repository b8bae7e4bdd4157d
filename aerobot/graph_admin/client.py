"""The client of Graph's set-up calls: what a token, an app, an account and a number are; webhooks are ``Webhooks``.

Sources: Graph API (Debug Token), WhatsApp Business Management API (Phone numbers, Registration, Templates), v25.0.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Literal, TypeVar

from aerobot.errors import UsageError
from aerobot.graph_admin import reading
from aerobot.graph_admin.call import Call, id_in, on_number, on_waba, the_app
from aerobot.graph_admin.failures import GraphError, another_apps
from aerobot.graph_admin.values import App, Number, Template, Token, Waba
from aerobot.graph_admin.webhooks import Webhooks
from aerobot.graph_admin.words import kind_of_node
from aerobot.secret import Secret

NUMBER_FIELDS = (
    "id,display_phone_number,verified_name,status,account_mode,quality_rating,platform_type,throughput,name_status,"
    "whatsapp_business_manager_messaging_limit,webhook_configuration"
)
TEMPLATE_FIELDS = "id,name,language,status,category,rejected_reason,components"

Answer = TypeVar("Answer")
Kind = Literal["number", "waba", "other", ""]


class GraphAdmin(Webhooks):
    """Graph's set-up calls; made and closed as ``Channel`` says.

    Each raises ``GraphError`` (Meta's no), ``NetworkError`` (nothing of Graph's came back) or ``ConfigError`` (a
    credential is missing or malformed, an id is none). Reading is repeated while that helps; what changes something
    is never repeated after a failure that left its effect unknown: such an error's ``repeat`` is ``AMBIGUOUS``.
    """

    # -- tokens and apps -----------------------------------------------------------------------------------

    def debug_token(self) -> Token:
        """``GET /debug_token``: what the access token is. A dead one is a ``Token`` that is not ``valid``.

        It is asked for by the app's own token where app id and secret are known; where Graph refuses that, or they
        are another app's, by the access token itself.
        """
        assert self._token()
        first: GraphError | None = None
        last: GraphError | None = None
        for call in self._inspections():
            try:
                token = reading.token_in(self._ask(call))
            except GraphError as error:
                first, last = first or error, error
                continue
            if token.valid or token.app_id or call.credential == "token":
                return token
            first = another_apps(token.error)
        assert last is not None
        if last.failure.code == 190:
            return Token(valid=False, error=last.failure)
        raise first or last

    def _inspections(self) -> Iterable[Call]:
        given = {"input_token": self._access_token}
        call = Call(method="GET", path="debug_token", params=given, about="access token")
        if self.app_id and self.has_secret:
            yield replace(call, credential="app")
        if self.has_secret and self.prove:
            yield call
        yield replace(call, proof=False)

    def app(self) -> App:
        """The app, asked for by its own token (``id|secret``); a ``GraphError`` where these do not fit."""
        return reading.app_in(self._ask(the_app(self.app_id)))

    def secret_fits(self) -> bool:
        """Whether the app secret is that of the app ``app_id``; where that cannot be told, the error is raised."""
        try:
            self.app()
        except GraphError as error:
            if error.cause != "secret_wrong":
                raise
            return False
        return True

    def app_of_token(self) -> App:
        """``GET /app``: the app that made the access token."""
        call = Call(method="GET", path="app", params={"fields": "id,name"}, about="app of its own")
        try:
            return reading.app_in(self._ask(call))
        except GraphError as error:
            if error.cause != "secret_wrong":
                raise
            refused = error
        try:
            return reading.app_in(self._ask(replace(call, proof=False)))
        except GraphError:
            raise refused from None

    # -- accounts and numbers ------------------------------------------------------------------------------

    def number(self, phone_number_id: str) -> Number:
        """``GET /{phone_number_id}`` with the callbacks of all three levels."""
        return reading.number_in(self._fields(on_number(phone_number_id), NUMBER_FIELDS, self._ask))

    def waba(self, business_account_id: str) -> Waba:
        """``GET /{waba}``: its name."""
        return reading.waba_in(self._ask(on_waba(business_account_id, params={"fields": "id,name"})))

    def phone_numbers(self, business_account_id: str) -> tuple[Number, ...]:
        """``GET /{waba}/phone_numbers``: the account's numbers, their callbacks too."""
        call = on_waba(business_account_id, "/phone_numbers", params={"limit": "100"})
        items = self._fields(call, NUMBER_FIELDS, lambda asked: list(self._pages(asked)))
        return tuple(reading.number_in(item, business_account_id) for item in items)

    def kind_of(self, object_id: str) -> Kind:
        """What an id names: a number, a WABA, something else; empty where Graph does not show it to this token."""
        params = {"fields": "display_phone_number"}
        call = Call(method="GET", path=id_in(object_id, "The id"), params=params, about="such object")
        try:
            self._ask(call)
        except GraphError as error:
            if error.field:
                found: Mapping[str, Kind] = {"number": "number", "WABA": "waba"}
                return found.get(kind_of_node(error.node_type), "other")
            if error.cause != "not_there":
                raise
            return ""
        return "number"

    def register(self, phone_number_id: str, pin: Secret) -> None:
        """``POST /{phone_number_id}/register``: put the number on the Cloud API; ``pin`` has six digits.

        Ten wrong or repeated calls in 72 hours lock the number (133016): nothing is repeated here.
        """
        if not re.fullmatch(r"[0-9]{6}", pin.reveal()):
            raise UsageError("The PIN has six digits.", "It is the number's two-step PIN; a new number takes any.")
        body = {"messaging_product": "whatsapp", "pin": pin}
        self._do(replace(on_number(phone_number_id, "/register", body), repeats=False))

    def templates(self, business_account_id: str) -> tuple[Template, ...]:
        """``GET /{waba}/message_templates``: all of them."""
        call = on_waba(business_account_id, "/message_templates", params={"limit": "100"})
        items = self._fields(call, TEMPLATE_FIELDS, lambda asked: list(self._pages(asked)))
        return tuple(reading.template_in(item) for item in items)

    def _fields(self, call: Call, fields: str, ask: Callable[[Call], Answer]) -> Answer:
        """What ``ask`` gives for these fields, without the ones that this version of Graph does not have."""
        left = fields.split(",")
        while True:
            try:
                return ask(replace(call, params={**call.params, "fields": ",".join(left)}))
            except GraphError as error:
                if error.field not in left or kind_of_node(error.node_type) == "WABA":
                    raise
                left.remove(error.field)
