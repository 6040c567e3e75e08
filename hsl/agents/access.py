"""A local access and the ticket that follows it: what a program hands to a request agent, and what it gets back."""

from __future__ import annotations

from enum import IntFlag
from typing import NamedTuple

from hsl._generated.constants import Err
from hsl.errors import TransactionError


class Order(IntFlag):
    """Kinds of accesses that a fence orders (5.9 F1)."""

    LOAD = 1 << 0
    STORE = 1 << 1
    NCR = 1 << 2
    ALL = LOAD | STORE | NCR


# What each kind of access is to a fence. Evict is none: Cmp of Evict and WbFull take no part in ordering (5.9).
KINDS: dict[str, Order] = {
    "load": Order.LOAD,
    "read_once": Order.LOAD,
    "store": Order.STORE,
    "store_line": Order.STORE,
    "write_full": Order.STORE,
    "write_ptl": Order.STORE,
    "atomic_load": Order.LOAD | Order.STORE,
    "atomic_store": Order.STORE,
    "flush": Order.STORE,
    "evict": Order(0),
    "ncread": Order.NCR,
    "ncwrite": Order.NCR,
    "intr": Order.NCR,
    "fence": Order(0),
}


class Access(NamedTuple):
    """One access of a program.

    `kind` is a key of KINDS: an event of the cache table (5.5), or ncread, ncwrite, intr, fence. `addr` and `size` in bytes;
    an access stays inside its 64-byte line. `data`: the bytes to store, 64 for store_line and write_full, the operand of an
    atomic (CAS: compare, then swap), vector and data as two u32 for intr. `be`: bit i enables data byte i (write_ptl,
    ncread, ncwrite; None = all). `aop`: Aop of an atomic. `dst`, `stream`: target NID and stream of an NCR access.
    `order`: what a fence waits for.
    """

    kind: str
    addr: int = 0
    size: int = 0
    data: bytes = b""
    be: int | None = None
    aop: int = 0
    dst: int = 0
    stream: int = 0
    order: Order = Order.ALL


class Ticket:
    """An access on its way. `issued` and `finished` in ns; `missed`: it had to wait for a message; `err`: Err of its end."""

    __slots__ = ("access", "agent", "data", "err", "finished", "issued", "missed", "poison")

    def __init__(self, access: Access, agent: int, issued: int) -> None:
        self.access = access
        self.agent = agent
        self.issued = issued
        self.finished: int | None = None
        self.err = Err.OK
        self.poison = False
        self.data = b""
        self.missed = False

    @property
    def done(self) -> bool:
        """The access has ended, well or not."""
        return self.finished is not None

    def result(self) -> bytes:
        """Return the bytes read or the old value, b"" for a write.

        Raises TransactionError when the access ended with an error, when its data are poisoned (code DATA, 6.1), or when it
        has not ended yet (code UNREACH: nothing has come).
        """
        what = f"{self.access.kind} at {self.access.addr:#x} by node {self.agent}"
        if self.finished is None:
            raise TransactionError(f"{what} is not finished", code=Err.UNREACH)
        if self.err:
            raise TransactionError(f"{what} ended with {self.err.name}", code=self.err)
        if self.poison:
            raise TransactionError(f"{what} read poisoned data", code=Err.DATA)
        return self.data

    def __repr__(self) -> str:
        end = "open" if self.finished is None else f"{self.err.name} at {self.finished}"
        return f"Ticket({self.access.kind} {self.access.addr:#x} size {self.access.size}, node {self.agent}, {end})"
