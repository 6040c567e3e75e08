"""A message of the transaction layer, as one flat tuple (HSL 2.6)."""

from __future__ import annotations

from typing import NamedTuple

from hsl._generated.constants import GRANULE_BYTES


class Message(NamedTuple):
    """One message; fields that its class does not have are 0.

    `op` is the opcode (its upper three bits are the VC); `len` the LEN code (8 << len bytes); `be` the
    byte-enable mask (bit i = data byte i) or None when no byte-enable granule is present; `addr` in bytes;
    `data` the data granules, lowest address first; `aop` the atomic operation or the NCR stream. HSL 2.6.
    """

    op: int
    src: int = 0
    dst: int = 0
    txn: int = 0
    len: int = 0
    addr: int = 0
    be: int | None = None
    data: bytes = b""
    aop: int = 0
    dom: int = 0
    x: int = 0
    htxn: int = 0
    st: int = 0
    err: int = 0
    poison: int = 0
    qos: int = 0
    trace: int = 0

    @property
    def vc(self) -> int:
        """The virtual channel, OP[7:5]."""
        return self.op >> 5

    @property
    def enables(self) -> int:
        """The byte enables: those of the granule, without one all 8 << LEN bytes. HSL 5.12 [HSL-TXN-015]."""
        return (1 << (GRANULE_BYTES << self.len)) - 1 if self.be is None else self.be
