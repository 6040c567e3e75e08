"""What a line of input and a waiting program cost, in calls of functions."""

import random
from collections.abc import Callable
from itertools import count

from hsl._generated.constants import LINE_BYTES
from hsl.agents.access import Access, Ticket
from hsl.emulator import CpuDevice, GpuDevice, Topology
from hsl.emulator.program import MAX_THREADS, Program, Scheduler
from hsl.transport.base import Place
from hsl.transport.loopback import Loopback, Wire
from tests.support.calls import calls

KIB = 1024
CALLS_A_LINE = 1200  # it takes some 900; a third of what it took when every line went through both caches
CALLS_A_RUN = 20  # of a scheduler that resumes one program


def demo(size: int) -> Callable[[], None]:
    """Make a run of the demo on the loopback, with an input of `size` bytes."""
    epoch = count(1)
    topology = Topology.of({"tu": 6})
    words = random.Random(1).choices([b"one", b"three", b"fifteen"], k=size)
    cpu = CpuDevice(topology, lambda: next(epoch), b" ".join(words)[:size])
    devices = (cpu, GpuDevice(topology, lambda: next(epoch)))
    loopback = Loopback(devices, [Wire(Place(0), Place(1), grain_ns=64)])

    def run() -> None:
        loopback.run(max_time=1 << 30)
        assert cpu.verified

    return run


def test_a_line_of_input_costs_the_same_in_a_long_file() -> None:
    """The calls for one more line of the demo's input do not grow with the input, and have a cap."""
    spent = {kib: calls(demo(kib * KIB)) for kib in (96, 144, 192)}
    marginal = [
        (spent[more] - spent[less]) * LINE_BYTES / ((more - less) * KIB)
        for less, more in ((96, 144), (144, 192))
    ]
    assert max(marginal) < 1.2 * min(marginal), marginal
    assert max(marginal) < CALLS_A_LINE, marginal


def test_a_run_costs_what_it_resumes() -> None:
    """A scheduler with every thread waiting for many tickets looks only at the ticket that ended."""
    scheduler = Scheduler()
    tickets = [[Ticket(Access("load", 0, 8), 0, 0) for _ in range(16)] for _ in range(MAX_THREADS)]
    resumed = []

    def program(place: int) -> Program[None]:
        yield tickets[place]
        resumed.append(place)

    for place in range(MAX_THREADS):
        scheduler.spawn("waits", program(place))
    scheduler.run(0)
    for ticket in tickets[7]:
        ticket.finished = 1
        assert not resumed
        spent = calls(lambda ended=ticket: scheduler.run(1, [ended]))  # type: ignore[misc]
        assert spent < CALLS_A_RUN, spent
    assert resumed == [7]
