"""The time limit of a session: it ends one that nothing else ends, and says what the peer did not do."""

import asyncio
import re
import time
from typing import Any

import pytest

from hsl.emulator import ArrayCpuDevice, CpuDevice, GpuDevice, Topology
from hsl.errors import PeerLost
from hsl.session import TimeLimit
from tests.cli.test_demo import hsl
from tests.support.sessions import Running, calling, device, listening, run, until
from tests.test_session_strangers import HandClock, dial

LIMIT = 1000.0  # seconds: far beyond what a test takes
BRIEF = 4.0  # s; a stall of T_DEADKA and T_STATE, 4.6 s, would end the link first (3.1)


class Shifted:
    """A clock that runs, and that a test puts forward."""

    shift = 0

    def __call__(self) -> int:
        return time.monotonic_ns() + self.shift


class SilentGpu(GpuDevice):
    """Its link lives, its registers and caches answer; no program runs, so that no interrupt ever comes."""

    def boot(self) -> None:
        pass


def epoch() -> int:
    return 5


@pytest.mark.parametrize("kind", ["counts", "arrays"])
def test_a_live_peer_that_never_interrupts_is_given_up(kind: str) -> None:
    """A GPU that answers everything and does nothing costs the CPU its time limit, and no more."""

    async def body() -> None:
        topology, clock = Topology(), Shifted()
        cpu: Any = CpuDevice(topology, epoch, b"some words")
        if kind == "arrays":
            cpu = ArrayCpuDevice(topology, epoch, "saxpy", size=1024)
        limit = TimeLimit(BRIEF, lambda: cpu.awaited)
        a = await listening(cpu, clock=clock, limit=limit)
        gpu: Any = SilentGpu(topology, lambda: 6)
        b = await Running(gpu, a.uri, passive=True).open()
        await until(lambda: "interrupt" in cpu.awaited)
        assert not a.task.done()
        clock.shift = int(BRIEF * 1e9)
        a.session._awake.set()
        with pytest.raises(PeerLost, match=r"^tcp://.*: the peer did not send interrupt 1 within .* 4 s$"):
            await a.end()
        await b.kill()

    run(body())


def test_a_stranger_that_brings_no_link_up_is_named_so() -> None:
    """A caller that says nothing is another thing than no caller."""

    async def body() -> None:
        clock = HandClock()
        a = await listening(device(1), clock=clock, limit=TimeLimit(LIMIT))
        _, writer = await dial(a.uri)
        await until(lambda: a.link.connections == 1)
        clock.now = int(LIMIT * 1e9)
        a.session._awake.set()
        with pytest.raises(PeerLost, match="the peer did not bring the link up"):
            await a.end()
        writer.close()

    run(body())


def test_a_run_that_ends_is_not_touched_by_its_limit() -> None:
    """A limit that is not reached changes nothing."""

    async def body() -> None:
        a = await listening(device(1), limit=TimeLimit(LIMIT))
        b = await calling(device(2), a.uri, limit=TimeLimit(LIMIT))
        await asyncio.gather(a.end(), b.end())
        assert a.device.got == b.device.got == 100

    run(body())


@pytest.mark.parametrize("node", [["cpu", "--input", "LICENSE"], ["gpu"], ["memory"]])
def test_nobody_comes(node: list[str]) -> None:
    """`--time-limit` of every node ends a wait for nobody with exit code 7, one line and no document."""
    done = hsl("node", *node, "--listen", "tcp://:0", "--time-limit", "0.1", "--json")
    assert (done.returncode, done.stdout) == (7, "")
    line = done.stderr.splitlines()[-1]
    assert re.fullmatch(
        r"hsl: tcp://127.0.0.1:\d+: no peer has connected within the time limit of 0.1 s", line
    )
