"""The system address map."""

from __future__ import annotations

from random import Random

import pytest

from hsl._generated.constants import ADDRESS_BITS, MAX_NID, SAM_ENTRIES, Right, SamType
from hsl.agents.address_map import AddressMap, SamEntry, decode_entry, encode_entry
from hsl.errors import ConfigError

PAGE = 4096
LAST = (1 << ADDRESS_BITS) - 1


def test_lowest_valid_entry_counts() -> None:
    """Of entries that contain an address the one with the lowest index counts; None entries do not.

    HSL 5.1.
    """
    one, two = SamEntry(PAGE, 3 * PAGE - 1, home=1), SamEntry(0, 4 * PAGE - 1, SamType.HDM_D, home=2)
    amap = AddressMap([None, one, two])
    asked = [0, PAGE - 1, PAGE, 3 * PAGE - 1, 3 * PAGE, 4 * PAGE - 1, 4 * PAGE, LAST]
    assert [amap.lookup(addr) for addr in asked] == [two, two, one, one, two, two, None, None]
    assert list(amap) == [one, two]


def test_lookup_agrees_with_a_walk() -> None:
    """The search over starts gives what a walk over the entries gives."""
    rng = Random(7)
    for _ in range(30):
        entries = []
        for home in range(rng.randrange(1, 12)):
            first = rng.randrange(40)
            entries.append(SamEntry(first * PAGE, (first + rng.randrange(1, 9)) * PAGE - 1, home=home))
        amap = AddressMap(entries)
        for addr in range(0, 50 * PAGE, PAGE // 2):
            walk = next((e for e in entries if e.base <= addr <= e.last), None)
            assert amap.lookup(addr) == walk


def test_interleave() -> None:
    """Home = base NID + ((ADDR >> granule) mod 2^ways). HSL 5.1."""
    amap = AddressMap([SamEntry(0, 64 * PAGE - 1, home=8, ways=2, granule=9)])
    assert [amap.home(addr) for addr in range(0, 512 * 6, 512)] == [8, 9, 10, 11, 8, 9]
    with pytest.raises(ConfigError, match="no range"):
        amap.home(64 * PAGE)


def test_rights() -> None:
    """Default rights are those of the entry, none outside."""
    amap = AddressMap([SamEntry(0, PAGE - 1, rights=Right.R | Right.N)])
    assert amap.rights(5) == Right.R | Right.N
    assert amap.rights(PAGE) == Right(0)


@pytest.mark.parametrize(
    "entry",
    [
        SamEntry(0, LAST),
        SamEntry(PAGE, 2 * PAGE - 1, SamType.MMIO, home=MAX_NID, mt=MAX_NID, rights=Right(0)),
        SamEntry(0, PAGE - 1, SamType.HDM_H, home=1, ways=3, granule=12, mt=77, rights=Right.C),
    ],
)
def test_register_form_round_trips(entry: SamEntry) -> None:
    """An entry is the same after its register form; no entry is all zero. HSL 5.14."""
    assert decode_entry(encode_entry(entry)) == entry
    assert encode_entry(None) == bytes(32)
    assert decode_entry(bytes(32)) is None


def test_register_form_by_hand() -> None:
    """The granules hold the bits that 5.14 says: typed here from the text, not from the generated layout."""
    data = encode_entry(
        SamEntry(0x5000, 0x8FFF, SamType.HDM_H, home=3, ways=1, granule=9, mt=5, rights=Right.R)
    )
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, 32, 8)]
    assert words == [1 | 2 << 1 | 0x5000, 0x8000, 3 | 5 << 10 | 1 << 20 | 9 << 24 | 2 << 32, 0]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"base": 1}, "base"),
        ({"last": PAGE}, "last"),
        ({"base": 2 * PAGE}, "base"),
        ({"last": (1 << ADDRESS_BITS) + PAGE - 1}, "last"),
        ({"ways": 4}, "ways"),
        ({"granule": 7}, "granule"),
        ({"granule": 13}, "granule"),
        ({"home": MAX_NID, "ways": 1}, "home"),
        ({"home": -1}, "home"),
        ({"mt": MAX_NID + 1}, "mt"),
    ],
)
def test_bad_entries_name_the_field(changes: dict[str, int], name: str) -> None:
    """A field out of range is a ConfigError that names it."""
    entry = SamEntry(0, PAGE - 1)._replace(**changes)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=name):
        AddressMap([entry])
    with pytest.raises(ConfigError, match=name):
        encode_entry(entry)


@pytest.mark.parametrize(
    ("data", "text"), [(bytes(31), "31"), (b"\x0f" + bytes(31), "reserved"), (b"\x01" + bytes(31), "granule")]
)
def test_bad_registers_are_typed_errors(data: bytes, text: str) -> None:
    """Bytes that are no legal entry are a ConfigError."""
    with pytest.raises(ConfigError, match=text):
        decode_entry(data)


def test_map_is_capped() -> None:
    """SAM_ENTRIES entries fit, one more does not."""
    entries = [SamEntry(i * PAGE, (i + 1) * PAGE - 1, home=i) for i in range(SAM_ENTRIES + 1)]
    assert AddressMap(entries[:-1]).home(PAGE * 5) == 5
    with pytest.raises(ConfigError, match=str(SAM_ENTRIES)):
        AddressMap(entries)
