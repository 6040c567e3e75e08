"""A node that floods a home within its credits, and what it costs the others (HSL 6.3)."""

from __future__ import annotations

from hsl._generated.constants import LINE_BYTES, Err
from hsl.agents.access import Access, Ticket
from tests.engine.cluster import HOST, SIZE, Cluster, base, hosted
from tests.support.calls import calls

# Device 0 floods; the data are in the memory of device 1, which is innocent; the home is at the CPU.
FLOODER, INNOCENT = 1, 2
LINES = SIZE // LINE_BYTES
READS = 128
ROUND_TRIP = 4000  # ns, to the memory of device 1


class Flood:
    """So many ReadOnce of device 0 are open at any time, from both of its caches, to lines of device 1."""

    def __init__(self, outstanding: int) -> None:
        self.cluster = Cluster(2, mshrs=32, last_ns=ROUND_TRIP // 2)
        self.outstanding = outstanding
        self.open: list[Ticket] = []
        self.begun = 0
        self.done: list[Ticket] = []

    def go_on(self) -> bool:
        """Take what has ended, and begin as many anew; True when READS have ended."""
        loopback, node = self.cluster.loopback, self.cluster.nodes[FLOODER]
        self.done += [ticket for ticket in self.open if ticket.done]
        self.open = [ticket for ticket in self.open if not ticket.done]
        if room := self.outstanding - len(self.open):
            for _ in range(room):
                addr = hosted(1) + self.begun % LINES * LINE_BYTES
                agent = base(FLOODER) + 2 + self.begun % 2
                self.open.append(node.submit(agent, Access("read_once", addr, 8), loopback.now))
                self.begun += 1
            loopback.call(loopback.now, self.cluster.loopback.wires[0].b, lambda: None)
        return len(self.done) >= READS

    def run(self) -> None:
        """Until READS have ended."""
        self.cluster.run(self.go_on)


def test_a_flood_of_reads_costs_its_home_no_more_than_reads_that_are_served() -> None:
    """READS reads make as many calls with 64 open, of which 20 lines wait at the home, as with 40 open.

    A home that works for each line that waits does not hear the others in time, and fences them. HSL 6.3.
    """
    cost = {}
    for outstanding in (40, 64):
        flood = Flood(outstanding)
        cost[outstanding] = calls(flood.run)
        assert {ticket.err for ticket in flood.done} == {Err.OK}
    assert cost[64] < 1.3 * cost[40], f"6.3: the home works for lines that wait: {cost} calls"


def test_a_flood_of_reads_leaves_the_others_alive() -> None:
    """With 64 reads open the memory node stays alive, it and a core are served promptly. HSL 6.3."""
    flood = Flood(64)
    cluster, loopback = flood.cluster, flood.cluster.loopback
    others: list[Ticket] = []

    def go_on() -> bool:
        if all(ticket.done for ticket in others):
            addr = HOST + len(others) * LINE_BYTES
            others.extend(
                cluster.nodes[node].submit(base(node) + 2, Access("load", addr, 8), loopback.now)
                for node in (0, INNOCENT)
            )
            loopback.call(loopback.now, loopback.wires[1].b, lambda: None)
        return flood.go_on()

    cluster.run(go_on)
    ended = [ticket for ticket in others if ticket.finished is not None]
    assert len(ended) > 4
    assert {ticket.err for ticket in ended} == {Err.OK}, "6.3: the flood denies service to others"
    slowest = max(ticket.finished - ticket.issued for ticket in ended if ticket.finished is not None)
    assert slowest < 2 * ROUND_TRIP, "6.3: the flood takes the part of the others"
    assert all(node.connected for node in cluster.nodes), "6.3: an innocent node is fenced"
    assert not any(log.entries for log in cluster.nodes[0].error_logs)
