"""The outstanding requests of one agent, coherent and NCR together: TXN numbers and T_REQ (HSL 2.6, 5.11)."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter

from hsl._generated.constants import MAX_TXN, Op
from hsl.agents.access import Ticket
from hsl.agents.cache import Line
from hsl.agents.tags import Tags
from hsl.codec.message import Message


class Request:
    """An outstanding request: an MSHR when it has a line, else an NCR request.

    `len`: LEN of the CmpData it asks for; `ticket`: the access that caused it, None for an eviction that
    makes room; `reported`: T_REQ expired once, so the access has its ERR=UNREACH although the request goes
    on.
    """

    __slots__ = ("dst", "len", "line", "op", "reported", "ticket", "txn")

    def __init__(
        self, txn: int, op: int, dst: int, length: int, ticket: Ticket | None, line: Line | None
    ) -> None:
        self.txn = txn
        self.op = op
        self.dst = dst
        self.len = length
        self.ticket = ticket
        self.line = line
        self.reported = False


class Outstanding:
    """Requests by TXN. `limit`: how many there are at most; `t_req` in ns."""

    def __init__(self, limit: int) -> None:
        self.limit = min(limit, MAX_TXN)
        self.t_req = 0
        self._tags = Tags(limit)
        self._requests: dict[int, Request] = {}
        # TXN: deadline, soonest first. A timer keeps its end when the unit changes. HSL 5.11 [HSL-LNK-061]
        self._deadlines: OrderedDict[int, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._requests)

    @property
    def full(self) -> bool:
        """No further request may be opened."""
        return len(self._requests) >= self.limit

    def opens(self, max_txn: int, least: int = 0) -> bool:
        """True if a request may be opened to a node that takes TXNs below `max_txn`. HSL 2.6.

        `least`: the TXNs below are kept for others.
        """
        return not self.full and self._tags.lowest(least) < min(max_txn, self.limit)

    def open(
        self,
        op: int,
        dst: int,
        length: int,
        ticket: Ticket | None,
        line: Line | None,
        now: int,
        least: int = 0,
    ) -> Request:
        """Start a request with the lowest free TXN of `least` and more, as `opens` has found it. HSL 2.6."""
        txn = self._tags.take(least)
        assert txn is not None
        assert not self.full
        request = self._requests[txn] = Request(txn, op, dst, length, ticket, line)
        self._run(txn, now)
        if ticket is not None and ticket.presented is None:
            ticket.presented = now
        return request

    def given_up(self, ticket: Ticket, now: int) -> bool:
        """True if an access that ended BUSY again is not presented any more. HSL 5.4 T4 [HSL-TXN-018]."""
        return ticket.presented is not None and now >= ticket.presented + self.t_req

    def pass_on(self, ticket: Ticket, waiting: Iterable[Ticket]) -> None:
        """Count T_REQ of what waited behind an access when its T_REQ was over from the same presentation."""
        for behind in waiting:
            if ticket.presented is not None and behind.issued < ticket.presented + self.t_req:
                behind.presented = ticket.presented

    def find(self, txn: int) -> Request | None:
        """The request with this TXN."""
        return self._requests.get(txn)

    def outdated(self, first: int, last: int, home: Callable[[int], int | None]) -> bool:
        """True if a request for a line of a byte range is under way to another node than its `home`."""
        lines = ((request.line, request.dst) for request in self._requests.values())
        sent = ((line.addr, dst) for line, dst in lines if line is not None)
        return any(first <= addr <= last and home(addr) != dst for addr, dst in sent)

    def to(self, nid: int) -> list[Request]:
        """The requests to a node, lowest TXN first."""
        return [self._requests[txn] for txn in sorted(self._requests) if self._requests[txn].dst == nid]

    def stop(self, request: Request) -> None:
        """T_REQ will not expire (again) for this request; its TXN stays taken."""
        self._deadlines.pop(request.txn, None)

    def close(self, request: Request) -> None:
        """The request is over; its TXN is free."""
        self.stop(request)
        del self._requests[request.txn]
        self._tags.free(request.txn)

    def rearm(self, request: Request, now: int) -> None:
        """T_REQ starts again."""
        self._run(request.txn, now)

    def _run(self, txn: int, now: int) -> None:
        end = now + self.t_req
        last = next(reversed(self._deadlines.values()), end)
        self._deadlines[txn] = end
        self._deadlines.move_to_end(txn)
        if end < last:  # the unit has become smaller
            self._deadlines = OrderedDict(sorted(self._deadlines.items(), key=itemgetter(1)))

    def next_deadline(self) -> int | None:
        """The next instant (ns) at which a T_REQ expires."""
        return next(iter(self._deadlines.values()), None)

    def expired(self, now: int) -> list[Request]:
        """The requests whose T_REQ is over: by instant, then by TXN. HSL 5.11."""
        due = []
        for txn, deadline in self._deadlines.items():
            if deadline > now:
                break
            due.append((deadline, txn))
        return [self._requests[txn] for _, txn in sorted(due)] if due else []


def acked(
    leaving: Sequence[Request], outbox: Iterable[Message], unsent: Callable[[int], int]
) -> list[Request]:
    """Return those of the completed requests `leaving` whose CmpAck is in a flit. HSL 5.2 D4 [HSL-TXN-011].

    A CmpAck that is in no flit is in `outbox`, or one of the `unsent(home)` that were taken out. Those to one
    home leave in order, so the last ones are here still.
    """
    here = Counter(message.dst for message in outbox if message.op == Op.CmpAck)
    for home in {request.dst for request in leaving}:
        here[home] += unsent(home)
    gone = []
    for request in reversed(leaving):
        here[request.dst] -= 1
        if here[request.dst] < 0:
            gone.append(request)
    return gone[::-1]
