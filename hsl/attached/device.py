"""The state machine of an attached device above its node: calls in, their results and doorbells out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import Final, NamedTuple

from hsl._generated.constants import PageRegister, SystemNid
from hsl._generated.layouts import NOTIFY_D0
from hsl.agents.access import Access, Ticket
from hsl.agents.address_map import SamEntry
from hsl.emulator.calls import WINDOW
from hsl.emulator.memory_range import MemoryRange
from hsl.emulator.system_map import memories
from hsl.engine.node import Node
from hsl.errors import ConfigError, HslError

__all__ = ["AttachedNode", "Batch", "Doorbell"]

ROUNDS: Final = 2  # of accesses in one instant: those that are new, those that ended ones make room for
STEPS: Final = 1024  # accesses that begin in one round: calls that only hit the cache do not stop the link
UNITS: Final = 1  # compute units that the register page tells
OWNED: Final = frozenset({"E", "M"})  # copies whose loss would be a loss of data


class Doorbell(NamedTuple):
    """A write of the CPU to the register page of a device. HSL 5.10, A.4.

    Attributes:
        register: offset in the page, in bytes, a multiple of 8; `hsl.PageRegister` has names
        value: the 8 bytes that were written, as an int
        src: NID of the agent that wrote them

    """

    register: int
    value: int
    src: int


class Mapped(NamedTuple):
    """An address map: its entries by index, and the entries and addresses of usable memory by name.

    The homes of usable memory are here, or behind the port: no node passes requests on to another.
    """

    entries: tuple[SamEntry | None, ...]
    regions: dict[str, SamEntry]
    ranges: dict[str, MemoryRange]


class Batch:
    """The accesses of one call. `ended(batch)` is called when all of them have ended.

    Attributes:
        results: the bytes of each access that has begun, in order
        error: the error of the first access that failed
        open: accesses that have begun and have not ended

    """

    def __init__(self, accesses: Iterable[Access], ended: Callable[[Batch], None]) -> None:
        self.results: list[bytes] = []
        self.error: HslError | None = None
        self.open = 0
        self._rest: Iterator[Access] | None = iter(accesses)
        self._ended = ended
        self._failed = 0  # the access that `error` is of

    @property
    def drained(self) -> bool:
        """No access is left to begin."""
        return self._rest is None

    def begin(self, node: Node, nid: int, now: int) -> Ticket | None:
        """Hand the next access to the agent; None when none is left, or the agent refuses it."""
        access = None if self._rest is None else next(self._rest, None)
        if access is None:
            self._rest = None
            return None
        try:
            ticket = node.submit(nid, access, now)
        except ConfigError as error:
            self.fail(error)
            return None
        self.results.append(b"")
        self.open += 1
        return ticket

    def take(self, index: int, ticket: Ticket) -> None:
        """Keep the result of an access that has ended."""
        self.open -= 1
        try:
            self.results[index] = ticket.result()
        except HslError as error:
            if self.error is None or index < self._failed:
                self.error, self._failed = error, index

    def tell(self) -> None:
        """Tell the caller once, if all accesses have ended."""
        if self.drained and not self.open:
            ended, self._ended = self._ended, _ignore
            ended(self)

    def fail(self, error: HslError) -> None:
        """End the call with an error of its own; what has begun ends by itself."""
        self._rest, self.error = None, copy(error)
        ended, self._ended = self._ended, _ignore
        ended(self)

    def abandon(self) -> None:
        """Begin no more accesses, and tell nobody of the end."""
        self._rest, self._ended = None, _ignore


def _ignore(batch: Batch) -> None:
    """Take the end of a call that nobody waits for."""


class AttachedNode:
    """A device of a Session. `changed()` is called at LINK_UP, at READY, and when doorbells are there.

    Attributes:
        node: the node with one port, one request agent and an I/O agent
        nid: NID of the request agent
        notified: the CPU has named the interrupts (NOTIFY, HSL A.4)
        target: NID of the I/O agent that gets the interrupts
        vector: first vector of the interrupts
        was_ready: it has been READY
        bells: doorbells that nobody has taken

    """

    def __init__(self, node: Node, changed: Callable[[], None]) -> None:
        self.node = node
        (self.nid,) = node.agents
        self.started = self.finished = self.quiescing = False
        self.notified = False
        self.target, self.vector = int(SystemNid.IO), 0
        self.bells: deque[Doorbell] = deque()  # what one look at the I/O agent finds, at most
        self._changed = changed
        self._agent = node.agents[self.nid]
        assert node.io is not None  # every device has one
        self._io = node.io
        self._batches: deque[Batch] = deque()  # with accesses left to begin, in turn
        self._open: dict[Ticket, tuple[Batch, int]] = {}
        self._resume_at: int | None = None
        self.was_ready = False
        self._mapped = Mapped((), {}, {})

    # ---- the side of the program

    def begin(self, accesses: Iterable[Access], ended: Callable[[Batch], None]) -> Batch:
        """Take the accesses of a call; they begin in the next turn."""
        batch = Batch(accesses, ended)
        self._batches.append(batch)
        return batch

    def fail(self, error: HslError) -> None:
        """End all calls with an error."""
        for batch in {*self._batches, *(batch for batch, _ in self._open.values())}:
            batch.fail(error)

    @property
    def mapped(self) -> Mapped:
        """The map that the CPU has written; it may be asked from any thread."""
        entries = self._agent.config.address_map.entries
        found = self._mapped
        if found.entries is not entries:
            reach = {*self.node.homes, *self.node.peers(0)}
            regions = {
                name: entry for name, entry in memories(entries).items() if reach.issuperset(entry.homes)
            }
            found = Mapped(entries, regions, {name: range_of(entry) for name, entry in regions.items()})
            self._mapped = found
        return found

    @property
    def memory(self) -> MemoryRange | None:
        """The range whose home is here, None for a device without memory."""
        own = (entry for entry in self.mapped.regions.values() if entry.home in self.node.homes)
        return next((range_of(entry) for entry in own), None)

    @property
    def owned(self) -> list[Access]:
        """The accesses that give back the lines that only this cache has."""
        lines = self._agent.cache.lines.values()
        return [Access("evict", line.addr) for line in lines if line.state in OWNED]

    # ---- the side of the session

    def advance(self, now: int) -> None:
        """Begin accesses, move messages, end calls."""
        for _ in range(ROUNDS):
            begun = self._submit(now)
            self.node.advance(now)
            ended = self.node.completions()
            for ticket in ended:
                batch, index = self._open.pop(ticket)
                batch.take(index, ticket)
                batch.tell()
            if not (begun or ended):
                break
        self._resume_at = now if any(batch.open < WINDOW for batch in self._batches) and ended else None
        self._look()

    def next_deadline(self) -> int | None:
        """Return the next time in ns at which there is something to do."""
        times = (self.node.next_deadline(), self._resume_at)
        return min((time for time in times if time is not None), default=None)

    def _submit(self, now: int) -> int:
        """Begin accesses of each call in turn; return their number."""
        left = min(STEPS, self._agent.room)
        begun = 0
        for _ in range(len(self._batches)):
            batch = self._batches.popleft()
            for _ in range(min(WINDOW - batch.open, left - begun)):
                ticket = batch.begin(self.node, self.nid, now)
                if ticket is None:
                    break
                self._open[ticket] = batch, len(batch.results) - 1
                begun += 1
            if not batch.drained:
                self._batches.append(batch)
            batch.tell()
        return begun

    def _look(self) -> None:
        """See what has become of the port, READY and the register page."""
        up = self.node.ports[0].up
        changed = up and not self.started
        self.started |= up
        if self.node.ready and not self.was_ready:
            self.was_ready = changed = True
            page = self._io.mmio.base
            if page is not None:
                self._io.write_register(page + PageRegister.UNITS, UNITS)
        if not self.bells and self._io.has_doorbell():
            self._ring()
            changed = True
        if changed:
            self._changed()

    def _ring(self) -> None:
        """Take the doorbells of the I/O agent; NOTIFY is for the device itself."""
        page = self._io.mmio.base
        assert page is not None  # a doorbell is in the page
        for bell in self._io.doorbells():
            register = bell.addr - page
            if register == PageRegister.NOTIFY:
                fields = NOTIFY_D0.parse(bell.data)
                self.target, self.vector = fields["nid"], fields["vector"]
                self.notified = True
            else:
                self.bells.append(Doorbell(register, int.from_bytes(bell.data, "little"), bell.src))


def range_of(entry: SamEntry) -> MemoryRange:
    """Return the addresses of a map entry."""
    return MemoryRange(entry.base, entry.last + 1 - entry.base)
