"""Signed webhook bodies, each with a text of its own, in a file that the load generator reads.

A line is the signature, a blank, and the body; each body holds one text message of one of ``USERS`` people, as Meta
sends it today: with ``contacts[].user_id``, which PyWa needs.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from aerobot.emulator import webhooks

NUMBER = "106540352242922"
SECRET = "0123456789abcdef0123456789abcdef"
VERIFY_TOKEN = "verify-token-of-the-benchmark"
LINE = webhooks.Line(business_account_id="102290129340398", phone_number_id=NUMBER, display_phone_number="15550783881")
USERS = 5_000


def user(nth: int) -> webhooks.Sender:
    """The nth person who writes."""
    return webhooks.Sender(
        phone=f"1555{nth % USERS:07}", name=f"Ana {nth % USERS}", user_id=f"US.{10**14 + nth % USERS}"
    )


def bodies(count: int, *, label: str) -> Iterator[bytes]:
    """``count`` bodies; those of different labels have nothing in common but the people."""
    random, now = Random(label), int(time.time())
    for nth in range(count):
        who = user(nth)
        wamid = webhooks.new_wamid(random, who.phone)
        text = f"{label} {nth}: do you deliver on Sundays?"
        message = webhooks.message("text", who, id=wamid, timestamp=now, text=text)
        yield webhooks.wire(webhooks.inbound(LINE, who, message))


def write(path: Path, count: int, *, label: str) -> Path:
    """Write ``count`` signed bodies to a file."""
    with path.open("wb") as file:
        for body in bodies(count, label=label):
            file.write(b"%s %s\n" % (webhooks.sign(body, SECRET).encode(), body))
    return path
