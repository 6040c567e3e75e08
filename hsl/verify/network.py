"""Request agents and a home on a network that keeps no order: most races a second, no links (HSL 3.6 O3).

Only requests of one NCR stream keep theirs (O4). Some completions are held, and some targets are silent, as
the program says (5.11).

The delay of a message is drawn from the seed and from what the message is, not from how many came before it.
So a program with fewer operations meets the same delays, and a failure survives being made smaller.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count, permutations
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from hsl._generated.constants import LINE_BYTES, Err, ErrorCode, Op, Vc
from hsl._generated.tables import OPCODES
from hsl.agents.access import Access, Ticket
from hsl.agents.atc import Atc, Translated
from hsl.agents.home import HomeAgent
from hsl.agents.invariants import InvariantError, ReferenceMemory, directory_exact, single_writer
from hsl.agents.io import IoAgent
from hsl.agents.peers import LOCAL
from hsl.agents.request import RequestAgent
from hsl.agents.target import MemoryTarget
from hsl.codec.message import Message
from hsl.verify.issuer import Issuer
from hsl.verify.judges import Judges
from hsl.verify.layout import MANAGER, SILENT
from hsl.verify.moves import Mover
from hsl.verify.node_services import NodeServices
from hsl.verify.operation import Operation
from hsl.verify.parties import NEVER, Parties, Party

__all__ = ["MAX_DELAY", "MAX_WAIT", "Network", "Sent"]

MAX_DELAY = 20  # ns: greatest delay of a message
# Messages that may arrive while one operation is under way. Each is done after at most the requests of all
# other agents for its line, so far fewer do in a protocol that starves nobody.
MAX_WAIT = 200_000
# Steps (a message arrives, operations begin) between two looks at all lines; in between only at the line that
# a step concerns.
SWEEP = 256
TRACE = 256  # messages of one line that are kept for a report
_IDENTITY = Struct("<QHHBIQ")
# What asks, by opcode: which numbers its TXN is one of. And the answers that need not say for which line.
_NUMBERS: dict[int, int] = {Vc.REQ: Vc.REQ, Vc.RWD: Vc.REQ, Vc.SNP: Vc.SNP, Vc.MEM: Vc.MEM}
_ASKS = {code: _NUMBERS[info.vc] for code, info in OPCODES.items() if info.vc in _NUMBERS}
_SNOOPED = frozenset({Op.SnpRsp, Op.SnpRspData})


class Sent(NamedTuple):
    """A message in a report: its number, when it was sent and when it arrives (ns)."""

    number: int
    sent: int
    arrives: int
    message: Message

    def __str__(self) -> str:
        """One line of a report."""
        m = self.message
        said = [f"{self.sent:>8} -> {self.arrives:>8} ns  {Op(m.op).name:<11} {m.src} -> {m.dst} txn {m.txn}"]
        said += [f"{m.addr:#x}"] * bool(m.addr) + [f"st {m.st}"] * bool(m.st) + [f"err {m.err}"] * bool(m.err)
        return " ".join([*said, m.data.hex()])


class Device(NamedTuple):
    """The I/O agent of a node, and the translations of `agent` with the accesses that wait for them."""

    io: IoAgent
    atc: Atc | None
    agent: int
    running: list[Translated]


class Network:
    """One run of a program by the agents of `parties`; `trace`: keep the messages of each line.

    Raises InvariantError from `run` when something forbidden is seen.
    """

    def __init__(
        self,
        parties: Parties,
        seed: int,
        *,
        trace: bool = False,
        progress: Callable[[Issuer], None] = lambda issuer: None,
    ) -> None:
        self.now = 0
        self.parties = parties
        nodes = parties.nodes
        self.agents = {config.nid: RequestAgent(config) for node in nodes for config in node.agents}
        self.homes = {home.nid: HomeAgent(home, memory) for node in nodes for home, memory in node.homes}
        self.targets = {
            target.nid: MemoryTarget(target, memory) for node in nodes for target, memory in node.targets
        }
        self._attach()
        self.devices = {node.io.nid: self._device(node) for node in nodes if node.io is not None}
        self._device_of = {device.agent: device for device in self.devices.values() if device.atc is not None}
        self.judges = Judges(parties)
        self._holds = self.judges.deadlines.holds
        self._small = parties.small
        self._mover = self._moving() if parties.layout.moving else None
        self._waking: set[RequestAgent] = set()  # agents with accesses in back-off
        self.lines = lines = parties.judged
        self.traces: dict[int, deque[Sent]] = {line: deque(maxlen=TRACE) for line in lines} if trace else {}
        self.messages = 0
        self.failed_line: int | None = None
        self._seed = seed
        self._progress = progress
        self._plain = frozenset(parties.lines)
        initial = {line: parties.stored(line) for line in parties.lines}
        self.reference = ReferenceMemory(initial.__getitem__)
        # When it arrives, number, message, line. Bounded by what agents and homes have outstanding.
        self._queue: list[tuple[int, int, Message, int | None]] = []
        self._alike: Counter[tuple[int, int, int, int]] = Counter()
        self._line_of: dict[tuple[int, int, int], int] = {}  # (NID, TXN, whose numbers): the line asked for
        self._last: dict[tuple[int, int, int], int] = {}  # when the last request of each stream arrives
        self._silent: list[Message] = []  # what has no answer yet; at most the TXNs of an agent
        self._answering = False  # silent targets have begun to answer
        # And the messages that had arrived at its begin.
        self._running: dict[Ticket | Translated | Operation, tuple[Operation, int]] = {}

    def _attach(self) -> None:
        """Give the agents what each two nodes have agreed to, as a port between them would."""
        for one, other in permutations(self.parties.nodes, 2):
            agreed = LOCAL._replace(features=one.features & other.features)
            for config in one.agents:
                self.agents[config.nid].attach(other.nids, agreed._replace(atomics=config.atomics))
            for home, _ in one.homes:
                self.homes[home.nid].attach(other.nids, agreed)

    def _device(self, node: Party) -> Device:
        assert node.io is not None
        atc = None if node.atc is None else Atc(node.atc, self.agents[node.atc.agent])
        services = None
        if self.parties.layout.moving:
            homes = [self.homes[home.nid] for home, _ in node.homes]
            services = NodeServices(homes, [self.agents[config.nid] for config in node.agents])
        return Device(IoAgent(node.io, services, atc), atc, node.atc.agent if node.atc else -1, [])

    def _moving(self) -> Mover:
        def submit(access: Access) -> Ticket:
            return self.agents[MANAGER].submit(access, self.now)

        return Mover(self.parties, self.judges.moves, self.agents, self.homes, submit)

    def run(self, issuer: Issuer) -> None:
        """Run until every operation has ended and no message is under way, then judge the state at rest."""
        arrived = 0
        deadlines = self.judges.deadlines
        for step in count(1):
            due, timer = issuer.next_time(), deadlines.next_time()
            if self._waking:
                timer = self._next_wake(timer)
            first = self._queue[0][0] if self._queue else NEVER
            if timer is not None and timer <= first and (due is None or timer <= due):
                self.now = max(self.now, timer)
                self._expire(issuer)
            elif due is not None and due <= first:
                self.now = max(self.now, due)
                for operation in issuer.due(self.now):
                    self._begin(operation, issuer, arrived)
            elif self._queue:
                self.now, _, message, line = heappop(self._queue)
                arrived += 1
                self.failed_line = line
                self._deliver(message, issuer)
                if line is not None:
                    self._judge(line)
            elif not self._answer():
                break
            if step % SWEEP == 0:
                self._sweep(issuer, arrived)
        if not issuer.done:
            raise InvariantError(
                f"deadlock at {self.now} ns: nothing is under way, {len(issuer.open)} operations wait: "
                f"{self._waiting() or 'none has begun'}"
            )
        self._sweep(issuer, arrived)
        self._rest()

    def _waiting(self) -> str:
        return ", ".join(str(op) for op, _ in list(self._running.values())[:4])

    def _begin(self, operation: Operation, issuer: Issuer, arrived: int) -> None:
        self.failed_line = line = operation.line
        agent, access = self.agents[operation.agent], operation.access
        self.judges.begun(operation)
        if operation.agent == MANAGER and self._mover is not None:
            self._running[operation] = (operation, arrived)
            self._mover.begin(operation)
        elif operation.virtual:
            self._translate(operation, arrived)
        else:
            ticket = agent.submit(access, self.now)
            if line in self._plain:
                self.reference.begun(ticket)
            self._running[ticket] = (operation, arrived)
            self.judges.sent(operation, agent.outbox, self.now)
        self._after(agent, issuer)

    def _translate(self, operation: Operation, arrived: int) -> None:
        device, access = self._device_of[operation.agent], operation.access
        assert device.atc is not None
        done = device.atc.access(access.pasid, access._replace(pasid=0), self.now)
        device.running.append(done)
        self._running[done] = (operation, arrived)

    def _deliver(self, message: Message, issuer: Issuer) -> None:
        if (agent := self.agents.get(message.dst)) is not None:
            if self._holds and (late := self.judges.deadlines.arrived(message)) is not None:
                self.judges.fences.performed(late)
            agent.receive(message, self.now)
            if message.err == Err.BUSY:
                self._waking.add(agent)
            self._after(agent, issuer)
            if self._mover is not None and self._mover.busy:
                self._poll()
            return
        if (device := self.devices.get(message.dst)) is not None:
            device.io.receive(message, self.now)
            self._serve(device)
            if device.atc is not None:
                self._after(self.agents[device.agent], issuer)
            return
        server = self.homes.get(message.dst) or self.targets[message.dst]
        server.receive(message, self.now)
        self._sends(server)

    def _sends(self, server: HomeAgent | MemoryTarget) -> None:
        """Send what a home or a target has to send."""
        for answer in server.outbox:
            if answer.dst in self.agents:
                self.reference.answered(answer)
            if answer.err == Err.BUSY:
                self._judge_busy(answer)
            self._send(answer)
        server.outbox.clear()
        server.taken.clear()

    def _serve(self, device: Device) -> None:
        """Let the programs of a device take doorbells and interrupts, and send its completions."""
        self.judges.streams.take(device.io)
        device.io.poll(self.now)
        for answer in device.io.outbox:
            self._send(answer)
        device.io.outbox.clear()
        device.io.taken.clear()
        if self._mover is not None:
            for home in self.homes.values():  # RECALL
                self._sends(home)

    def _poll(self) -> None:
        """Complete the writes of registers that waited for requests of their node."""
        for device in self.devices.values():
            if not device.io.idle:
                self._serve(device)

    def _after(self, agent: RequestAgent, issuer: Issuer) -> None:
        """Judge the accesses that an agent finished, send its messages, and tell it that they left (D4)."""
        device = self._device_of.get(agent.nid)
        while True:
            for ticket in agent.completions():
                if agent.nid == MANAGER and self._mover is not None:
                    self._moved(self._mover.ended(ticket), issuer)
                    continue
                operation, _ = self._running.pop(ticket)
                self.failed_line = line = operation.line
                if line in self._plain:
                    self.reference.ended(ticket)
                self.judges.ended(operation, ticket, self.now)
                issuer.ended(operation, self.now)
            moved = device is not None and self._translated(device, issuer)
            if not agent.outbox and not moved:
                return
            for message in agent.outbox:
                if message.addr - message.addr % LINE_BYTES in self._plain:
                    self.reference.sent(message)
                self._send(message)
            agent.outbox.clear()
            agent.tick(self.now)

    def _moved(self, operation: Operation | None, issuer: Issuer) -> None:
        """A move has ended, if there is one."""
        if operation is not None:
            self._running.pop(operation)
            self.judges.moved(operation)
            issuer.ended(operation, self.now)

    def _translated(self, device: Device, issuer: Issuer) -> bool:
        """Judge the virtual accesses that have ended, then complete invalidations; True if anything moved."""
        assert device.atc is not None
        moved = device.atc.poll(self.now)
        for done in [done for done in device.running if done.done]:
            device.running.remove(done)
            operation, _ = self._running.pop(done)
            self.judges.translated(operation, done)
            issuer.ended(operation, self.now)
        self._serve(device)
        return moved

    # ---- what is late
    def _next_wake(self, timer: int | None) -> int | None:
        """The next time at which an agent presents an access again, or `timer`."""
        ends = [(agent.next_deadline() or NEVER, agent) for agent in self._waking]
        self._waking = {agent for end, agent in ends if end < NEVER}
        first = min((end for end, _ in ends), default=NEVER)
        return timer if first >= (NEVER if timer is None else timer) else first

    def _expire(self, issuer: Issuer) -> None:
        """T_REQ of some operations is over: their agent knows the time, and must have reported them.

        Or agents present an access again that ended BUSY.
        """
        for agent in sorted(self._waking, key=lambda agent: agent.nid):
            agent.tick(self.now)
            self._after(agent, issuer)
        for operation in self.judges.deadlines.due(self.now):
            self.failed_line = operation.line
            agent = self.agents[operation.agent]
            agent.tick(self.now)
            self._after(agent, issuer)
            self.judges.deadlines.judge_due(operation)

    def _answer(self) -> bool:
        """Have the silent targets answer when nothing else is to come; True when there was something."""
        silent, self._silent, self._answering = self._silent, [], True
        starved = [op for op, _ in self._running.values() if op.access.dst not in SILENT]
        if silent and starved:
            raise InvariantError(
                f"{starved[0]} starves: nothing is under way but NCR that have no answer (5.10, 5.11)"
            )
        for message in silent:
            self._send(_silent_answer(message))
        return bool(silent)

    def _send(self, message: Message) -> None:
        self.messages += 1
        src, dst, op = message.src, message.dst, message.op
        if dst in SILENT:
            self.judges.deadlines.asked(message, self.now)
            if self._answering:
                self._send(_silent_answer(message))
            else:
                self._silent.append(message)
            return
        line = self._line(message)
        if line is not None and (numbers := _ASKS.get(op)) is not None:
            self._line_of[src, message.txn, numbers] = line
        alike = (src, dst, op, line or 0)
        self._alike[alike] = count = self._alike[alike] + 1
        arrives = self.now + 1 + crc32(_IDENTITY.pack(line or 0, src, dst, op, count, self._seed)) % MAX_DELAY
        if message.vc == Vc.NCR:
            self._line_of.pop((src, message.txn, Vc.REQ), None)
            stream = src, dst, message.aop
            arrives = self._last[stream] = max(arrives, self._last.get(stream, 0))
        elif self._holds and (held := self.judges.deadlines.held(message)) is not None:
            arrives = max(arrives, held)
        heappush(self._queue, (arrives, self.messages, message, line))
        if line is not None and (trace := self.traces.get(line)) is not None:
            trace.append(Sent(self.messages, self.now, arrives, message))

    def _line(self, message: Message) -> int | None:
        """The line of a message; a CmpAck names only the HTXN, and changes nothing that is judged."""
        if message.op == Op.CmpAck:
            return None
        if message.op in _ASKS:
            return message.addr - message.addr % LINE_BYTES
        of_target = message.src in self.targets
        numbers = Vc.SNP if message.op in _SNOOPED else Vc.MEM if of_target else Vc.REQ
        return self._line_of.get((message.dst, message.txn, numbers))

    # ---- judges

    def _judge_busy(self, answer: Message) -> None:
        """A home answers BUSY: a move of the range must be under way. HSL 5.1.4 [HSL-COH-055]."""
        line = self._line(answer)
        if self._mover is None or not self._mover.moving(line):
            self.failed_line = line
            raise InvariantError(
                f"home {answer.src} answers BUSY to node {answer.dst}, txn {answer.txn}, "
                "and no move of that range is under way (5.1.4)"
            )

    def _judge(self, line: int) -> None:
        single_writer(self.agents.values(), line)
        if self._mover is not None:
            self._mover.judge(line)
        if self._small:
            self.parties.judge_directories(self.homes)
        if line in self._plain:
            self.reference.judge_copies(self.agents.values(), line)

    def _sweep(self, issuer: Issuer, arrived: int) -> None:
        """All lines, protocol errors, and operations that never end."""
        for line in self.lines:
            self.failed_line = line
            self._judge(line)
        self._judge_errors()
        patient = self.parties.layout.patient
        for operation, begun in self._running.values():
            if arrived - begun > MAX_WAIT and operation.agent != patient:
                self.failed_line = operation.line
                raise InvariantError(
                    f"{operation} starves: {arrived - begun} messages have arrived since it began"
                )
        self._progress(issuer)

    def _judge_errors(self) -> None:
        logs = [home.errors for home in self.homes.values()]
        logs += [target.errors for target in self.targets.values()]
        logs += [device.io.errors for device in self.devices.values()]
        for agent in self.agents.values():
            if agent.nid == self.parties.layout.patient:
                agent.errors[:] = [entry for entry in agent.errors if entry[0] != ErrorCode.TIMEOUT]
        for errors in (*logs, *(agent.errors for agent in self.agents.values())):
            if errors:
                code, text, message = errors[0]
                self.failed_line = None if message is None else self._line(message)
                raise InvariantError(f"{code.name} among conforming agents: {text}")

    def _rest(self) -> None:
        for line in self.lines:
            self.failed_line = line
            home = self.homes[self.parties.home_of(line)]
            directory_exact(self.agents.values(), line, home.directory_of(line))
            owned = next(
                (each.peek(line) for each in self.agents.values() if each.state_of(line) == "M"), None
            )
            if line not in self._plain:
                self.judges.poison.judge_rest(line, owned)
            elif owned is None:
                self.reference.judge_memory(line, self.parties.stored(line))
        self.failed_line = None
        busy = [nid for nid, agent in self.agents.items() if not agent.idle]
        busy += [nid for nid, home in self.homes.items() if not home.idle]
        busy += [nid for nid, device in self.devices.items() if not device.io.idle]
        if busy:
            raise InvariantError(f"at rest nodes {busy} wait")


def _silent_answer(message: Message) -> Message:
    return Message(Op.Cmp, message.dst, message.src, message.txn)
