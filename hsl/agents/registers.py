"""The configuration registers of a node, and what writing them does (HSL 5.14)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hsl._generated.constants import GRANULE_BYTES, Err, FenceCommand, Op, Register
from hsl._generated.layouts import (
    ACL_BASE,
    ACL_COUNT,
    ACL_STRIDE,
    CFGMASTER_D0,
    ERRDST_D0,
    FENCE_D0,
    RATE_D0,
    READY_D0,
    RECALL_D0,
    RECALL_D1,
    RECALLING_D0,
    SAM_BASE,
    SAM_COUNT,
    SAM_STRIDE,
)
from hsl._generated.tables import REGISTERS
from hsl.agents.access_list import decode_acl, encode_acl, losses
from hsl.agents.address_map import AddressMap, decode_entry, encode_entry
from hsl.agents.identity import Identity
from hsl.agents.services import Later, Services
from hsl.codec.message import Message
from hsl.errors import ConfigError

__all__ = ["Registers"]

OF_A_HOME = frozenset({"FENCE", "RECALL", "RECALLING"})
MAX_RECALLING = (1 << 32) - 1  # what fits the register
RESERVED = frozenset({"DRAIN"})  # for 1.1


def _word(value: int) -> bytes:
    return value.to_bytes(GRANULE_BYTES, "little")


class Registers:
    """The registers of one node: by offset in bytes; `identity` fills those that only the node changes.

    A reserved register is not there, and one that only a home has not without one.
    """

    def __init__(self, identity: Identity, address_map: AddressMap, services: Services) -> None:
        self._map = address_map
        self._services = services
        self._values = dict.fromkeys(REGISTERS, 0) | identity.registers()
        self._tables = identity.tables()
        self._missing = RESERVED if services.has_home else RESERVED | OF_A_HOME
        self._effects: Mapping[str, Callable[[int], Err]] = {
            "FENCE": self._fence,
            "RECALL": self._recall,
            "RATE": self._rate,
            "READY": self._begin,
        }

    # ---- what they mean to others
    def may_write(self, src: int) -> bool:
        """CFGMASTER: may `src` write registers."""
        master = CFGMASTER_D0.parse(_word(self._values[Register.CFGMASTER]))
        return not master["on"] or bool(master["nid"] == src)

    def set_master(self, nid: int) -> None:
        """Let only `nid` write registers from now on."""
        self._values[Register.CFGMASTER] = self._build(CFGMASTER_D0, nid=nid, on=1)

    @property
    def ready(self) -> bool:
        """READY: the node may send requests. HSL 5.15.3."""
        return bool(READY_D0.parse(_word(self._values[Register.READY]))["on"])

    def port_down(self, nids: range, *, only: bool) -> None:
        """LINK_DOWN of the port of `nids`: READY falls if the boot master is there. HSL 5.15.3 [HSL-BOT-007].

        It is at the only port; without CFGMASTER it may be anywhere.
        """
        master = CFGMASTER_D0.parse(_word(self._values[Register.CFGMASTER]))
        if only or not master["on"] or master["nid"] in nids:
            self._values[Register.READY] = 0
            self._services.ready(False)

    @property
    def error_destination(self) -> int | None:
        """ERRDST: the NID that gets ErrMsg ERROR, None while it is off."""
        fields = ERRDST_D0.parse(_word(self._values[Register.ERRDST]))
        return int(fields["nid"]) if fields["on"] else None

    @staticmethod
    def _build(layout: type, **fields: int) -> int:
        return int.from_bytes(layout.build(fields), "little")  # type: ignore[attr-defined]

    # ---- access
    def exists(self, offset: int, size: int) -> bool:
        """True if each of the granules belongs to a register."""
        return all(self._there(offset + at) for at in range(0, size, GRANULE_BYTES))

    def _there(self, offset: int) -> bool:
        if self._entry(offset) is not None or self._listed(offset) is not None:
            return True
        info = REGISTERS.get(offset - offset % GRANULE_BYTES)
        return info is not None and info.name not in self._missing

    @staticmethod
    def _entry(offset: int) -> tuple[str, int, int] | None:
        """(table, index, offset inside) of an entry of the map or the access list."""
        tables = (("SAM", SAM_BASE, SAM_COUNT, SAM_STRIDE), ("ACL", ACL_BASE, ACL_COUNT, ACL_STRIDE))
        for name, base, count, stride in tables:
            if base <= offset < base + count * stride:
                return name, *divmod(offset - base, stride)
        return None

    def _listed(self, offset: int) -> bytes | None:
        """Return the granule at `offset` of AGENT or RANGE, None elsewhere."""
        for base, table in self._tables.items():
            if base <= offset < base + len(table):
                return table[offset - base :][:GRANULE_BYTES]
        return None

    def read(self, offset: int, size: int) -> bytes:
        """The bytes of registers that exist."""
        return b"".join(self._granule(offset + at) for at in range(0, size, GRANULE_BYTES))

    def _granule(self, offset: int) -> bytes:
        if (entry := self._entry(offset)) is not None:
            name, index, at = entry
            return self._encoded(name, index)[at : at + GRANULE_BYTES]
        if (listed := self._listed(offset)) is not None:
            return listed
        if offset == Register.STATUS:
            return _word(self._services.status())
        if offset == Register.RECALLING:
            lines = min(self._services.recalling(), MAX_RECALLING)
            return bytes(RECALLING_D0.build({"lines": lines}))
        return _word(self._values[offset])

    def _encoded(self, table: str, index: int) -> bytes:
        if table == "ACL":
            return encode_acl(self._map.access_list.entries[index])
        entries = self._map.entries
        return encode_entry(entries[index] if index < len(entries) else None)

    def write(self, offset: int, data: bytes, now: int) -> Later | Err:
        """Write registers that exist. Later: while requests by the old entry of the map are under way."""
        if (entry := self._entry(offset)) is not None:
            return self._put(*entry, data)
        if self._listed(offset) is not None:
            return Err.OK  # read-only
        written: dict[str, int] = {}
        for at in range(0, len(data), GRANULE_BYTES):
            info = REGISTERS[offset + at]
            written[info.name] = written.get(info.name, 0) + 1
        if written.get("RECALL") == 1:  # both addresses or none
            return Err.PROTO
        for at in range(0, len(data), GRANULE_BYTES):
            info = REGISTERS[offset + at]
            value = int.from_bytes(data[at : at + GRANULE_BYTES], "little")
            if info.writable:
                self._values[offset + at] = value & info.writable
        for name in written:
            if name in self._effects:
                return self._effects[name](now)
        return Err.OK

    def _put(self, table: str, index: int, at: int, data: bytes) -> Later | Err:
        """Replace an entry whole: one that is half old and half new must never be looked at."""
        if at or len(data) != SAM_STRIDE:
            return Err.PROTO
        try:
            return self._put_rule(index, data) if table == "ACL" else self._put_range(index, data)
        except ConfigError:
            return Err.PROTO

    def _put_rule(self, index: int, data: bytes) -> Err:
        entry, entries = decode_acl(data), self._map.access_list
        if not all(self._recalled(each.base, each.last) for each in losses(entries.entries[index], entry)):
            return Err.PROTO
        entries.put(index, entry)
        return Err.OK

    def _put_range(self, index: int, data: bytes) -> Later | Err:
        """An entry of the map; what was sent by the old one is completed first. HSL 5.1.4 [HSL-COH-061]."""
        entry = decode_entry(data)
        if entry is not None and not self._services.can_serve(entry):
            return Err.PROTO
        lost = list(self._map.losses(self._map.with_entry(index, entry)))
        if not all(self._recalled(first, last) for first, last in lost):
            return Err.PROTO
        self._map.put(index, entry)
        if entry is not None:
            self._services.take(entry)

        def poll(now: int) -> Message | None:
            under_way = any(self._services.outdated(first, last) for first, last in lost)
            return None if under_way else Message(Op.Cmp)

        return Later(poll) if lost else Err.OK

    def _recalled(self, first: int, last: int) -> bool:
        """True if a range is QUIESCED, and the node neither uses nor holds a line of it. [HSL-COH-059].

        A device that is not READY asks for no line, so the range need not be QUIESCED. HSL 5.15.3.
        """
        quiet = not self.ready or self._map.quiesced(first, last)
        return quiet and not self._services.in_use(first, last)

    # ---- effects
    def _fence(self, now: int) -> Err:
        fields = FENCE_D0.parse(_word(self._values[Register.FENCE]))
        commands = {
            FenceCommand.FENCE: self._services.fence,
            FenceCommand.READMIT: self._services.readmit,
            FenceCommand.LIFT: self._services.lift,
        }
        command = commands.get(fields["command"])
        return Err.PROTO if command is None else command(fields["nid"], now)

    def _begin(self, now: int) -> Err:
        self._services.ready(self.ready)
        return Err.OK

    def _rate(self, now: int) -> Err:
        fields = RATE_D0.parse(_word(self._values[Register.RATE]))
        self._services.set_rate(fields["messages"], fields["bucket"], now)
        return Err.OK

    def _recall(self, now: int) -> Err:
        """Begin to take back the lines of a quiesced range. HSL 5.1.4 [HSL-COH-057]."""
        first = RECALL_D0.parse(_word(self._values[Register.RECALL]))["first"]
        last = RECALL_D1.parse(_word(self._values[Register.RECALL + GRANULE_BYTES]))["last"]
        if first > last or not self._map.quiesced(first, last):
            return Err.PROTO
        return self._services.recall(first, last, now)
