"""The webhook path, the same as Aerostack's, so that a bot moves between the two without a change."""

PATH = "/api/bots/webhook/whatsapp/{bot_id}"


def path_of(bot_id: str) -> str:
    """The webhook path of a bot."""
    return PATH.format(bot_id=bot_id)
