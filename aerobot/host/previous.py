"""The token and the secret that a bot made over the API had before: good for a day, while they are being changed.

They stand under ``previous`` in its document, beside ``platform_config``, which a change replaces as a whole.
"""

from collections.abc import Mapping

from aerobot.store.roster import previous_of, timestamp

LASTS_MS = 86_400_000
"""How long after a change the former ones are taken: Meta may still sign with the one and refuse the new other."""
NAMES = ("access_token", "app_secret")


def carried(before: Mapping[str, object], after: Mapping[str, object], *, now: int) -> Mapping[str, object] | None:
    """The ``previous`` that a change of a bot's document leaves; another number has none."""
    old, new = _config(before), _config(after)
    if old.get("phone_number_id") != new.get("phone_number_id"):
        return None
    given = previous_of(before, now=now)
    changed = {name: old[name] for name in NAMES if old.get(name) and new.get(name) and old[name] != new[name]}
    kept = {name: given[name] for name in NAMES if given.get(name) and new.get(name) not in ("", None, given[name])}
    if changed:
        return lasting({**kept, **changed}, now=now)
    return {**kept, "until": given["until"]} if kept else None


def lasting(former: object, *, now: int) -> Mapping[str, object] | None:
    """Former values, and until when they are taken."""
    return {**former, "until": timestamp(now + LASTS_MS)} if isinstance(former, Mapping) and former else None


def _config(document: Mapping[str, object]) -> Mapping[str, object]:
    given = document.get("platform_config")
    return given if isinstance(given, Mapping) else {}
