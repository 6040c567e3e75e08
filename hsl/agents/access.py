"""A local access and its ticket: what a program hands to a request agent, and what it gets back."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag
from typing import NamedTuple

from hsl._generated.constants import ADDRESS_BITS, GRANULE_BYTES, LINE_BYTES, MAX_NID, Err
from hsl.agents import atomics
from hsl.errors import ConfigError, PoisonError, TransactionError
from hsl.nearest import expected

STREAMS = 32  # streams of an NCR message: the 5 bits of AOP (2.6)
# Bytes of a partial write or an NCR access: by LEN, below 8 by byte enables (5.12, 5.14).
SIZES = (1, 2, 4, 8, 16, 32, 64)
INTR_BYTES = 8  # vector and data, u32 each (5.14)
CFG_SIZES = (8, 16, 32)  # bytes of a register access (5.14)
PASID_BITS = 20
SHOWN_BYTES = 16  # of its data, in the repr of a ticket
TRANSLATION_BYTES = 8  # data of TransInv, PageReq, PageRsp (5.14)


class Perm(IntFlag):
    """Rights of a translation (5.10)."""

    R = 1 << 0
    W = 1 << 1
    X = 1 << 2
    PRIV = 1 << 3


class Order(IntFlag):
    """Kinds of accesses that a fence orders (5.9 F1)."""

    LOAD = 1 << 0
    STORE = 1 << 1
    NCR = 1 << 2
    ALL = LOAD | STORE | NCR


class Access(NamedTuple):
    """One access of a program.

    `kind` is a key of KINDS: an event of the cache table (5.5), an NCR request, or fence. `addr` and
    `size` in bytes; an access stays inside its 64-byte line. `data`: the bytes to store, 64 for store_line
    and write_full, the operand of an atomic (CAS: compare, then swap), vector and data as two u32 for intr.
    `be`: bit i enables data byte i (write_ptl, ncread, ncwrite; None = all). `aop`: Aop of an atomic. `dst`,
    `stream`: target NID and stream of an NCR access; of one about translation, `addr` is the number of a
    virtual page of 4 KiB, `pasid` whose it is (20 bits), `perms` what is wanted (Perm). `dom`: isolation
    domain of the request. `order`: what a fence waits for.
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
    pasid: int = 0
    perms: int = 0
    dom: int = 0

    @property
    def enables(self) -> int:
        """The byte enables as a mask, also where `be` is None."""
        return (1 << self.size) - 1 if self.be is None else self.be


class Ticket:
    """An access on its way.

    `agent`: its NID; `issued`, `finished` in ns; `missed`: it had to wait for a message; `presented`: when it
    was first sent, in ns; `refusals`: times that its home was BUSY; `err`: the Err of its end; `collected`:
    `completions` gives it out; `performed`: it will have no more effect, which a report of T_REQ does not
    say; `fenced`: a fence waits for it (5.9 F1).
    """

    __slots__ = (
        "access",
        "agent",
        "collected",
        "data",
        "err",
        "fenced",
        "finished",
        "issued",
        "missed",
        "performed",
        "poison",
        "presented",
        "refusals",
    )

    def __init__(self, access: Access, agent: int, issued: int, collected: bool = True) -> None:
        self.access = access
        self.agent = agent
        self.issued = issued
        self.finished: int | None = None
        self.err = Err.OK
        self.poison = False
        self.data = b""
        self.missed = False
        self.collected = collected
        self.performed = self.fenced = False
        self.presented: int | None = None
        self.refusals = 0

    @property
    def done(self) -> bool:
        """The access has ended, well or not."""
        return self.finished is not None

    def result(self) -> bytes:
        """Return the bytes read or the old value, b"" for a write.

        Raises TransactionError when the access ended with an error or has not ended (code UNREACH),
        PoisonError when its data are poisoned (code DATA, 6.1); an atomic then leaves them as they are.
        """
        what = f"{self.access.kind} at {self.access.addr:#x} by node {self.agent}"
        if self.finished is None:
            raise TransactionError(f"{what} is not finished", code=Err.UNREACH)
        if self.err:
            kind = PoisonError if self.err is Err.DATA else TransactionError
            raise kind(f"{what} ended with {self.err.name}", code=self.err)
        if self.poison:
            raise PoisonError(f"{what} read poisoned data", code=Err.DATA)
        return self.data

    def __repr__(self) -> str:
        access = self.access
        end = "open" if self.finished is None else f"{self.err.name} at {self.finished}"
        data = self.data or access.data
        shown = data[:SHOWN_BYTES].hex() + "..." * (len(data) > SHOWN_BYTES) + ", poisoned" * self.poison
        what = f"{access.kind} {access.addr:#x} size {access.size}, node {self.agent}, {end}"
        return f"Ticket({what}{shown and f', data {shown}'})"


