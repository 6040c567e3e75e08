"""The home agent: runs the home table over its lines, with a precise directory (HSL 5.6).

Every request is checked at arrival (5.4 T15), waits for its line and for a TSHR in order of arrival (T5), and
is done by the rows of the table. Losing a node is one operation, `fence` (6.2 F1).
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterable
from typing import Final

from hsl._generated.constants import LINE_BYTES, TIMERS, ErrorCode, Op, St, Vc
from hsl._generated.tables import HA_EVENTS, HA_GUARDS, HA_STATES, HA_TABLE
from hsl.agents.address_map import SamEntry
from hsl.agents.arrival import distrusted, refusal
from hsl.agents.directory import Holders
from hsl.agents.entries import Entries
from hsl.agents.home_actions import ErrorEntry, HomeActions
from hsl.agents.home_config import HomeConfig
from hsl.agents.interpreter import Coverage, Interpreter
from hsl.agents.memory import Memory
from hsl.agents.memory_leg import GONE
from hsl.agents.peers import Peers
from hsl.agents.shares import Place, Shares
from hsl.agents.transaction import GUARDS, NO_NODE, Transaction
from hsl.agents.waiting import LISTING, LOST, RECALL, RECALL_LIMIT, Recall, Waiting, asked_for, place
from hsl.codec.checks import Negotiated
from hsl.codec.message import Message
from hsl.errors import ConfigError

__all__ = ["HomeAgent", "HomeConfig", "Recall"]

ACKING: Final = frozenset({"ACK", "WACK"})  # a grant is on its way: its loss waits for `lost`
NAMES: Final = {int(op): op.name for op in Op}
ANSWERS: Final = {
    (int(op), int(st)): f"{op.name}_{st.name}" for op in (Op.SnpRsp, Op.SnpRspData) for st in St
}


class HomeAgent:
    """One home. Messages for its NID come in by `receive`, answers and snoops leave by `outbox`.

    `taken`: requests whose input buffer is free again (the node returns their credits). `fences`: nodes that
    a timer declared lost (the node takes their port down, 6.2 F4). `errors`: for the error log. All three are
    drained by the node. ConfigError when a range of the address map that is homed here is not in `memory`.
    """

    def __init__(
        self, config: HomeConfig, memory: Memory | None, ports: int = 0, coverage: Coverage | None = None
    ) -> None:
        config.check()
        self.config = config
        self.nid = config.nid
        self._peers = Peers(config.negotiated, ports)
        self._do = HomeActions(config.nid, config.address_map, self._peers, memory, config.lost_lines)
        self._leg = self._do.leg
        self.blank = self._leg.blank
        self._table = Interpreter(
            HA_TABLE,
            self._do.table(),
            coverage,
            states=HA_STATES,
            events=HA_EVENTS,
            guards=HA_GUARDS,
            values=GUARDS,
        )
        self.outbox = self._do.outbox
        self.errors: deque[ErrorEntry] = self._do.errors
        self.counters = self._do.counters
        self.taken: list[Message] = []  # each holds a credit until the drain
        self.fences: list[int] = []  # at most every NID once until drained
        self._busy: dict[int, Transaction] = {}  # by line; at most `tshrs`
        self._waiting: dict[int, list[Waiting]] = {}  # by line, in order of arrival
        # Requests in _waiting: each holds a credit of a port, or an MSHR of this node. Recalls are at most
        # RECALL_LIMIT + 1 a line.
        self._held = 0
        self._arrivals = 0
        self._recalls: dict[int, Recall] = {}  # of busy lines
        self._open: list[Recall] = []
        self._entries = Entries(config.directory_lines, self._peers)
        self._fenced: set[int] = set()
        self._isolating: set[int] = set()  # lost, and may still use their copies: not walked yet
        self._blocked: set[int] = set()  # lines that list one of them, and have a request that waits
        self._unwalked: set[int] = set()  # lines whose owner is lost, which wait for a TSHR to be written
        self._shares = Shares(config.tshrs, self._peers)
        self.set_tu(config.tu)

    # ---- what the node asks and tells
    def set_tu(self, tu: int) -> None:
        """The largest negotiated slow TU of the node's ports, in ns. HSL 5.11."""
        self._do.t_snp = self.config.timers.get("T_SNP", TIMERS["T_SNP"].tu * tu)
        self._leg.t_mem = self.config.timers.get("T_MEM", TIMERS["T_MEM"].tu * tu)
        self._do.t_cack = self.config.timers.get("T_CACK", TIMERS["T_CACK"].tu * tu)

    def attach(self, nids: range, negotiated: Negotiated, port: int | None = None) -> None:
        """The nodes `nids` are reached by `port` with this configuration."""
        self._peers.attach(nids, negotiated, port)
        self._leg.attach(nids, negotiated.max_txn)
        self._share_out()

    @property
    def memory(self) -> Memory:
        """The home's own memory. Raises ConfigError if all its lines are in memory targets."""
        if self._leg.memory is None:
            raise ConfigError(f"home {self.nid} has no memory of its own")
        return self._leg.memory

    @property
    def overflow(self) -> bool:
        """A line was lost that the lost list had no room for; its target is out of reach. HSL 5.6 M3."""
        return self._leg.overflow

    @property
    def idle(self) -> bool:
        """No transaction runs or waits."""
        return not (self._busy or self._held or self._open or self._unwalked)

    def directory_of(self, addr: int) -> Holders:
        """(dir, NIDs) of the line of `addr`."""
        return self._do.directory.of(addr - addr % LINE_BYTES)

    def state_of(self, addr: int) -> str:
        """Control state of the line of `addr`."""
        busy = self._busy.get(addr - addr % LINE_BYTES)
        return "IDLE" if busy is None else busy.state

    def fenced(self, nid: int) -> bool:
        """True if `nid` was declared lost, whether its lines are walked or not."""
        return nid in self._fenced or nid in self._isolating

    def isolating(self, nid: int) -> bool:
        """True if `nid` is lost, and its lines wait for proof that it can no longer use its copies."""
        return nid in self._isolating

    # ---- messages
    def receive(self, message: Message, now: int, viral: bool = False) -> None:
        """One message for this home; `viral`: its port shows VIRAL. Never raises for what a peer can send."""
        self._do.now = now
        if self.fenced(message.src):  # HSL 6.2 F3 [HSL-COH-035]
            self.counters["late"] += 1
            if message.vc in (Vc.REQ, Vc.RWD):
                self.taken.append(message)
        elif message.vc in (Vc.REQ, Vc.RWD):
            self._request(message, now, viral)
        else:
            self._answer(message, viral)
        self._serve()

    def _request(self, message: Message, now: int, viral: bool) -> None:
        if message.op == Op.Evict or (viral and message.op == Op.WbFull):
            message = message._replace(poison=int(viral))  # HSL 5.4 T14; in an Evict the wire has no such bit
        port = self._peers.of(message.src)
        err = refusal(message, self.nid, self.config.address_map, port, viral)
        outstanding = self._do.outstanding.setdefault(message.src, set())
        if err:
            self.counters["refused"] += 1
            self._do.complete(message, Op.Cmp, err=err)
        elif message.txn in outstanding or message.txn >= port.max_txn:
            self._do.error(ErrorCode.PROTO, f"TXN {message.txn} is in use or above the maximum", message)
        else:
            outstanding.add(message.txn)
            self._arrive(message.addr, NAMES[message.op], message, now)
            return
        self.taken.append(message)

    def _arrive(self, addr: int, op: str, message: Message, now: int, recall: Recall | None = None) -> None:
        """Queue a request or a recall at its line; if that is busy, its row says `wait`. [HSL-COH-038]."""
        line = addr - addr % LINE_BYTES
        self._arrivals += 1
        queue = self._waiting.setdefault(line, [])
        key = place(op, message, now, self._arrivals, queue, self._do.directory)
        insort(queue, waiting := Waiting(key, op, message, recall), key=lambda each: each.key)
        self._held += waiting.request
        if (busy := self._busy.get(line)) is not None:
            self._step(busy, op)
        elif queue[0] is waiting:
            self._shares.wait(Place(key, line), message.src)

    def _answer(self, message: Message, viral: bool) -> None:
        """An answer of an RA: CmpAck, SnpRsp, SnpRspData; or one that no home asked for."""
        if viral:
            asked = self._do.snoops.get(message.txn) if message.op == Op.SnpRsp else None
            message = distrusted(message, asked)
        if (answer := ANSWERS.get((message.op, message.st))) is not None:
            t, event = self._do.snoops.get(message.txn), answer
        elif message.op == Op.CmpAck:
            t = self._do.acks.get(message.txn)
            event = "CmpAck"
            if t is not None:
                t.matches = message.src == t.r
                if t.matches:
                    self._do.release(t)
        elif message.op in (Op.Cmp, Op.CmpData):
            t, event = self._leg.receive(message)
        else:
            self._do.error(ErrorCode.PROTO, f"home {self.nid} takes no such message", message)
            return
        self._step(t or self._stray(0, message), event, message)

    def _stray(self, line: int, message: Message) -> Transaction:
        """Return the transaction that an event of an idle line runs on."""
        return Transaction(self._do, line, "", message)

    # ---- transactions
    def _step(self, t: Transaction, event: str, message: Message | None = None, q: int = NO_NODE) -> None:
        """Run the row of `event`; a transaction that comes to IDLE is over."""
        if message is not None:
            t.message, t.q = message, message.src
        elif q != NO_NODE:
            t.q = q
        was = t.state
        t.state = self._table.step(t, was, event)
        if t.op and t.state == "IDLE" and self._busy.get(t.line) is t:
            self._finish(t)

    def _serve(self) -> None:
        """Start the requests that came first at idle lines, while TSHRs are free. HSL 5.2 D2, D5."""
        self._recall_victims()
        while (place := self._shares.next()) is not None:
            line = place.line
            queue = self._waiting.get(line)
            if not queue or line in self._busy or queue[0].key != place.key:
                continue  # one of the same instant came first
            if self._isolates(line):
                self._blocked.add(line)  # HSL 6.2 F1 [HSL-RAS-008]
                continue
            listing = queue[0].op in LISTING
            if listing and not self._entries.ask(line, queue[0].src):
                self._recall_victims()
                continue
            waiting = queue.pop(0)
            event, message = waiting.op, waiting.message
            self._shares.take(message.src)
            if event == "Evict" and message.poison and self.directory_of(line).role(message.src) == "owner":
                event, message = "WbFull", message._replace(data=GONE[0])  # HSL 6.1 [HSL-RAS-016]
            t = self._busy[line] = Transaction(self._do, line, RECALL if event == LOST else event, message)
            self.counters[event] += 1
            if event == LOST:
                self._unwalked.discard(line)
            elif waiting.recall is not None:
                self._recalls[line] = waiting.recall
            elif waiting.request:
                self._held -= 1
                self.taken.append(message)
            if listing:
                self._entries.begin(line, message.src)
            self._step(t, event, q=message.src)
            self._recall_victims()

    def _share_out(self) -> None:
        """Count the shares anew: a port has come, or a node has gone."""
        idle = (
            (Place(queue[0].key, line), queue[0].message.src)
            for line, queue in self._waiting.items()
            if queue and line not in self._busy
        )
        self._shares.renew((t.request.src for t in self._busy.values()), idle)

    def _finish(self, t: Transaction) -> None:
        """The line is idle again: its next request stands in line by its arrival."""
        self._do.release(t)
        del self._busy[t.line]
        self._shares.give(t.request.src)
        if recall := self._recalls.pop(t.line, None):
            self._recalled(recall)
        self._vacate(t.line)
        self._wake(t.line)

    def _wake(self, line: int) -> None:
        queue = self._waiting.get(line)
        if queue:
            self._shares.wait(Place(queue[0].key, line), queue[0].message.src)
        else:
            self._waiting.pop(line, None)

    # ---- entries of the directory
    def _recall_victims(self) -> None:
        """Recall a line for each request that waits for an entry. HSL 5.2 D10 [HSL-TXN-009, HSL-COH-053]."""
        while (chosen := self._entries.choose(self._still, self._isolates)) is not None:
            victim, src = chosen
            self.counters["victims"] += 1
            self._arrive(victim, RECALL, Message(0, src=src, addr=victim), self._do.now)

    def _still(self, line: int) -> bool:
        return line not in self._busy and not self._waiting.get(line)

    def _isolates(self, line: int) -> bool:
        return bool(self._isolating) and not self._isolating.isdisjoint(self._do.directory.of(line).nids)

    def _vacate(self, line: int) -> None:
        """Pass the entry of an idle line on if nobody holds the line; its Recall is not needed then."""
        if self._do.directory.of(line).dir == "I" and (heir := self._entries.free(line)) is not None:
            self._spare(line)
            if heir not in self._busy:
                self._wake(heir)

    def _spare(self, victim: int) -> None:
        """Drop the Recall that is queued for the entry of a line."""
        queue = self._waiting.get(victim, [])
        queue[:] = [w for w in queue if w.op != RECALL or w.recall is not None]
        if victim not in self._busy:
            self._wake(victim)

    # ---- recall
    @property
    def recalls(self) -> bool:
        """True if another recall may be opened."""
        return len(self._open) < RECALL_LIMIT

    @property
    def recalling(self) -> int:
        """Lines that the open recalls have still to take. HSL 5.1.4 [HSL-COH-058]."""
        return sum(recall.lines for recall in self._open)

    def in_use(self, first: int, last: int) -> bool:
        """True if a line of the byte range is listed, busy or waited for."""
        return bool(self._used(first, last))

    def _used(self, first: int, last: int) -> list[int]:
        first -= first % LINE_BYTES
        asked = (*self._busy, *asked_for(self._waiting, self._do.directory))
        running = [line for line in asked if first <= line <= last]
        return sorted({*self._do.directory.held_in(first, last), *running})

    def recall(self, first: int, last: int, now: int) -> Recall:
        """Take all lines of the byte range from their holders. HSL 5.1.4, 5.4 T10 [HSL-COH-057].

        ConfigError when RECALL_LIMIT of them are open already.
        """
        if not self.recalls:
            raise ConfigError(f"home {self.nid}: {RECALL_LIMIT} recalls are open; wait for one to end")
        lines = self._used(first, last)
        recall = Recall(len(lines))
        if lines:
            self._open.append(recall)
        self._do.now = now
        for line in lines:
            self._arrive(line, RECALL, Message(0, src=NO_NODE, addr=line), now, recall)
        self._serve()
        return recall

    def _recalled(self, recall: Recall) -> None:
        recall.lines -= 1
        if recall.done:
            self._open.remove(recall)

    # ---- loss of a node
    def fence(self, nid: int, now: int) -> None:
        """Declare node `nid` lost: nothing of it counts until `readmit`. HSL 6.2 F1 [HSL-COH-036]."""
        self._do.now = now
        self._fence(nid)
        self._serve()

    def isolate(self, nid: int, now: int) -> bool:
        """Lose `nid`, but run the rows of its loss only when it can no longer use its copies: at `fence`.

        Returns False if no line waits for that: then `nid` is fenced at once. HSL 6.2 F1 [HSL-RAS-007].
        """
        self._do.now = now
        waits = self._isolate(nid)
        self._serve()
        return waits

    def _isolate(self, nid: int) -> bool:
        if self.fenced(nid):
            return nid in self._isolating
        running = [t for t in self._busy.values() if t.r == nid or nid in t.pending]
        waits = any(nid in t.pending or t.state in ACKING for t in running)
        if not waits and not self._do.directory.held_by(nid):
            self._fence(nid)
            return False
        self._isolating.add(nid)
        self._purge(nid)
        for t in running:
            if t.r == nid and t.state not in ACKING:
                self._do.do_lose_r(t)
        for t, event in self._leg.fence(nid):  # HSL 5.6 M4: its memory is no copy
            self._step(t, event, q=nid)
        return True

    def _fence(self, nid: int) -> None:
        if nid in self._fenced:
            return
        self._isolating.discard(nid)
        self._fenced.add(nid)
        self._purge(nid)
        running = [line for line, t in self._busy.items() if t.r == nid or nid in t.pending]
        lines = sorted({*self._do.directory.held_by(nid), *running})
        owned = [line for line in lines if self._do.directory.of(line).role(nid) == "owner"]
        if owned:  # one entry for the one cause
            first = Message(0, src=nid, addr=owned[0])
            text = f"node {nid} is lost: {len(owned)} lines that it owned are poisoned, from {owned[0]:#x} on"
            self._do.error(ErrorCode.DATA_LOST, text, first)
        for line in lines:
            self._walk(line, nid)
        for t, event in self._leg.fence(nid):  # HSL 5.6 M4
            self._step(t, event, q=nid)
        self._entries.restore(lines)
        blocked, self._blocked = self._blocked, set()
        for line in sorted(blocked):
            if line not in self._busy:
                self._wake(line)

    def _walk(self, line: int, nid: int) -> None:
        """Do what the loss of `nid` means to a line, now or before any other event of the line."""
        t = self._busy.get(line)
        if t is not None:
            if t.r == nid:
                self._do.release(t)
            self._step(t, LOST, q=nid)
        elif self._leg.at_once(line) or self._do.directory.of(line).dir != "X":
            self._step(Transaction(self._do, line, RECALL, Message(0, src=nid, addr=line)), LOST, q=nid)
            self._vacate(line)
        elif line not in self._unwalked:
            self._unwalked.add(line)
            self._arrivals += 1
            key = (self._do.now, False, -2, self._arrivals)
            self._waiting.setdefault(line, []).insert(0, Waiting(key, LOST, Message(0, src=nid, addr=line)))
            self._shares.wait(Place(key, line), nid)

    def _purge(self, nid: int) -> None:
        """Drop the waiting requests of `nid`."""
        if not self._do.outstanding.pop(nid, None):
            return  # nothing of it waits
        for queue in self._waiting.values():
            gone = [w.message for w in queue if w.src == nid]
            if gone:
                queue[:] = [w for w in queue if w.src != nid]
                self._held -= len(gone)
                self.taken += gone
        for line in self._entries.waiting():
            if not any(each.op in LISTING for each in self._waiting.get(line, ())):
                if (victim := self._entries.forget(line)) is not None:
                    self._spare(victim)
                self._vacate(line)
        self._waiting = {line: queue for line, queue in self._waiting.items() if queue}
        self._share_out()

    def readmit(self, nid: int) -> None:
        """`nid` starts anew with nothing cached. HSL 6.2 F5 [HSL-COH-037]."""
        self._fenced.discard(nid)
        self._leg.readmit(nid)

    def content_lost(self, nid: int, first: int, last: int) -> bool:
        """Fail accesses to `first`..`last` of a target until `lift`; False if it is none. HSL 5.6 M5."""
        return self._leg.content_lost(nid, first, last)

    def can_serve(self, entry: SamEntry) -> bool:
        """True if this entry may stand in the map: this home can serve its lines. HSL 5.14."""
        return self._leg.can_serve(entry)

    def learn(self, entry: SamEntry) -> None:
        """An entry stands in the map: it may name a target that this home has not used yet. HSL 5.15.4."""
        self._leg.learn(entry, self._peers.of(entry.mt).max_txn)

    def lift(self, nid: int) -> bool:
        """Software has initialised the memory of target `nid`. HSL 5.6 M5. False when `nid` is none."""
        return self._leg.lift(nid)

    # ---- time
    def tick(self, now: int) -> None:
        """Fence who did not answer in time. HSL 5.11."""
        self._do.now = now
        due = self.next_deadline()
        if due is not None and due <= now:
            self._time_out(now)
        self._serve()

    def _time_out(self, now: int) -> None:
        """T_SNP, T_MEM, T_CACK, each in ascending number. HSL 5.11."""
        for _, t in sorted(self._do.snoops.items()):
            if t.deadline is not None and t.deadline <= now:
                t.deadline = None
                self._expire(sorted(t.pending), f"no answer to {t.snp} of line {t.line:#x} within T_SNP")
        self._expire(self._leg.expired(now), "no answer to a MEM request within T_MEM")
        for _, t in sorted(self._do.acks.items()):
            if t.ack_deadline is not None and t.ack_deadline <= now:
                t.ack_deadline = None
                self._expire([t.r], f"no CmpAck for line {t.line:#x} within T_CACK")

    def _expire(self, nids: Iterable[int], text: str) -> None:
        for nid in nids:
            if not self.fenced(nid):
                lost = Message(0, src=nid, dst=self.nid)
                self._do.error(ErrorCode.TIMEOUT, f"node {nid}: {text}", lost)
                self._do.error(ErrorCode.FENCED, f"node {nid} is declared lost", lost)
                self.fences.append(nid)
                self._isolate(nid)

    def next_deadline(self) -> int | None:
        """The first instant (ns) at which `tick` has something to do."""
        first = None
        for t in self._busy.values():
            for deadline in (t.deadline, t.ack_deadline):
                if deadline is not None and (first is None or deadline < first):
                    first = deadline
        return first
