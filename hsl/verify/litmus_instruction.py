"""The instructions of a litmus test: operands, suffixes of the mnemonics, and their meaning in HSL 5.9."""

from __future__ import annotations

from typing import NamedTuple

from hsl._generated.constants import Aop
from hsl.agents.access import STREAMS, Order

__all__ = [
    "AOPS", "ATOMS", "CAS", "DEVICE", "FENCES", "FIELDS", "INTERRUPT", "MAX_DATUM", "ON_STREAM", "OPERANDS",
    "READS", "REGISTER", "WRITES", "Instruction",
]  # fmt: skip

READS = frozenset({"load", "read_once", "atomic_load", "ncread", "wait"})
WRITES = frozenset({"store", "write_full", "atomic_load", "atomic_store", "ncwrite", "intr"})
# What a location is, by the instructions that use it; `wait` is of both kinds of the last.
REGISTER, INTERRUPT = frozenset({"ncread", "ncwrite", "wait"}), frozenset({"intr", "wait"})
DEVICE = REGISTER | INTERRUPT
NCR = DEVICE - {"wait"}
MAX_DATUM = (1 << 32) - 1  # of an interrupt: u32 (5.14)
# Mnemonic -> its operands: r register, x location, o atomic operation, v value, c value to compare with.
OPERANDS = {
    "load": "rx", "read_once": "rx", "store": "xv", "write_full": "xv",
    "atomic_load": "rxov", "cas": "rxcv", "atomic_store": "xov", "fence": "", "dep": "r",
    "ncread": "rx", "ncwrite": "xv", "intr": "xv", "wait": "rx",
}  # fmt: skip
FIELDS = {"r": "register", "x": "location", "o": "aop", "v": "value", "c": "compare"}
CAS = {"cas": {"kind": "atomic_load", "aop": int(Aop.CAS)}}  # a mnemonic that is no kind of its own
# Operations of one operand; floating point says nothing about order.
AOPS = {aop.name: int(aop) for aop in (Aop.ADD, Aop.CLR, Aop.EOR, Aop.SET, Aop.SWAP)}
FENCES = {"ld": Order.LOAD, "st": Order.STORE, "nc": Order.NCR}
ON_STREAM = {f"s{stream}": stream for stream in range(STREAMS)}
ATOMS = {
    **dict.fromkeys(("load", "read_once"), ("acq",)),
    **dict.fromkeys(("store", "write_full", "atomic_store"), ("rel",)),
    **dict.fromkeys(("atomic_load", "cas"), ("acq", "rel")),
    **dict.fromkeys(("ncread", "ncwrite", "intr"), tuple(ON_STREAM)),
    "fence": tuple(FENCES),
}


class Instruction(NamedTuple):
    """One instruction: `kind` is an access of the profile, fence, dep or wait; `value` what is written.

    `compare`: the operand of a CAS; `order`: what a fence waits for; `stream`, `dst`: of an NCR access, `dst`
    as the thread on whose node the target is.
    """

    kind: str
    location: str = ""
    register: str = ""
    value: int = 0
    aop: int = 0
    acquire: bool = False
    release: bool = False
    compare: int = 0
    order: Order = Order.ALL
    stream: int = 0
    dst: int = 0

    @property
    def access(self) -> bool:
        """True if it is performed at one moment, so has a place in memory order."""
        return self.kind not in ("fence", "dep")

    @property
    def ncr(self) -> bool:
        """True if it is a request on the NCR channel."""
        return self.kind in NCR

    @property
    def ordered_by(self) -> Order:
        """The kinds of fence that wait for it: an atomic with a result is a load and a store (5.9 F1)."""
        if self.ncr:
            return Order.NCR
        return (Order.LOAD if self.kind in READS else Order(0)) | (
            Order.STORE if self.kind in WRITES else Order(0)
        )
