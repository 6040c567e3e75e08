"""The non-coherent requests of an agent: MMIO reads and writes, interrupts (HSL 5.10, 5.14)."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from hsl._generated.constants import Err, Op
from hsl._generated.tables import OPCODES
from hsl.agents import wire
from hsl.agents.access import Ticket, span
from hsl.agents.outstanding import Outstanding, Request
from hsl.agents.peers import Peers
from hsl.codec.message import Message

Finish = Callable[[Ticket, int, Err, bytes, bool], None]  # ticket, now, err, data, poison
# Of the TXNs, one target may hold a quarter: it may never answer, and others must have theirs.
SHARE: Final = 4


class NcrRequests:
    """NCR requests in the order of submission, a FIFO for each DST: so each stream keeps its order (O4).

    At most `most` are outstanding at one target, and in all fewer than there are TXNs: an NCR that is never
    answered keeps its TXN until the port goes down (5.11), and other requests must go on. A target where as
    many as it may hold are beyond T_REQ is silent: what is meant for it ends with UNREACH, until it answers.
    """

    def __init__(
        self,
        nid: int,
        most: int,
        outstanding: Outstanding,
        peers: Peers,
        outbox: list[Message],
        finish: Finish,
    ) -> None:
        self._nid = nid
        self._most = most
        self._outstanding = outstanding
        self._peers = peers
        self._outbox = outbox
        self._finish = finish
        self._waiting: dict[int, deque[Ticket]] = {}  # by DST; in all capped by the agent's pending accesses
        self._open: Counter[int] = Counter()  # outstanding, by DST
        self._late: Counter[int] = Counter()  # of them beyond T_REQ

    def _share(self, dst: int) -> int:
        """Requests that may be outstanding at a target."""
        limit = min(self._outstanding.limit, self._peers.of(dst).max_txn)
        return min(self._most, max(1, limit // SHARE))

    def _silent(self, dst: int) -> bool:
        return self._late[dst] >= self._share(dst)

    def begin(self, ticket: Ticket, now: int) -> None:
        """Send the request, or queue it."""
        dst = ticket.access.dst
        if self._silent(dst):
            self._finish(ticket, now, Err.UNREACH, b"", False)
            return
        self._waiting.setdefault(dst, deque()).append(ticket)
        self.serve(now)

    def serve(self, now: int) -> None:
        """Send what waits, of each target the oldest first, while there are TXNs for it."""
        if not self._waiting:
            return
        most = max(1, self._outstanding.limit - 1)
        for dst, queue in list(self._waiting.items()):
            max_txn, share = self._peers.of(dst).max_txn, self._share(dst)
            while (
                queue
                and self._open[dst] < share
                and self._open.total() < most
                and self._outstanding.opens(max_txn)
            ):
                self._send(queue.popleft(), now)
            if not queue:
                del self._waiting[dst]

    def _send(self, ticket: Ticket, now: int) -> None:
        access = ticket.access
        op = wire.NCR_OPS[access.kind]
        request = self._outstanding.open(op, access.dst, wire.ncr_len(access), ticket, None, now)
        self._open[access.dst] += 1
        self._outbox.append(wire.non_coherent(access, self._nid, request.txn))

    def late(self, request: Request, now: int) -> None:
        """T_REQ of a request is over for the first time. HSL 5.11."""
        self._late[request.dst] += 1
        if self._silent(request.dst):
            self._abandon(request.dst, now)

    def _abandon(self, dst: int, now: int) -> None:
        """End the requests that wait for a target; they will not be sent."""
        for ticket in self._waiting.pop(dst, ()):
            self._finish(ticket, now, Err.UNREACH, b"", False)

    def complete(self, request: Request, message: Message, now: int) -> bool:
        """Take the completion of an NCR request; False if it cannot have this one (T3, T16 [HSL-SEC-013])."""
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
        self._open[request.dst] -= 1
        self._late[request.dst] -= request.reported
        self._outstanding.close(request)
        self._finish(ticket, now, err, data, poison)

    def lost(self, nid: int, now: int) -> None:
        """End the requests to node `nid`, which is lost, with UNREACH; they are not repeated (6.2 F7)."""
        for request in self._outstanding.to(nid):
            if request.line is None:
                self._end(request, Err.UNREACH, b"", False, now)
        self._abandon(nid, now)
