"""The action words of the home table (coherence.toml [actions.ha]), one method each. HSL 5.6."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from hsl._generated.constants import GRANULE_BYTES, Err, ErrorCode, Feature, Op, Right, St
from hsl._generated.tables import HA_ACTIONS
from hsl.agents import atomics
from hsl.agents.address_map import AddressMap
from hsl.agents.directory import Directory
from hsl.agents.interpreter import Action
from hsl.agents.memory import Memory
from hsl.agents.memory_leg import GONE, LINE_LEN, LOST_LIMIT, MemoryLeg
from hsl.agents.peers import Peers
from hsl.agents.tags import Tags
from hsl.agents.transaction import Transaction
from hsl.codec.checks import data_bytes
from hsl.codec.message import Message

__all__ = ["ERRORS_LIMIT", "ErrorEntry", "HomeActions"]

ErrorEntry = tuple[ErrorCode, str, Message | None]
# Errors not drained yet; the node drains them at every step, so only a flood reaches this. Oldest go first.
ERRORS_LIMIT = 1024


def len_code(data: bytes) -> int:
    """LEN code of `data`: 8 << LEN bytes. HSL 2.6."""
    return (len(data) // GRANULE_BYTES).bit_length() - 1


class HomeActions:
    """The actions of the home table; each takes the transaction and the words of its row.

    A memory action returns its MemData or MemDone event when the access completes in the same step.
    `t_snp` and `t_cack` in ns.
    """

    def __init__(
        self,
        nid: int,
        address_map: AddressMap,
        peers: Peers,
        memory: Memory | None,
        lost_limit: int = LOST_LIMIT,
    ) -> None:
        self.nid = nid
        self._map = address_map
        self._peers = peers
        self.directory = Directory()
        self.now = 0
        self.t_snp = self.t_cack = 0
        # Bounded by the node: it lets no request in from a port that does not take its completions (5.2 D2).
        self.outbox: deque[Message] = deque()
        self.leg = MemoryLeg(nid, address_map, memory, self.outbox, lost_limit)
        self.errors: deque[ErrorEntry] = deque(maxlen=ERRORS_LIMIT)
        self.counters: Counter[str] = Counter()
        self.snoops: dict[int, Transaction] = {}  # by snoop TXN
        self.acks: dict[int, Transaction] = {}  # by HTXN
        self.outstanding: dict[int, set[int]] = {}  # TXNs not completed, by SRC; at most max_txn each
        self._snoop_tags = Tags()
        self._htxn_tags = Tags()

    def table(self) -> dict[str, Action]:
        """Action word -> method."""
        return {word: getattr(self, f"do_{word}") for word in HA_ACTIONS}

    # ---- what the guards ask
    def hand(self, nid: int) -> bool:
        """True if dirty hand-over is agreed with the port of `nid`. HSL 3.3.2, 5.6."""
        return bool(self._peers.of(nid).features & Feature.HandOver)

    def may(self, request: Message) -> bool:
        """True if the requester has W at the line of its request, as the map stands now. HSL 5.6."""
        return Right.W in self._map.rights(request.addr, request.src, request.dom)

    # ---- snoops and directory
    def do_wait(self, t: Transaction) -> None:
        """The request of the event stays where it is: in the queue of its line."""

    def do_snoop(self, t: Transaction, name: str, whom: str) -> None:
        """P := set; send <snoop> to each of P, ascending NID; start T_SNP. HSL 5.4 T12 [HSL-COH-013]."""
        t.pending = set(t.holders.nids - {t.r})
        assert whom == "others" or t.holders.dir == "X"
        t.snp = name
        t.snoop_txn = self._snoop_tags.take()
        assert t.snoop_txn is not None, "there are fewer TSHRs than numbers"
        self.snoops[t.snoop_txn] = t
        t.deadline = self.now + self.t_snp
        for nid in sorted(t.pending):
            snoop = Message(
                Op[name],
                src=self.nid,
                dst=nid,
                txn=t.snoop_txn,
                len=LINE_LEN,
                addr=t.line,
                qos=t.request.qos,
                trace=t.request.trace,
            )
            self.outbox.append(snoop)
            self.counters[name] += 1

    def do_unpend(self, t: Transaction) -> None:
        """P := P - q; the snoop TXN is free when all have answered. HSL 5.4 T3."""
        t.pending.discard(t.q)
        if not t.pending and t.snoop_txn is not None:
            del self.snoops[t.snoop_txn]
            self._snoop_tags.free(t.snoop_txn)
            t.snoop_txn = t.deadline = None

    def do_list(self, t: Transaction, whom: str) -> None:
        """Add q or r to the sharers."""
        self.directory.share(t.line, self._who(t, whom))

    def do_unlist(self, t: Transaction, whom: str) -> None:
        """Remove q or r from the directory."""
        self.directory.unlist(t.line, self._who(t, whom))

    def do_own(self, t: Transaction) -> None:
        """Make r the owner."""
        self.directory.own(t.line, self._who(t, "r"))

    @staticmethod
    def _who(t: Transaction, whom: str) -> int:
        return t.r if whom == "r" else t.q

    def do_take(self, t: Transaction) -> None:
        """BUF := data + POISON of the message (dirty)."""
        t.buf, t.buf_kind = (t.message.data, bool(t.message.poison)), "dirty"

    def do_take_cur(self, t: Transaction) -> None:
        """BUF := data + POISON of the message, for the answer only."""
        t.buf, t.buf_kind = (t.message.data, bool(t.message.poison)), "cur"

    def do_take_poison(self, t: Transaction) -> None:
        """The owner is lost: BUF := the poisoned line (dirty). HSL 5.6 M3."""
        t.buf, t.buf_kind = GONE, "dirty"

    def do_written(self, t: Transaction) -> None:
        """The memory write of BUF has ended: BUF is empty."""
        t.buf_kind = "none"

    # ---- memory
    def do_mem_read(self, t: Transaction) -> str | None:
        """Read the line. HSL 5.6."""
        return self.leg.read(t, self.now)

    def do_mem_write(self, t: Transaction, source: str) -> str | None:
        """Write 64 B + POISON from buf, req or new. HSL 5.6."""
        data, poison = {
            "buf": t.buf,
            "req": (t.request.data, bool(t.request.poison)),
            "new": (t.new, False),
        }[source]
        return self.leg.write(t, data, poison, self.now)

    def do_mem_write_ptl(self, t: Transaction) -> str | None:
        """Merge the request's bytes. HSL 5.12, 6.1."""
        return self.leg.merge(t, self.now)

    def do_alu(self, t: Transaction) -> None:
        """OLD := old bytes, NEW := line after the AOP. HSL 5.12."""
        t.new, t.old = atomics.perform(t.mem[0], t.request)

    def do_mark(self, t: Transaction) -> None:
        """A write failed: mark the line as lost, without another write. HSL 5.6 M3 [HSL-COH-040]."""
        if fault := self.leg.lose(t.line):
            self.error(ErrorCode.DATA_LOST, fault, t.message)

    # ---- completions
    def do_cmp(self, t: Transaction, state: str) -> None:
        """Send Cmp(<ST>) to r. ST != I: new HTXN, start T_CACK. HSL 5.4 T7."""
        self._complete(t, Op.Cmp, St[state])

    def do_cmpdata(self, t: Transaction, state: str, source: str) -> None:
        """Send CmpData(<ST>) with mem, buf or old, + POISON; of a line what was asked for. [HSL-TXN-013]."""
        data, poison = {"mem": t.mem, "buf": t.buf, "old": (t.old, False)}[source]
        if source != "old":
            at = t.request.addr - t.line
            data = data[at : at + data_bytes(t.request.len)]
        self._complete(t, Op.CmpData, St[state], data=data, len=len_code(data), poison=int(poison))

    def do_cmp_err(self, t: Transaction, code: str) -> None:
        """Send Cmp(I) ERR=<code>; MEM = the code of the memory completion. HSL 5.3."""
        self._complete(t, Op.Cmp, St.I, err=t.mem_err if code == "MEM" else Err[code])

    def _complete(self, t: Transaction, op: Op, st: St, **fields: Any) -> None:
        htxn = 0
        if st != St.I:
            taken = self._htxn_tags.take()
            assert taken is not None, "there are fewer TSHRs than numbers"
            htxn = t.htxn = taken
            self.acks[htxn] = t
            t.ack_deadline = self.now + self.t_cack
        t.due = False
        self.outstanding[t.request.src].discard(t.request.txn)
        self.complete(t.request, op, st=st, htxn=htxn, **fields)

    def complete(self, request: Message, op: Op, **fields: Any) -> None:
        """Send the requester its completion. HSL 2.6 [HSL-TXN-003]."""
        self.counters["completions"] += 1
        qos, trace = request.qos, request.trace
        answer = Message(op, request.dst, request.src, request.txn, qos=qos, trace=trace, **fields)
        self.outbox.append(answer)

    def do_lose_r(self, t: Transaction) -> None:
        """Mark r as lost: nothing will be sent to it. HSL 5.6."""
        t.due = False

    def do_proto(self, t: Transaction) -> None:
        """Log PROTO, drop the message, count towards 6.3."""
        self.error(ErrorCode.PROTO, f"home {self.nid}: not expected in {t.state}", t.message)

    def error(self, code: ErrorCode, text: str, message: Message | None) -> None:
        """Hand an error to the node's log."""
        self.counters[code.name] += 1
        self.errors.append((code, text, message))

    def release(self, t: Transaction) -> None:
        """No CmpAck will come, or it has: the HTXN of the grant is free. HSL 5.4 T3."""
        t.ack_deadline = None
        if t.htxn is not None:
            del self.acks[t.htxn]
            self._htxn_tags.free(t.htxn)
            t.htxn = None
