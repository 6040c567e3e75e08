"""A program on the whole stack: nodes over links on virtual time, with faults (HSL 3.9 `mem`).

The nodes are a star, and a full mesh where lines are homed at GPU nodes. The judges check the values
that a program sees and the agents that may write; they do not look at links.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial, reduce
from operator import or_
from random import Random

from hsl._generated.constants import Feature, Role
from hsl.agents.access import Access, Ticket
from hsl.agents.atc import Translated
from hsl.agents.invariants import InvariantError, directory_exact, single_writer
from hsl.engine.config import NodeConfig
from hsl.engine.node import Node
from hsl.link.config import PortConfig
from hsl.link.port import Port
from hsl.link.timers import ladder_ns
from hsl.transport.base import Place
from hsl.transport.faults import FaultPlan
from hsl.transport.loopback import Loopback, Wire
from hsl.verify.flit_log import FlitLog
from hsl.verify.issuer import Issuer
from hsl.verify.judges import Judges
from hsl.verify.layout import MANAGER
from hsl.verify.moves import Mover
from hsl.verify.operation import Operation
from hsl.verify.parties import Parties, Party
from hsl.verify.streams import Streams
from hsl.verify.verdict import LinkLost

__all__ = ["Stack"]

TU_EXPONENT = 6  # of the hardware: the loopback is as fast
FIRST_GUID = 1
SWEEP = 256  # completions between two looks at all lines, and steps between two reports of progress
# No message for so long, in ns, while operations wait: the ladder of 3.4.3 has ended by then on every link.
PATIENCE = 4 * ladder_ns(TU_EXPONENT, TU_EXPONENT)
EPOCH_BITS = 32
FEATURES = Feature.ATS | Feature.PRI | Feature.HandOver


class _Device:
    """A node without programs of its own: operations are handed to its agents from outside."""

    started = True
    finished = False

    def __init__(
        self,
        node: Node,
        streams: Streams,
        ended: Callable[[Ticket], None],
        used: Callable[[Translated], None],
    ) -> None:
        self.node = node
        self.quiescing = False
        self.virtual: list[Translated] = []  # under way; at most what the translation cache takes
        self._streams = streams
        self._ended = ended
        self._used = used

    def advance(self, now: int) -> None:
        """Move messages, take those for the device, and hand over the accesses that ended."""
        self.node.advance(now)
        if self.node.io is not None:
            self._streams.take(self.node.io)
        for ticket in self.node.completions():
            self._ended(ticket)
        if self.virtual:
            ended = [used for used in self.virtual if used.done]
            self.virtual = [used for used in self.virtual if not used.done]
            for used in ended:
                self._used(used)

    def next_deadline(self) -> int | None:
        """The next timer of the node."""
        return self.node.next_deadline()


class Stack:
    """One run of a program by the agents of `parties`.

    `codec`: the engine under the links; `trace`: keep the last flits.
    Raises InvariantError from `run` when something forbidden is seen, LinkLost when the faults end a link.
    """

    def __init__(
        self,
        parties: Parties,
        seed: int,
        faults: FaultPlan,
        *,
        codec: str = "reference",
        trace: bool = False,
        progress: Callable[[Issuer], None] = lambda issuer: None,
    ) -> None:
        self.parties = parties
        self.lines = parties.judged
        self.judges = Judges(parties)
        self.failed_line: int | None = None
        self._progress = progress
        self._faulty = bool(faults)
        self._steps = 0
        self._connected = False  # every link has come up
        rng = Random(f"epochs {seed}")
        epoch = partial(rng.getrandbits, EPOCH_BITS)
        port = partial(PortConfig, epoch=epoch, tu_exp=TU_EXPONENT, codec=codec)
        ends = [[pair for pair in parties.wires if node in pair] for node in range(len(parties.nodes))]
        nodes = [_node(party, len(pairs), port) for party, pairs in zip(parties.nodes, ends, strict=True)]
        streams = self.judges.streams
        self.devices = [_Device(node, streams, self._ended, self._used) for node in nodes]
        wires = [
            Wire(Place(a, ends[a].index((a, b))), Place(b, ends[b].index((a, b))), faults=(faults, faults))
            for a, b in parties.wires
        ]
        self.flits = FlitLog([node.name for node in nodes], [wire[:2] for wire in wires]) if trace else None
        tap = None if self.flits is None else self.flits.see
        self.loopback = Loopback(self.devices, wires, seed=seed, tap=tap)
        self.agents = {nid: agent for node in nodes for nid, agent in node.agents.items()}
        self.homes = {nid: home for node in nodes for nid, home in node.homes.items()}
        self._device_of = {nid: index for index, node in enumerate(nodes) for nid in node.agents}
        self._mover = self._moving() if parties.layout.moving else None
        self._running: dict[Ticket | Translated | Operation, Operation] = {}
        self._armed: list[int] = []  # when the issuer is asked next, the soonest last
        self._since_sweep = 0
        self._moved = (0, 0)  # what had moved when patience last ran out, and since when it has that much

    def _moving(self) -> Mover:
        node = self.devices[0].node

        def submit(access: Access) -> Ticket:
            return node.submit(MANAGER, access, self.now)

        return Mover(self.parties, self.judges.moves, self.agents, self.homes, submit)

    @property
    def now(self) -> int:
        """Virtual time, ns."""
        return self.loopback.now

    @property
    def messages(self) -> int:
        """Messages that crossed a link."""
        return sum(sum(port.messages_received.values()) for port in self._ports())

    def _ports(self) -> list[Port]:
        return [port for device in self.devices for port in device.node.ports]

    def run(self, issuer: Issuer) -> None:
        """Bring the links up, run until every operation has ended and the links are at rest, then judge."""
        self._issuer = issuer
        loopback = self.loopback
        loopback.start()
        while not all(device.node.connected for device in self.devices):
            self._step()
        self._connected = True
        self._arm()
        while not issuer.done:
            self._step()
        for lane in loopback.lanes.values():
            lane.injector.enabled = False
        while not all(device.node.quiesced for device in self.devices):
            self._step()
        self._sweep()
        self._rest()

    def _step(self) -> None:
        """One instant; nothing that moves for as long as no link can be busy with itself is a deadlock."""
        self.loopback.step()
        self._steps += 1
        if self._steps % SWEEP == 0:
            self._progress(self._issuer)
        if self.loopback.failure:
            raise self._lost(self.loopback.failure)
        moved, since = self._moved
        if self.now - since <= PATIENCE:
            return
        now_moved = self.messages + self._issuer.finished
        if now_moved != moved or self._armed:
            self._moved = (now_moved, self.now)
            return
        if not self._connected:
            raise self._lost(f"not every link is up at {self.now} ns")
        waiting = ", ".join(map(str, list(self._running.values())[:4])) or "none has begun"
        raise InvariantError(
            f"deadlock: no message since {since} ns, now {self.now} ns, and operations wait: {waiting}"
        )

    def _lost(self, how: str) -> Exception:
        """A link that is lost is forbidden only where nothing is done to its flits."""
        if self._faulty:
            return LinkLost(f"a link was lost, so there is no verdict: {how}. Fewer faults are needed")
        return InvariantError(f"a link was lost: {how}")

    def _arm(self) -> None:
        """Have the next operation begin when it is due."""
        due = self._issuer.next_time()
        if due is not None and (not self._armed or due < self._armed[-1]):
            self._armed.append(max(due, self.now))
            device = self._device_of[self._issuer.next_agent()]
            self.loopback.call(self._armed[-1], Place(device), partial(self._pump, device))

    def _pump(self, device: int) -> None:
        """Begin the operations that are due: of this device at once, of each other one by its own call."""
        self._armed.pop()
        for operation in self._issuer.due(self.now):
            at = self._device_of[operation.agent]
            if at == device:
                self._begin(operation)
            else:
                self.loopback.call(self.now, Place(at), partial(self._begin, operation))
        self._arm()

    def _begin(self, operation: Operation) -> None:
        self.judges.begun(operation)
        device, access = self.devices[self._device_of[operation.agent]], operation.access
        node = device.node
        if operation.agent == MANAGER and self._mover is not None:
            self._running[operation] = operation
            self._mover.begin(operation)
            return
        if operation.virtual:
            assert node.atc is not None
            used = node.atc.access(access.pasid, access._replace(pasid=0), self.now)
            device.virtual.append(used)
            self._running[used] = operation
            return
        ticket = node.submit(operation.agent, access, self.now)
        self._running[ticket] = operation
        self.judges.sent(operation, node.agents[operation.agent].outbox, self.now)

    def _ended(self, ticket: Ticket) -> None:
        if ticket.agent == MANAGER:
            self.loopback.call(self.now, Place(0), partial(self._goes_on_moving, ticket))
            return
        operation = self._running.pop(ticket)
        self.failed_line = line = operation.line
        if ticket.err and not all(port.up for port in self._ports()):
            raise self._lost(f"{operation} ended with {ticket.err.name}")
        self.judges.ended(operation, ticket, self.now)
        if line is not None:
            single_writer(self.agents.values(), line)
        self._goes_on(operation)

    def _goes_on_moving(self, ticket: Ticket) -> None:
        """An access of a move has ended."""
        assert self._mover is not None
        if ticket.err and not all(port.up for port in self._ports()):
            raise self._lost(f"{ticket!r} ended with {ticket.err.name}")
        self.failed_line = None
        operation = self._mover.ended(ticket)
        if operation is not None:
            self.judges.moved(self._running.pop(operation))
            self._goes_on(operation)

    def _used(self, used: Translated) -> None:
        """A virtual access ended."""
        operation = self._running.pop(used)
        self.failed_line = None
        if used.err and not all(port.up for port in self._ports()):
            raise self._lost(f"{operation} ended with {used.err.name}")
        self.judges.translated(operation, used)
        self._goes_on(operation)

    def _goes_on(self, operation: Operation) -> None:
        self._issuer.ended(operation, self.now)
        self._arm()
        self._since_sweep += 1
        if self._since_sweep >= SWEEP:
            self._sweep()

    # ---- judges

    def _sweep(self) -> None:
        self._since_sweep = 0
        for line in self.lines:
            self.failed_line = line
            single_writer(self.agents.values(), line)
        self.failed_line = None
        if self.parties.small:
            self.parties.judge_directories(self.homes)
        for agent in self.agents.values():
            if agent.counters.odd or agent.counters.proto:
                raise InvariantError(f"node {agent.nid} has seen messages that no conforming home sends")
        self._progress(self._issuer)

    def _rest(self) -> None:
        """Check that at rest the directory is exact, and each line holds the last written value."""
        for line in self.lines:
            self.failed_line = line
            home = self.homes[self.parties.home_of(line)]
            directory_exact(self.agents.values(), line, home.directory_of(line))
            owned = next(
                (each.peek(line) for each in self.agents.values() if each.state_of(line) == "M"), None
            )
            self.judges.judge_rest(line, owned, self.parties.stored(line))
        self.failed_line = None


def _node(party: Party, ports: int, port: Callable[..., PortConfig]) -> Node:
    nids = party.nids
    has = {
        Role.RA: party.agents,
        Role.HA: party.homes,
        Role.MT: party.targets,
        Role.IOA: () if party.io is None else (party.io,),
    }
    roles = reduce(or_, (role for role, those in has.items() if those))
    config = port(guid=FIRST_GUID + nids[0], roles=roles, nid_base=nids[0], nid_count=len(nids))
    features = party.features & (FEATURES if party.io is not None else Feature.HandOver)
    config = replace(config, features=int(features))
    return Node(
        NodeConfig(
            name=party.name,
            ports=[config] * ports,
            agents=party.agents,
            homes=party.homes,
            targets=party.targets,
            io=party.io,
            atc=party.atc,
        )
    )
