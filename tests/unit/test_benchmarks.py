"""The benchmarks run, count what they should, and their page says what they print."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from aerobot.emulator import webhooks as wire
from benchmarks import load, pages, webhooks
from benchmarks.bodies import SECRET, bodies, write

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "benchmarks" / "README.md").read_text("utf-8")


def test_a_tiny_run_goes_through_every_server_and_loses_nothing() -> None:
    """One short round starts each server, takes each measure, and prints every table; each reply comes once."""
    command = [sys.executable, "-m", "benchmarks.webhooks", "--rounds", "1", "--seconds", "0.3", "--stored", "200"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stderr
    for name in (webhooks.OURS, webhooks.FULL, *webhooks.PEERS):
        rows = re.findall(rf"^\| {re.escape(name)} +\| +(?:1|64|256) \|.*\| +0 \|$", ran.stdout, re.MULTILINE)
        assert len(rows) == 3, (name, ran.stdout)
    for name in (webhooks.OURS, webhooks.FULL):
        assert re.search(rf"^\| {name} +\| +[\d,]+ \| +0 \| +0 \|$", ran.stdout, re.MULTILINE), ran.stdout


def test_the_bodies_are_all_different_signed_and_name_a_user_by_id(tmp_path: Path) -> None:
    """No two bodies are the same, each is signed, and each has the user_id that PyWa needs."""
    lines = write(tmp_path / "bodies", 50, label="a").read_bytes().splitlines()
    found = [line.partition(b" ") for line in lines]
    assert len({body for _, _, body in found}) == 50
    assert all(signature == wire.sign(body, SECRET).encode() for signature, _, body in found)
    assert all(b'"user_id":"US.' in body for _, _, body in found)
    assert not set(bodies(50, label="b")) & {body for _, _, body in found}


async def test_the_load_generator_counts_what_was_refused(tmp_path: Path) -> None:
    """An answer other than 200 is not counted as answered, and neither is a connection that ends unasked."""
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", b""]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    bare = [b"GET / HTTP/1.1\r\n\r\n"] * 10
    async with server:
        found = await load.measure(url, bare, connections=1, seconds=30, rate=0)
    assert (found["answered"], found["refused"]) == (1, 2)


def test_a_chart_is_drawing_that_a_browser_reads() -> None:
    """The SVG parses, has a bar for each value, escapes names, and has colours for dark pages too."""
    made = pages.chart({"64 <connections>": {"aerobot": 10.0, "bare & plain": 40.0}}, unit="/s")
    drawn = ElementTree.fromstring(made)
    bars = drawn.findall("{http://www.w3.org/2000/svg}rect")
    assert len(bars) == 2
    assert float(bars[1].attrib["width"]) == pytest.approx(4 * float(bars[0].attrib["width"]), abs=2)
    assert "prefers-color-scheme: dark" in made


def test_a_page_is_changed_between_its_marks_alone() -> None:
    """What stands outside the marks stays; a page without them is not touched."""
    assert pages.between("a <!-- x -->old<!-- /x --> b", "x", "new") == "a <!-- x -->\nnew\n<!-- /x --> b"
    with pytest.raises(ValueError, match="no marks"):
        pages.between("a", "x", "new")


def test_a_figure_says_which_of_its_bounds_it_meets() -> None:
    """At least, reach for, or missed; for memory the bounds are from above."""
    found = [webhooks.Figure(name="n", unit=" %", value=value, aims=(25, 50)) for value in (24.9, 25, 60)]
    assert [figure.cells()[-1] for figure in found] == ["missed", "at least", "reach for"]
    found = [webhooks.Figure(name="n", unit=" MB", value=value, aims=(120, 80), most=True) for value in (121, 100, 70)]
    assert [figure.cells()[-1] for figure in found] == ["missed", "at least", "reach for"]
    assert webhooks.Figure(name="n", unit="", value=1.5).cells() == ["n", "1.50", "-", "-", "-"]


def test_the_page_has_the_figures_the_chart_and_how_to_run_it() -> None:
    """benchmarks/README.md holds what the script wrote, with every server, and its own command."""
    assert "python -m benchmarks.webhooks" in PAGE
    assert "](webhooks.svg)" in PAGE
    written = PAGE.partition("<!-- figures -->")[2].partition("<!-- /figures -->")[0]
    for name in (webhooks.OURS, webhooks.FULL, *webhooks.PEERS):
        assert f"| {name} " in written
    assert written.count("| at least |") == 1
