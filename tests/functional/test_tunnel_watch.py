"""A tunnel that dies is opened again: real stand-in agents killed behind our back, with a clock of the test's own."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from aerobot.errors import AerobotError, ConfigError, NetworkError, Repeat
from aerobot.secret import Secret
from aerobot.tunnel import Pace, Terms, Watch, open_tunnel
from aerobot.tunnel.cloudflared import LIMITS
from aerobot.tunnel.proof import Miss, probe
from tests.tunnels import CLOUDFLARED, NGROK, PATH, VERIFY, alive, host, record

PROVIDERS = ("ngrok", "cloudflared")


class Time:
    """Both clocks and a sleep that moves them, in no time at all."""

    def __init__(self) -> None:
        self.wall = self.steady = 1000.0
        self.waits: list[float] = []
        self.asleep = 0.0

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.steady += seconds
        self.wall += seconds + self.asleep
        self.asleep = 0.0
        await asyncio.sleep(0.002)


class Seen:
    """What a watch said and did."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.urls: list[str] = []
        self.refuse: list[AerobotError] = []

    def report(self, level: str, text: str) -> None:
        self.said.append((level, text))

    async def changed(self, url: str) -> None:
        self.urls.append(url)
        if self.refuse:
            raise self.refuse.pop(0)

    def heard(self, words: str) -> bool:
        return any(words in text for _, text in self.said)


