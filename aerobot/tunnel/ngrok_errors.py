"""What ngrok's errors mean and what helps. Source: https://ngrok.com/docs/errors (November 2026)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aerobot.errors import AerobotError, ConfigError, NetworkError, Repeat
from aerobot.secret import MASK, Secret

AUTHTOKEN_PAGE = "https://dashboard.ngrok.com/get-started/your-authtoken"
_TOKEN = f"Copy yours from {AUTHTOKEN_PAGE}\nthen: aerobot config set tunnel.authtoken"
_DOMAIN = (
    "Yours are on https://dashboard.ngrok.com/domains\n"
    "Set one: aerobot config set tunnel.domain NAME; none (--unset) takes what your account has."
)
_OTHER = "Stop the other one (https://dashboard.ngrok.com/agents lists them; here: pkill ngrok), then try again."
_PLAN = "Your plan and what is left of it: https://dashboard.ngrok.com/billing"
_UPDATE = "Update it: ngrok update, or https://ngrok.com/download"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """One of ngrok's errors in our words; ``ours`` says that a setting or credential here is at fault."""

    sentence: str
    remedy: str
    ours: bool = False


def _ours(sentence: str, remedy: str) -> Meaning:
    return Meaning(sentence=sentence, remedy=remedy, ours=True)


def _theirs(sentence: str, remedy: str) -> Meaning:
    return Meaning(sentence=sentence, remedy=remedy)


MEANINGS: Mapping[int, Meaning] = {
    105: _ours("The ngrok authtoken does not look like one.", _TOKEN),
    106: _ours("ngrok does not accept the authtoken, or its configuration file.", _TOKEN),
    107: _ours("ngrok does not accept the authtoken: it was reset, revoked or mistyped.", _TOKEN),
    108: _theirs("Your ngrok account runs as many agents as its plan allows (the free one: three).", _OTHER),
    120: _ours("The ngrok agent on this machine is too old.", _UPDATE),
    121: _ours("The ngrok agent on this machine is too old for your account.", _UPDATE),
    300: _ours("The ngrok authtoken was revoked.", _TOKEN),
    307: _ours("That address is not reserved in your ngrok account.", _DOMAIN),
    309: _ours("That address belongs to another ngrok account.", _DOMAIN),
    313: _ours("Your ngrok plan does not let you pick a subdomain.", _DOMAIN),
    314: _ours("Your ngrok plan does not allow a hostname of your own.", _DOMAIN),
    316: _ours("The ngrok authtoken may not use that domain.", _DOMAIN),
    319: _ours("That domain is not reserved in your ngrok account.", _DOMAIN),
    320: _ours("That domain belongs to another ngrok account.", _DOMAIN),
    324: _theirs("Your ngrok account has as many addresses open as its plan allows.", _OTHER),
    334: _theirs("That address is online already, in another ngrok agent.", _OTHER),
    725: _theirs("Your ngrok account has used up its bandwidth.", _PLAN),
    727: _theirs("Your ngrok account has used up its requests for this month.", _PLAN),
    734: _theirs("Your ngrok account has made too many requests in a short time.", "Wait a minute, or " + _PLAN),
    3200: _theirs("ngrok says that the tunnel is offline.", "Start again; if it stays so: https://status.ngrok.com"),
    4018: _ours("ngrok wants a verified account and its authtoken.", _TOKEN),
    6024: _theirs(
        "ngrok shows its warning page instead of passing the request on.",
        "Meta's own requests are not shown it; if they are: " + _PLAN,
    ),
    8012: _theirs(
        "The tunnel is open, but ngrok's agent cannot reach the listener behind it.",
        "Does a firewall or container stand between them on this machine?",
    ),
    9009: _ours(
        "ngrok goes through a proxy, which its free plan does not allow.",
        "Unset http_proxy and https_proxy, and proxy_url in ngrok's own configuration.",
    ),
    9040: _theirs("ngrok does not serve the network you are in.", "Try another network, or --public-url."),
}


def explain(text: str, secret: Secret | None = None) -> AerobotError:
    """An error of the agent or its API as one sentence and one remedy; ``secret`` never shows in it."""
    code = re.search(r"ERR_NGROK_(\d+)", text)
    if code and (meaning := MEANINGS.get(int(code[1]))):
        kind = ConfigError if meaning.ours else NetworkError
        return kind(f"{meaning.sentence} ({code[0]})", meaning.remedy)
    if code:
        page = f"https://ngrok.com/docs/errors/{code[0].lower()}"
        return NetworkError(f"ngrok refuses: {_first_words(text, secret)}", page, repeat=Repeat.NEVER)
    if re.search(r"x509|certificate", text):
        return NetworkError(
            "The way to ngrok's servers has a certificate that is not theirs.",
            "A proxy that opens TLS? ngrok diagnose tells more; --public-url does without ngrok.",
        )
    if re.search(r"no such host|dial tcp|lookup |i/o timeout|connection re(fused|set)|unreachable|EOF", text):
        return NetworkError(
            "ngrok's servers cannot be reached.", "Is there a network, a firewall? ngrok diagnose tells."
        )
    return NetworkError(f"ngrok did not start: {_first_words(text, secret)}", "ngrok diagnose may tell more.")


def _first_words(text: str, secret: Secret | None) -> str:
    if secret:
        text = text.replace(secret.reveal(), MASK)
    words = " ".join(re.sub(r"\\[nr]|authtoken: \S+", " ", text).split())
    return words if len(words) <= 200 else words[:199] + "…"
