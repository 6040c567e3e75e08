"""A wall clock that jumps: sessions live by the monotonic clock alone, captures keep the order of time."""

import asyncio
import itertools
import re
import time
from pathlib import Path

import pytest

from hsl._generated.constants import LinkState
from hsl.capture import CaptureInfo, Clock, Reader, Recorder, Sink, one_end, wall_offset
from hsl.link.events import StateChanged
from hsl.transport.base import Place
from tests.support.sessions import calling, device, listening, run, until

HSL = Path(__file__).parents[1] / "hsl"
DAY = 86_400 * 10**9
SLOW = 22  # TU = 2^22 ns: a machine that stalls for a second costs no recovery, a clock that jumps might
JUMPS = (3600 * 10**9, -3600 * 10**9, 40 * DAY, -60 * DAY, 365 * DAY)


class Wall:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.now = 10**18

    def time_ns(self) -> int:
        return self.now

    def time(self) -> float:
        return self.now / 1e9


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    """The wall clock of this process."""
    wall = Wall()
    monkeypatch.setattr(time, "time_ns", wall.time_ns)
    monkeypatch.setattr(time, "time", wall.time)
    return wall


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_no_jump_of_the_wall_clock_ends_a_link(scheme: str, wall: Wall, tmp_path: Path) -> None:
    """Jumps of hours and of months, forward and back, cost no recovery; a capture's times never go back."""
    path = tmp_path / "x.pcapng"

    async def body() -> None:
        info = CaptureInfo(clock=Clock.WALL, seed=1, view="a")
        with Recorder(Sink(str(path)), info, one_end("a", "b", [Place(0)])) as recorder:
            recorder.base = wall_offset() + time.monotonic_ns()
            a = await listening(device(1, 600, tu_exp=SLOW), f"{scheme}://:0", tap=recorder.flit)
            b = await calling(device(2, 600, tu_exp=SLOW), a.uri, wait=5.0)
            for number, jump in enumerate(JUMPS, 1):
                await until(lambda least=100 * number: a.device.got >= least or a.task.done())  # type: ignore[misc]
                wall.now += jump
            await asyncio.gather(a.end(), b.end())
        for each in (a, b):
            assert each.device.got == 600
            states = [event.new for event in each.events if isinstance(event, StateChanged)]
            assert states.count(LinkState.ACTIVE) == 1, "the link came up once"
            assert LinkState.RECOVERY not in states

    run(body())
    with path.open("rb") as stream:
        times = [packet.time for packet in Reader(stream)]
    assert len(times) > 600
    assert all(before <= after for before, after in itertools.pairwise(times))
    assert times[-1] - times[0] < DAY, "a capture counts from the wall clock of its beginning"


def test_the_wall_clock_is_read_where_a_moment_is_named_and_nowhere_else() -> None:
    """Only the times of a capture and the incarnation of udp are wall time."""
    reads = re.compile(r"time\.time(_ns)?\(|datetime|localtime|gmtime|CLOCK_REALTIME")
    found = {path.relative_to(HSL).as_posix() for path in HSL.rglob("*.py") if reads.search(path.read_text())}
    assert found == {"capture/recorder.py", "transport/udp.py"}