class Lab:
    """A host, the agents, a clock, and the watches that a test started."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.folder = folder
        self.time = Time()
        self.seen = Seen()
        self.watches: list[Watch] = []

    def watch(self, provider: str, **more: object) -> Watch:
        token = Secret("2abcDEFghi_authtoken")
        opener = partial(open_tunnel, port=self.port, host="127.0.0.1", authtoken=token, domain=None, start_seconds=10)
        given: dict[str, object] = {
            "open": opener,
            "provider": provider,
            "path": PATH,
            "verify_token": VERIFY,
            "changed": self.seen.changed,
            "report": self.seen.report,
            "sleep": self.time.sleep,
            "wall": lambda: self.time.wall,
            "steady": lambda: self.time.steady,
            **more,
        }
        self.watches.append(Watch(**given))  # type: ignore[arg-type]
        return self.watches[-1]

    def pid(self) -> int:
        return int(str(record(self.folder / "record.json")["pid"]))

    def forget(self) -> None:
        (self.folder / "record.json").unlink()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not true():
                await asyncio.sleep(0.01)

    async def started_again(self) -> int:
        await self.until((self.folder / "record.json").exists)
        await asyncio.sleep(0.2)
        return self.pid()


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Both stand-ins, in a home of this test's own; a call sets what the next start of either simulates."""
    for name, value in {
        "CLOUDFLARED_BIN": str(CLOUDFLARED),
        "CLOUDFLARED_AGENT_RECORD": str(tmp_path / "record.json"),
        "PYNGROK_NGROK_PATH": str(NGROK),
        "NGROK_AGENT_RECORD": str(tmp_path / "record.json"),
        "XDG_CONFIG_HOME": str(tmp_path),
        "HOME": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("NGROK_AUTHTOKEN", "NGROK_AGENT", "CLOUDFLARED_AGENT"):
        monkeypatch.delenv(name, raising=False)

    def simulate(modes: str) -> None:
        monkeypatch.setenv("NGROK_AGENT", modes)
        monkeypatch.setenv("CLOUDFLARED_AGENT", modes)

    return simulate


@pytest.fixture
async def lab(tmp_path: Path, agent: Callable[[str], None]) -> AsyncIterator[Lab]:
    with host() as port:
        made = Lab(port, tmp_path)
        yield made
        for watch in made.watches:
            await watch.close()


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_killed_agent_is_replaced_and_the_new_address_told(lab: Lab, provider: str) -> None:
    """The process dies: another is opened, proven and told, once; at the end none is left."""
    watch = lab.watch(provider)
    await watch.start()
    first, pid = watch.url, lab.pid()
    assert (watch.provider, lab.seen.urls) == (provider, [])
    for _ in range(2):
        os.kill(lab.pid(), signal.SIGKILL)
        count = len(lab.seen.urls)
        await lab.until(lambda count=count: len(lab.seen.urls) > count)  # type: ignore[misc]
        assert lab.seen.urls[-1] == watch.url != first
        assert await probe(watch.url) is None
    assert ("warning", f"The tunnel is down: {provider}'s process has ended. Opening it again.") in lab.seen.said
    said = f"{watch.url} ({provider}) is open, challenge answered through it; the address is a new one"
    assert ("ok", said) in lab.seen.said
    assert not alive(pid)
    await asyncio.sleep(0.2)
    assert len(lab.seen.urls) == 2
    last = lab.pid()
    assert alive(last)
    await watch.close()
    assert not alive(last)
    await watch.close()


async def test_the_same_address_is_told_to_nobody(lab: Lab, agent: Callable[[str], None]) -> None:
    """A tunnel that comes back under its old address needs no new registration."""
    watch = lab.watch("cloudflared")
    await watch.start()
    agent(f"port={watch.url.rpartition(':')[2]}")
    os.kill(lab.pid(), signal.SIGKILL)
    await lab.until(lambda: lab.seen.heard("is open, challenge answered through it"))
    await asyncio.sleep(0.1)
    assert lab.seen.urls == []
    assert not lab.seen.heard("a new one")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_back_off_while_nothing_opens(lab: Lab, agent: Callable[[str], None], provider: str) -> None:
    """Without a network the pauses double up to a minute, each is said with its reason, and none is the last."""
    watch = lab.watch(provider)
    await watch.start()
    agent("offline")
    os.kill(lab.pid(), signal.SIGKILL)
    await lab.until(lambda: lab.seen.heard("Next try in 8 s."))
    agent("")
    await lab.until(lambda: bool(lab.seen.urls))
    pauses = [text.split("Next try in ")[1].split(" s.")[0] for _, text in lab.seen.said if "Next try" in text]
    assert pauses[:4] == ["1", "2", "4", "8"]
    assert all("cannot be reached" in text for _, text in lab.seen.said if "Next try" in text)
    assert [wait for wait in lab.time.waits if wait > Pace().tick][:2] == [4, 8]


def test_pauses() -> None:
    """Doubled from a second to a minute; five minutes where trying makes it worse or cannot help."""
    pace = Pace()
    ordinary = NetworkError("x", repeat=Repeat.SAFE)
    assert [pace.pause(attempt, ordinary) for attempt in (1, 2, 3, 6, 7, 8, 500)] == [1, 2, 4, 32, 60, 60, 60]
    assert pace.pause(1, NetworkError("too many", repeat=Repeat.BLOCKED)) == 300
    assert pace.pause(1, ConfigError("the token was revoked")) == 300


async def test_a_refusal_for_being_too_many_is_waited_out(lab: Lab, agent: Callable[[str], None]) -> None:
    """Cloudflare's 1015 is not hammered at."""
    watch = lab.watch("cloudflared")
    await watch.start()
    agent("limited")
    os.kill(lab.pid(), signal.SIGKILL)
    await lab.until(lambda: lab.seen.heard("(1015). Next try in 300 s."))


async def test_a_tunnel_that_answers_again_is_left_alone(lab: Lab) -> None:
    """Agents reconnect by themselves: a short gap is said twice, down and up, and costs no new address."""
    answers: list[Miss | None] = [None, Miss(message="Nobody there.", hint=""), Miss(message="x", hint=""), None]
    asked: list[float] = []

    async def probing(url: str) -> Miss | None:
        asked.append(lab.time.steady)
        return answers.pop(0) if answers else None

    watch = lab.watch("ngrok", probe=probing)
    await watch.start()
    pid = lab.pid()
    await lab.until(lambda: lab.seen.heard("answers again"))
    assert ("warning", "Nobody there. It may come back by itself: waiting up to 30 s.") in lab.seen.said
    await lab.until(lambda: len(asked) > 6)
    assert asked[0] - 1000 == pytest.approx(300, abs=2)
    assert asked[6] - asked[5] == pytest.approx(300, abs=2)
    assert (lab.pid(), lab.seen.urls) == (pid, [])


@pytest.mark.parametrize(("silent", "patience"), [(False, 30), (True, 120)])
async def test_a_tunnel_that_stays_away_is_opened_again(lab: Lab, *, silent: bool, patience: int) -> None:
    """An agent that runs and leads nowhere is replaced: soon if somebody says so, later if nobody answers at all."""
    gone: list[float] = []

    async def probing(url: str) -> Miss | None:
        if lab.seen.urls:
            return None
        gone.append(lab.time.steady)
        return Miss(message="The way is broken.", hint="", silent=silent)

    watch = lab.watch("cloudflared", probe=probing)
    await watch.start()
    pid = lab.pid()
    await lab.until(lambda: bool(lab.seen.urls))
    assert ("warning", "The tunnel is down: The way is broken. Opening it again.") in lab.seen.said
    assert patience <= gone[-1] - gone[0] < patience + 10
    assert not alive(pid)


async def test_waking_up_is_noticed_and_the_tunnel_looked_at(lab: Lab) -> None:
    """Clocks that jump mean sleep: the tunnel is asked at once, not at the next turn, and what is dead is replaced."""
    asked: list[float] = []

    async def probing(url: str) -> Miss | None:
        asked.append(lab.time.steady)
        return None

    watch = lab.watch("ngrok", probe=probing)
    await watch.start()
    lab.time.asleep = 5
    await asyncio.sleep(0.05)
    assert asked == []
    lab.time.asleep = 3600
    await lab.until(lambda: bool(asked))
    assert asked[0] - 1000 < 300
    assert ("note", "this computer slept for about 60 min: looking at the tunnel") in lab.seen.said


async def test_a_registration_that_fails_is_tried_again(lab: Lab) -> None:
    """Whoever must know the new address is told until it is heard; the tunnel is up meanwhile."""
    lab.seen.refuse = [NetworkError("Graph cannot be reached.", "Wait."), NetworkError("Graph cannot be reached.")]
    watch = lab.watch("cloudflared")
    await watch.start()
    os.kill(lab.pid(), signal.SIGKILL)
    await lab.until(lambda: len(lab.seen.urls) == 3)
    assert set(lab.seen.urls) == {watch.url}
    assert ("warning", "Graph cannot be reached. Again in 1 s. Wait.") in lab.seen.said
    await asyncio.sleep(0.1)
    assert len(lab.seen.urls) == 3


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("how", ["close", "kill"])
async def test_ended_in_the_middle_of_a_reopening(
    lab: Lab, agent: Callable[[str], None], provider: str, how: str
) -> None:
    """Close and kill, while an agent is just starting, leave none behind."""
    watch = lab.watch(provider)
    await watch.start()
    agent("silent")
    pid = lab.pid()
    lab.forget()
    os.kill(pid, signal.SIGKILL)
    pid = await lab.started_again()
    assert alive(pid)
    if how == "kill":
        watch.kill()
    else:
        await watch.close()
    await lab.until(lambda: not alive(pid))
    assert lab.seen.urls == []


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_first_opening_that_fails_is_an_error(lab: Lab, agent: Callable[[str], None], provider: str) -> None:
    """What cannot be opened, or not proven, ends start with its reason, and leaves no process."""
    agent("offline")
    with pytest.raises(NetworkError, match="cannot be reached"):
        await lab.watch(provider).start()
    agent("gone")
    with pytest.raises(NetworkError):
        await lab.watch(provider).start()
    assert not alive(lab.pid())
    assert any("Asking again in 8 s, once more." in text for _, text in lab.seen.said)


async def test_the_limits_are_said_once_and_the_maker_stays(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` chooses at the start alone; what a quick tunnel does not promise is said at the start alone."""
    opener = partial(open_tunnel, port=lab.port, host="127.0.0.1", authtoken=None, domain=None)
    watch = lab.watch("auto", open=opener)
    await watch.start()
    assert watch.provider == "cloudflared"
    monkeypatch.setenv("NGROK_AUTHTOKEN", "later")
    os.kill(lab.pid(), signal.SIGKILL)
    await lab.until(lambda: bool(lab.seen.urls))
    assert watch.provider == "cloudflared"
    assert [text for _, text in lab.seen.said].count(LIMITS) == 1


class Thin:
    """A tunnel of nothing: opened, it leads to the host directly."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.alive = True
        self.closed = 0
        self.terms = Terms(provider="thin", probe_seconds=1e9)

    async def close(self) -> None:
        self.alive = False
        self.closed += 1

    def kill(self) -> None:
        self.alive = False


def thin(made: list[Thin], url: Callable[[], str]) -> Callable[..., Awaitable[Thin]]:
    async def opening(**_: object) -> Thin:
        made.append(Thin(url()))
        return made[-1]

    return opening


async def test_one_that_opened_is_proven_twice_before_it_is_given_up(lab: Lab) -> None:
    """A slow DNS is not a dead tunnel: another one would have another new name."""
    made: list[Thin] = []
    good, bad = f"http://127.0.0.1:{lab.port}", "http://127.0.0.1:9"
    watch = lab.watch("thin", open=thin(made, lambda: bad if 0 < len(made) < 3 else good))
    await watch.start()
    made[0].alive = False
    await lab.until(lambda: len(made) == 4 and lab.seen.heard("is open, challenge"))
    assert [tunnel.closed for tunnel in made] == [1, 1, 1, 0]
    failed = [text for level, text in lab.seen.said if level == "warning" and "Next try" in text]
    assert len(failed) == 4


async def test_resting_leaves_a_dead_tunnel_dead(lab: Lab) -> None:
    """Once a stop has begun, an agent that Ctrl-C killed too is not opened again."""
    made: list[Thin] = []
    watch = lab.watch("thin", open=thin(made, lambda: f"http://127.0.0.1:{lab.port}"))
    await watch.start()
    watch.rest()
    made[0].alive = False
    await asyncio.sleep(0.1)
    assert len(made) == 1
    assert made[0].closed == 0
    await watch.close()
    assert made[0].closed == 1


async def test_closed_from_within(lab: Lab) -> None:
    """Whoever is told of a change may close the watch."""
    made: list[Thin] = []
    urls = iter(["127.0.0.1", "localhost"])
    done = asyncio.Event()

    async def changed(url: str) -> None:
        await watch.close()
        done.set()

    opener = thin(made, lambda: f"http://{next(urls)}:{lab.port}")
    watch = lab.watch("thin", open=opener, changed=changed)
    await watch.start()
    made[0].alive = False
    await asyncio.wait_for(done.wait(), 10)
    await asyncio.sleep(0.1)
    assert [tunnel.closed for tunnel in made] == [1, 1]


async def test_a_fault_of_ours_does_not_die_in_silence(lab: Lab) -> None:
    """If the watching itself breaks, that is said, and the tunnel stays."""

    async def broken(url: str) -> Miss | None:
        raise ValueError("a bug")

    made: list[Thin] = []
    watch = lab.watch("thin", open=thin(made, lambda: f"http://127.0.0.1:{lab.port}"), probe=broken)
    await watch.start()
    lab.time.asleep = 100
    await lab.until(lambda: lab.seen.heard("no longer watched"))
    assert ("warning", "The tunnel is no longer watched: ValueError: a bug") in lab.seen.said
    assert made[0].alive
