"""T_REQ: a request without an answer in time is reported at that instant, once (HSL 5.11).

The network holds the completions of some requests until between one and two T_REQ after they were sent, and
some targets do not answer before everything else has ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

from hsl._generated.constants import LINE_BYTES, Err, Op
from hsl.agents.access import Ticket
from hsl.agents.invariants import InvariantError
from hsl.codec.message import Message
from hsl.verify.layout import SILENT, Layout
from hsl.verify.operation import Operation

__all__ = ["Deadlines"]

WRITEBACKS = frozenset({Op.WbFull, Op.Evict})  # may also make room for another access


class Deadlines:
    """Requests that are answered late, each with the operation that has sent it."""

    def __init__(self, layout: Layout) -> None:
        self._agent = layout.patient
        self._t_req = layout.t_req
        # All bounded by what the agent has outstanding.
        self._due: list[tuple[int, int, Operation]] = []  # heap: when T_REQ is over, id
        self._due_of: dict[int, int] = {}  # by id, until it has ended
        self._asking: dict[int, Operation] = {}  # by silent target: what has not been sent yet
        # By TXN: when its completion comes, whose it is. Empty where nothing is late.
        self.holds: dict[int, tuple[int, Operation]] = {}

    def begun(self, operation: Operation, outbox: list[Message], now: int) -> None:
        """Note that an operation began; delay the answers to its first messages if it is to be late."""
        if operation.access.dst in SILENT:
            self._asking[operation.access.dst] = operation
            return
        for message in outbox:
            own = message.op not in WRITEBACKS or operation.access.kind in ("flush", "evict")
            if own and message.addr - message.addr % LINE_BYTES == operation.line:
                self._start(operation, message.txn, now)

    def asked(self, message: Message, now: int) -> None:
        """A request to a silent target is sent."""
        operation = self._asking.pop(message.dst, None)
        if operation is not None:
            self._start(operation, message.txn, now)

    def _start(self, operation: Operation, txn: int, now: int) -> None:
        due = self._due_of[operation.id] = now + self._t_req
        heappush(self._due, (due, operation.id, operation))
        self.holds[txn] = now + self._t_req * (5 + operation.id % 3) // 4, operation

    def held(self, message: Message) -> int | None:
        """Return the arrival time of a completion in ns, None if it is not held."""
        if message.dst != self._agent or message.op not in (Op.Cmp, Op.CmpData):
            return None
        held = self.holds.get(message.txn)
        return None if held is None else held[0]

    def arrived(self, message: Message) -> Operation | None:
        """A message arrives at its agent: the operation that it completes, if it was held."""
        if self.held(message) is None:
            return None
        _, operation = self.holds.pop(message.txn)
        return operation

    def next_time(self) -> int | None:
        """The time at which the next T_REQ expires, in ns."""
        return self._due[0][0] if self._due else None

    def due(self, now: int) -> Iterator[Operation]:
        """The operations whose T_REQ is over, the oldest first."""
        while self._due and self._due[0][0] <= now:
            yield heappop(self._due)[2]

    def ended(self, operation: Operation, ticket: Ticket, now: int) -> bool:
        """An operation ended; False if it is reported and not performed. Raises InvariantError."""
        due = self._due_of.pop(operation.id, None)
        if ticket.err == Err.UNREACH and now == due:
            return False
        if ticket.err or (due is not None and now > due):
            when = "was never sent" if due is None else f"is over at {due} ns"
            raise InvariantError(f"{operation} ended with {ticket!r}; its T_REQ {when} (5.11)")
        return True

    def judge_due(self, operation: Operation) -> None:
        """T_REQ of an operation is over, and its agent knows the time: it must have been reported."""
        if operation.id in self._due_of:
            raise InvariantError(f"{operation} is not reported though its T_REQ is over (5.11)")
