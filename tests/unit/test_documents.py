"""The documents tell the truth: commands, flags, exit codes and settings stand in them, and README lines work."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from aerobot import errors
from aerobot.cli.app import assembled
from aerobot.config import SETTINGS
from tests.running import environment, run

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The README's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_commands_page_is_what_help_prints(tmp_path: Path) -> None:
    """docs/commands.md is the help pages as they are now; docs/make_commands.py writes it anew."""
    code = "import sys; sys.path.insert(0, 'docs'); import make_commands; sys.stdout.write(make_commands.page())"
    env = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    made = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, check=True)
    assert made.stdout.decode() == (ROOT / "docs" / "commands.md").read_text("utf-8")


def readme_commands() -> list[str]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    found = [re.sub(r"\s+#.*", "", line) for line in lines if line.startswith("aerobot ")]
    found += [text for text in re.findall(r"`(aerobot [^`…]+)`", README) if "NAME" not in text]
    return sorted({line for line in found if not line.startswith("aerobot -")})


@pytest.mark.parametrize("line", readme_commands())
def test_readme_commands_exist_with_their_flags(line: str) -> None:
    """Each aerobot line of the README parses: the command is there and takes these arguments."""
    import typer

    words = shlex.split(line)[1:]
    group = typer.main.get_command(assembled())
    context = group.make_context("aerobot", [*words])
    command = group.get_command(context, words[0])  # type: ignore[attr-defined]
    assert command is not None, line
    inner = command.make_context(words[0], words[1:])
    if hasattr(command, "commands"):
        name = words[1]
        assert command.get_command(inner, name) is not None, line


def test_every_exit_code_is_explained() -> None:
    """The README's table has each exit code that errors.py knows, and 0."""
    table = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    codes = {0, errors.INTERRUPTED} | {
        getattr(errors, name) for name in ("UNEXPECTED", "USAGE", "CONFIG", "REFUSED", "NETWORK", "NO_REPLY", "CHECK")
    }
    assert table == codes


def test_the_two_set_up_commands_are_complete() -> None:
    """Exactly two commands set up: one runs the main job, one passes the tests, and CI runs the second as it stands."""
    setups = [block.strip() for block in blocks("sh") if "-m venv" in block]
    assert len(setups) == 2
    assert setups[0].endswith('aerobot sandbox --say "Hi"')
    assert setups[1].endswith("pytest")
    script = r"""sed -n '/<!-- tests -->/,/^```$/p' README.md | sed -n '/^```sh$/,/^```$/p' | sed '1d;$d'"""
    assert script in (ROOT / ".ci" / "run").read_text()
    picked = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    assert picked == setups[1]


def test_the_settings_that_documents_name_exist() -> None:
    """Every `section.key` in README and docs is a setting."""
    keys = {setting.key for setting in SETTINGS}
    sections = "|".join(sorted({key.partition(".")[0] for key in keys}))
    for path in (
        ROOT / name
        for name in ("README.md", "CHANGELOG.md", "docs/messages.md", "docs/security.md", "docs/reliability.md")
    ):
        for name in re.findall(rf"`((?:{sections})\.[a-z_]+)`", path.read_text("utf-8")):
            assert name in keys | {"bot.py", "message.choice"}, (path.name, name)


def test_every_setting_of_serve_has_a_flag() -> None:
    """But the token, which is a secret, and the engine, which is the command's argument."""
    import typer

    command = typer.main.get_command(assembled()).commands["serve"]  # type: ignore[attr-defined]
    flags = {name for parameter in command.params for name in parameter.opts}
    keys = {setting.key.removeprefix("serve.") for setting in SETTINGS if setting.section == "serve"}
    missing = {key for key in keys if f"--{key.replace('_', '-')}" not in flags}
    assert missing == {"private_token", "engine"}


def test_every_limit_is_explained() -> None:
    """docs/security.md names each setting that bounds the public listener."""
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    limits = [s.key for s in SETTINGS if re.match(r"serve\.(max_|\w+_seconds)", s.key)]
    assert len(limits) == 7
    assert [key for key in limits if f"`{key}`" not in page] == []


def test_every_link_between_documents_leads_somewhere() -> None:
    """Relative links and pictures in the documents exist."""
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8")):
            assert "://" in target or (path.parent / target).exists(), (path.name, target)


@pytest.mark.parametrize("page", ["README.md", "docs/bots.md"])
def test_the_bots_in_the_documents_work(page: str, tmp_path: Path) -> None:
    """The Python of the documents runs in the sandbox, and what each of its handlers says is taken there."""
    source = re.search(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    assert source
    (tmp_path / "bot.py").write_text(source[1])
    texts = ["Opening hours", "hi", "order", "guji", "order 1234", "show", "anything"]
    said = [word for text in texts for word in ("--say", text)]
    done = run(["sandbox", "bot.py", *said], cwd=tmp_path, env=environment(tmp_path))
    assert done.returncode == 0, done.stderr
    assert f"All {len(texts)} answered" in done.stderr
