"""Recorded programs: every byte that a load gives is right, wherever the pages are; a wrong one is found."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from hsl.agents import request_actions
from hsl.agents.address_map import PAGE_BYTES
from hsl.agents.memory import Memory
from hsl.agents.request import RequestAgent
from hsl.emulator.lackey import LackeyTrace
from hsl.emulator.program_run import CACHES, HOMES, ProgramRun
from hsl.emulator.topology import Topology
from hsl.errors import ConfigError

TOPOLOGY = Topology(
    tu=6, core_sets=4, core_ways=2, l2_sets=4, l2_ways=2, memory_bytes=1 << 17, device_bytes=1 << 16
)
ACCESSES = 300


def trace(seed: int = 1, count: int = ACCESSES, pages: int = 4) -> LackeyTrace:
    """Random accesses that cross lines and pages, far apart in the program's address space."""
    rng = random.Random(seed)
    bases = [rng.randrange(1 << 52) * PAGE_BYTES for _ in range(pages)]
    text = []
    for _ in range(count):
        kind, at = rng.choice(("I ", " L", " S", " M")), rng.choice(bases) + rng.randrange(300)
        text.append(f"{kind} {at:x},{rng.choice((1, 3, 8, 64, 200))}\n")
    return LackeyTrace(io.BytesIO("".join(text).encode()))


def run(home: str = "device", caches: str = "both", **options: Any) -> dict[str, Any]:
    one = ProgramRun(TOPOLOGY, trace(), home=home, caches=caches, **{"stay": 50, "seed": 2} | options)
    one.run()
    return one.report()


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("caches", CACHES)
def test_every_byte_is_right(home: str, caches: str) -> None:
    """Every load gives what a flat memory holds, and memory at the end is that flat memory."""
    report = run(home, caches)
    assert (report["verified"], report["wrong"], report["accesses"]) == (True, "", ACCESSES)
    assert sum(report["kinds"].values()) == ACCESSES
    assert report["line_accesses"] == sum(home["accesses"] for home in report["homes"]) > ACCESSES
    assert report["pages"] == sum(home["pages"] for home in report["homes"])
    assert all(home["pages"] for home in report["homes"])
    moved = sum(side["bytes"] for side in report["wire"])
    assert moved == 64 * sum(side["flits"] for side in report["wire"])
    local = (home, caches) in (("hostmem", "cpu"), ("device", "gpu"))
    assert (sum(side["messages"] for side in report["wire"]) == 0) == local
    assert any(cache["snoop_data"] for cache in report["caches"]) == (caches == "both")
    assert sum(c["snoops"] for c in report["caches"]) == sum(h["snoops_sent"] for h in report["homes"])


def test_same_seed_same_run() -> None:
    """A run is its trace and its seed, to the nanosecond."""
    one, two = (run(limit=100) for _ in range(2))
    assert one == two
    assert one["modelled_ns"] > 100


def test_limit() -> None:
    """No more accesses are taken of the trace than the limit says."""
    report = run(limit=123)
    assert (report["accesses"], report["lines"], report["verified"]) == (123, 123, True)


def stale_hit() -> Any:
    """A store that hits is lost now and then: later loads give a stale byte."""
    right, lost = request_actions.ACTIONS["hit"], iter([0, 0, 0, 1] * ACCESSES)

    def bug(turn: Any, *words: str) -> None:
        before = bytes(turn.line.data)
        right(turn, *words)
        if turn.event == "store" and next(lost):
            turn.line.data[:] = before

    return mock.patch.dict(request_actions.ACTIONS, {"hit": bug})


def lost_writeback() -> Any:
    """Memory keeps the old bytes of the last line that is written back to it."""
    return mock.patch.object(Memory, "write_line")


def deaf_to_snoops() -> Any:
    """A cache keeps its copy when it is snooped: it says that it has none."""
    right = RequestAgent._snoop

    def bug(agent: RequestAgent, message: Any, now: int) -> None:
        line = agent.cache.lines.get(message.addr)
        if line is None or line.state != "S":
            right(agent, message, now)
        else:
            right(agent, message, now)
            line.state = "S"
            line.way = False
            agent.cache.lines[line.addr] = line

    return mock.patch.object(RequestAgent, "_snoop", bug)


@pytest.mark.parametrize("plant", [stale_hit, lost_writeback, deaf_to_snoops])
def test_planted_bugs(plant: Callable[[], Any]) -> None:
    """A cache or a memory that gives a stale byte is found, and the access is named."""
    with plant():
        report = run()
    assert not report["verified"]
    assert report["wrong"].startswith(("line ", "at the end"))


def test_too_many_pages() -> None:
    """A program that touches more pages than there is memory is refused with the limit."""
    text = "".join(f" L {page << 12:x},8\n" for page in range(17)).encode()
    one = ProgramRun(TOPOLOGY, LackeyTrace(io.BytesIO(text)))
    with pytest.raises(ConfigError, match="more than 16 pages of 4096 bytes"):
        one.run()
    assert len(one.flat.pages) == 16


def test_longest_accesses() -> None:
    """Accesses of a page each, more bytes than an agent takes at once, end like any other."""
    text = b" M 7ff,4096\n" * 40
    one = ProgramRun(replace(TOPOLOGY, l2_sets=64), LackeyTrace(io.BytesIO(text)), caches="gpu")
    one.run()
    report = one.report()
    assert (report["verified"], report["accesses"]) == (True, 40)
    assert report["line_accesses"] == 40 * 65 * 2 > one.devices[1].node.agents[19].config.pending


def test_first_touch_order() -> None:
    """Pages lie in emulated memory in the order in which the program first touches them."""
    text = b" L 9000,8\n L 3ffc,8\n L 9008,8\n"
    one = ProgramRun(TOPOLOGY, LackeyTrace(io.BytesIO(text)), home="hostmem")
    one.run()
    assert [(number, page.base) for number, page in one.flat.pages.items()] == [(9, 0), (3, 4096), (4, 8192)]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"home": "moon"}, "unknown home 'moon'; expected hostmem, "),
        ({"caches": "none"}, "unknown cache 'none'; expected cpu, gpu or both"),
        ({"topology": Topology(gpus=2)}, "one GPU"),
    ],
)
def test_bad_runs(options: dict[str, Any], text: str) -> None:
    """What cannot be run is a ConfigError that says what can."""
    with pytest.raises(ConfigError, match=text):
        ProgramRun(**{"topology": TOPOLOGY, "trace": trace()} | options)  # type: ignore[arg-type]
