"""The request agent: local accesses in, requests out; completions and snoops in, answers out (HSL 5.5).

What happens to a line is in RA_TABLE, run by the interpreter; the words of its rows are in request_actions.
This file keeps what the table speaks of: lines and the accesses that wait for them, MSHRs and ways, fences,
and the loss of a home.

An access that lacks an MSHR, a TXN or a way *starves*: its line is tried again, oldest first, when there may
be one. Ways and MSHRs are reserved before a request leaves, so completions always sink (D1).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Container

from hsl._generated.constants import ERROR_LOG_ENTRIES, LINE_BYTES, Err, ErrorCode, Feature, Op, SamType, St
from hsl._generated.tables import OPCODES, RA_EVENTS, RA_STATES, RA_TABLE
from hsl.agents import atomics, wire
from hsl.agents.access import KINDS, Access, Order, Ticket, check_access
from hsl.agents.back_off import BackOff
from hsl.agents.cache import OCCUPYING, READABLE, STABLE, Cache, Line
from hsl.agents.interpreter import Coverage, Interpreter, Table
from hsl.agents.ncr import NcrRequests
from hsl.agents.outstanding import Outstanding, Request, acked
from hsl.agents.peers import LOCAL, Peers
from hsl.agents.request_actions import ACTIONS, Turn, requests_of
from hsl.agents.request_config import RequestConfig
from hsl.agents.request_counters import RequestCounters
from hsl.agents.request_events import DIAGNOSTIC, HANDED_OVER, SNOOPS, completion
from hsl.agents.starving import LEASE, MSHR, Lack, Starving
from hsl.codec.checks import Negotiated
from hsl.codec.message import Message
from hsl.errors import ConfigError


class RequestAgent:
    """The request agent of one NID.

    `outbox` holds messages in the order they must leave, per VC; the node takes them out and then calls
    `tick` (or honours `next_deadline`, which is due at once): an MSHR is free only when its CmpAck is in a
    flit (D4), which `unsent_acks` tells. `errors` holds (code, text, message) for the error log.
    """

    def __init__(self, config: RequestConfig, table: Table = RA_TABLE) -> None:
        self.config = config
        self.nid = config.nid
        self.counters = RequestCounters()
        self.coverage: Coverage = Counter()
        # At most 2 messages per MSHR, 1 per NCR, and an answer per snoop that the node lets in.
        self.outbox: list[Message] = []
        self.errors: list[tuple[ErrorCode, str, Message | None]] = []  # at most ERROR_LOG_ENTRIES
        # (home, now): may copies of its lines be used? The node sets it where ports sleep. HSL 3.7.5
        self.lease: Callable[[int, int], bool] | None = None
        self.lost: set[int] = set()  # homes that are fenced, at most one per NID
        self.fences: list[int] = []  # those that T_REQ declared lost since the node looked
        self.cache = Cache(config.sets, config.ways)
        self._interpreter = Interpreter(table, ACTIONS, self.coverage, states=RA_STATES, events=RA_EVENTS)
        self._sends = requests_of(table)
        self._outstanding = Outstanding(config.max_txn)
        self._back_off = BackOff()
        known = LOCAL._replace(atomics=config.atomics & atomics.PERFORMED, max_txn=config.max_txn)
        self._peers = Peers(known)
        about = config.nid, config.ncrs, self._outstanding, self._peers, self.outbox
        self._ncr = NcrRequests(*about, self.finish, self.given_up)
        self.set_tu(config.tu)
        self._mshrs = 0  # in use
        self._leaving: deque[Request] = deque()  # MSHRs whose CmpAck is in the outbox, in its order
        self._starving = Starving()
        self._finished: list[Ticket] = []
        self._pending = 0  # accesses not finished; with _finished at most config.pending
        self._unperformed = [0] * (Order.ALL + 1)  # accesses begun and not performed, by Order
        self._fence: Ticket | None = None
        self._held: deque[Ticket] = deque()  # accesses behind the fence
        self._now = 0

    # ---- what the node and programs call
    @property
    def full(self) -> bool:
        """No access is taken before others end or `completions` is called."""
        return self.room <= 0

    @property
    def room(self) -> int:
        """Accesses that are taken before others end or `completions` is called."""
        return self.config.pending - self._pending - len(self._finished)

    @property
    def idle(self) -> bool:
        """Nothing is pending, outstanding or to be sent."""
        return not (self._pending or len(self._outstanding) or self.outbox)

    def attach(self, nids: range, negotiated: Negotiated, port: int | None = None) -> None:
        """The nodes `nids` are reached by `port` with this configuration, which binds nobody else."""
        self._peers.attach(nids, negotiated, port)

    def set_tu(self, tu: int) -> None:
        """The largest negotiated slow TU of the node's ports, in ns: T_REQ of requests from now on.

        HSL 5.11 [HSL-LNK-055].
        """
        self._outstanding.t_req = self.config.request_time(tu)
        self._back_off.tu = tu
        self._ncr.set_tu(tu)

    def submit(self, access: Access, now: int, *, collected: bool = True) -> Ticket:
        """Begin an access; a hit is finished on return. ConfigError for an illegal access, or when `full`.

        A ticket that is not `collected` is watched by the caller and does not come out of `completions`.
        """
        kind = check_access(access)
        if self.full:
            raise ConfigError(
                f"{self.config.pending} accesses are pending or not collected, which is the limit"
            )
        ticket = Ticket(access, self.nid, now, collected)
        self._now = now
        self._pending += 1
        if self._leaving and self._gone():
            self._collect()
            self._go_on(now)  # what starves came first
        if self._fence is not None and not kind.free:
            self._held.append(ticket)
        else:
            self._begin(ticket, now)
            self._pass_fence(now)
        ticket.missed = ticket.finished is None
        return ticket

    def completions(self) -> list[Ticket]:
        """The tickets that ended since the last call, in the order of their end."""
        finished, self._finished = self._finished, []
        return finished

    def receive(self, message: Message, now: int, viral: bool = False) -> None:
        """Take a SNP, RSP or DAT message; never waits (D3, D4). `viral`: its port shows VIRAL."""
        self._now = now
        self._collect()
        if message.src in self.lost:  # 6.2 F6 [HSL-COH-052]
            self.counters.fenced += 1
        elif message.op in SNOOPS:
            self._snoop(message, now)
        elif message.op in (Op.Cmp, Op.CmpData):
            self._complete(message, now, viral)
        else:
            self.proto(f"opcode {message.op:#x} is nothing for a request agent", message)
        self._go_on(now)

    def tick(self, now: int) -> None:
        """T_REQ, back-off, and whatever became possible since the outbox was emptied. HSL 5.11."""
        self._now = now
        self._collect()
        for request in self._outstanding.expired(now):
            if self._outstanding.find(request.txn) is request:  # else a home was lost in this loop
                self._expire(request, now)
        for addr in self._back_off.due(now) if self._back_off else ():
            self._settle(self.cache.line(addr), now)
        self._go_on(now)

    @staticmethod
    def unsent_acks(home: int) -> int:
        """The CmpAcks to a home that were taken out and are in no flit yet; a Node with ports replaces it."""
        return 0

    def next_deadline(self) -> int | None:
        """The time at which `tick` is due, in ns."""
        if self._leaving and self._gone():
            return self._now
        parts = (self._outstanding, self._back_off, self._ncr)
        return min((end for part in parts if (end := part.next_deadline()) is not None), default=None)

    def home_lost(self, nid: int, now: int) -> None:
        """Fence node `nid`: its lines go to I, its accesses end with UNREACH, it is not heard (6.2 F6)."""
        if nid in self.lost:
            return
        self._now = now
        self._collect()
        self.lost.add(nid)
        # What is still here must not reach the home that comes back (F5).
        self.outbox[:] = [message for message in self.outbox if message.dst != nid]
        for request in [request for request in self._leaving if request.dst == nid]:
            self._leaving.remove(request)
            self.close(request)
        for line in [line for line in self.cache.lines.values() if self._home_of(line) == nid]:
            self._back_off.drop(line.addr)
            self._run(Turn(self, line, "home_lost", now))
            self._settle(line, now)
        self._ncr.lost(nid, now)
        self._go_on(now)

    def readmit(self, nid: int) -> None:
        """Hear node `nid` again: both sides have finished the loss procedure (6.2 F5)."""
        self.lost.discard(nid)

    def outdated(self, first: int, last: int) -> bool:
        """True if a request for a byte range, or a copy, is that of another home than the map says."""
        copies = self.cache.copies(first, last)
        stray = any(line.home not in (None, self._home(line.addr)) for line in copies)
        return stray or self._outstanding.outdated(first, last, self._home)

    def withdraw(self, tickets: Container[Ticket]) -> list[Ticket]:
        """Take back those of the accesses that are in back-off; `present` begins them again. HSL 5.4 T4."""
        return self._back_off.withdraw(self.cache, tickets)

    def present(self, ticket: Ticket, addr: int, now: int) -> None:
        """Begin an access that was withdrawn at the address that its translation gives now."""
        self._now = now
        ticket.access = ticket.access._replace(addr=addr)
        self._enter(ticket, now)

    def state_of(self, addr: int) -> str:
        """The state of the line of a byte address."""
        line = self.cache.lines.get(addr - addr % LINE_BYTES)
        return line.state if line else "I"

    def peek(self, addr: int) -> bytes | None:
        """The 64 bytes of the line of a byte address, None where it has no copy."""
        line = self.cache.lines.get(addr - addr % LINE_BYTES)
        return bytes(line.data) if line and line.state in READABLE else None

    # ---- what the actions call
    def log(self, code: ErrorCode, text: str, message: Message | None = None) -> None:
        """An entry for the node's error log."""
        if len(self.errors) < ERROR_LOG_ENTRIES:
            self.errors.append((code, f"node {self.nid}: {text}", message))
        else:
            self.counters.unlogged += 1

    def proto(self, text: str, message: Message) -> None:
        """Log PROTO and count it; the message is dropped."""
        self.counters.proto += 1
        self.log(ErrorCode.PROTO, text, message)

    def report(self, ticket: Ticket, now: int, err: Err, data: bytes = b"", poison: bool = False) -> None:
        """Tell the program the end of an access, once."""
        if ticket.finished is None:
            ticket.finished = now
            ticket.err = err
            ticket.data = data
            ticket.poison = poison
            self._pending -= 1
            if ticket.collected:
                self._finished.append(ticket)

    def finish(
        self, ticket: Ticket, now: int, err: Err = Err.OK, data: bytes = b"", poison: bool = False
    ) -> None:
        """The access is performed, or will never be; a fence waits for it no more."""
        self.report(ticket, now, err, data, poison)
        ticket.performed = True
        self._unfence(ticket)

    def _unfence(self, ticket: Ticket) -> None:
        """No fence waits for an access any more. HSL 5.9 F1."""
        self._unperformed[KINDS[ticket.access.kind].order] -= ticket.fenced
        ticket.fenced = False

    def send(self, line: Line, op: Op, ticket: Ticket | None, now: int) -> None:
        """Send a request for a line; `_reserve` has made sure of the MSHR."""
        access = ticket.access if ticket else None
        home = self._home_of(line)
        assert home is not None
        request = self._outstanding.open(op, home, wire.answer_len(op, access), ticket, line, now)
        line.request = request
        self._mshrs += 1
        if op == Op.WbFull:
            self.counters.writebacks += 1
        self.outbox.append(wire.coherent(op, self.nid, home, request.txn, line, access))

    def leave(self, request: Request) -> None:
        """The request is completed; its MSHR ends when the CmpAck just put out has left."""
        self._outstanding.stop(request)
        self._leaving.append(request)

    def close(self, request: Request) -> None:
        """The MSHR and the TXN are free."""
        assert request.line is not None
        request.line.request = None
        self._mshrs -= 1
        self._outstanding.close(request)
        if request.reported and request.ticket is not None:
            self.finish(request.ticket, self._now)

    def given_up(self, ticket: Ticket, dst: int, now: int) -> bool:
        """True if an access that ended BUSY again has been presented for T_REQ: it is over, and logged."""
        if over := self._outstanding.given_up(ticket, now):
            self.log(ErrorCode.TIMEOUT, f"{ticket.access.kind} ended BUSY at {dst} until T_REQ was over")
        return over

    def pass_on(self, ticket: Ticket, line: Line) -> None:
        """Let what waited behind an access at the end of its T_REQ count with it. HSL 5.4 T4."""
        self._outstanding.pass_on(ticket, line.waiting)

    def back_off(self, line: Line, ticket: Ticket, now: int) -> None:
        """Present the oldest access of a line again after T_BUSY, which doubles. HSL 5.4 T4 [HSL-TXN-008]."""
        self._back_off.put(line.addr, ticket.refusals, now)
        ticket.refusals += 1
        self.counters.retries += 1

    # ---- turns
    def _home(self, addr: int) -> int | None:
        entry = self.config.address_map.lookup(addr)
        return None if entry is None or entry.type == SamType.MMIO else entry.home_of(addr)

    def _home_of(self, line: Line) -> int | None:
        """Return the NID of the line's home. A copy keeps the home that granted it [HSL-SEC-014]."""
        return self._home(line.addr) if line.state == "I" or line.home is None else line.home

    def _run(self, turn: Turn) -> None:
        line = turn.line
        line.state = self._interpreter.step(turn, line.state, turn.event)
        if line.way and line.state not in OCCUPYING:
            self.cache.free_way(line)

    def _settle(self, line: Line, now: int) -> None:
        """Present what waits, oldest first, while the line is stable (T13); forget a line of no use."""
        while line.waiting and line.state in STABLE and line.addr not in self._back_off:
            if self._present(line, line.waiting[0], now):
                return
            line.waiting.popleft()
        if line.state == "I" and not line.waiting and line.request is None:
            self.cache.forget(line)

    def _present(self, line: Line, ticket: Ticket, now: int) -> bool:
        """Present an access to the table; True when it has to wait in the line's queue."""
        kind = ticket.access.kind
        op = self._sends.get((line.state, kind))
        if op is not None:
            home = line.home = self._home_of(line)
            if home is None or home in self.lost:
                self.finish(ticket, now, Err.DECODE if home is None else Err.UNREACH)
                return False
            if (lack := self._reserve(line, op, now)) is not None:
                self._starving.put(line.addr, lack)
                return True
        elif line.way:
            self.cache.touch(line)
            if self.lease is not None and line.home is not None and not self.lease(line.home, now):
                self._starving.put(line.addr, (LEASE, line.home))
                return True
        turn = Turn(self, line, kind, now, ticket)
        self._run(turn)
        if kind == "evict" and not turn.sent:  # nothing to drop
            self.finish(ticket, now)
        return turn.waits

    def _snoop(self, message: Message, now: int) -> None:
        self.counters.snoops += 1
        line = self.cache.lines.get(message.addr)
        home = self._home(message.addr) if line is None else self._home_of(line)
        if home != message.src:  # HSL 5.4 T16 [HSL-SEC-011]: as an agent that does not hold the line (T11)
            self.counters.odd += 1
            self.log(ErrorCode.SRC_SPOOF, f"snoop of {message.addr:#x}; its home is {home}", message)
            self.outbox.append(wire.snoop_answer(message, self.nid, St.I))
            return
        seen = line or Line(message.addr)
        self._run(Turn(self, seen, SNOOPS[message.op], now, message=message))
        if line is not None:
            self._settle(line, now)

    def _complete(self, message: Message, now: int, viral: bool) -> None:
        request = self._outstanding.find(message.txn)
        if viral and message.data and request is not None and request.op not in DIAGNOSTIC:
            message = message._replace(poison=1)  # HSL 6.1 [HSL-RAS-013]
        event = completion(message)
        if request is None or request.dst != message.src or event is None:  # T3, T16 [HSL-SEC-012]
            self.proto(f"completion of TXN {message.txn} from {message.src}: not outstanding", message)
        elif request.line is None:
            if not self._ncr.complete(request, message, now):
                self.proto(f"{event} completes no {Op(request.op).name}", message)
        elif message.op == Op.CmpData and not message.err and message.len != request.len:  # T16 [HSL-SEC-013]
            self.proto(f"CmpData with LEN {message.len} for a request of LEN {request.len}", message)
        elif event == HANDED_OVER and not self._peers.of(message.src).features & Feature.HandOver:
            self.proto("CmpData(M), but HandOver is not agreed with the port of the home", message)
        else:
            line = request.line
            self._run(Turn(self, line, event, now, message=message))
            self._settle(line, now)

    def _expire(self, request: Request, now: int) -> None:
        """T_REQ of a request is over. HSL 5.11."""
        if not request.reported:
            request.reported = True
            self._outstanding.rearm(request, now)
            text = f"{Op(request.op).name} with TXN {request.txn} to {request.dst} is not answered"
            self.log(ErrorCode.TIMEOUT, text)
            if request.line is not None:
                self._run(Turn(self, request.line, "t_req", now))
            elif request.ticket is not None:
                self.report(request.ticket, now, Err.UNREACH)
                self._ncr.late(request, now)
        elif request.line is not None:
            self.log(ErrorCode.FENCED, f"home {request.dst} is lost: T_REQ expired twice")
            self.fences.append(request.dst)
            self.home_lost(request.dst, now)
        elif request.ticket is not None:  # HSL 5.9 F1, 5.10 [HSL-NCR-014]
            self._outstanding.stop(request)
            self._unfence(request.ticket)

    # ---- MSHRs and ways
    def _gone(self) -> list[Request]:
        """Return the requests whose CmpAck is in a flit and whose MSHR is not yet free."""
        return acked(self._leaving, self.outbox, self.unsent_acks)

    def _collect(self) -> None:
        """Free the MSHRs whose CmpAck is in a flit (D4)."""
        for request in self._gone() if self._leaving else ():
            self._leaving.remove(request)
            line = request.line
            self.close(request)
            if line is not None and line.state == "I" and not line.waiting:
                self.cache.forget(line)

    def _no_mshr(self) -> bool:
        return self._mshrs >= self.config.mshrs or self._outstanding.full

    def _reserve(self, line: Line, op: Op, now: int) -> Lack | None:
        """An MSHR for a request, and a way when it brings a copy (D1); evicts a line to get one.

        None, or what it lacks.
        """
        if lack := ("ack", line.addr) if line.request is not None else self._no_request(line):
            return lack
        if any(OPCODES[op].grants) and not line.way:
            if not self.cache.has_room(line.addr):
                victim = self.cache.victim(line.addr, self._back_off, lambda each: not self._no_request(each))
                if victim is None:
                    return "way", self.cache.index(line.addr)
                self.counters.evictions += 1
                self._run(Turn(self, victim, "evict", now))
            self.cache.take_way(line)
        return self._no_request(line)

    def _no_request(self, line: Line) -> Lack | None:
        """Return what a request for a line lacks: an MSHR or a TXN that its home takes; None if nothing."""
        if self._no_mshr():
            return MSHR
        home = line.home
        taken = home is not None and self._outstanding.opens(self._peers.of(home).max_txn)
        return None if taken else ("txn", home or 0)

    def _serve(self, now: int) -> None:
        """Try the lines that starve, oldest first. What one still lacks, others that lack it do not get."""
        missing: set[Lack] = set()
        # A hit that waits for the lease needs no MSHR.
        while (addr := self._starving.oldest(missing, LEASE if self._no_mshr() else "")) is not None:
            line = self.cache.line(addr)
            self._settle(line, now)
            if line.waiting and line.state in STABLE and line.addr not in self._back_off:
                missing.add(self._starving.lack(addr))
            else:
                self._starving.drop(addr)

    def _go_on(self, now: int) -> None:
        """Begin what waited for something that may be there now."""
        if self._starving:
            self._serve(now)
        self._ncr.serve(now)
        if self._fence is not None:
            self._pass_fence(now)

    # ---- program order
    def _begin(self, ticket: Ticket, now: int) -> None:
        access, kind = ticket.access, KINDS[ticket.access.kind]
        self._unperformed[kind.order] += 1
        ticket.fenced = True
        if access.kind == "fence":
            self._fence = ticket
        elif kind.ncr:
            if access.dst in self.lost:
                self.finish(ticket, now, Err.UNREACH)
            else:
                self._ncr.begin(ticket, now)
        elif kind.atomic and not self._peers.perform(self._home(access.addr), access.aop, access.size):
            self.finish(ticket, now, Err.UNSUP)
        else:
            self._enter(ticket, now)
            if ticket.finished is None:
                self.counters.misses += 1
            else:
                self.counters.hits += 1

    def _enter(self, ticket: Ticket, now: int) -> None:
        line = self.cache.line(ticket.access.addr - ticket.access.addr % LINE_BYTES)
        if line.waiting or self._present(line, ticket, now):  # F2: behind what waits already
            line.waiting.append(ticket)
        elif line.state == "I":
            self._settle(line, now)

    def _pass_fence(self, now: int) -> None:
        """End the fence when all it orders is performed, and begin what it held. HSL 5.9 F1."""
        while self._fence is not None:
            order = int(self._fence.access.order)
            if any(count for kinds, count in enumerate(self._unperformed) if kinds & order):
                return
            fence, self._fence = self._fence, None
            self.finish(fence, now)
            while self._held and self._fence is None:
                self._begin(self._held.popleft(), now)
