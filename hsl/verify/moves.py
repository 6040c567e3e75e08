"""Software that moves ranges of memory while programs use them (HSL 5.1.4).

A move is an operation of MANAGER: the CfgWrite of the entry that counts in the end. The Mover does all that
leads there: QUIESCED at all nodes, RECALL at the old home behind it, RECALLING read until it is 0, the data
copied, the new entry with QUIESCED, and without it, in the nodes of the homes first. The judge says what
programs may see.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Final

from hsl._generated.constants import GRANULE_BYTES, Err, Register, Right
from hsl._generated.layouts import RECALL_D0, RECALL_D1, RECALLING_D0, SAM_BASE, SAM_STRIDE
from hsl.agents.access import Access, Ticket
from hsl.agents.address_map import SamEntry, decode_entry, encode_entry
from hsl.agents.home import HomeAgent
from hsl.agents.invariants import HELD, WRITER, Holder, InvariantError
from hsl.errors import ConfigError
from hsl.verify.layout import MANAGER, Layout
from hsl.verify.operation import Operation
from hsl.verify.parties import Parties

__all__ = ["MOVE", "READ_ONLY", "Mover", "Moves", "entry_of", "move"]

MOVE: Final = "cfg_write"
READ_ONLY: Final = Right.C | Right.R | Right.N
STREAM: Final = 16  # of the first range: no thread has it
# Reads of RECALLING, each a round trip; a Recall waits for the requests that came before, so far fewer do.
MAX_READS: Final = 10_000
# CfgWrites of an entry that end PROTO: while a WbFull that its sender has lost waits at the home (5.1.4).
MAX_WRITES: Final = 1000
FREE: Final = frozenset({"load", "read_once", "evict"})  # need no W
WRITES: Final = frozenset({"store", "store_line", "write_full", "write_ptl", "atomic_load", "atomic_store"})

Steps = Generator[list[Access], list[Ticket], None]


def move(layout: Layout, index: int, entry: SamEntry) -> Access:
    """The access of a move: entry `index` of the map becomes `entry`."""
    offset = SAM_BASE + index * SAM_STRIDE
    return Access(MOVE, offset, SAM_STRIDE, encode_entry(entry), dst=layout.io_of(0), stream=_stream(index))


def entry_of(operation: Operation) -> tuple[int, SamEntry]:
    """The index and the new entry of a move. Raises ConfigError for another access."""
    access = operation.access
    index, inside = divmod(access.addr - SAM_BASE, SAM_STRIDE)
    entry = decode_entry(access.data) if access.size == SAM_STRIDE and not inside else None
    if entry is None:
        raise ConfigError(f"operation {operation}: only entries of the address map are written")
    return index, entry


def _stream(index: int) -> int:
    """The stream of the software for an entry."""
    return STREAM + index % STREAM


class Moves:
    """The judge: an access may end with ACCESS only if its range can have lacked W in its time.

    One that begins when its range is read-only, and ends before that changes, must not write.
    """

    def __init__(self, parties: Parties) -> None:
        self._layout = layout = parties.layout
        # The entry of each line of a range that may lack W; empty without moves.
        self.lines = {
            line: index for index, entry in layout.movable.items() for line in layout.lines_of(entry)
        }
        self._step = 0
        self._begun: dict[int, int] = {}  # of operations under way on ranges that move
        self._lacks: dict[int, int] = {}  # by entry: the last step at which W may be lacking
        self._since: dict[int, int] = {}  # entries that are read-only at all nodes: since which step

    def check(self, operation: Operation) -> None:
        """Raise ConfigError for an operation that the run does not have as a move."""
        index, entry = entry_of(operation)
        was = self._layout.movable.get(index)
        own = operation.agent == MANAGER and not entry.quiesced
        if was is None or not own or (entry.base, entry.last) != (was.base, was.last):
            raise ConfigError(
                f"operation {operation}: only node {MANAGER} moves ranges, and only those that move"
            )
        given_back = was == self._layout.frames
        if entry != was if given_back else self._layout.place_of(entry) is None:
            raise ConfigError(f"operation {operation}: the range must go to a place of the run")
        if not given_back and entry.rights not in (was.rights, READ_ONLY):
            raise ConfigError(f"operation {operation}: the rights must be all, or {int(READ_ONLY)} (C, R, N)")

    def changing(self, index: int, entry: SamEntry) -> None:
        """The writes of a new entry begin."""
        self._step += 1
        if self._since.pop(index, None) is not None or entry.rights == READ_ONLY:
            self._lacks[index] = 1 << 62

    def changed(self, index: int, entry: SamEntry) -> None:
        """All nodes have the new entry."""
        self._step += 1
        if entry.rights == READ_ONLY:
            self._since[index] = self._step
        elif index in self._lacks:
            self._lacks[index] = min(self._lacks[index], self._step)

    def read_only(self, line: int) -> bool:
        """True if no agent may write a line now."""
        return self.lines.get(line) in self._since

    def begun(self, operation: Operation) -> None:
        """An operation begins."""
        if operation.line in self.lines:
            self._step += 1
            self._begun[operation.id] = self._step

    def ended(self, operation: Operation, ticket: Ticket) -> bool:
        """Judge an operation that ended; return True if it was refused, and may have been."""
        began = self._begun.pop(operation.id, None)
        if began is None or operation.access.kind in FREE or operation.line is None:
            return False
        index = self.lines[operation.line]
        if ticket.err == Err.ACCESS and self._lacks.get(index, 0) >= began:
            return True
        if ticket.err or operation.access.kind not in WRITES:
            return False
        if index in self._since and began > self._since[index]:
            raise InvariantError(
                f"{operation} wrote, but its range has been read-only since before it began (6.3)"
            )
        return False


class _Run:
    """A move under way, and the accesses of its present step."""

    def __init__(self, operation: Operation, steps: Steps) -> None:
        self.operation = operation
        self.steps = steps
        self.tickets: list[Ticket] = []
        self.open = 0  # accesses that have not ended


class Mover:
    """Runs the moves of a program, of each range one at a time, by accesses that it hands to `submit`."""

    def __init__(
        self,
        parties: Parties,
        judge: Moves,
        agents: Mapping[int, Holder],
        homes: Mapping[int, HomeAgent],
        submit: Callable[[Access], Ticket],
    ) -> None:
        self._parties = parties
        self._layout = parties.layout
        self._judge = judge
        self._agents = agents
        self._homes = homes
        self._submit = submit
        self._ios = [self._layout.io_of(node) for node in range(1 + parties.config.gpu)]
        self._queues: dict[int, deque[_Run]] = {}  # by entry; the first is under way
        self._runs: dict[Ticket, _Run] = {}

    @property
    def busy(self) -> bool:
        """True if a move is under way."""
        return bool(self._queues)

    def moving(self, line: int | None) -> bool:
        """True if a move of the range of `line` is under way, or waits for one."""
        return line is not None and self._judge.lines.get(line) in self._queues

    def begin(self, operation: Operation) -> None:
        """Begin a move, or let it wait for the one before it."""
        index, entry = entry_of(operation)
        queue = self._queues.setdefault(index, deque())
        queue.append(_Run(operation, self._move(index, entry)))
        if len(queue) == 1:
            self._send(queue[0], next(queue[0].steps))

    def ended(self, ticket: Ticket) -> Operation | None:
        """Take the end of an access of a move; return the move if it was the last one."""
        run = self._runs.pop(ticket)
        run.open -= 1
        if run.open:
            return None
        try:
            self._send(run, run.steps.send(run.tickets))
        except StopIteration:
            index, _ = entry_of(run.operation)
            queue = self._queues[index]
            queue.popleft()
            if queue:
                self._send(queue[0], next(queue[0].steps))
            else:
                del self._queues[index]
            return run.operation
        return None

    def _send(self, run: _Run, accesses: Iterable[Access]) -> None:
        run.tickets = [self._submit(access) for access in accesses]
        run.open = len(run.tickets)
        self._runs |= dict.fromkeys(run.tickets, run)

    # ---- one move
    def _move(self, index: int, entry: SamEntry) -> Steps:
        """The steps of HSL 5.1.4, in their order."""
        was = self._parties.address_map.entries[index]
        assert was is not None
        lines = self._layout.lines_of(was)
        yield from self._quiesce(index, was)
        yield from self._wait(index, was)
        self._judge_recalled(lines, "RECALLING is 0")
        self._parties.move(index, entry)
        self._judge.changing(index, entry)
        yield from self._write(index, entry._replace(quiesced=True), self._ios)
        self._judge_recalled(lines, "the range is moved")
        self._judge.changed(index, entry)
        first = {self._layout.io_of(self._layout.node_of(each.home)) for each in (was, entry)}
        yield from self._write(index, entry, sorted(first))
        yield from self._write(index, entry, [io for io in self._ios if io not in first])

    def _write(self, index: int, entry: SamEntry, ios: Iterable[int]) -> Steps:
        """Write an entry at some nodes, at the same time; again where a line of the range is still in use."""
        left, tries = list(ios), 0
        while left:
            tickets = yield [self._entry(index, entry, io) for io in left]
            self._require(tickets, (Err.OK, Err.PROTO))
            left = [ticket.access.dst for ticket in tickets if ticket.err == Err.PROTO]
            tries += 1
            if left and tries >= MAX_WRITES:
                text = (
                    f"nodes {left} end each write of entry {index} with PROTO, though it is recalled (5.1.4)"
                )
                raise InvariantError(text)

    def _entry(self, index: int, entry: SamEntry, io: int) -> Access:
        return move(self._layout, index, entry)._replace(dst=io, stream=_stream(index))

    def _quiesce(self, index: int, was: SamEntry) -> Steps:
        """Set QUIESCED at all nodes, and write RECALL at the old home at once: a stream keeps its order."""
        io = self._layout.io_of(self._layout.node_of(was.home))
        data = RECALL_D0.build({"first": was.base}) + RECALL_D1.build({"last": was.last})
        recall = Access(MOVE, Register.RECALL, len(data), data, dst=io, stream=_stream(index))
        quiesced = was._replace(quiesced=True)
        tickets = yield [*(self._entry(index, quiesced, each) for each in self._ios), recall]
        self._require(tickets, (Err.OK,))

    def _wait(self, index: int, was: SamEntry) -> Steps:
        """Read RECALLING until it is 0."""
        io = self._layout.io_of(self._layout.node_of(was.home))
        for _ in range(MAX_READS):
            tickets = yield [
                Access("cfg_read", Register.RECALLING, GRANULE_BYTES, dst=io, stream=_stream(index))
            ]
            self._require(tickets, (Err.OK,))
            left = RECALLING_D0.parse(tickets[0].data)["lines"]
            if not left:
                return
        raise InvariantError(f"deadlock: RECALLING of node {io} is {left} after {MAX_READS} reads (5.1.4)")

    @staticmethod
    def _require(tickets: Iterable[Ticket], legal: tuple[Err, ...]) -> None:
        for ticket in tickets:
            if ticket.err not in legal:
                raise InvariantError(f"{ticket!r} of a move must not fail (5.1.4)")

    def _judge_recalled(self, lines: Iterable[int], when: str) -> None:
        """Nobody holds a line of a range that is recalled."""
        for line in lines:
            for agent in self._agents.values():
                if (state := agent.state_of(line)) in HELD:
                    text = f"{when}, but node {agent.nid} has line {line:#x} in {state} (5.1.4)"
                    raise InvariantError(text, line)
            listed = self._homes[self._parties.home_of(line)].directory_of(line).nids
            if listed:
                text = f"{when}, but the home of line {line:#x} lists {sorted(listed)} (5.1.4)"
                raise InvariantError(text, line)

    def judge(self, line: int) -> None:
        """Nobody may write a line of a read-only range."""
        if self._judge.read_only(line):
            writers = [nid for nid, agent in self._agents.items() if agent.state_of(line) in WRITER]
            if writers:
                raise InvariantError(
                    f"nodes {writers} may write line {line:#x} of a read-only range (5.6, 6.3)"
                )
