"""The non-coherent requests of an agent: MMIO reads and writes, interrupts (HSL 5.10, 5.14)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from hsl._generated.constants import Err, Op
from hsl._generated.tables import OPCODES
from hsl.agents import wire
from hsl.agents.access import Ticket, span
from hsl.agents.outstanding import Outstanding, Request
from hsl.codec.message import Message

Finish = Callable[[Ticket, int, Err, bytes, bool], None]  # ticket, now, err, data, poison


class NcrRequests:
    """NCR requests in the order of submission: one FIFO, so each (SRC, DST, stream) keeps its order (O4).

    At most `most` are outstanding, and fewer than there are TXNs: an NCR that is never answered keeps its TXN
    until the port goes down (5.11), and coherent requests must go on.
    """

    def __init__(
        self, nid: int, most: int, outstanding: Outstanding, outbox: list[Message], finish: Finish
    ) -> None:
        self._nid = nid
        self._most = most
        self._outstanding = outstanding
        self._outbox = outbox
        self._finish = finish
        self._waiting: deque[Ticket] = deque()  # capped by the agent's pending accesses
        self._open = 0

    def begin(self, ticket: Ticket, now: int) -> None:
        """Send the request, or queue it."""
        self._waiting.append(ticket)
        self.serve(now)

    def serve(self, now: int) -> None:
        """Send what waits, oldest first, while there are TXNs for it."""
        most = min(self._most, max(1, self._outstanding.limit - 1))
        while self._waiting and self._open < most and not self._outstanding.full:
            ticket = self._waiting.popleft()
            access = ticket.access
            op = wire.NCR_OPS[access.kind]
            length = wire.ncr_len(access)
            request = self._outstanding.open(op, access.dst, length, ticket, None, now)
            self._open += 1
            self._outbox.append(wire.non_coherent(access, self._nid, request.txn))

    def complete(self, request: Request, message: Message, now: int) -> bool:
        """Take the completion of an NCR request; False when the request cannot have this one (T3, 5.12)."""
        data = b""
        if not message.err:
            if message.op not in OPCODES[request.op].completion:
                return False
            if message.op == Op.CmpData:
                if message.len != request.len:
                    return False
                data = self._bytes_read(request, message)
        self._end(request, Err(message.err), data, bool(message.poison), now)
        return True

    @staticmethod
    def _bytes_read(request: Request, message: Message) -> bytes:
        assert request.ticket is not None
        access = request.ticket.access
        if request.op != Op.NcRead:
            return message.data
        shift = span(access).shift
        return message.data[shift : shift + access.size]

    def _end(self, request: Request, err: Err, data: bytes, poison: bool, now: int) -> None:
        ticket = request.ticket
        assert ticket is not None
        self._open -= 1
        self._outstanding.close(request)
        self._finish(ticket, now, err, data, poison)

    def lost(self, nid: int, now: int) -> None:
        """Node `nid` is lost: what was sent to it ends with UNREACH and is not repeated (6.2 F7)."""
        for request in self._outstanding.to(nid):
            if request.line is None:
                self._end(request, Err.UNREACH, b"", False, now)
        for ticket in [ticket for ticket in self._waiting if ticket.access.dst == nid]:
            self._waiting.remove(ticket)
            self._finish(ticket, now, Err.UNREACH, b"", False)
