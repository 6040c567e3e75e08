"""The I/O agent: target of MMIO, interrupts and register accesses on the NCR channel (HSL 5.10, 5.14)."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from hsl._generated.constants import (
    GRANULE_BYTES,
    MAGIC,
    VERSION,
    Err,
    ErrorCode,
    Op,
    Register,
    Right,
    Role,
    SamType,
)
from hsl._generated.layouts import SAM_BASE, SAM_COUNT, SAM_STRIDE
from hsl._generated.tables import OPCODES
from hsl.agents.address_map import AddressMap, encode_entry
from hsl.agents.home_actions import ERRORS_LIMIT, ErrorEntry
from hsl.agents.peers import Peers
from hsl.codec.checks import Negotiated, check_request
from hsl.codec.message import Message
from hsl.errors import ConfigError

__all__ = ["MMIO_LIMIT", "Doorbell", "Interrupt", "IoAgent", "IoConfig"]

# Bytes of MMIO of one agent: registers and doorbells; bulk data has its place in memory.
MMIO_LIMIT: Final = 1 << 20
# Doorbells and interrupts that the device has not taken yet. A full queue completes nothing (5.14 gives
# NcWrite and Intr no BUSY): the request waits in the buffer its credit paid for, and the sender runs out
# of credits.
QUEUE_LIMIT: Final = 256
# Requests that may wait so; the node lets no more in (`room`).
WAITING_LIMIT: Final = 1024
WRITES: Final = frozenset({Op.NcWrite, Op.NcEnq, Op.CfgWrite})  # what a VIRAL port may not do (6.1)


class Doorbell(NamedTuple):
    """An NcWrite of 8 bytes: where, what, and the NID that rang."""

    addr: int
    data: bytes
    src: int


class Interrupt(NamedTuple):
    """An Intr: vector and data (u32 each), and the NID that raised it."""

    vector: int
    data: int
    src: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IoConfig:
    """One I/O agent. `guid`, `roles` and `status` fill its registers; the numbers are caps."""

    nid: int
    address_map: AddressMap
    guid: int = 0
    roles: Role = Role.IOA
    doorbells: int = QUEUE_LIMIT
    interrupts: int = QUEUE_LIMIT
    waiting: int = WAITING_LIMIT
    status: Callable[[], int] = field(default=lambda: 0)


class IoAgent:
    """Register file with doorbells, interrupt queue and configuration registers of one node.

    Requests come in by `receive`, completions leave by `outbox`; `taken` are requests whose buffer is free
    again, `errors` is for the error log: all three are drained by the node. One stream is served in order
    (O4); a stream that must wait stops no other. ConfigError for more MMIO than MMIO_LIMIT.
    """

    def __init__(self, config: IoConfig) -> None:
        self.config = config
        self.nid = config.nid
        mine = [e for e in config.address_map if e.type == SamType.MMIO and config.nid in e.homes]
        size = sum(entry.last + 1 - entry.base for entry in mine)
        if size > MMIO_LIMIT:
            raise ConfigError(
                f"I/O agent {config.nid}: {size} bytes of MMIO; legal are {MMIO_LIMIT} (MMIO_LIMIT)"
            )
        self._files = [(entry.base, bytearray(entry.last + 1 - entry.base)) for entry in mine]
        self._peers = Peers()
        self.outbox: deque[Message] = deque()  # bounded by the node, as the home's
        self.taken: list[Message] = []
        self.errors: deque[ErrorEntry] = deque(maxlen=ERRORS_LIMIT)
        self.counters: Counter[str] = Counter()
        self._doorbells: list[Doorbell] = []
        self._interrupts: list[Interrupt] = []
        self._waiting: list[Message] = []
        self._registers: Mapping[int, Callable[[], int]] = {
            Register.ID: lambda: int.from_bytes(MAGIC + bytes([*VERSION, config.roles]), "little"),
            Register.GUID: lambda: config.guid,
            Register.STATUS: config.status,
        }
        self._handlers: Mapping[int, Callable[[Message], Message | None]] = {
            Op.NcRead: self._nc_read,
            Op.NcWrite: self._nc_write,
            Op.Intr: self._intr,
            Op.CfgRead: self._cfg_read,
            Op.CfgWrite: self._cfg_write,
        }

    # ---- the device's side
    def has_doorbell(self) -> bool:
        """Has somebody rung since `doorbells`."""
        return bool(self._doorbells)

    def has_interrupt(self) -> bool:
        """Has somebody interrupted since `interrupts`."""
        return bool(self._interrupts)

    def doorbells(self) -> list[Doorbell]:
        """The doorbells rung since the last call, in order of arrival."""
        rung, self._doorbells = self._doorbells, []
        self._serve()
        return rung

    def interrupts(self) -> list[Interrupt]:
        """The interrupts raised since the last call, in order of arrival."""
        raised, self._interrupts = self._interrupts, []
        self._serve()
        return raised

    def peek(self, addr: int, size: int) -> bytes:
        """The register bytes as the device sees them; ConfigError outside its MMIO."""
        file, offset = self._file(addr, size)
        return bytes(file[offset : offset + size])

    def write_register(self, addr: int, value: int) -> None:
        """Set the 8 bytes at `addr`, without ringing; ConfigError outside its MMIO."""
        file, offset = self._file(addr, GRANULE_BYTES)
        file[offset : offset + GRANULE_BYTES] = value.to_bytes(GRANULE_BYTES, "little")

    def _file(self, addr: int, size: int) -> tuple[bytearray, int]:
        for base, file in self._files:
            if base <= addr and addr + size <= base + len(file):
                return file, addr - base
        raise ConfigError(f"I/O agent {self.nid}: {size} bytes at {addr:#x} are not in its MMIO")

    # ---- the node's side
    def attach(self, nids: range, negotiated: Negotiated) -> None:
        """The nodes `nids` are reached by a port with this configuration."""
        self._peers.attach(nids, negotiated)

    @property
    def room(self) -> bool:
        """May another request come in."""
        return len(self._waiting) < self.config.waiting

    @property
    def idle(self) -> bool:
        """No request waits."""
        return not self._waiting

    def lost(self, nid: int) -> None:
        """Node `nid` is lost: its waiting requests are dropped. HSL 6.2 F1."""
        self.taken += [message for message in self._waiting if message.src == nid]
        self._waiting = [message for message in self._waiting if message.src != nid]

    def receive(self, message: Message, now: int, viral: bool = False) -> None:
        """One NCR message; `viral`: its port shows VIRAL. Never raises for what a peer can send."""
        if message.op == Op.ErrMsg:  # posted: no completion, also for a bad one
            self.counters["ErrMsg"] += 1
            self.taken.append(message)
            return
        if err := self._check(message, viral):
            self._complete(message, Message(Op.Cmp, err=err))
        elif self._reused(message):
            self._error(ErrorCode.PROTO, f"TXN {message.txn} is in use or above the maximum", message)
            self.taken.append(message)
        else:
            self._waiting.append(message)
            self._serve()

    def _check(self, message: Message, viral: bool) -> Err:
        """The checks of 5.14, the first that applies."""
        form = check_request(message, self._peers.of(message.src))
        if form == Err.UNSUP or message.op not in self._handlers:
            return Err.UNSUP
        if not self._decodes(message):
            return Err.DECODE
        if form:
            return form
        if (
            message.op in (Op.NcRead, Op.NcWrite)
            and not self.config.address_map.rights(message.addr) & Right.N
        ):
            return Err.ACCESS
        if viral and message.op in WRITES:
            return Err.DATA  # HSL 6.1 [HSL-RAS-005]
        return Err.OK

    def _decodes(self, message: Message) -> bool:
        """Is there something at the address: an MMIO range of this node, a register."""
        if message.op == Op.Intr:
            return True
        if message.op in (Op.CfgRead, Op.CfgWrite):
            return self._register(message.addr) is not None
        entry = self.config.address_map.lookup(message.addr)
        return (
            entry is not None
            and entry.type == SamType.MMIO
            and entry.home_of(message.addr) == self.nid == message.dst
        )

    def _reused(self, message: Message) -> bool:
        open_ = any(m.src == message.src and m.txn == message.txn for m in self._waiting)
        return open_ or message.txn >= self._peers.of(message.src).max_txn

    def _serve(self) -> None:
        """Serve what waits, in order; who must wait stops its stream. HSL 3.6 O4 [HSL-NCR-001]."""
        stopped: set[tuple[int, int, int]] = set()
        waiting, self._waiting = self._waiting, []
        for message in waiting:
            stream = message.src, message.dst, message.aop
            answer = None if stream in stopped else self._handlers[message.op](message)
            if answer is None:
                stopped.add(stream)
                self._waiting.append(message)
            else:
                self._complete(message, answer)

    def _complete(self, request: Message, answer: Message) -> None:
        self.counters[OPCODES[request.op].name if request.op in OPCODES else "unknown"] += 1
        self.taken.append(request)
        self.outbox.append(
            answer._replace(
                src=request.dst, dst=request.src, txn=request.txn, qos=request.qos, trace=request.trace
            )
        )

    def _error(self, code: ErrorCode, text: str, message: Message) -> None:
        self.counters[code.name] += 1
        self.errors.append((code, f"I/O agent {self.nid}: {text}", message))

    # ---- one handler per OP: the completion, or None when the request must wait
    def _nc_read(self, message: Message) -> Message:
        size = GRANULE_BYTES << message.len
        data = self.peek(message.addr, size)
        if message.be is not None:
            data = bytes(byte if message.be >> i & 1 else 0 for i, byte in enumerate(data))
        return Message(Op.CmpData, len=message.len, data=data)

    def _nc_write(self, message: Message) -> Message | None:
        if message.poison:
            return Message(Op.Cmp, err=Err.DATA)  # the device would consume it (6.1)
        whole = message.be is None or message.be == (1 << len(message.data)) - 1
        rings = whole and len(message.data) == GRANULE_BYTES
        if rings and len(self._doorbells) >= self.config.doorbells:
            return None
        file, offset = self._file(message.addr, len(message.data))
        for i, byte in enumerate(message.data):
            if whole or (message.be or 0) >> i & 1:
                file[offset + i] = byte
        if rings:
            self._doorbells.append(Doorbell(message.addr, message.data, message.src))
        return Message(Op.Cmp)

    def _intr(self, message: Message) -> Message | None:
        if message.poison:
            return Message(Op.Cmp, err=Err.DATA)
        if len(self._interrupts) >= self.config.interrupts:
            return None
        vector, data = (int.from_bytes(message.data[i : i + 4], "little") for i in (0, 4))
        self._interrupts.append(Interrupt(vector, data, message.src))
        return Message(Op.Cmp)

    def _cfg_read(self, message: Message) -> Message:
        size = GRANULE_BYTES << message.len
        granules = [self._register(message.addr + i) for i in range(0, size, GRANULE_BYTES)]
        if None in granules:
            return Message(Op.Cmp, err=Err.DECODE)
        return Message(Op.CmpData, len=message.len, data=b"".join(filter(None, granules)))

    def _cfg_write(self, message: Message) -> Message:
        """The registers here are read-only: a write changes nothing. The map is fixed while the node runs."""
        return Message(Op.Cmp, err=Err.UNSUP if message.addr >= SAM_BASE else Err.OK)

    def _register(self, offset: int) -> bytes | None:
        """The 8 bytes of a configuration register, None where there is none. HSL 5.14."""
        if offset % GRANULE_BYTES == 0 and SAM_BASE <= offset < SAM_BASE + SAM_COUNT * SAM_STRIDE:
            index, at = divmod(offset - SAM_BASE, SAM_STRIDE)
            entries = self.config.address_map.entries
            return encode_entry(entries[index] if index < len(entries) else None)[at : at + GRANULE_BYTES]
        value = self._registers.get(offset)
        return None if value is None else value().to_bytes(GRANULE_BYTES, "little")
