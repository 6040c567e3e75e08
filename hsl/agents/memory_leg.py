"""The way of a home to the data of its lines: its own memory, or memory targets by MEM messages (HSL 5.6).

Own memory completes in the step that asks, so the events of the table follow at once. A memory target answers
later; then the line stays in WB, RD or WR until its completion comes, T_MEM expires, or the target is lost.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Final

from hsl._generated.constants import (
    ADDRESS_BITS,
    GRANULE_BYTES,
    LINE_BYTES,
    LOST_LINES,
    MAX_TXN,
    SAM_ENTRIES,
    Err,
    Op,
    SamType,
)
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.memory import Memory
from hsl.agents.tags import Tags
from hsl.agents.transaction import Transaction
from hsl.codec.message import Message
from hsl.errors import ConfigError, TransactionError

__all__ = ["LOST_LIMIT", "MemoryLeg"]

LINE_LEN: Final = (LINE_BYTES // GRANULE_BYTES).bit_length() - 1  # LEN code of a line (2.6)
FULL_BE: Final = (1 << LINE_BYTES) - 1
ALL_LINES: Final = (0, (1 << ADDRESS_BITS) - 1)  # first and last byte
GONE: Final = (bytes(LINE_BYTES), True)  # what a read of a lost line gives: no data, and POISON (M3)
# The lost list of one home. When a device with caches and a memory target dies, each line of that memory
# that its caches owned is one entry: as many as a large cache has lines, not the least number of the profile.
LOST_LIMIT: Final = 1 << 16
EVENTS: Final = {Op.MemRd: "MemData", Op.MemWr: "MemDone", Op.MemWrPtl: "MemDone"}
COMPLETIONS: Final = {Op.CmpData: "MemData", Op.Cmp: "MemDone"}


class Target:
    """One memory target as its home sees it; `open` and `unsent` hold at most one access a TSHR (M1)."""

    def __init__(self, nid: int) -> None:
        self.nid = nid
        self.tags = Tags(MAX_TXN)
        self.open: dict[int, Transaction] = {}  # by MEM TXN
        self.unsent: deque[tuple[Transaction, Message]] = deque()  # no TXN is free
        self.down = False  # fenced (M4)
        self.blank: list[tuple[int, int]] = []  # first and last byte of each range that it has lost (M5)
        self.unmarked = False  # a line was lost that the lost list had no room for (M3)

    def reaches(self, line: int) -> bool:
        """True if a message for `line` may be sent."""
        return not (self.down or self.is_blank(line))

    def is_blank(self, line: int) -> bool:
        """True if it has lost this line, and nobody has lifted that. HSL 5.6 M5."""
        return any(first <= line <= last for first, last in self.blank)


class MemoryLeg:
    """Reads and writes lines for a home; every access takes the transaction it is for.

    `outbox` takes the MEM messages. `memory` is the home's own, None where all its lines are HDM-H.
    ConfigError when a range that is homed here has no memory: neither its own nor a target's.
    """

    def __init__(
        self,
        nid: int,
        address_map: AddressMap,
        memory: Memory | None,
        outbox: deque[Message],
        lost_limit: int = LOST_LIMIT,
    ) -> None:
        if lost_limit < LOST_LINES:  # HSL 5.6 M3
            raise ConfigError(f"home {nid}: a lost list of {lost_limit} lines; expected {LOST_LINES} or more")
        self.nid = nid
        self.memory = memory
        self.t_mem = 0
        self.lost: set[int] = set()  # at most `lost_limit`
        self._lost_limit = lost_limit
        self._map = address_map
        self._outbox = outbox
        self._targets: dict[int, Target] = {}
        for entry in address_map:
            if entry.type == SamType.MMIO or nid not in entry.homes:
                continue
            if entry.type == SamType.HDM_H:
                self._targets[entry.mt] = Target(entry.mt)
            elif memory is None or not memory.covers(entry.base, entry.last):
                raise ConfigError(
                    f"home {nid}: {entry.base:#x}..{entry.last:#x} is homed here, but its memory is "
                    f"{memory or 'none'}"
                )

    def can_serve(self, entry: SamEntry) -> bool:
        """True if this entry may stand in the map: local memory or a known target serves it. HSL 5.14."""
        if entry.type == SamType.MMIO or self.nid not in entry.homes:
            return True
        if entry.type == SamType.HDM_H:
            return entry.mt in self._targets
        return self.memory is not None and self.memory.covers(entry.base, entry.last)

    def learn(self, entry: SamEntry, max_txn: int) -> None:
        """A map entry says which target has lines that are homed here; it takes TXNs below `max_txn`."""
        if entry.type == SamType.HDM_H and self.nid in entry.homes and entry.mt not in self._targets:
            self._targets[entry.mt] = target = Target(entry.mt)
            target.tags = Tags(max_txn)

    def blank(self) -> list[int]:
        """Return the targets that have said that content is lost, and wait for `lift`. HSL 5.6 M5."""
        return [t.nid for t in self._targets.values() if t.blank and not t.unmarked]

    @property
    def overflow(self) -> bool:
        """A line was lost that the lost list had no room for; its target waits for `lift`. HSL 5.6 M3."""
        return any(target.unmarked for target in self._targets.values())

    def _target(self, line: int) -> Target | None:
        """The memory target that has `line`; None: own memory.

        A busy or held line may have left the map meanwhile, also for a target that this home does not know.
        """
        entry = self._map.lookup(line)
        if entry is None or entry.type != SamType.HDM_H:
            return None
        return self._targets.get(entry.mt)

    # ---- accesses; they return the event that follows at once, or None
    def read(self, t: Transaction, now: int) -> str | None:
        """Read the line; a lost one gives POISON without an access. HSL 5.6 M3."""
        if t.line in self.lost:
            t.matches, t.mem = True, GONE
            return "MemData_OK"
        if (target := self._target(t.line)) is not None:
            return self._ask(target, t, Message(Op.MemRd, addr=t.line, len=LINE_LEN), now)
        t.matches = True
        try:
            t.mem = self._own().read_line(t.line)
        except TransactionError as error:
            t.mem_err = error.code
            return "MemData_ERR"
        return "MemData_OK"

    def write(self, t: Transaction, data: bytes, poison: bool, now: int) -> str | None:
        """Write the whole line and its POISON; it is not lost any more. HSL 5.6 M3 [HSL-COH-040]."""
        self.lost.discard(t.line)
        if (target := self._target(t.line)) is not None:
            message = Message(Op.MemWr, addr=t.line, len=LINE_LEN, data=data, poison=int(poison))
            return self._ask(target, t, message, now)
        t.matches = True
        try:
            self._own().write_line(t.line, data, poison)
        except TransactionError as error:
            t.mem_err = error.code
            return "MemDone_ERR"
        return "MemDone_OK"

    def merge(self, t: Transaction, now: int) -> str | None:
        """Write the enabled bytes of the request; all 64 are a whole line. HSL 5.12, 6.1 [HSL-TXN-016]."""
        request = t.request
        if request.enables == FULL_BE:
            self.lost.discard(t.line)
        if (target := self._target(t.line)) is not None:
            message = request._replace(op=Op.MemWrPtl, dom=0)  # HSL 5.14: as the WritePtl it comes from
            return self._ask(target, t, message, now)
        t.matches = True
        try:
            self._own().merge(request.addr, request.data, request.enables, bool(request.poison))
        except TransactionError as error:
            t.mem_err = error.code
            return "MemDone_ERR"
        return "MemDone_OK"

    def lose(self, line: int) -> str | None:
        """The current data of `line` are gone: mark it. The fault, if it cannot be marked. HSL 5.6 M3.

        When the lost list is full, the target with most lines on it is as one that has lost its content (M5):
        its lines leave the list, so that one target cannot take the room of the others.
        """
        if (target := self._target(line)) is None:
            try:
                self._own().poison(line)
            except TransactionError as error:
                return f"line {line:#x} is lost and cannot be marked: {error}"
            return None
        if target.is_blank(line):
            return None  # no access reaches it before `lift`
        if len(self.lost) < self._lost_limit or line in self.lost:
            self.lost.add(line)
            return None
        listed = Counter(each.nid for one in self.lost if (each := self._target(one)) is not None)
        worst = max(self._targets.values(), key=lambda one: (listed[one.nid], one is target, -one.nid))
        worst.blank, worst.unmarked = [ALL_LINES], True
        self.lost = {one for one in self.lost if self._target(one) is not worst}
        if worst is not target:
            self.lost.add(line)
        return f"line {line:#x} is lost and the lost list is full: target {worst.nid} is out of reach"

    def at_once(self, line: int) -> bool:
        """True if an access to `line` completes in the step that asks."""
        target = self._target(line)
        return target is None or not target.reaches(line)

    def _own(self) -> Memory:
        if self.memory is None:  # the range has left the map since the request came
            raise TransactionError(f"home {self.nid} has no memory of its own", code=Err.DECODE)
        return self.memory

    # ---- MEM messages
    def _ask(self, target: Target, t: Transaction, message: Message, now: int) -> str | None:
        """Send a MEM message, or end it at once when the target is fenced. HSL 5.6 M4."""
        if not target.reaches(t.line):
            return self._fail(t, Op(message.op))
        t.mem_op = message.op
        qos, trace = t.request.qos, t.request.trace
        message = message._replace(src=self.nid, dst=target.nid, qos=qos, trace=trace)
        target.unsent.append((t, message))
        t.deadline = now + self.t_mem  # HSL 5.11 [HSL-TXN-017]
        self._send(target)
        return None

    def _send(self, target: Target) -> None:
        """Send what waits while TXNs are free."""
        while target.unsent and (txn := target.tags.take()) is not None:
            t, message = target.unsent.popleft()
            target.open[txn] = t
            self._outbox.append(message._replace(txn=txn))

    @staticmethod
    def _fail(t: Transaction, op: Op) -> str:
        t.matches, t.mem_err = True, Err.UNREACH
        return f"{EVENTS[op]}_ERR"

    def receive(self, message: Message) -> tuple[Transaction | None, str]:
        """A completion: the transaction it is for (None: not outstanding) and its event. HSL 5.3, 5.4 T3.

        The TXN of an access that it ends is free. An error counts as the completion that was asked for; a
        CmpData of another LEN, or a state granted, ends nothing.
        """
        target = self._targets.get(message.src)
        t = None if target is None else target.open.get(message.txn)
        event = EVENTS[Op(t.mem_op)] if t is not None and message.err else COMPLETIONS[Op(message.op)]
        name = f"{event}_{'ERR' if message.err else 'OK'}"
        if target is None or t is None:
            return None, name
        fits = event == EVENTS[Op(t.mem_op)] and (
            message.err or (not message.st and (event == "MemDone" or message.len == LINE_LEN))
        )
        t.matches = bool(fits)
        if fits:
            del target.open[message.txn]
            target.tags.free(message.txn)
            t.deadline = None
            t.mem_err = message.err
            if event == "MemData" and not message.err:
                t.mem = message.data, bool(message.poison)
            self._send(target)
        return t, name

    # ---- loss of a target
    def attach(self, nids: range, max_txn: int) -> None:
        """The targets among `nids` take TXNs below `max_txn`; nothing is open towards them. HSL 5.4 T15."""
        for nid in self._targets.keys() & set(nids):
            self._targets[nid].tags = Tags(max_txn)

    def expired(self, now: int) -> list[int]:
        """Targets that let T_MEM of an access pass, by TXN. HSL 5.11.

        An access that waits for a TXN began after all that have one.
        """
        late = [
            (txn, target.nid)
            for target in self._targets.values()
            for txn, t in target.open.items()
            if t.deadline is not None and t.deadline <= now
        ]
        return list(dict.fromkeys(nid for _, nid in sorted(late)))

    def fence(self, nid: int) -> Iterator[tuple[Transaction, str]]:
        """Target `nid` is lost: each access that was open, with its event. HSL 5.6 M4."""
        target = self._targets.get(nid)
        if target is None or target.down:
            return
        target.down = True
        ended = [t for _, t in sorted(target.open.items())] + [t for t, _ in target.unsent]
        target.open.clear()
        target.unsent.clear()
        target.tags = Tags(target.tags.limit)
        for t in ended:
            t.deadline = None
            yield t, self._fail(t, Op(t.mem_op))

    def readmit(self, nid: int) -> None:
        """Use target `nid` again; the ranges that it lost stay out of reach. HSL 5.6 M5."""
        if (target := self._targets.get(nid)) is not None:
            target.down = False

    def content_lost(self, nid: int, first: int, last: int) -> bool:
        """Target `nid` says that bytes `first`..`last` were reset; False when it is none. HSL 5.6 M5."""
        target = self._targets.get(nid)
        if target is None:
            return False
        if (first, last) not in target.blank:
            target.blank.append((first, last))
        if len(target.blank) > SAM_ENTRIES:  # more than it can have
            target.blank = [ALL_LINES]
        return True

    def lift(self, nid: int) -> bool:
        """Software has initialised the memory of target `nid`; False when it is none. HSL 5.6 M5."""
        target = self._targets.get(nid)
        if target is None:
            return False
        self.lost -= {line for line in self.lost if target.is_blank(line) and self._target(line) is target}
        target.blank, target.unmarked = [], False
        return True
