"""The system address map: which home answers for an address (HSL 5.1), and its register form (HSL 5.14)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hsl._generated.constants import ADDRESS_BITS, MAX_NID, SAM_ENTRIES, Right, SamType
from hsl._generated.layouts import SAM_ENTRY, SAM_STRIDE
from hsl.agents.access_list import HOLDING, AccessList
from hsl.errors import ConfigError

__all__ = ["PAGE_BYTES", "AddressMap", "SamEntry", "decode_entry", "encode_entry"]

PAGE_BITS = 12  # addresses in entries are pages (5.14)
PAGE_BYTES = 1 << PAGE_BITS
MAX_WAYS = 3  # log2 of the interleave ways (5.1)
MIN_GRANULE, MAX_GRANULE = 8, 12  # log2 of the interleave granule (5.1)
ALL_RIGHTS = Right.C | Right.R | Right.W | Right.A | Right.N


class SamEntry(NamedTuple):
    """One range of an address map. HSL 5.1.

    Attributes:
        base: first byte address of the range, at the start of a page of 4 KiB
        last: last byte address of the range, at the end of a page
        type: SamType: HOSTMEM, HDM_H, HDM_D or MMIO
        home: NID of its home, of way 0 where it is interleaved
        ways: log2 of the homes that share it by turns, 0 to 3; their NIDs follow `home`
        granule: log2 of the bytes of a turn, 8 to 12
        mt: NID of the memory target of HDM-H
        rights: Right bits of nodes that no access list names
        quiesced: its homes answer new requests with BUSY

    """

    base: int
    last: int
    type: SamType = SamType.HOSTMEM
    home: int = 0
    ways: int = 0
    granule: int = MIN_GRANULE
    mt: int = 0
    rights: Right = ALL_RIGHTS
    quiesced: bool = False

    def home_of(self, addr: int) -> int:
        """NID of the home of `addr`. HSL 5.1."""
        return self.home + ((addr >> self.granule) & ((1 << self.ways) - 1))

    @property
    def coherent(self) -> bool:
        """True if a home answers for its lines; False for MMIO."""
        return self.type != SamType.MMIO

    @property
    def place(self) -> tuple[int, int, int, int, int]:
        """Fields that decide where the data and the directory of its lines are."""
        return self.type, self.home, self.ways, self.granule, self.mt

    @property
    def homes(self) -> range:
        """The NIDs of all its homes."""
        return range(self.home, self.home + (1 << self.ways))


def check_entry(entry: SamEntry) -> None:
    """ConfigError when a field of `entry` is out of the range of HSL 5.1."""
    limits = (
        ("base", entry.base, entry.base % PAGE_BYTES == 0, f"a multiple of {PAGE_BYTES}"),
        ("last", entry.last, (entry.last + 1) % PAGE_BYTES == 0, "the last byte of a page"),
        ("base", entry.base, 0 <= entry.base <= entry.last, "at most last"),
        ("last", entry.last, entry.last < 1 << ADDRESS_BITS, f"below 2^{ADDRESS_BITS}"),
        ("ways", entry.ways, 0 <= entry.ways <= MAX_WAYS, f"0..{MAX_WAYS} (log2)"),
        ("granule", entry.granule, MIN_GRANULE <= entry.granule <= MAX_GRANULE, "8..12 (log2)"),
        (
            "home",
            entry.home,
            0 <= entry.home <= MAX_NID - len(entry.homes) + 1,
            f"up to {MAX_NID} with its ways",
        ),
        ("mt", entry.mt, 0 <= entry.mt <= MAX_NID, f"0..{MAX_NID}"),
    )
    for name, value, good, legal in limits:
        if not good:
            raise ConfigError(f"address map: {name} = {value:#x} must be {legal}")


def encode_entry(entry: SamEntry | None) -> bytes:
    """The four granules of a SAM register; None is an entry that is not valid. HSL 5.14."""
    if entry is None:
        return bytes(SAM_STRIDE)
    check_entry(entry)
    words = {
        "d0": {
            "valid": 1,
            "type": entry.type,
            "quiesced": entry.quiesced,
            "base": entry.base >> PAGE_BITS,
        },
        "d1": {"last": entry.last >> PAGE_BITS},
        "d2": {
            "home": entry.home,
            "mt": entry.mt,
            "ways": entry.ways,
            "granule": entry.granule,
            "rights": entry.rights,
        },
        "d3": {},
    }
    return bytes(SAM_ENTRY.build(words))


def decode_entry(data: bytes) -> SamEntry | None:
    """The entry of a SAM register (32 bytes), None when it is not valid; ConfigError for an illegal field."""
    if len(data) != SAM_STRIDE:
        raise ConfigError(f"address map: an entry has {SAM_STRIDE} bytes, not {len(data)}")
    words = SAM_ENTRY.parse(data)
    if not words.d0["valid"]:
        return None
    rest = words.d2
    try:
        kind = SamType(words.d0["type"])
    except ValueError as error:
        raise ConfigError(f"address map: type {words.d0['type']} is reserved") from error
    entry = SamEntry(
        base=words.d0["base"] << PAGE_BITS,
        last=(words.d1["last"] << PAGE_BITS) + PAGE_BYTES - 1,
        type=kind,
        home=rest["home"],
        ways=rest["ways"],
        granule=rest["granule"],
        mt=rest["mt"],
        rights=Right(rest["rights"]),
        quiesced=bool(words.d0["quiesced"]),
    )
    check_entry(entry)
    return entry


class AddressMap:
    """The entries, lowest index first; the lowest valid one that contains an address counts. HSL 5.1.

    A None keeps the index of an entry that is not valid. ConfigError for more than SAM_ENTRIES or a bad one.
    """

    def __init__(self, entries: Sequence[SamEntry | None]) -> None:
        if len(entries) > SAM_ENTRIES:
            raise ConfigError(f"address map: {len(entries)} entries, the map holds {SAM_ENTRIES}")
        for entry in entries:
            if entry is not None:
                check_entry(entry)
        self.access_list = AccessList()
        self.entries: tuple[SamEntry | None, ...] = tuple(entries)
        self._index()

    def _index(self) -> None:
        valid = list(self)
        # Between two neighbouring starts the answer never changes, so one search replaces the walk.
        self._starts = sorted({0} | {entry.base for entry in valid} | {entry.last + 1 for entry in valid})
        self._owners = [self._walk(valid, start) for start in self._starts]

    def copy(self) -> AddressMap:
        """The same map and access list, to be changed on its own: each node has one."""
        twin = AddressMap(self.entries)
        for index, entry in enumerate(self.access_list.entries):
            twin.access_list.put(index, entry)
        return twin

    def with_entry(self, index: int, entry: SamEntry | None) -> AddressMap:
        """Return a map with another entry and an empty access list. Raises ConfigError as `put`."""
        changed = AddressMap(self.entries)
        changed.put(index, entry)
        return changed

    def put(self, index: int, entry: SamEntry | None) -> None:
        """Replace an entry (CfgWrite). Raises ConfigError for an invalid entry or index."""
        if not 0 <= index < SAM_ENTRIES:
            raise ConfigError(f"address map: entry {index}; there are {SAM_ENTRIES}")
        if entry is not None:
            check_entry(entry)
        entries = [*self.entries, *(None for _ in range(index + 1 - len(self.entries)))]
        entries[index] = entry
        self.entries = tuple(entries)
        self._index()

    @staticmethod
    def _walk(entries: Sequence[SamEntry], addr: int) -> SamEntry | None:
        return next((entry for entry in entries if entry.base <= addr <= entry.last), None)

    def __iter__(self) -> Iterator[SamEntry]:
        """The valid entries, lowest index first."""
        return (entry for entry in self.entries if entry is not None)

    def lookup(self, addr: int) -> SamEntry | None:
        """The entry that counts for the byte address `addr`, or None: DECODE. HSL 5.1 [HSL-TXN-004]."""
        return self._owners[bisect_right(self._starts, addr) - 1]

    def parts(self, first: int, last: int) -> Iterator[tuple[int, int, SamEntry | None]]:
        """Return the parts of a byte range in which one entry counts: first byte, last byte, the entry."""
        at = first
        for start in [*self._starts[bisect_right(self._starts, first) :], last + 1]:
            end = min(start - 1, last)
            if at <= end:
                yield at, end, self.lookup(at)
            at = end + 1

    def quiesced(self, first: int, last: int) -> bool:
        """True if each coherent line of a byte range is in a QUIESCED entry. HSL 5.1.4."""
        entries = (entry for _, _, entry in self.parts(first, last) if entry is not None)
        return all(entry.quiesced for entry in entries if entry.coherent)

    def losses(self, after: AddressMap) -> Iterator[tuple[int, int]]:
        """Return byte ranges that change their home or lose C or W in the map `after`. HSL 5.1.4."""
        for first, last, was in self.parts(0, (1 << ADDRESS_BITS) - 1):
            if was is None or not was.coherent:
                continue
            for begin, end, now in after.parts(first, last):
                if now is None or now.place != was.place or was.rights & ~now.rights & HOLDING:
                    yield begin, end

    def home(self, addr: int) -> int:
        """NID of the home of `addr`; ConfigError outside the map."""
        entry = self.lookup(addr)
        if entry is None:
            raise ConfigError(f"address {addr:#x} is in no range of the address map")
        return entry.home_of(addr)

    def rights(self, addr: int, src: int = 0, dom: int = 0) -> Right:
        """Return the rights of `src` at `addr` in domain `dom`: of the list, else the default; none outside.

        HSL 5.14, 6.3.
        """
        entry = self.lookup(addr)
        if entry is None:
            return Right(0)
        listed = self.access_list.rights(addr, src, dom)
        return entry.rights if listed is None else listed
