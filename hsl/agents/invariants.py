"""Judges of coherence for tests and stress, which no agent calls (HSL 5.4, 5.9).

`single_writer` and `directory_exact` look at agents; `ReferenceMemory` follows the messages and accesses of a
run whose steps come one after the other, and knows the one value that each line may have. Each raises
InvariantError.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import Protocol

from hsl._generated.constants import LINE_BYTES, Err, Op
from hsl.agents import atomics
from hsl.agents.access import Ticket
from hsl.codec.message import Message
from hsl.errors import HslError

WRITER = ("E", "M")
READER = ("S", "SM_A")  # SM_A: Upgrade sent, the S copy is still readable
HELD = WRITER + READER

FAR = (Op.ReadOnce, Op.WriteFull, Op.WritePtl, Op.AtomicLoad, Op.AtomicStore)  # what is done at the home


class InvariantError(HslError):
    """A state that the protocol forbids; the text says where and what, `line` of which line, if any."""

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text)
        self.line = line


class Holder(Protocol):
    """The part of a request agent that the judges read."""

    @property
    def nid(self) -> int:
        """Node id of the agent."""

    def state_of(self, addr: int) -> str:
        """The state of a line."""

    def peek(self, addr: int) -> bytes | None:
        """Return the state and data of the agent's copy of a line."""


class Listing(Protocol):
    """A directory entry: `dir` is I, S or X."""

    @property
    def dir(self) -> str:
        """I (no holder), S (sharers) or X (one owner)."""

    @property
    def nids(self) -> frozenset[int]:
        """The holders."""


def single_writer(agents: Iterable[Holder], addr: int) -> None:
    """Check that one agent may write a line and no other read it, or that any number may read it (SWMR)."""
    states = {agent.nid: state for agent in agents if (state := agent.state_of(addr)) in HELD}
    writers = [nid for nid, state in states.items() if state in WRITER]
    if writers and len(states) > 1:
        readers = [nid for nid, state in states.items() if state in READER]
        raise InvariantError(f"line {addr:#x}: {states} has writers {writers} beside readers {readers}")


def directory_exact(agents: Iterable[Holder], addr: int, listing: Listing) -> None:
    """At rest the directory lists exactly the holders: S{sharers}, X{owner} or I."""
    states = {agent.nid: agent.state_of(addr) for agent in agents}
    held = {nid: state for nid, state in states.items() if state != "I"}
    legal = {"I": (), "S": ("S",), "X": WRITER}[listing.dir]
    strangers = [nid for nid, state in held.items() if nid not in listing.nids or state not in legal]
    ghosts = [nid for nid in listing.nids if nid not in held]
    owners = len(listing.nids) if listing.dir == "X" else 1
    if strangers or ghosts or owners != 1:
        raise InvariantError(f"line {addr:#x}: directory {listing.dir}{set(listing.nids)}, agents {states}")


