"""The common part of CPU and GPU: a node, the programs on it, and their measurements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hsl._generated.constants import ADDRESS_BITS, LINE_BYTES, Aop, Err, Op, Vc
from hsl._generated.tables import OPCODES
from hsl.agents.access import Access, Ticket
from hsl.emulator.program import Pause, Program, Scheduler
from hsl.emulator.topology import Topology
from hsl.engine.node import Node
from hsl.errors import TransactionError

__all__ = ["MAX_LATENCIES", "Core", "Device", "lies", "lines_of", "wait_for"]

MAX_LATENCIES = 1 << 16  # read latencies kept for the percentiles; later ones replace the oldest
MAX_ROUNDS = 2  # of programs and local messages in one instant; then the link has its turn
ROUND_NS = 1000  # after which the programs go on: what their local work costs in virtual time
WINDOW = 16  # accesses that a bulk copy keeps in flight

READS = frozenset({"load", "read_once"})  # whose latency is measured

# Messages that an access sends over a link: its request, or a snoop of its home in this node.
ASKING = frozenset(op for op, info in OPCODES.items() if info.vc in (Vc.REQ, Vc.RWD, Vc.SNP)) - {
    Op.Evict,
    Op.WbFull,
}


def lies(address: int, size: int) -> bool:
    """True if `address` is that of a line, and `size` bytes from there are inside the address space."""
    return address % LINE_BYTES == 0 and address + size <= 1 << ADDRESS_BITS


def lines_of(address: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    """(address, bytes) pieces of `data` that do not cross a line."""
    end = LINE_BYTES - address % LINE_BYTES
    start = 0
    while start < len(data):
        yield address + start, data[start:end]
        start, end = end, end + LINE_BYTES


class Device:
    """A node with programs above it; transports drive it (hsl.transport.base.Device).

    `admission`: what the peer has to do before the programs have work.
    """

    admission = "make this device READY (HSL 5.15)"

    def __init__(self, node: Node, topology: Topology) -> None:
        self.node = node
        self.topology = topology
        self.scheduler = Scheduler()
        self.started = False  # a peer that is lost from now on was one to work with
        self.finished = False
        self.quiescing = False  # the programs are done: the transport stops to inject faults
        self.awaited = "end the session"  # what the programs then wait for the peer to do
        self.read_latencies: list[int] = []
        self.reads = 0
        self._begun = False
        self._resume_at: int | None = None

    def begin(self) -> None:
        """Start the programs; called once, when the first port is up."""
        raise NotImplementedError

    def missing(self) -> str:
        """Acts of the peer that are waited for now."""
        return self.awaited if self.started else self.admission

    @property
    def engaged(self) -> bool:
        """The boot has come so far that there is work to lose: here READY. HSL 5.15.3."""
        return self.node.ready

    def advance(self, now: int) -> None:
        """Let messages and programs move until nothing does, or it is the link's turn.

        Raises TransactionError when an access of a program failed while the port is up; when it is down, the
        transport says that the peer is lost.
        """
        if not self._begun:
            self.node.advance(now)  # turns away who claims another's NIDs: its port is up for a moment
            if any(port.up for port in self.node.ports):
                self._begun = True
                self.begin()
        self._resume_at = None if self._settled(now) else now + ROUND_NS
        self.started = self.started or (self._begun and self.engaged)
        if self.scheduler.failure is not None and any(port.up for port in self.node.ports):
            raise self.scheduler.failure

    def _settled(self, now: int) -> bool:
        """True if the node comes to rest within MAX_ROUNDS."""
        for _ in range(MAX_ROUNDS):
            self.node.advance(now)
            ended = self.node.completions()
            for ticket in ended:
                self._measure(ticket)
            if not self.scheduler.run(now, ended):
                return True
        return False

    def next_deadline(self) -> int | None:
        """The next time, in ns, at which a timer of the node or a pause ends."""
        times = (self.node.next_deadline(), self.scheduler.next_wake(), self._resume_at)
        return min((time for time in times if time is not None), default=None)

    def pause(self, tu: int) -> Pause:
        """A pause of `tu` time units: as long as a link takes for something, in virtual and in real time."""
        return Pause(tu << self.topology.tu)

    def traffic(self) -> Counter[str]:
        """Return the counts so far: accesses of the caches, and messages that left by a port.

        `link_accesses` are those that sent a request, or a snoop, over a link; the others stayed in the node.
        """
        counts: Counter[str] = Counter()
        for agent in self.node.agents.values():
            counts["accesses"] += agent.counters.hits + agent.counters.misses
            counts["hits"] += agent.counters.hits
        for port in self.node.ports:
            for op, number in port.messages_sent.items():
                counts["messages"] += number
                counts["snoops"] += number * (OPCODES[op].vc == Vc.SNP)
                counts["link_accesses"] += number * (op in ASKING)
        return counts

    def _measure(self, ticket: Ticket) -> None:
        if ticket.access.kind in READS and ticket.missed and ticket.finished is not None:
            if len(self.read_latencies) < MAX_LATENCIES:
                self.read_latencies.append(0)
            self.read_latencies[self.reads % MAX_LATENCIES] = ticket.finished - ticket.issued
            self.reads += 1


class Core:
    """A request agent as a program sees it."""

    def __init__(self, device: Device, nid: int) -> None:
        self.device = device
        self.nid = nid

    def submit(self, access: Access) -> Ticket:
        """Hand an access to the agent, now."""
        return self.device.node.submit(self.nid, access, self.device.scheduler.now)

    def load(self, address: int, size: int = 8) -> Ticket:
        """Coherent load of `size` bytes inside one line."""
        return self.submit(Access("load", address, size))

    def read_once(self, address: int, size: int = LINE_BYTES) -> Ticket:
        """Coherent read of `size` bytes inside one line; the cache keeps no copy.

        Half a line comes, 32 bytes, if that has all of them. HSL 5.12.
        """
        return self.submit(Access("read_once", address, size))

    def write_full(self, address: int, data: bytes) -> Ticket:
        """Coherent write of a whole line; the cache keeps no copy."""
        return self.submit(Access("write_full", address, LINE_BYTES, data))

    def store(self, address: int, data: bytes) -> Ticket:
        """Coherent store inside one line; a whole line never fetches its old data."""
        return self.submit(
            Access("store_line" if len(data) == LINE_BYTES else "store", address, len(data), data)
        )

    def add(self, address: int, value: int) -> Ticket:
        """AtomicStore ADD of an 8-byte integer."""
        return self.submit(Access("atomic_store", address, 8, value.to_bytes(8, "little"), aop=Aop.ADD))

    def flush(self, address: int) -> Ticket:
        """Bring a line to memory and drop it."""
        return self.submit(Access("flush", address, LINE_BYTES))

    def fence(self) -> Ticket:
        """Done when all earlier accesses of this agent are."""
        return self.submit(Access("fence"))

    def read_register(self, address: int, default: int) -> Program[int]:
        """Read a register of a device; `default` for one that is not there (DECODE). HSL A.4."""
        try:
            return int.from_bytes((yield from wait_for(self.ncread(address))), "little")
        except TransactionError as error:
            if error.code != Err.DECODE:
                raise
            return default

    def ncread(self, address: int, size: int = 8) -> Ticket:
        """Uncached read of a register."""
        return self.submit(Access("ncread", address, size))

    def ncwrite(self, address: int, value: int) -> Ticket:
        """Uncached write of an 8-byte register: a doorbell."""
        return self.submit(Access("ncwrite", address, 8, value.to_bytes(8, "little")))

    def intr(self, nid: int, vector: int, data: int = 0) -> Ticket:
        """Interrupt to the I/O agent `nid`."""
        word = vector.to_bytes(4, "little") + data.to_bytes(4, "little")
        return self.submit(Access("intr", 0, 8, word, dst=nid))

    def write(self, address: int, data: bytes) -> Program[None]:
        """Store any number of bytes, WINDOW accesses in flight."""
        yield from self._windowed(self.store(at, part) for at, part in lines_of(address, data))

    def stream(self, address: int, data: bytes) -> Program[None]:
        """Write the lines of `data` from the line at `address`, padded with zeros, without caching them."""
        lines = range(0, len(data), LINE_BYTES)
        padded = (data[at : at + LINE_BYTES].ljust(LINE_BYTES, b"\0") for at in lines)
        yield from self._windowed(
            self.write_full(address + at, line) for at, line in zip(lines, padded, strict=True)
        )

    def read(self, address: int, size: int) -> Program[bytes]:
        """Load any number of bytes, WINDOW accesses in flight."""
        parts = yield from self._windowed(
            self.load(at, len(part)) for at, part in lines_of(address, bytes(size))
        )
        return b"".join(parts)

    def _windowed(self, tickets: Iterator[Ticket]) -> Program[list[bytes]]:
        results: list[bytes] = []
        batch: list[Ticket] = []
        for ticket in tickets:
            batch.append(ticket)
            if len(batch) == WINDOW:
                yield batch
                results += [done.result() for done in batch]
                batch = []
        yield batch
        return results + [done.result() for done in batch]


def wait_for(ticket: Ticket) -> Program[bytes]:
    """Wait for one access and give its data; raises TransactionError when it failed."""
    yield ticket
    return ticket.result()
