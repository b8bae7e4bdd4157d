"""``/{phone}/block_users``: users who can no longer write to a number, and to whom it can no longer send.

Source: Meta's page "Block users": only who wrote within 24 hours can be blocked, at most 1,000 in a call.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from aerobot.emulator.business import Business, Number
from aerobot.emulator.graph_call import Call
from aerobot.emulator.graph_errors import Refused, invalid, parameter, refused

MOST = 1000
NOT_RECENT = "Only users who wrote to the number within 24 hours can be blocked."


class GraphBlocks:
    """Its calls. ``key`` finds a user by number or user id, ``recent`` tells whether they wrote within 24 hours."""

    def __init__(self, business: Business, key: Callable[[str], str], recent: Callable[[str, str], bool]) -> None:
        self._business = business
        self._key = key
        self._recent = recent

    def answer(self, call: Call, number: Number) -> dict[str, object]:
        """``GET``, ``POST`` and ``DELETE``. Raises ``Refused``: 100, or 139100 where none could be blocked."""
        if call.method == "GET":
            return call.page([{"messaging_product": "whatsapp", **_named(key)} for key in number.blocked])
        if call.text("messaging_product") != "whatsapp":
            raise parameter("Param messaging_product must be one of {WHATSAPP}")
        users = [_user(one) for one in _listed(call)]
        if call.method == "DELETE":
            gone = {self._key(user) for user in users}
            self._put(number, tuple(key for key in number.blocked if key not in gone))
            return _told("removed_users", users)
        good = [user for user in users if self._recent(self._key(user), number.id)]
        if not good:
            raise refused(139100, "Failed to block users", NOT_RECENT)
        self._put(number, tuple(dict.fromkeys((*number.blocked, *map(self._key, good)))))
        bad = [user for user in users if user not in good]
        failed: list[dict[str, object]] = [
            {"input": user, "errors": [{"code": 139101, "message": NOT_RECENT}]} for user in bad
        ]
        return _told("added_users", good, failed)

    def _put(self, number: Number, blocked: tuple[str, ...]) -> None:
        self._business.put_number(replace(number, blocked=blocked))


def blocked() -> Refused:
    """The number has blocked the user that it wants to send to."""
    return refused(130403, "User is blocked", "The business has blocked this user.")


def _listed(call: Call) -> list[object]:
    users = call.params.get("block_users")
    if not isinstance(users, list) or not 1 <= len(users) <= MOST:
        raise parameter(f"Param block_users must be an array of 1 to {MOST} users.")
    return users


def _user(one: object) -> str:
    found = (one.get("user") or one.get("user_id")) if isinstance(one, Mapping) else None
    if not isinstance(found, str) or not found:
        raise invalid("Each of block_users has user or user_id")
    return found


def _named(key: str) -> dict[str, str]:
    return {"wa_id": key} if key.isdigit() else {"user_id": key}


def _told(name: str, users: list[str], failed: list[dict[str, object]] | tuple[()] = ()) -> dict[str, object]:
    named = [{"input": user, **_named(user.lstrip("+") if user.lstrip("+").isdigit() else user)} for user in users]
    found: dict[str, object] = {name: named}
    return {"messaging_product": "whatsapp", "block_users": found | ({"failed_users": failed} if failed else {})}