def _require(access: Access, good: bool, legal: str) -> None:
    if not good:
        what = f"{access.kind} at {access.addr:#x}, {access.size} bytes, {len(access.data)} data bytes"
        raise ConfigError(f"{what}: {legal}")


def _within_line(access: Access, data: int) -> None:
    room = LINE_BYTES - access.addr % LINE_BYTES
    if not 1 <= access.size <= room:
        _require(access, False, f"a size of 1..{room} stays inside the line")
    if len(access.data) != data:
        _require(access, False, f"expected {data} data bytes")


def _read(access: Access) -> None:
    _within_line(access, 0)


def _store(access: Access) -> None:
    _within_line(access, access.size)


def _line(access: Access) -> None:
    _require(access, access.addr % LINE_BYTES == 0, f"the address must be a multiple of {LINE_BYTES}")
    _require(
        access, access.size == len(access.data) == LINE_BYTES, f"size and data must be {LINE_BYTES} bytes"
    )


def _enabled(access: Access) -> None:
    _require(access, access.size in SIZES, f"sizes are {SIZES}")
    _require(access, access.addr % access.size == 0, "the address must be a multiple of the size")
    mask = access.be or 0
    _require(access, 0 <= mask < 1 << access.size, f"byte enables {mask:#x} need bits 0..{access.size - 1}")


def _partial(access: Access) -> None:
    _enabled(access)
    _require(access, len(access.data) == access.size, f"expected {access.size} data bytes")


def _ncr(access: Access) -> None:
    _require(access, 0 <= access.dst <= MAX_NID, f"target {access.dst} must be 0..{MAX_NID}")
    _require(access, 0 <= access.stream < STREAMS, f"stream {access.stream} must be 0..{STREAMS - 1}")


def _ncread(access: Access) -> None:
    _ncr(access)
    _enabled(access)
    _require(access, not access.data, "expected no data bytes")


def _ncwrite(access: Access) -> None:
    _ncr(access)
    _partial(access)


def _intr(access: Access) -> None:
    _ncr(access)
    _require(
        access, len(access.data) == INTR_BYTES and access.addr == 0, f"address 0 and {INTR_BYTES} data bytes"
    )


def _ncenq(access: Access) -> None:
    _ncr(access)
    _line(access)


def _cfg(data: int) -> Callable[[Access], None]:
    def check(access: Access) -> None:
        _ncr(access)
        _require(access, access.size in CFG_SIZES, f"sizes are {CFG_SIZES}")
        _require(access, access.addr % access.size == 0, "the offset must be a multiple of the size")
        _require(access, len(access.data) == data * access.size, f"expected {data * access.size} data bytes")

    return check


def _translation(data: int) -> Callable[[Access], None]:
    def check(access: Access) -> None:
        _ncr(access)
        _require(access, len(access.data) == data, f"expected {data} data bytes")
        _require(
            access, 0 <= access.pasid < 1 << PASID_BITS, f"PASID {access.pasid:#x} has {PASID_BITS} bits"
        )
        _require(access, not access.perms & ~Perm(15), f"rights {access.perms:#x} have 4 bits")

    return check


