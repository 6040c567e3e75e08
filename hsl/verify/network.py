"""Request agents and a home on a network that keeps no order: most races a second, no links (HSL 3.6 O3).

The delay of a message is drawn from the seed and from what the message is, not from how many came before it.
So a program with fewer operations meets the same delays, and a failure survives being made smaller.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from hsl._generated.constants import LINE_BYTES, Op, Vc
from hsl._generated.tables import OPCODES
from hsl.agents.access import Ticket
from hsl.agents.home import HomeAgent
from hsl.agents.invariants import InvariantError, ReferenceMemory, directory_exact, single_writer
from hsl.agents.request import RequestAgent
from hsl.agents.target import MemoryTarget
from hsl.codec.message import Message
from hsl.verify.issuer import Issuer
from hsl.verify.last_writer import LastWriters
from hsl.verify.operation import Operation
from hsl.verify.parties import Parties

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
        self.lines = lines = parties.lines
        self.traces: dict[int, deque[Sent]] = {line: deque(maxlen=TRACE) for line in lines} if trace else {}
        self.messages = 0
        self.failed_line: int | None = None
        self._seed = seed
        self._progress = progress
        initial = {line: parties.stored(line) for line in lines}
        self.reference = ReferenceMemory(initial.__getitem__)
        self.writers = LastWriters(initial.__getitem__)
        # When it arrives, number, message, line. Bounded by what agents and homes have outstanding.
        self._queue: list[tuple[int, int, Message, int | None]] = []
        self._alike: Counter[tuple[int, int, int, int]] = Counter()
        self._line_of: dict[tuple[int, int, int], int] = {}  # (NID, TXN, whose numbers): the line asked for
        self._running: dict[
            Ticket, tuple[Operation, int]
        ] = {}  # and the messages that had arrived at its begin

    def run(self, issuer: Issuer) -> None:
        """Run until every operation has ended and nothing is under way, then judge what must hold at rest."""
        arrived = 0
        for step in count(1):
            due = issuer.next_time()
            if due is not None and (not self._queue or due <= self._queue[0][0]):
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
            else:
                break
            if step % SWEEP == 0:
                self._sweep(issuer, arrived)
        if not issuer.done:
            waiting = ", ".join(str(op) for op, _ in list(self._running.values())[:4]) or "none has begun"
            raise InvariantError(
                f"deadlock at {self.now} ns: nothing is under way, {len(issuer.open)} operations wait: "
                f"{waiting}"
            )
        self._sweep(issuer, arrived)
        self._rest()

    def _begin(self, operation: Operation, issuer: Issuer, arrived: int) -> None:
        self.failed_line = operation.access.addr - operation.access.addr % LINE_BYTES
        agent = self.agents[operation.agent]
        self.writers.begun(operation)
        ticket = agent.submit(operation.access, self.now)
        self.reference.begun(ticket)
        self._running[ticket] = (operation, arrived)
        self._after(agent, issuer)

    def _deliver(self, message: Message, issuer: Issuer) -> None:
        if (agent := self.agents.get(message.dst)) is not None:
            agent.receive(message, self.now)
            self._after(agent, issuer)
            return
        server = self.homes.get(message.dst) or self.targets[message.dst]
        server.receive(message, self.now)
        for answer in server.outbox:
            if answer.dst in self.agents:
                self.reference.answered(answer)
            self._send(answer)
        server.outbox.clear()
        server.taken.clear()

    def _after(self, agent: RequestAgent, issuer: Issuer) -> None:
        """Judge what an agent has finished, send what it sends, and tell it that this has left (D4)."""
        while True:
            for ticket in agent.completions():
                operation, _ = self._running.pop(ticket)
                self.failed_line = operation.access.addr - operation.access.addr % LINE_BYTES
                self.reference.ended(ticket)
                self.writers.ended(operation, ticket)
                if ticket.err or ticket.poison:
                    raise InvariantError(f"{operation} ended with {ticket!r}, in a run without faults")
                issuer.ended(operation, self.now)
            if not agent.outbox:
                return
            for message in agent.outbox:
                self.reference.sent(message)
                self._send(message)
            agent.outbox.clear()
            agent.tick(self.now)

    def _send(self, message: Message) -> None:
        self.messages += 1
        src, dst, op = message.src, message.dst, message.op
        line = self._line(message)
        if line is not None and (numbers := _ASKS.get(op)) is not None:
            self._line_of[src, message.txn, numbers] = line
        alike = (src, dst, op, line or 0)
        self._alike[alike] = count = self._alike[alike] + 1
        arrives = self.now + 1 + crc32(_IDENTITY.pack(line or 0, src, dst, op, count, self._seed)) % MAX_DELAY
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

    def _judge(self, line: int) -> None:
        single_writer(self.agents.values(), line)
        self.reference.judge_copies(self.agents.values(), line)

    def _sweep(self, issuer: Issuer, arrived: int) -> None:
        """All lines, protocol errors, and operations that never end."""
        for line in self.lines:
            self.failed_line = line
            self._judge(line)
        logs = [home.errors for home in self.homes.values()]
        logs += [target.errors for target in self.targets.values()]
        for errors in (*logs, *(agent.errors for agent in self.agents.values())):
            if errors:
                code, text, message = errors[0]
                self.failed_line = None if message is None else self._line(message)
                raise InvariantError(f"{code.name} among conforming agents: {text}")
        for operation, begun in self._running.values():
            if arrived - begun > MAX_WAIT:
                self.failed_line = operation.access.addr - operation.access.addr % LINE_BYTES
                raise InvariantError(
                    f"{operation} starves: {arrived - begun} messages have arrived since it began"
                )
        self._progress(issuer)

    def _rest(self) -> None:
        for line in self.lines:
            self.failed_line = line
            home = self.homes[self.parties.home_of(line)]
            directory_exact(self.agents.values(), line, home.directory_of(line))
            if all(agent.state_of(line) != "M" for agent in self.agents.values()):
                self.reference.judge_memory(line, self.parties.stored(line))
        self.failed_line = None
        busy = [nid for nid, agent in self.agents.items() if not agent.idle]
        busy += [nid for nid, home in self.homes.items() if not home.idle]
        if busy:
            raise InvariantError(f"at rest nodes {busy} wait")
