"""An answer of the private listener other than yes."""


class Refusal(Exception):
    """An answer other than yes: HTTP status, Aerostack's kind of code, one sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
