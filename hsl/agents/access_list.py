"""The access list: rights of nodes in ranges, beyond the default rights of the map (HSL 5.14, 6.3)."""

from __future__ import annotations

from typing import NamedTuple

from hsl._generated.constants import ACL_ENTRIES, ADDRESS_BITS, Right
from hsl._generated.layouts import ACL_ENTRY, ACL_STRIDE
from hsl.errors import ConfigError

__all__ = ["HOLDING", "AccessList", "AclEntry", "decode_acl", "encode_acl", "losses"]

PAGE_BITS = 12
PAGE_BYTES = 1 << PAGE_BITS
HOLDING = Right.C | Right.W  # the rights of an owner (5.4 T14)
ALL_BITS = (1 << 10) - 1  # a mask that compares the whole SRC


class AclEntry(NamedTuple):
    """One entry; `base`, `last` as in SamEntry. A 1 in a mask is a bit of SRC or DOM that is compared."""

    base: int
    last: int
    src: int = 0
    src_mask: int = ALL_BITS
    dom: int = 0
    dom_mask: int = 0
    rights: Right = Right(0)

    def covers(self, other: AclEntry) -> bool:
        """True if this entry matches whatever `other` matches."""
        sources = not self.src_mask & ~other.src_mask and not (self.src ^ other.src) & self.src_mask
        domains = not self.dom_mask & ~other.dom_mask and not (self.dom ^ other.dom) & self.dom_mask
        return self.base <= other.base and other.last <= self.last and sources and domains

    def matches(self, addr: int, src: int, dom: int) -> bool:
        """True if this entry covers `addr` for a message of `src` and `dom`."""
        inside = self.base <= addr <= self.last
        return inside and not (self.src ^ src) & self.src_mask and not (self.dom ^ dom) & self.dom_mask


def losses(was: AclEntry | None, now: AclEntry | None) -> list[AclEntry]:
    """Return the entries in whose ranges an access may lose C or W when `now` replaces `was`. HSL 5.1.4."""
    if now == was:
        return []
    lost = [] if now is None or not HOLDING & ~now.rights else [now]
    if was is not None and was.rights & HOLDING:
        kept = now is not None and now.covers(was) and not was.rights & HOLDING & ~now.rights
        lost += [] if kept else [was]
    return lost


def check_acl(entry: AclEntry) -> None:
    """ConfigError unless the range is one of whole pages."""
    good = entry.base % PAGE_BYTES == 0 and (entry.last + 1) % PAGE_BYTES == 0
    if not (good and 0 <= entry.base <= entry.last < 1 << ADDRESS_BITS):
        raise ConfigError(f"access list: {entry.base:#x}..{entry.last:#x}; expected a range of whole pages")


def encode_acl(entry: AclEntry | None) -> bytes:
    """The four granules of an ACL register; None is an entry that is not valid. HSL 5.14."""
    if entry is None:
        return bytes(ACL_STRIDE)
    check_acl(entry)
    names = ("src", "src_mask", "dom", "dom_mask", "rights")
    words = {
        "d0": {"valid": 1, "base": entry.base >> PAGE_BITS},
        "d1": {"last": entry.last >> PAGE_BITS},
        "d2": {name: int(getattr(entry, name)) for name in names},
        "d3": {},
    }
    return bytes(ACL_ENTRY.build(words))


def decode_acl(data: bytes) -> AclEntry | None:
    """The entry of an ACL register (32 bytes), None if it is not valid; ConfigError for an illegal range."""
    if len(data) != ACL_STRIDE:
        raise ConfigError(f"access list: an entry has {ACL_STRIDE} bytes, not {len(data)}")
    words = ACL_ENTRY.parse(data)
    if not words.d0["valid"]:
        return None
    fields = dict(words.d2)
    fields["rights"] = Right(fields["rights"])
    base, last = words.d0["base"] << PAGE_BITS, (words.d1["last"] << PAGE_BITS) + PAGE_BYTES - 1
    entry = AclEntry(base, last, **fields)
    check_acl(entry)
    return entry


class AccessList:
    """ACL_ENTRIES entries; of those that match, the lowest decides. HSL 5.14."""

    def __init__(self) -> None:
        self.entries: list[AclEntry | None] = [None] * ACL_ENTRIES
        self._valid: list[AclEntry] = []

    def put(self, index: int, entry: AclEntry | None) -> None:
        """Replace an entry. Raises ConfigError for an invalid entry or index."""
        if not 0 <= index < ACL_ENTRIES:
            raise ConfigError(f"access list: entry {index}; there are {ACL_ENTRIES}")
        if entry is not None:
            check_acl(entry)
        self.entries[index] = entry
        self._valid = [each for each in self.entries if each is not None]

    def rights(self, addr: int, src: int, dom: int) -> Right | None:
        """Return the rights granted by the list, None if no entry covers it. HSL 6.3 [HSL-SEC-002]."""
        return next((entry.rights for entry in self._valid if entry.matches(addr, src, dom)), None)
