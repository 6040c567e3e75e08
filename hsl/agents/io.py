"""The I/O agent: target of everything on the NCR channel (HSL 5.10, 5.14).

This file checks, keeps the order of each stream, and completes. What is behind is in modules of its own:
`mmio` (MMIO, interrupts, queues), `registers`, `management` (MgmtMsg), `iommu` and `atc` (translation).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from hsl._generated.constants import (
    GRANULE_BYTES,
    Err,
    ErrMsgKind,
    ErrorCode,
    Feature,
    Op,
    Right,
    Role,
    SamType,
)
from hsl._generated.layouts import ERR_MSG_D0, ERR_MSG_D1, INTR_D0
from hsl._generated.tables import OPCODES
from hsl.agents.address_map import AddressMap
from hsl.agents.atc import Atc
from hsl.agents.home_actions import ERRORS_LIMIT, ErrorEntry
from hsl.agents.identity import Identity, Product
from hsl.agents.iommu import Iommu
from hsl.agents.management import Management
from hsl.agents.mmio import MMIO_LIMIT, QUEUE_LIMIT, Command, Doorbell, Interrupt, Mmio
from hsl.agents.peers import Peers
from hsl.agents.registers import Registers
from hsl.agents.services import Alone, Later, Services
from hsl.codec.checks import Negotiated, check_request, data_bytes
from hsl.codec.message import Message

__all__ = [
    "MMIO_LIMIT",
    "REPORTS_LIMIT",
    "Command",
    "Doorbell",
    "Interrupt",
    "IoAgent",
    "IoConfig",
    "Report",
    "err_msg",
]

# Requests of one port and opcode that are under way and completed later: RECALL, TransInv, upper tester. One
# more TransInv or MgmtMsg ends with BUSY, a CfgWrite waits in its buffer; no other port or opcode does.
LATER_LIMIT: Final = 96
DEFERRING: Final = frozenset({Op.TransInv, Op.MgmtMsg, Op.CfgWrite})
# ErrMsg that nobody has looked at; the newest tell enough.
REPORTS_LIMIT: Final = 64
WRITES: Final = frozenset({Op.NcWrite, Op.NcEnq, Op.CfgWrite})  # what a VIRAL port may not do (6.1)
ACL_OPS: Final = frozenset({Op.NcRead, Op.NcWrite, Op.NcEnq})
CFG_OPS: Final = frozenset({Op.CfgRead, Op.CfgWrite})

Answer = Message | Later | None  # None: the request must wait


@dataclass(frozen=True, slots=True, kw_only=True)
class IoConfig:
    """An I/O agent: registers, doorbells, interrupts. HSL 5.14.

    Attributes:
        nid: its node identifier
        address_map: the AddressMap of its node
        product: vendor, device, revision and class of the node
        doorbells: doorbells that may wait for the software of the node
        vectors: interrupt vectors, each with a slot for one pending interrupt
        queues: address of each shared queue (NcEnq), and the commands that it holds
        master: the only NID that may write registers from the start; None for any
        iommu: the Iommu that translates for other nodes, or None

    """

    nid: int
    address_map: AddressMap
    product: Product = field(default_factory=Product)
    doorbells: int = QUEUE_LIMIT
    vectors: int = QUEUE_LIMIT
    queues: Mapping[int, int] = field(default_factory=dict)
    master: int | None = None
    iommu: Iommu | None = None


class Report(NamedTuple):
    """An ErrMsg ERROR that came: what the reporter logged first. `addr`: of its log entry."""

    src: int
    nid: int
    code: int
    severity: int
    addr: int


def err_msg(
    kind: ErrMsgKind, src: int, dst: int, nid: int, *, severity: int = 0, code: int = 0, addr: int = 0
) -> Message:
    """An ErrMsg: posted, TXN 0. HSL 5.14."""
    d0 = ERR_MSG_D0.build({"kind": kind, "severity": severity, "code": code, "nid": nid})
    return Message(Op.ErrMsg, src, dst, len=1, data=d0 + ERR_MSG_D1.build({"addr": addr}))


def stream_of(message: Message) -> tuple[int, int, int] | None:
    """Return the stream of a request, None for one that is in none: a stream is served in order. HSL 3.6 O4.

    An Intr is in none here, because its sender keeps its order. HSL 5.10 [HSL-NCR-006, HSL-NCR-011].
    """
    info = OPCODES[message.op]
    return (message.src, message.dst, message.aop) if info.order == "stream" and not info.sinks else None


class IoAgent:
    """The I/O agent of one node.

    Requests come in by `receive`, completions leave by `outbox`; `taken` are requests whose buffer is free
    again, `errors` is for the error log: all three are drained by the node, which also calls `poll` when
    something may have ended. One stream is served in order (O4); a stream that must wait stops no other, and
    nothing stops what sinks. [HSL-NCR-007]
    """

    def __init__(
        self,
        config: IoConfig,
        services: Services | None = None,
        atc: Atc | None = None,
        identity: Identity | None = None,
    ) -> None:
        self.config = config
        self.nid = config.nid
        self._services = services or Alone()
        self._atc = atc
        self.mmio = Mmio(config.nid, config.address_map, config.doorbells, config.vectors, config.queues)
        alone = Identity(roles=Role.IOA, vectors=config.vectors, product=config.product)
        self.registers = Registers(identity or alone, config.address_map, self._services)
        if config.master is not None:
            self.registers.set_master(config.master)
        self._management = Management(self._services)
        self._peers = Peers()
        self._fenced: set[int] = set()
        self.outbox: deque[Message] = deque()  # bounded by the node, as the home's
        self.taken: list[Message] = []
        self.errors: deque[ErrorEntry] = deque(maxlen=ERRORS_LIMIT)
        self.reports: deque[Report] = deque(maxlen=REPORTS_LIMIT)
        self.counters: Counter[str] = Counter()
        # For the device: 5.14 gives NcWrite no BUSY, so each holds a credit of a port, or a TXN of this node.
        self._waiting: list[Message] = []
        self._stopped: set[tuple[int, int, int]] = set()  # their streams
        self._open: set[tuple[int, int]] = set()  # SRC and TXN of what waits or is under way
        self._later: list[tuple[Message, Later]] = []  # at most LATER_LIMIT of each port
        self._now = 0
        self._handlers: Mapping[int, Callable[[Message], Answer]] = {
            Op.NcRead: self._nc_read,
            Op.NcWrite: self._nc_write,
            Op.NcEnq: self._nc_enq,
            Op.Intr: self._intr,
            Op.TransReq: self._trans_req,
            Op.TransInv: self._trans_inv,
            Op.PageReq: self._page_req,
            Op.PageRsp: self._page_rsp,
            Op.MgmtMsg: lambda message: self._management.serve(message, self._tested(message), self._now),
            Op.CfgRead: self._cfg_read,
            Op.CfgWrite: self._cfg_write,
        }

    # ---- the device's side
    def has_doorbell(self) -> bool:
        """True if a doorbell was rung since the last call of `doorbells`."""
        return bool(self.mmio.doorbells)

    def has_interrupt(self) -> bool:
        """True if an interrupt arrived since the last call of `interrupts`."""
        return bool(self.mmio.interrupts)

    def doorbells(self) -> list[Doorbell]:
        """The doorbells rung since the last call, in order of arrival."""
        rung = list(self.mmio.doorbells)
        self.mmio.doorbells.clear()
        self._serve()
        return rung

    def interrupts(self) -> list[Interrupt]:
        """The interrupts pending since the last call, one of each vector, the longest pending first."""
        raised = list(self.mmio.interrupts.values())
        self.mmio.interrupts.clear()
        return raised

    def commands(self, queue: int, most: int = QUEUE_LIMIT) -> list[Command]:
        """The oldest commands of a shared queue, at most `most`, which leave it; KeyError for no queue."""
        held, _ = self.mmio.queues[queue]
        return [held.popleft() for _ in range(min(most, len(held)))]

    def peek(self, addr: int, size: int) -> bytes:
        """The register bytes as the device sees them; ConfigError outside its MMIO."""
        return self.mmio.read(addr, size)

    def write_register(self, addr: int, value: int) -> None:
        """Set the 8 bytes at `addr`, without ringing; ConfigError outside its MMIO."""
        self.mmio.write(addr, value.to_bytes(GRANULE_BYTES, "little"), None)

    # ---- the node's side
    def attach(self, nids: range, negotiated: Negotiated, port: int | None = None) -> None:
        """The nodes `nids` are reached by `port` with this configuration."""
        self._peers.attach(nids, negotiated, port)
        self._fenced.difference_update(nids)

    @property
    def idle(self) -> bool:
        """No request waits or is under way."""
        return not self._waiting and not self._later

    def lost(self, nid: int) -> None:
        """Node `nid` is lost: its waiting requests are dropped, nothing of it counts. HSL 6.2 F1, F3."""
        self._fenced.add(nid)
        self.taken += [message for message in self._waiting if message.src == nid]
        self._waiting = [message for message in self._waiting if message.src != nid]
        self._later = [(message, later) for message, later in self._later if message.src != nid]
        self._open = {each for each in self._open if each[0] != nid}
        self._serve()

    def readmit(self, nid: int) -> None:
        """Hear node `nid` again. HSL 6.2 F5."""
        self._fenced.discard(nid)

    def receive(self, message: Message, now: int, viral: bool = False) -> None:
        """One NCR message; `viral`: its port shows VIRAL. Never raises for what a peer can send."""
        self._now = now
        if message.op == Op.ErrMsg:  # posted: no completion, also for a bad one
            self.counters["ErrMsg"] += 1
            self._err_msg(message)
            self.taken.append(message)
        elif message.src in self._fenced:  # HSL 6.2 F3
            self.counters["late"] += 1
            self.taken.append(message)
        elif err := self._check(message, viral):
            self.taken.append(message)
            self._complete(message, Message(Op.Cmp, err=err))
        elif self._reused(message):
            self._error(ErrorCode.PROTO, f"TXN {message.txn} is in use or above the maximum", message)
            self.taken.append(message)
        else:
            self._open.add((message.src, message.txn))
            if stream_of(message) in self._stopped or not self._begin(message):
                self._wait(message)

    def poll(self, now: int) -> bool:
        """Complete what has ended; True when something has."""
        self._now = now
        still: list[tuple[Message, Later]] = []
        before, self._later = self._later, []
        for message, later in before:
            done = later.poll(now)
            if done is None:
                still.append((message, later))
            else:
                self._end(message, done)
        self._later = still + self._later
        if len(still) < len(before):
            self._serve()
        return len(still) < len(before)

    # ---- checks
    def _check(self, message: Message, viral: bool) -> Err:
        """The checks of 5.14, the first that applies."""
        form = check_request(message, self._peers.of(message.src))
        if form == Err.UNSUP or message.op not in self._handlers:
            return Err.UNSUP
        if not self._decodes(message):
            return Err.DECODE
        if form:
            return form
        if self._denied(message):
            return Err.ACCESS
        if viral and message.op in WRITES:
            return Err.DATA  # HSL 6.1 [HSL-RAS-005]
        return Err.OK

    def _denied(self, message: Message) -> bool:
        if message.op in ACL_OPS:
            rights = self.config.address_map.rights(message.addr, message.src, message.dom)
            return not rights & Right.N
        return message.op == Op.CfgWrite and not self.registers.may_write(message.src)

    def _decodes(self, message: Message) -> bool:
        """True if this node has what is addressed: a vector, an MMIO range, a queue or a register."""
        if message.op == Op.Intr:
            return bool(INTR_D0.parse(message.data[:GRANULE_BYTES])["vector"] < self.mmio.vectors)
        if message.op in CFG_OPS:
            good = message.len in OPCODES[message.op].len  # else PROTO, which comes later
            return self.registers.exists(message.addr, data_bytes(message.len) if good else GRANULE_BYTES)
        if message.op not in ACL_OPS:
            return True
        if message.op == Op.NcEnq and message.addr - message.addr % data_bytes(3) not in self.mmio.queues:
            return False
        entry = self.config.address_map.lookup(message.addr)
        return (
            entry is not None
            and entry.type == SamType.MMIO
            and entry.home_of(message.addr) == self.nid == message.dst
            and self.mmio.covers(message.addr - message.addr % GRANULE_BYTES, GRANULE_BYTES)
        )

    def _reused(self, message: Message) -> bool:
        in_use = (message.src, message.txn) in self._open
        return in_use or message.txn >= self._peers.of(message.src).max_txn

    def _tested(self, message: Message) -> bool:
        return bool(self._peers.of(message.src).features & Feature.UT)

    # ---- order and completions
    def _serve(self) -> None:
        """Serve what waits, in order; who must wait stops its stream. HSL 3.6 O4 [HSL-NCR-001]."""
        waiting, self._waiting = self._waiting, []
        self._stopped.clear()
        for message in waiting:
            if stream_of(message) in self._stopped or not self._begin(message):
                self._wait(message)

    def _wait(self, message: Message) -> None:
        stream = stream_of(message)
        assert stream is not None  # all others sink, or end with BUSY
        self._waiting.append(message)
        self._stopped.add(stream)

    def _begin(self, message: Message) -> bool:
        """Do a request, or see that it is under way; False when it must wait."""
        full = message.op in DEFERRING and self._full(message)
        busy = Message(Op.Cmp, err=Err.BUSY) if OPCODES[message.op].repeated else None  # [HSL-NCR-009]
        answer = busy if full else self._answer(message)
        if answer is None:
            return False
        self.taken.append(message)
        done = answer if isinstance(answer, Message) else answer.poll(self._now)
        if done is not None:
            self._end(message, done)
        elif isinstance(answer, Later):
            self._later.append((message, answer))
        return True

    def _answer(self, message: Message) -> Answer:
        """Return the answer of the device; it refuses poisoned data. HSL 5.14, 6.1 [HSL-RAS-001]."""
        if message.poison and OPCODES[message.op].data:
            return Message(Op.Cmp, err=Err.DATA)
        return self._handlers[message.op](message)

    def _full(self, message: Message) -> bool:
        """True if the port of a message has LATER_LIMIT requests of its opcode under way."""
        same = (m.src for m, _ in self._later if m.op == message.op)
        return sum(self._services.together(src, message.src) for src in same) >= LATER_LIMIT

    def _end(self, request: Message, answer: Message) -> None:
        """Complete a request that was taken: its TXN is free."""
        self._open.discard((request.src, request.txn))
        self._complete(request, answer)

    def _complete(self, request: Message, answer: Message) -> None:
        self.counters[OPCODES[request.op].name if request.op in OPCODES else "unknown"] += 1
        self.outbox.append(
            answer._replace(
                src=request.dst, dst=request.src, txn=request.txn, qos=request.qos, trace=request.trace
            )
        )

    def _error(self, code: ErrorCode, text: str, message: Message) -> None:
        self.counters[code.name] += 1
        self.errors.append((code, f"I/O agent {self.nid}: {text}", message))

    def _err_msg(self, message: Message) -> None:
        """Take an ErrMsg; a bad, poisoned or reserved one is dropped. HSL 5.14, 6.5."""
        if check_request(message, self._peers.of(message.src)) or message.poison:
            return
        d0, d1 = ERR_MSG_D0.parse(message.data[:8]), ERR_MSG_D1.parse(message.data[8:16])
        if d0["kind"] == ErrMsgKind.ERROR:
            self.reports.append(Report(message.src, d0["nid"], d0["code"], d0["severity"], d1["addr"]))

    # ---- one handler per OP
    def _nc_read(self, message: Message) -> Answer:
        data = self.mmio.read(message.addr, data_bytes(message.len))
        if message.be is not None:
            data = bytes(byte if message.be >> i & 1 else 0 for i, byte in enumerate(data))
        return Message(Op.CmpData, len=message.len, data=data)

    def _nc_write(self, message: Message) -> Answer:
        bell = Doorbell(message.addr, message.data, message.src)
        return Message(Op.Cmp) if self.mmio.ring(bell, message.be) else None

    def _nc_enq(self, message: Message) -> Answer:
        taken = self.mmio.enqueue(Command(message.addr, message.data, message.src))
        return Message(Op.Cmp, err=Err.OK if taken else Err.BUSY)

    def _intr(self, message: Message) -> Answer:
        fields = INTR_D0.parse(message.data)
        self.mmio.interrupt(Interrupt(fields["vector"], fields["data"], message.src))
        return Message(Op.Cmp)

    def _trans_req(self, message: Message) -> Answer:
        iommu = self.config.iommu
        return Message(Op.Cmp, err=Err.UNSUP) if iommu is None else iommu.translation(message)

    def _page_req(self, message: Message) -> Answer:
        iommu = self.config.iommu
        if iommu is None:
            return Message(Op.Cmp, err=Err.UNSUP)
        return Message(Op.Cmp, err=iommu.page_request(message, self._services.together))

    def _trans_inv(self, message: Message) -> Answer:
        if self._atc is None:
            return Message(Op.Cmp)  # nothing is kept here, so nothing is old
        if not self._services.together(message.src, self._atc.config.iommu):
            return Message(Op.Cmp, err=Err.ACCESS)  # a stranger would keep the device translating for ever
        done = self._atc.invalidate(message)
        return Later(lambda now: Message(Op.Cmp) if done() else None)

    def _page_rsp(self, message: Message) -> Answer:
        mine = self._atc is not None and self._services.together(message.src, self._atc.config.iommu)
        if self._atc is None or not mine or not self._atc.page_response(message, self._now):
            self._error(ErrorCode.PROTO, "PageRsp for a group that was not asked for", message)
            return Message(Op.Cmp, err=Err.PROTO)
        return Message(Op.Cmp)

    def _cfg_read(self, message: Message) -> Answer:
        data = self.registers.read(message.addr, data_bytes(message.len))
        return Message(Op.CmpData, len=message.len, data=data)

    def _cfg_write(self, message: Message) -> Answer:
        done = self.registers.write(message.addr, message.data, self._now)
        return done if isinstance(done, Later) else Message(Op.Cmp, err=done)
