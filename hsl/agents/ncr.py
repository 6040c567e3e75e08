"""The non-coherent requests of an agent: MMIO reads and writes, interrupts, translation (HSL 5.10, 5.14)."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from hsl._generated.constants import MAX_TXN, N_BUSY, TIMERS, Err, Op
from hsl._generated.tables import OPCODES
from hsl.agents import wire
from hsl.agents.access import Ticket, span
from hsl.agents.outstanding import Outstanding, Request
from hsl.agents.peers import Peers
from hsl.codec.message import Message

Finish = Callable[[Ticket, int, Err, bytes, bool], None]  # ticket, now, err, data, poison
# Of the TXNs, one target may hold a quarter for NCR that sink and a quarter for others: it may never answer,
# and others must have theirs.
SHARE: Final = 4

Way = tuple[int, bool]  # target, and whether the NCR sink: neither kind waits for the other
Key = tuple[int, int]  # target and stream


@dataclass(slots=True)
class _Stream:
    """A stream that is in use: `held` begins with an Intr, or stands behind one that is not completed."""

    begun: int = 0  # accesses that may be sent, were sent, or pause after BUSY
    late: int = 0  # of them, requests beyond T_REQ
    intr: bool = False  # one of them is an Intr, so it is the only one
    held: deque[Ticket] = field(default_factory=deque)


class NcrRequests:
    """NCR requests, by target in the order of submission: so each stream keeps its order (O4).

    An Intr is held until all earlier NCR of its stream are completed, and later ones of that stream until the
    Intr is: it may pass others on the way. What is held bars no other request. [HSL-NCR-006]

    Of each kind, those that sink and the others, at most `most` are outstanding at one target. Ordinary ones
    leave two TXNs that every node takes, for a coherent request and for an NCR that sinks: an NCR that is
    never answered keeps its TXN until the port goes down (5.11), and other requests must go on. A target
    where as many as it may hold are beyond T_REQ is silent: what is meant for it ends with UNREACH, until it
    answers.

    The pending accesses of the agent bound all containers.
    """

    def __init__(
        self,
        nid: int,
        most: int,
        outstanding: Outstanding,
        peers: Peers,
        outbox: list[Message],
        finish: Finish,
        given_up: Callable[[Ticket, int, int], bool],
    ) -> None:
        self._nid = nid
        self._most = most
        self._outstanding = outstanding
        self._peers = peers
        self._outbox = outbox
        self._finish = finish
        self._given_up = given_up
        self._t_busy = 0  # ns
        self._waiting: dict[Way, deque[Ticket]] = {}  # for a TXN
        self._open: Counter[Way] = Counter()  # outstanding
        self._txns: list[int] = []  # of those, ascending
        self._late: Counter[Way] = Counter()  # of them beyond T_REQ
        self._streams: dict[Key, _Stream] = {}
        self._paused: list[tuple[int, Ticket]] = []  # the instant at which each is presented again

    def set_tu(self, tu: int) -> None:
        """The slow TU in ns: T_BUSY from now on. HSL 5.11."""
        self._t_busy = TIMERS["T_BUSY"].tu * tu

    # ---- ways and shares

    @staticmethod
    def _op(ticket: Ticket) -> Op:
        return wire.NCR_OPS[ticket.access.kind]

    def _way(self, ticket: Ticket) -> Way:
        return ticket.access.dst, OPCODES[self._op(ticket)].sinks

    def _share(self, dst: int) -> int:
        """Requests of one kind that may be outstanding at a target."""
        limit = min(self._outstanding.limit, self._peers.of(dst).max_txn)
        return min(self._most, max(1, limit // SHARE))

    def _silent(self, way: Way) -> bool:
        return self._late[way] >= self._share(way[0])

    def _least(self, way: Way) -> int:
        """Return the least TXN that a request may have: those below are kept for others. HSL 5.10.

        A node that takes more TXNs than others gets those that only it takes first.
        """
        dst, sinks = way
        kept = 1 if sinks else 2
        limits = [min(self._outstanding.limit, most) for most in (*self._peers.max_txns, MAX_TXN)]
        used = ((limit, bisect_left(self._txns, limit)) for limit in limits)
        least = max((limit for limit, count in used if count >= max(1, limit - kept)), default=0)
        most = self._peers.of(dst).max_txn
        above = (
            limit for limit in reversed(limits) if limit >= least and self._outstanding.opens(most, limit)
        )
        return next(above, least)

    def _may_send(self, way: Way) -> bool:
        """True if there is a TXN for a request of a way. HSL 5.11."""
        dst = way[0]
        free = self._open[way] < self._share(dst)
        return free and self._outstanding.opens(self._peers.of(dst).max_txn, self._least(way))

    # ---- streams

    def begin(self, ticket: Ticket, now: int) -> None:
        """Send the request, hold it, or queue it."""
        if OPCODES[self._op(ticket)].order != "stream":  # [HSL-NCR-011]
            self._queue(ticket, now)
        else:
            key = ticket.access.dst, ticket.access.stream
            self._streams.setdefault(key, _Stream()).held.append(ticket)
            self._advance(key, now)
        self.serve(now)

    def _advance(self, key: Key, now: int) -> None:
        """Let go what a stream need not hold any more, in order. HSL 5.10 [HSL-NCR-006]."""
        stream = self._streams[key]
        while stream.held:
            intr = self._op(stream.held[0]) == Op.Intr
            if stream.late and (intr or stream.intr):  # what one of them waits for may never be done
                self._finish(stream.held.popleft(), now, Err.UNREACH, b"", False)
                continue
            if stream.intr or (intr and stream.begun):
                return
            ticket = stream.held.popleft()
            if self._queue(ticket, now):
                stream.begun += 1
                stream.intr = intr
        if not (stream.held or stream.begun):
            del self._streams[key]

    def _queue(self, ticket: Ticket, now: int) -> bool:
        """Let a request wait for a TXN; end it and return False if its target is silent."""
        way = self._way(ticket)
        if self._silent(way):
            self._finish(ticket, now, Err.UNREACH, b"", False)
            return False
        self._waiting.setdefault(way, deque()).append(ticket)
        return True

    def _ended(self, ticket: Ticket, late: bool, now: int) -> None:
        """An access that `_queue` took has ended."""
        if OPCODES[self._op(ticket)].order == "stream":
            key = ticket.access.dst, ticket.access.stream
            stream = self._streams[key]
            stream.begun -= 1
            stream.late -= late
            stream.intr = False
            self._advance(key, now)

    # ---- sending

    def serve(self, now: int) -> None:
        """Send what waits, of each way the oldest first, while there are TXNs for it."""
        while self._paused and self._paused[0][0] <= now:
            self._queue_again(self._paused.pop(0)[1], now)
        if not self._waiting:
            return
        for way, queue in list(self._waiting.items()):
            while queue and self._may_send(way):
                self._send(queue.popleft(), way, now)
            if not queue:
                del self._waiting[way]

    def _send(self, ticket: Ticket, way: Way, now: int) -> None:
        access = ticket.access
        op = wire.NCR_OPS[access.kind]
        least = self._least(way)
        request = self._outstanding.open(op, access.dst, wire.ncr_len(access), ticket, None, now, least)
        self._open[way] += 1
        insort(self._txns, request.txn)
        self._outbox.append(wire.non_coherent(access, self._nid, request.txn))

    def next_deadline(self) -> int | None:
        """The next instant (ns) at which a pause after BUSY ends."""
        return self._paused[0][0] if self._paused else None

    def _pause(self, ticket: Ticket, now: int) -> None:
        """Present an access that ended BUSY again, later each time. HSL 5.10 [HSL-NCR-009]."""
        again = now + (self._t_busy << min(ticket.refusals, N_BUSY))
        ticket.refusals += 1
        insort(self._paused, (again, ticket), key=lambda paused: paused[0])

    def _queue_again(self, ticket: Ticket, now: int) -> None:
        if not self._queue(ticket, now):
            self._ended(ticket, False, now)

    # ---- ends

    def late(self, request: Request, now: int) -> None:
        """T_REQ of a request is over for the first time. HSL 5.11."""
        assert request.ticket is not None
        way = self._way(request.ticket)
        self._late[way] += 1
        if self._silent(way):
            self._abandon(way, now)
        if OPCODES[request.op].order == "stream":
            key = request.dst, request.ticket.access.stream
            self._streams[key].late += 1
            self._advance(key, now)

    def _abandon(self, way: Way, now: int) -> None:
        """End the requests that wait for a TXN of a silent target; they will not be sent."""
        for ticket in self._waiting.pop(way, ()):
            self._finish(ticket, now, Err.UNREACH, b"", False)
            self._ended(ticket, False, now)

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
        ticket = request.ticket
        again = message.err == Err.BUSY and OPCODES[request.op].repeated and not request.reported
        if again and ticket is not None and self._given_up(ticket, request.dst, now):
            self._end(request, Err.UNREACH, b"", False, now)  # HSL 5.10 [HSL-NCR-013]
        elif again:
            assert ticket is not None
            self._close(request)
            self._pause(ticket, now)
        else:
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

    def _close(self, request: Request) -> None:
        """Free the TXN of a request."""
        assert request.ticket is not None
        way = self._way(request.ticket)
        for counter, less in ((self._open, 1), (self._late, int(request.reported))):
            counter[way] -= less
            if not counter[way]:
                del counter[way]
        self._txns.remove(request.txn)
        self._outstanding.close(request)

    def _end(self, request: Request, err: Err, data: bytes, poison: bool, now: int) -> None:
        ticket = request.ticket
        assert ticket is not None
        self._close(request)
        self._finish(ticket, now, err, data, poison)
        self._ended(ticket, request.reported, now)

    def lost(self, nid: int, now: int) -> None:
        """End the requests to node `nid`, which is lost, with UNREACH; they are not repeated (6.2 F7)."""
        unsent = [ticket for way in ((nid, False), (nid, True)) for ticket in self._waiting.pop(way, ())]
        unsent += [ticket for _, ticket in self._paused if ticket.access.dst == nid]
        self._paused = [paused for paused in self._paused if paused[1].access.dst != nid]
        for key, stream in self._streams.items():
            if key[0] == nid:
                for ticket in stream.held:
                    self._finish(ticket, now, Err.UNREACH, b"", False)
                stream.held.clear()
        for ticket in unsent:
            self._finish(ticket, now, Err.UNREACH, b"", False)
            self._ended(ticket, False, now)
        for request in self._outstanding.to(nid):
            if request.line is None:
                self._end(request, Err.UNREACH, b"", False, now)
