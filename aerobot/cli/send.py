"""`aerobot send`: a real message, once; and what became of it, as far as a running host is told."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote, urlsplit

import typer

from aerobot.cli.account import Yes
from aerobot.cli.command import TEST, Run, command
from aerobot.cli.fields import text_of
from aerobot.cli.sending import Reached, Sending, Wanted
from aerobot.errors import UsageError
from aerobot.terminal import Terminal

if TYPE_CHECKING:
    from aerobot.whatsapp.messages import Reply

Text = Annotated[str | None, typer.Argument(help="What to say; - reads it from stdin.", show_default=False)]
To = Annotated[str, typer.Option("--to", metavar="NUMBER", help="To whom: + and country code first.")]
Named = Annotated[str | None, typer.Option("--template", metavar="NAME", help="An approved template.")]
Language = Annotated[
    str | None, typer.Option("--language", metavar="CODE", help="The template's language; en_US where not given.")
]
Params = Annotated[
    list[str] | None,
    typer.Option("--param", metavar="TEXT", help="Fills {{1}}, then {{2}} ... of its body; repeat it."),
]
Image = Annotated[str | None, typer.Option(metavar="FILE|URL", help="A picture: jpeg or png, up to 5 MB.")]
Video = Annotated[str | None, typer.Option(metavar="FILE|URL", help="A video: mp4 or 3gp, up to 16 MB.")]
Audio = Annotated[str | None, typer.Option(metavar="FILE|URL", help="Sound: ogg (opus), mp3, m4a ..., up to 16 MB.")]
Document = Annotated[str | None, typer.Option(metavar="FILE|URL", help="Any file, up to 100 MB.")]
Caption = Annotated[str | None, typer.Option(metavar="TEXT", help="What stands below a picture, video or document.")]
Wait = Annotated[Reached, typer.Option("--wait", help="How far it has to come; beyond accepted a host must run here.")]
Timeout = Annotated[float, typer.Option("--timeout", metavar="S", help="Seconds to wait for that.", min=0)]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app,
        "send",
        panel=TEST,
        examples=(
            'aerobot send --to +5491123456789 "Hello" --wait delivered',
            "aerobot send --to +5491123456789 --template hello_world --language en_US",
        ),
    )
    def send(
        run: Run,
        text: Text = None,
        *,
        to: To,
        template: Named = None,
        language: Language = None,
        param: Params = None,
        image: Image = None,
        video: Video = None,
        audio: Audio = None,
        document: Document = None,
        caption: Caption = None,
        wait: Wait = "accepted",
        timeout: Timeout = 60,
        yes: Yes = False,
    ) -> None:
        """Send a real WhatsApp message, once, and tell what became of it.

        Receipts are read from the `aerobot serve` of this number on this machine. A LIVE number asks first; outside
        the 24 hours since a user wrote, only templates arrive. Exit: 0 it came so far, 4 refused, 6 not in time.
        """
        files = {"image": image, "video": video, "audio": audio, "document": document}
        given = {kind: value for kind, value in files.items() if value is not None}
        reply, file, mime_type = _reply(run.terminal, text, template, language, param or (), given, caption)
        if not math.isfinite(timeout):
            raise UsageError(f"--timeout {timeout}: a number of seconds.")
        number = _number(to)
        wanted = Wanted(to=number, reply=reply, file=file, mime_type=mime_type, wait=wait, timeout=timeout, yes=yes)
        Sending(run, wanted).go()


# -- what was asked for ------------------------------------------------------------------------------------------


def _number(written: str) -> str:
    from aerobot.whatsapp.recipient import digits_of

    try:
        return digits_of(written)
    except ValueError as error:
        raise UsageError(f"--to {error}.", "For instance: --to +5491123456789") from None


def _reply(
    terminal: Terminal,
    text: str | None,
    template: str | None,
    language: str | None,
    params: Sequence[str],
    files: Mapping[str, str],
    caption: str | None,
) -> tuple["Reply", Path | None, str]:
    """The one thing to say, the file that it needs, and that file's media type."""
    from aerobot.whatsapp import messages

    ways = [text is not None, template is not None, *(True for _ in files)]
    if sum(ways) != 1:
        hint = "A text, --template, --image, --video, --audio or --document; words below a file: --caption"
        raise UsageError("One thing is sent at a time." if sum(ways) else "What is to be sent?", hint)
    if (params or language) and template is None:
        raise UsageError("--param and --language belong to a --template.")
    if caption is not None and (not files or "audio" in files):
        raise UsageError("--caption belongs to a picture, a video or a document.")
    try:
        if text is not None:
            return _text(text_of(text, terminal, what="text") if text == "-" else text), None, ""
        if template is not None:
            values = [{"type": "text", "text": value} for value in params]
            body = ({"type": "body", "parameters": values},) if values else ()
            return messages.Template(template, language or "en_US", body), None, ""
        ((kind, value),) = files.items()
        return _media(kind, value, caption)
    except messages.ReplyError as error:
        raise UsageError(f"{error.message}.") from None


def _text(text: str) -> "Reply":
    from aerobot.whatsapp import messages, rules

    if rules.units(text) > rules.LIMIT:
        raise UsageError(f"The text has {rules.units(text)} characters; one message has at most {rules.LIMIT}.")
    return messages.Text(text)


def _media(kind: str, value: str, caption: str | None) -> tuple["Reply", Path | None, str]:
    from aerobot.whatsapp import messages
    from aerobot.whatsapp.recipient import media_type

    make: Any = {
        "image": messages.Image, "video": messages.Video, "audio": messages.Audio, "document": messages.Document
    }[kind]  # fmt: skip
    more = {"caption": caption} if caption else {}
    if re.match(r"https?://", value):
        name = unquote(urlsplit(value).path.rpartition("/")[2])
        return make(link=value, **more, **({"filename": name} if kind == "document" and name else {})), None, ""
    path = Path(value).expanduser()
    try:
        if not path.is_file():
            raise UsageError(f"--{kind} {value}: there is no such file.", "A file of this machine, or https://…")
        mime_type = media_type(kind, path.suffix, path.stat().st_size)
    except (ValueError, OSError) as error:
        raise UsageError(f"--{kind} {value}: {getattr(error, 'strerror', None) or error}.") from None
    return make(path=str(path), **more, **({"filename": path.name} if kind == "document" else {})), path, mime_type