class ReferenceMemory:
    """The current value of each line, from what was done to it, in order.

    Feed it every step of a run without faults: `sent` each request that leaves an agent, `answered` each
    completion that leaves the home, `ended` each ticket, as they happen. A cached access is performed when it
    ends, one at the home when the home completes it. `initial(addr)` gives the 64 bytes at the start.
    """

    def __init__(self, initial: Callable[[int], bytes]) -> None:
        self._initial = initial
        self._values: dict[int, bytes] = {}  # at most the lines of the run
        # line: (step of the change, value before), as far as an access under way can still have seen it
        self._past: dict[int, deque[tuple[int, bytes]]] = defaultdict(deque)
        self._step = 0
        self._far: dict[tuple[int, int], Message] = {}  # (SRC, TXN): one of FAR on its way to the home
        self._performed: dict[tuple[int, int], deque[bytes]] = defaultdict(deque)  # (SRC, line): old values
        self._begun: dict[Ticket, int] = {}  # at most the pending accesses, the oldest first

    def value(self, addr: int) -> bytes:
        """The current 64 bytes of the line of `addr`."""
        line = addr - addr % LINE_BYTES
        if line not in self._values:
            self._values[line] = self._initial(line)
        return self._values[line]

    def _change(self, addr: int, new: bytes) -> None:
        line = addr - addr % LINE_BYTES
        past = self._past[line]
        oldest = next(iter(self._begun.values()), self._step)
        while past and past[0][0] <= oldest:
            past.popleft()
        self._step += 1
        past.append((self._step, self.value(line)))
        self._values[line] = new

    def begun(self, ticket: Ticket) -> None:
        """Note that an access starts: it must read a value that is current now or later."""
        self._begun[ticket] = self._step

    def sent(self, message: Message) -> None:
        """A request leaves an agent."""
        if message.op in FAR:
            self._far[message.src, message.txn] = message  # each ends with a completion

    def answered(self, message: Message) -> None:
        """A completion leaves the home: the write or atomic that it completes is performed.

        The CmpData of a ReadOnce must have the LEN that was asked for.
        """
        if message.op not in (Op.Cmp, Op.CmpData):
            return
        request = self._far.pop((message.dst, message.txn), None)
        if request is None or message.err:
            return
        if request.op == Op.ReadOnce:  # its bytes are judged when its access ends
            if message.len != request.len:
                raise InvariantError(f"CmpData with LEN {message.len} for a ReadOnce of LEN {request.len}")
            return
        line = request.addr - request.addr % LINE_BYTES
        before = self.value(line)
        new, old = _performed(before, request)
        if request.op == Op.AtomicLoad and message.data != old:
            raise InvariantError(
                f"line {line:#x}: AtomicLoad of node {message.dst} got {message.data.hex()}, "
                f"{old.hex()} was current"
            )
        self._change(line, new)
        self._performed[message.dst, line].append(before)

    def ended(self, ticket: Ticket) -> None:
        """Check that an access read a current value; the value that it wrote is current now."""
        started = self._begun.pop(ticket)
        access = ticket.access
        if ticket.err != Err.OK or access.kind in ("evict", "flush", "fence"):
            return
        line = access.addr - access.addr % LINE_BYTES
        if access.kind in ("load", "read_once"):
            self._judge_read(ticket, line, started if access.kind == "read_once" else self._step)
        elif self._performed[ticket.agent, line]:
            self._performed[ticket.agent, line].popleft()  # at the home, where it was judged
        else:
            self._near(ticket, line)

    def _judge_read(self, ticket: Ticket, line: int, since: int) -> None:
        offset = ticket.access.addr - line
        seen = takewhile(lambda change: change[0] > since, reversed(self._past[line]))
        legal = [self.value(line), *(old for _, old in seen)]
        if not any(value[offset : offset + ticket.access.size] == ticket.data for value in legal):
            raise InvariantError(f"{ticket!r} read {ticket.data.hex()}, current was {legal[0].hex()}")

    def _near(self, ticket: Ticket, line: int) -> None:
        access = ticket.access
        value = self.value(line)
        offset = access.addr - line
        place = slice(offset, offset + access.size)
        data = access.data
        if access.kind.startswith("atomic"):
            data, old = atomics.apply(access.aop, access.size, value[place], access.data)
            if access.kind == "atomic_load" and ticket.data != old:
                raise InvariantError(f"{ticket!r} got {ticket.data.hex()}, {old.hex()} was current")
        elif access.kind == "write_ptl":
            data = _merged(value[place], access.data, access.enables)
        self._change(line, value[:offset] + data + value[place.stop :])

    def judge_copies(self, agents: Iterable[Holder], addr: int) -> None:
        """Every copy that can be read is the current value."""
        current = self.value(addr)
        for agent in agents:
            copy = agent.peek(addr)
            if copy is not None and copy != current and agent.state_of(addr) in HELD:
                raise InvariantError(
                    f"line {addr:#x}: node {agent.nid} in {agent.state_of(addr)} has {copy.hex()}, "
                    f"current is {current.hex()}"
                )

    def judge_memory(self, addr: int, stored: bytes) -> None:
        """At rest, without an owner, memory holds the current value."""
        if stored != self.value(addr):
            raise InvariantError(
                f"line {addr:#x}: memory has {stored.hex()}, current is {self.value(addr).hex()}"
            )


def _merged(old: bytes, data: bytes, be: int) -> bytes:
    return bytes(new if be >> i & 1 else was for i, (was, new) in enumerate(zip(old, data, strict=True)))


def _performed(line: bytes, request: Message) -> tuple[bytes, bytes]:
    """The line after a write or atomic request, and the data that an AtomicLoad returns."""
    if request.op in (Op.AtomicLoad, Op.AtomicStore):
        return atomics.perform(line, request)
    offset = request.addr % LINE_BYTES
    end = offset + len(request.data)
    return line[:offset] + _merged(line[offset:end], request.data, request.enables) + line[end:], b""
