"""Graph's refusals in Meta's exact envelope, as values, and the ones that several endpoints share.

Source: developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes;
wordings as seen in public issues.
"""

from dataclasses import dataclass

HELP = "Please read the Graph API documentation at https://developers.facebook.com/docs/graph-api"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One error answer: HTTP ``status`` and the members of Meta's ``error`` object.

    ``retry_after`` is a header of the answer, in seconds; Meta does not document that it sends one.
    """

    message: str
    code: int
    status: int = 400
    type: str = "OAuthException"
    subcode: int | None = None
    details: str = ""
    transient: bool = False
    retry_after: int = 0

    def document(self, trace: str) -> dict[str, object]:
        """The JSON body; ``trace`` is the ``fbtrace_id``."""
        error: dict[str, object] = {"message": self.message, "type": self.type, "code": self.code}
        if self.details:
            error["error_data"] = {"messaging_product": "whatsapp", "details": self.details}
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.transient:
            error["is_transient"] = True
        return {"error": error | {"fbtrace_id": trace}}


class Refused(Exception):
    """Ends the handling of a Graph call with a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def bad_token(text: str = "Invalid OAuth access token - Cannot parse access token") -> Refused:
    """A token that is not ours."""
    return Refused(Refusal(status=401, code=190, message=text))


def no_token(node: str) -> Refused:
    """No token at all: 200 for an object that is named by its id, 190 for the bytes of a file, else 2500."""
    if node == "whatsapp_business":
        return bad_token()
    if node.isdecimal():
        return Refused(Refusal(status=403, code=200, message="(#200) Provide valid app ID"))
    text = "An active access token must be used to query information about the current user."
    return Refused(Refusal(code=2500, message=text))


def not_there(method: str, node: str) -> Refused:
    """An object that does not exist, or that this token may not see."""
    text = (
        f"Unsupported {method.lower()} request. Object with ID '{node}' does not exist, cannot be loaded "
        f"due to missing permissions, or does not support this operation. {HELP}"
    )
    return Refused(Refusal(code=100, subcode=33, type="GraphMethodException", message=text))


def no_field(name: str, node_type: str) -> Refused:
    """A field or a readable edge that the object does not have."""
    text = f"(#100) Tried accessing nonexisting field ({name}) on node type ({node_type})"
    return Refused(Refusal(code=100, message=text))


def no_path(rest: str) -> Refused:
    """A path that leads nowhere."""
    return Refused(Refusal(code=2500, message=f"Unknown path components: /{rest}"))


def required(name: str) -> Refused:
    """A parameter that is missing."""
    return Refused(Refusal(code=100, message=f"(#100) The parameter {name} is required."))


def parameter(text: str) -> Refused:
    """A parameter that is wrong, in words of its own."""
    return Refused(Refusal(code=100, message=f"(#100) {text}"))


def invalid(details: str) -> Refused:
    """A value outside WhatsApp's limits (131009); ``details`` says which."""
    return Refused(Refusal(code=131009, message="(#131009) Parameter value is not valid", details=details))


def not_assigned() -> Refused:
    """A system user that was not given the WhatsApp Business Account wants to send (200)."""
    text = (
        "(#200) You do not have the necessary permissions required to send messages on behalf of this "
        "WhatsApp Business Account"
    )
    return Refused(Refusal(status=403, code=200, message=text))


def refused(code: int, title: str, details: str = "", *, status: int = 400) -> Refused:
    """One of WhatsApp's own codes, in its usual wording."""
    return Refused(Refusal(status=status, code=code, message=f"(#{code}) {title}", details=details))


def not_json(why: str) -> Refused:
    """A body that is not the JSON object (or form) it should be."""
    text = f"(#100) Invalid parameter: the body is not a JSON object ({why})"
    return Refused(Refusal(code=100, message=text))
