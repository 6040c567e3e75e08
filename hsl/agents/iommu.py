"""The IOMMU of a node: translates virtual pages for others, by page tables that are data (HSL 5.10, 5.14)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from hsl._generated.constants import ADDRESS_BITS, Err, Op
from hsl._generated.layouts import PAGE_REQUEST_D0, TRANSLATION_BYTES, TRANSLATION_D0
from hsl.agents.access import PASID_BITS, Perm
from hsl.codec.message import Message
from hsl.errors import ConfigError

__all__ = ["MAPPING_LIMIT", "PAGE_BITS", "Iommu", "Mapping", "PageRequest", "pasid_of", "wanted"]

PAGE_BITS: Final = 12  # the least page is 4 KiB
VPN_BITS: Final = 52  # a virtual address has 64 bits
ALL_SIZES: Final = 31  # the size code that means every address, so no mapping has it
MAPPING_LIMIT: Final = 1 << 16  # mappings of one IOMMU: a table of some 20 MB
PASID_LOW: Final = 8  # bits of PASID in X; the rest is DOM (2.6)
PERMS_SHIFT: Final = 8
# Page requests that software has not taken; more end with BUSY (5.10).
PAGE_REQUEST_LIMIT: Final = 64


class Mapping(NamedTuple):
    """2^size pages of 4 KiB from virtual page `page` to physical address `pa`; all multiples of their size.

    `shared`: it holds for every PASID (the global flag of 5.10).
    """

    page: int
    pa: int
    perms: Perm
    size: int = 0
    shared: bool = False


class PageRequest(NamedTuple):
    """A page that a device asks for; `last` of its group: one PageRsp answers them all."""

    src: int
    pasid: int
    page: int
    perms: Perm
    group: int
    last: bool


def pasid_of(message: Message) -> int:
    """PASID of a translation message. HSL 2.6."""
    return message.dom << PASID_LOW | message.x & (1 << PASID_LOW) - 1


def wanted(message: Message) -> Perm:
    """The rights that a TransReq or PageReq asks for."""
    return Perm(message.x >> PERMS_SHIFT)


class Iommu:
    """Page tables by PASID and the queue of page requests. ConfigError for a mapping that cannot be.

    Software that takes a mapping away, or a right from it, does so in this order: `unmap` or `map`, then
    TransInv to every device, then wait for all their Cmp, then use the page otherwise. HSL 5.10.2
    [HSL-ATS-004]. The IOMMU keeps no translations beside its tables, so none of its own have to be dropped.
    """

    def __init__(self, page_requests: int = PAGE_REQUEST_LIMIT) -> None:
        self._limit = page_requests
        self._tables: dict[tuple[int | None, int, int], Mapping] = {}  # by (PASID, size, page >> size)
        self._sizes: set[int] = set()
        self._requests: deque[PageRequest] = deque()
        self.faults = 0

    # ---- software's side
    def map(self, pasid: int, mapping: Mapping) -> None:
        """Put a mapping in the table of a PASID, or of all; one of the same pages and size is replaced."""
        pages = 1 << mapping.size if 0 <= mapping.size < ALL_SIZES else 0
        last = mapping.pa + (pages << PAGE_BITS) - 1
        good = pages and mapping.page % pages == 0 and 0 <= mapping.page < 1 << VPN_BITS
        if not good or mapping.pa % (pages << PAGE_BITS) or not 0 <= mapping.pa <= last < 1 << ADDRESS_BITS:
            raise ConfigError(
                f"IOMMU: {mapping}; expected a size of 0..{ALL_SIZES - 1}, and pages aligned to it"
            )
        if not 0 <= pasid < 1 << PASID_BITS:
            raise ConfigError(f"IOMMU: PASID {pasid:#x}; expected {PASID_BITS} bits")
        if len(self._tables) >= MAPPING_LIMIT:
            raise ConfigError(f"IOMMU: {MAPPING_LIMIT} mappings are the limit (MAPPING_LIMIT)")
        key = None if mapping.shared else pasid, mapping.size, mapping.page >> mapping.size
        self._tables[key] = mapping
        self._sizes.add(mapping.size)

    def unmap(self, pasid: int, mapping: Mapping) -> None:
        """Take a mapping away; nothing when it is not there."""
        key = None if mapping.shared else pasid, mapping.size, mapping.page >> mapping.size
        self._tables.pop(key, None)

    def page_requests(self) -> list[PageRequest]:
        """The page requests since the last call, in order of arrival."""
        taken = list(self._requests)
        self._requests.clear()
        return taken

    # ---- the I/O agent's side
    def lookup(self, pasid: int, page: int) -> Mapping | None:
        """The mapping of a page, the smallest first, the PASID's own before a shared one."""
        keys = ((owner, size, page >> size) for size in sorted(self._sizes) for owner in (pasid, None))
        return next((self._tables[key] for key in keys if key in self._tables), None)

    def translation(self, message: Message) -> Message:
        """The completion of a TransReq. HSL 5.10 [HSL-ATS-001]."""
        mapping = self.lookup(pasid_of(message), message.addr)
        if mapping is None or wanted(message) & ~mapping.perms:
            self.faults += 1
            return Message(Op.Cmp, err=Err.ACCESS)
        word = {
            "pa": mapping.pa >> PAGE_BITS,
            "perms": int(mapping.perms),
            "size": mapping.size,
            "global": int(mapping.shared),
        }
        data = TRANSLATION_D0.build(word).ljust(TRANSLATION_BYTES, b"\0")
        return Message(Op.CmpData, len=1, data=data)

    def page_request(self, message: Message, together: Callable[[int, int], bool]) -> Err:
        """Take a PageReq: OK, or BUSY when the queue is full, or half of it is of the same port.

        `together` tells of two nodes whether they are behind one port. HSL 6.3.
        """
        held = sum(together(request.src, message.src) for request in self._requests)
        if len(self._requests) >= self._limit or held >= max(1, self._limit // 2):
            return Err.BUSY
        fields = PAGE_REQUEST_D0.parse(message.data)
        self._requests.append(
            PageRequest(
                message.src,
                pasid_of(message),
                message.addr,
                wanted(message),
                fields["group"],
                bool(fields["last"]),
            )
        )
        return Err.OK
