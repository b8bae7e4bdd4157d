"""Who sent a webhook: Meta's handshake and X-Hub-Signature-256, and for the operator *why* one did not fit.

Law: the caller learns nothing from a verdict; ``detail`` and ``remedy`` are for the operator's terminal and
never contain a secret. Source: developers.facebook.com/docs/whatsapp, "Create a webhook endpoint".
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_PREFIX = "sha256="
_HEX = re.compile(r"[0-9a-fA-F]{64}")
_EXPLAINABLE = 16 * 1024
"""Bodies up to this many bytes are searched for the cause of a mismatch: strangers must not cost us time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``reason`` is a stable word, empty where all is well; ``detail`` and ``remedy`` one sentence each.

    ``fits`` is the place of the secret that fitted among those that were given.
    """

    ok: bool
    reason: str = ""
    detail: str = ""
    remedy: str = ""
    fits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """The answer to a handshake: ``body`` is what to echo with status 200, empty where it is refused."""

    ok: bool
    body: str = ""
    reason: str = ""
    detail: str = ""
    remedy: str = ""


# -- the handshake -------------------------------------------------------------------------------------------


def challenge(query: Mapping[str, str], verify_token: str) -> Challenge:
    """Judge ``hub.mode``, ``hub.verify_token`` and ``hub.challenge``; the challenge is echoed as it stands.

    Reasons: no_verify_token · missing · mode · white_space · case · mismatch.
    """
    names = ("hub.mode", "hub.verify_token", "hub.challenge")
    missing = [name for name in names if not query.get(name)]
    if not verify_token:
        return _no("no_verify_token", "No verify token is configured here", "Set whatsapp.verify_token")
    if missing:
        detail = f"The handshake came without {', '.join(missing)}"
        return _no("missing", detail, "Meta sends all three; a browser or a health check does not")
    if query["hub.mode"] != "subscribe":
        return _no("mode", "The handshake's hub.mode is not subscribe", "Meta sends hub.mode=subscribe")
    given = query["hub.verify_token"]
    if _same(given, verify_token):
        return Challenge(ok=True, body=query["hub.challenge"])
    return _no(*_why_token(given, verify_token))


def _no(reason: str, detail: str, remedy: str) -> Challenge:
    return Challenge(ok=False, reason=reason, detail=detail, remedy=remedy)


def _why_token(given: str, ours: str) -> tuple[str, str, str]:
    remedy = "Enter the value of whatsapp.verify_token in Meta's portal exactly as it is configured here"
    if _same(given.strip(), ours):
        return "white_space", "The verify token came with white space around it", remedy
    if _same(given.strip(), ours.strip()):
        return "white_space", "The verify token configured here has white space around it", "Remove it"
    if _same(given.strip().casefold(), ours.strip().casefold()):
        return "case", "The verify token differs in upper and lower case", remedy
    return "mismatch", "The verify token is not the one configured here", remedy


# -- the signature -------------------------------------------------------------------------------------------


def check(body: bytes, header: str | None, secrets: Sequence[str], *, sha1_header: str | None = None) -> Verdict:
    """Judge X-Hub-Signature-256: HMAC-SHA256 over the raw body with any of the app secrets (new, old).

    ``sha1_header`` is the legacy X-Hub-Signature, looked at only to explain. Never raises, whatever comes.
    Reasons: no_secret · missing · sha1_only · malformed · empty_body · secret_spelling · rewritten ·
    mismatch.
    """
    known = [secret for secret in secrets if secret]
    if not known:
        return _bad("no_secret", "No app secret is configured, so no signature can be verified", _SET)
    given = (header or "").strip()
    if not given:
        return _absent(sha1_header)
    if not given.lower().startswith(_PREFIX) or not _HEX.fullmatch(given[len(_PREFIX) :]):
        return _malformed(given)
    digest = given[len(_PREFIX) :].lower()
    for place, secret in enumerate(secrets):
        if secret and hmac.compare_digest(_digest(secret, body), digest):
            return Verdict(ok=True, fits=place)
    return _why(body, digest, known)


_SET = "Set whatsapp.app_secret: App settings > Basic > App secret in Meta's portal"
_SECRET = "Set whatsapp.app_secret to App settings > Basic > App secret of the app that sends this webhook"
_PROXY = "Let proxies and tunnels pass headers and body through untouched"


def _bad(reason: str, detail: str, remedy: str) -> Verdict:
    return Verdict(ok=False, reason=reason, detail=detail, remedy=remedy)


def _absent(sha1_header: str | None) -> Verdict:
    if sha1_header and sha1_header.strip():
        return _bad("sha1_only", "Only the old X-Hub-Signature (SHA-1) came, not X-Hub-Signature-256", _PROXY)
    detail = "The request has no X-Hub-Signature-256: Meta did not send it, or something dropped it"
    return _bad("missing", detail, _PROXY)


def _malformed(given: str) -> Verdict:
    if given.lower().startswith("sha1="):
        return _bad("sha1_only", "X-Hub-Signature-256 holds a SHA-1 signature", "Sign with HMAC-SHA256")
    remedy = "It is sha256= and 64 hexadecimal digits"
    if not given.lower().startswith(_PREFIX):
        return _bad("malformed", "X-Hub-Signature-256 does not begin with sha256=", remedy)
    digits = given[len(_PREFIX) :]
    if len(digits) != 64:
        return _bad("malformed", f"X-Hub-Signature-256 has {len(digits)} digits instead of 64", remedy)
    return _bad("malformed", "X-Hub-Signature-256 has characters that are not hexadecimal digits", remedy)


def _why(body: bytes, digest: str, secrets: Sequence[str]) -> Verdict:
    """The cause of a mismatch, as far as trying can tell."""
    if not body:
        return _bad("empty_body", "The request is signed but its body is empty", _PROXY)
    if len(body) <= _EXPLAINABLE:
        for secret in secrets:
            for what, other in _spellings(secret):
                if hmac.compare_digest(_digest(other, body), digest):
                    detail = f"The signature fits the configured app secret {what}"
                    return _bad("secret_spelling", detail, _SECRET)
            for what, text in _rewritings(body):
                if hmac.compare_digest(_digest(secret, text), digest):
                    detail = f"The secret is right, but signed was the body {what}, not the bytes that came"
                    return _bad("rewritten", detail, f"Sign the bytes that are sent. {_PROXY}")
    return _bad("mismatch", "The body was signed with a secret that is not ours, or was changed", _SECRET)


def _spellings(secret: str) -> Iterator[tuple[str, str]]:
    """How an app secret gets mistyped."""
    stripped = secret.strip()
    if stripped != secret:
        yield "without the white space around it", stripped
    if stripped.strip("\"'") != stripped:
        yield "without the quotation marks around it", stripped.strip("\"'")
    if stripped.lower() != stripped:
        yield "in lower case", stripped.lower()


def _rewritings(body: bytes) -> Iterator[tuple[str, bytes]]:
    """How the same JSON gets written by libraries on either side."""
    yield "with a line feed at its end", body + b"\n"
    if body.rstrip() != body:
        yield "without the white space at its end", body.rstrip()
    try:
        value = json.loads(body)
        for ascii_only, escaped in ((True, "escaped"), (False, "unescaped")):
            for separators, spaced in (((",", ":"), "compact"), ((", ", ": "), "spaced")):
                text = json.dumps(value, ensure_ascii=ascii_only, separators=separators)
                yield f"as {spaced} JSON with {escaped} non-ASCII", text.encode("utf-8", "surrogatepass")
                if "/" in text:
                    slashes = text.replace("/", "\\/").encode("utf-8", "surrogatepass")
                    yield f"as {spaced} JSON with {escaped} non-ASCII and escaped slashes", slashes
    except (ValueError, RecursionError):
        return


def _digest(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode("utf-8", "surrogatepass"), body, hashlib.sha256).hexdigest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))