def _mgmt(access: Access) -> None:
    _ncr(access)
    _require(access, len(access.data) == LINE_BYTES and access.addr == 0, f"address 0 and {LINE_BYTES} bytes")


def _atomic(access: Access) -> None:
    store = access.kind == "atomic_store"
    atomics.check(access.aop, access.size, access.addr, len(access.data), store=store)


def _anything(access: Access) -> None:
    """The line of the address, or nothing, is all that counts."""


class Kind(NamedTuple):
    """The checks of a kind of access, and its class for fences."""

    check: Callable[[Access], None]
    order: Order
    ncr: bool = False
    atomic: bool = False

    @property
    def free(self) -> bool:
        """True if fences neither hold it nor wait for it: others may wait for it to pass a fence (D6)."""
        return self.ncr and not self.order


# Evict is nothing to a fence: Cmp of Evict and WbFull take no part in ordering (5.9). Nor is what the
# completion of an ordinary NCR may wait for [HSL-NCR-011].
KINDS: dict[str, Kind] = {
    "load": Kind(_read, Order.LOAD),
    "store": Kind(_store, Order.STORE),
    "store_line": Kind(_line, Order.STORE),
    "evict": Kind(_anything, Order(0)),
    "read_once": Kind(_read, Order.LOAD),
    "write_full": Kind(_line, Order.STORE),
    "write_ptl": Kind(_partial, Order.STORE),
    "atomic_load": Kind(_atomic, Order.LOAD | Order.STORE, atomic=True),
    "atomic_store": Kind(_atomic, Order.STORE, atomic=True),
    "flush": Kind(_anything, Order.STORE),
    "ncread": Kind(_ncread, Order.NCR, ncr=True),
    "ncwrite": Kind(_ncwrite, Order.NCR, ncr=True),
    "ncenq": Kind(_ncenq, Order.NCR, ncr=True),
    "intr": Kind(_intr, Order.NCR, ncr=True),
    "trans_req": Kind(_translation(0), Order(0), ncr=True),
    "trans_inv": Kind(_translation(TRANSLATION_BYTES), Order.NCR, ncr=True),
    "page_req": Kind(_translation(TRANSLATION_BYTES), Order(0), ncr=True),
    "page_rsp": Kind(_translation(TRANSLATION_BYTES), Order(0), ncr=True),
    "mgmt": Kind(_mgmt, Order.NCR, ncr=True),
    "cfg_read": Kind(_cfg(0), Order.NCR, ncr=True),
    "cfg_write": Kind(_cfg(1), Order.NCR, ncr=True),
    "fence": Kind(_anything, Order(0)),
}


def check_access(access: Access) -> Kind:
    """Return the kind of an access. Raises ConfigError for one that its agent must not send."""
    kind = KINDS.get(access.kind)
    if kind is None:
        raise ConfigError(f"unknown access {access.kind!r}; {expected(KINDS, access.kind)}")
    if not 0 <= access.addr < 1 << ADDRESS_BITS:
        raise ConfigError(f"{access.kind} at {access.addr:#x}: addresses have {ADDRESS_BITS} bits")
    kind.check(access)
    return kind


class Span(NamedTuple):
    """Bytes as they travel: 8 << len of them, aligned, byte enables (None: all), where the access starts."""

    addr: int
    len: int
    be: int | None
    shift: int


def span(access: Access) -> Span:
    """Return the bytes that a message carries for an access: at least the aligned 8 around it. HSL 5.14."""
    size = max(access.size, GRANULE_BYTES)
    shift = access.addr % size
    mask = access.enables << shift
    be = None if mask == (1 << size) - 1 else mask
    return Span(access.addr - shift, (size // GRANULE_BYTES).bit_length() - 1, be, shift)


def spread(access: Access, where: Span) -> bytes:
    """The data of an access in the granules of its span."""
    total = GRANULE_BYTES << where.len
    return bytes(where.shift) + access.data + bytes(total - where.shift - len(access.data))
