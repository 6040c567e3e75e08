"""The memory target: serves the MEM requests of one home from device memory (HSL 5.6 M2, M6)."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from hsl._generated.constants import (
    ADDRESS_BITS,
    GRANULE_BYTES,
    LINE_BYTES,
    SAM_ENTRIES,
    Err,
    ErrorCode,
    MgmtType,
    Op,
    SamType,
)
from hsl._generated.layouts import MGMT_ANSWER_D0, MGMT_D0
from hsl._generated.tables import OPCODES
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.home_actions import ERRORS_LIMIT, ErrorEntry
from hsl.agents.memory import Memory
from hsl.agents.peers import LOCAL, Peers
from hsl.codec.checks import Negotiated, check_request
from hsl.codec.message import Message
from hsl.errors import ConfigError, TransactionError

__all__ = ["MemoryTarget", "TargetConfig"]

Bytes = tuple[int, int]  # addresses of the first and of the last one
EVERYTHING: Final = (0, (1 << ADDRESS_BITS) - 1)
NOTHING: Final = (0, -1)
LINE_LEN: Final = (LINE_BYTES // GRANULE_BYTES).bit_length() - 1  # LEN code of a line (2.6)


class Report(NamedTuple):
    """A CONTENT_LOST: the home that was told, and of what."""

    home: int
    part: Bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetConfig:
    """A memory target: it serves memory whose home is elsewhere. HSL 5.6 M2.

    Attributes:
        nid: its node identifier; it serves the HDM-H entries of `address_map` with this `mt`
        address_map: the AddressMap of its node
        negotiated: what holds for requests from its own node

    A Node raises ConfigError unless all its ranges have one home, and lie in its Memory.

    """

    nid: int
    address_map: AddressMap
    negotiated: Negotiated = LOCAL


class MemoryTarget:
    """Answers each MEM request in the step in which it comes: it has no state per line or per TXN.

    Answers leave by `outbox`; `taken` are requests whose input buffer is free again. ConfigError when a range
    that names this target is not in `memory`, or has another home than the rest: a target has exactly one. A
    target without a range waits for the map.
    """

    def __init__(self, config: TargetConfig, memory: Memory) -> None:
        self.config = config
        self.nid = config.nid
        self.memory = memory
        self.outbox: deque[Message] = deque()  # one answer for each request taken since it was drained
        self.errors: deque[ErrorEntry] = deque(maxlen=ERRORS_LIMIT)
        self.taken: list[Message] = []  # those that came in since the last drain
        self.counters: Counter[str] = Counter()
        self._lost: list[Bytes] = []  # whose content is lost, and no home of which has answered yet (M5)
        self._open: dict[int, Report] = {}  # by TXN: each CONTENT_LOST without an answer
        self._peers = Peers(config.negotiated)
        if len(self.homes) > 1:
            raise ConfigError(f"memory target {self.nid}: homes {sorted(self.homes)}; it has exactly one")
        for entry in self._ranges():
            if not memory.covers(entry.base, entry.last):
                raise ConfigError(
                    f"memory target {self.nid}: {entry.base:#x}..{entry.last:#x} is not in its memory, "
                    f"{memory}"
                )
        self._serve: Mapping[int, Callable[[Message], Message]] = {
            Op.MemRd: self._read,
            Op.MemWr: self._write,
            Op.MemWrPtl: self._merge,
        }

    @property
    def homes(self) -> set[int]:
        """The home of its ranges; none before the map names it. HSL 5.6 M2."""
        return {nid for entry in self._ranges() for nid in entry.homes}

    def can_serve(self, entry: SamEntry) -> bool:
        """True if this entry may stand in the map: all ranges of a target have one home. HSL 5.14."""
        mine = entry.type == SamType.HDM_H and entry.mt == self.nid
        return not mine or len(self.homes | set(entry.homes)) == 1

    @property
    def blank(self) -> bool:
        """Content of a range is lost, and its home has not answered yet; or there is no range. HSL 5.6 M5."""
        ranges = self._ranges()
        return bool(self._lost) and (not ranges or any(self._lost_of(entry) for entry in ranges))

    def _lost_of(self, entry: SamEntry) -> list[Bytes]:
        """The parts of a range whose content is lost."""
        parts = [(max(first, entry.base), min(last, entry.last)) for first, last in self._lost]
        return [(first, last) for first, last in parts if first <= last]

    def begin(self) -> None:
        """Report lost content to the home of each range, unless it has not answered; the node is READY.

        HSL 5.6 M5, 5.15.3.
        """
        if not self._lost:
            return
        head = MGMT_D0.build({"type": MgmtType.CONTENT_LOST})
        for report in [Report(entry.home, part) for entry in self._ranges() for part in self._lost_of(entry)]:
            if report in self._open.values() or len(self._open) == SAM_ENTRIES:
                continue
            txn = next(txn for txn in range(SAM_ENTRIES) if txn not in self._open)
            self._open[txn] = report
            body = b"".join(byte.to_bytes(GRANULE_BYTES, "little") for byte in report.part)
            record = (head + body).ljust(LINE_BYTES, b"\0")
            self.outbox.append(Message(Op.MgmtMsg, self.nid, report.home, txn, LINE_LEN, data=record))

    def _entry(self, addr: int) -> SamEntry | None:
        """Return the entry of `addr` if this target serves it."""
        entry = self.config.address_map.lookup(addr)
        return entry if entry is not None and entry.type == SamType.HDM_H and entry.mt == self.nid else None

    def _ranges(self) -> list[SamEntry]:
        return [e for e in self.config.address_map if e.type == SamType.HDM_H and e.mt == self.nid]

    def attach(self, nids: range, negotiated: Negotiated, port: int | None = None) -> None:
        """Note that a port with this configuration leads to `nids`: none of them has been told anything."""
        self._peers.attach(nids, negotiated, port)
        self._open = {txn: report for txn, report in self._open.items() if report.home not in nids}
        kept = [message for message in self.outbox if message.op != Op.MgmtMsg or message.dst not in nids]
        self.outbox.clear()
        self.outbox.extend(kept)

    def lose_content(self) -> None:
        """All that the memory held is gone: nothing is served before the home knows. Call `begin` then."""
        self._lost = [EVERYTHING]
        self._open = {txn: report._replace(part=NOTHING) for txn, report in self._open.items()}

    def answered(self, message: Message) -> None:
        """The answer to a CONTENT_LOST; after an error `begin` reports again."""
        report = self._open.get(message.txn)
        fits = message.err or (message.op == Op.CmpData and message.len == LINE_LEN)
        if report is None or message.src != report.home or not fits:  # 5.4 T16
            text = f"memory target {self.nid} asked for no answer with TXN {message.txn}, or for another one"
            self.errors.append((ErrorCode.PROTO, text, message))
            return
        del self._open[message.txn]
        status = message.err or MGMT_ANSWER_D0.parse(message.data[:GRANULE_BYTES])["status"]
        if not (status or message.poison) and report.home in self.homes:  # else another one is to know
            begin, end = report.part
            below = [(first, min(last, begin - 1)) for first, last in self._lost]
            above = [(max(first, end + 1), last) for first, last in self._lost]
            self._lost = [(first, last) for first, last in below + above if first <= last]

    def receive(self, message: Message, now: int, viral: bool = False) -> None:
        """One MEM message; `viral`: its port shows VIRAL. Never raises for what a peer can send."""
        self.counters["requests"] += 1
        err = self._check(message)
        if err:
            self.counters["refused"] += 1
            answer = Message(Op.Cmp, err=err)
        else:
            self.counters[Op(message.op).name] += 1
            try:
                # HSL 6.1: what a VIRAL port writes is poisoned
                answer = self._serve[message.op](message._replace(poison=1) if viral else message)
            except TransactionError as error:
                answer = Message(Op.Cmp, err=error.code)
        self.outbox.append(
            answer._replace(
                src=self.nid, dst=message.src, txn=message.txn, qos=message.qos, trace=message.trace
            )
        )
        self.taken.append(message)

    def _check(self, message: Message) -> Err:
        """Return the first reason to refuse a request. HSL 5.3, 5.4 T15, 5.14."""
        if message.op not in OPCODES:
            return Err.UNSUP
        entry = self._entry(message.addr)
        if entry is None:
            return Err.DECODE
        if err := check_request(message, self._peers.of(message.src)):
            return err
        if message.src not in entry.homes:
            return Err.ACCESS
        lost = any(first <= message.addr <= last for first, last in self._lost)
        return Err.UNREACH if lost else Err.OK

    def _read(self, message: Message) -> Message:
        """Data that cannot be corrected come as POISON, not as an error. HSL 5.6 M2 [HSL-COH-032]."""
        data, poison = self.memory.read_line(message.addr)
        return Message(Op.CmpData, len=LINE_LEN, data=data, poison=int(poison))

    def _write(self, message: Message) -> Message:
        self.memory.write_line(message.addr, message.data, bool(message.poison))
        return Message(Op.Cmp)

    def _merge(self, message: Message) -> Message:
        """Write the enabled bytes only. HSL 5.12 [HSL-COH-032]."""
        self.memory.merge(message.addr, message.data, message.enables, bool(message.poison))
        return Message(Op.Cmp)
