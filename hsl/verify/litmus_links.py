"""Litmus tests over real links: the node of each thread is behind a port of its own (HSL 3.6 O1).

The homes are at the hub of a star, on virtual time. What a port delivers must be a message under way and, of
NCR, the next of its stream; then the agents take it as they take it from the network of `hsl.verify.litmus`.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Final

from hsl._generated.constants import TU_EXPONENT_HARDWARE, Role
from hsl.codec.message import Message
from hsl.link.config import PortConfig
from hsl.transport.base import Place
from hsl.transport.faults import FaultPlan
from hsl.transport.loopback import Loopback, Wire
from hsl.verify.endpoint import PortCore
from hsl.verify.litmus_agents import Agents, Fault
from hsl.verify.litmus_part import Move
from hsl.verify.litmus_system import State, System

__all__ = ["LinkRuns"]

ROLES: Final = Role.RA | Role.HA | Role.MT | Role.IOA  # every VC is served
EPOCH_BITS: Final = 32
PS_PER_BYTE: Final = 1000  # so that a flit takes as long as a pause is
AT_ONCE: Final = 3  # events at one instant, so that several messages wait at a port
PAUSE_NS: Final = 200  # between two instants at which something begins: some round trips
LATE: Final = 12  # instants at most that a thread sleeps at first: some messages of the others come before it
MAX_TU: Final = 1 << 16  # virtual time of a run: far beyond what replays and recoveries take


class _End:
    """One end of a link, a `hsl.transport.base.Device` that hands messages on and frees their credits."""

    started = True
    finished = False
    quiescing = False

    def __init__(self, name: str, config: PortConfig, runs: LinkRuns, leaf: int | None) -> None:
        self.node = PortCore(name, config)
        self.leaf = leaf  # the thread whose node it is, None at the hub
        self._runs = runs

    def advance(self, now: int) -> None:
        """Hand on the messages that arrived."""
        port = self.node.port
        for message in port.messages():
            port.release(message.vc)
            self._runs.arrived(self.leaf, message)

    def next_deadline(self) -> int | None:
        """The next timer of the port."""
        return self.node.port.next_deadline()


class LinkRuns:
    """Runs of tests on one set of agents, over links that come up once; `faults` hit the flits of all."""

    def __init__(self, agents: Agents, faults: FaultPlan, seed: str) -> None:
        self._agents = agents
        self._rng = Random(seed)
        threads = range(len(agents.requesters))
        self._leaf = {each.agent.nid: p for p, each in enumerate(agents.requesters)}
        self._leaf |= {each.io.nid: p for p, each in enumerate(agents.devices)}
        # The node of thread p is device 2 p; device 2 p + 1 is the end of the hub to which it leads.
        self._ends = [self._end(2 * p + hub, None if hub else p) for p in threads for hub in (0, 1)]
        wires = [
            Wire(Place(2 * p), Place(2 * p + 1), ps_per_byte=PS_PER_BYTE, faults=(faults, faults))
            for p in threads
        ]
        self._loopback = Loopback(self._ends, wires, seed=self._rng.getrandbits(EPOCH_BITS))
        self._system: System | None = None
        self._state: State = 0
        self._path: list[Move] = []
        self._held: dict[int, int] = {}  # by part: instants that its thread still sleeps

    def _end(self, index: int, leaf: int | None) -> _End:
        epoch = partial(Random(self._rng.getrandbits(EPOCH_BITS)).getrandbits, EPOCH_BITS)
        config = PortConfig(
            guid=index + 1, roles=ROLES, nid_base=64 * index, nid_count=16, epoch=epoch,
            tu_exp=TU_EXPONENT_HARDWARE,
        )  # fmt: skip
        return _End(f"end {index}", config, self, leaf)

    def run(self, system: System, state: State) -> tuple[State, list[Move]]:
        """Run a test once from `state`: the end, and the events that led there.

        Raises Fault for what no conforming agent or port does, TransportError when the run does not end.
        """
        self._system, self._state, self._path = system, state, []
        first = len(self._agents.homes)
        self._held = {first + p: self._rng.randrange(1, LATE) for p in range(len(self._ends) // 2)}
        limit = self._loopback.now + (MAX_TU << TU_EXPONENT_HARDWARE)
        self._loopback.run(max_time=limit, until=lambda: all(end.node.port.up for end in self._ends))
        self._later()
        self._loopback.run(max_time=limit, until=lambda: not system.events(self._state))
        return self._state, self._path

    def _later(self) -> None:
        at = self._loopback.now + self._rng.randrange(1, PAUSE_NS)
        self._loopback.call(at, Place(0), partial(self._act, self._path))

    def _act(self, path: list[Move]) -> None:
        """Let some of what needs no link happen; the links do the rest. `path`: of the run that asked."""
        assert self._system is not None
        if path is not self._path:
            return
        for _ in range(self._rng.randint(1, AT_ONCE)):
            local = [move for move in self._system.events(self._state) if self._may(move)]
            if local:
                self._follow(self._rng.choice(local))
        self._held = {at: left - 1 for at, left in self._held.items() if left}
        if self._system.events(self._state):
            self._later()

    def _may(self, move: Move) -> bool:
        """True for a message within a node, and for what a thread that is awake or a device begins."""
        if not move.arrival:
            return move.at not in self._held
        message = self._agents.messages[move.what]
        return self._leaf.get(message.src) == self._leaf.get(message.dst)

    def _follow(self, move: Move) -> None:
        assert self._system is not None
        self._path.append(move)
        self._state = self._system.follow(self._state, move)
        for number in move.sent:
            message = self._agents.messages[number]
            source = self._leaf.get(message.src)
            if source != self._leaf.get(message.dst):
                self._send(source, message)

    def _send(self, at: int | None, message: Message) -> None:
        """From a leaf to the hub, or from the hub to the leaf of the target."""
        index = 2 * self._leaf[message.dst] + 1 if at is None else 2 * at
        self._ends[index].node.port.send(message)
        self._loopback.call(self._loopback.now, Place(index), lambda: None)  # so that it transmits

    def arrived(self, at: int | None, message: Message) -> None:
        """A port has delivered a message: the hub passes it on, or its target takes it."""
        assert self._system is not None
        if at is None and message.dst in self._leaf:
            self._send(None, message)
            return
        for move in self._system.events(self._state):
            if move.arrival and self._agents.messages[move.what] == message:
                self._follow(move)
                return
        raise Fault(f"a port delivers {message}, which is not under way or not the next of its stream (O1)")
