"""Configuration registers (HSL 5.14)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import Err, FenceCommand, Register, Right, SamType
from hsl._generated.layouts import (
    ACL_BASE,
    CFGMASTER_D0,
    ERRDST_D0,
    FENCE_D0,
    RATE_D0,
    SAM_BASE,
    SAM_STRIDE,
)
from hsl.agents.access_list import AccessList, AclEntry, decode_acl, encode_acl
from hsl.agents.address_map import AddressMap, SamEntry, encode_entry
from hsl.agents.identity import Identity
from hsl.agents.registers import Registers
from hsl.agents.services import Alone, Later
from hsl.errors import ConfigError

PAGE = 4096


class Recorder(Alone):
    """Services that note what they are asked for; `used`: a line that is in use at a home."""

    has_home = True

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.open = True
        self.left = 0
        self.used: int | None = None
        self.under_way = False

    def fence(self, nid: int, now: int) -> Err:
        self.asked.append(("fence", nid))
        return Err.OK

    def readmit(self, nid: int, now: int) -> Err:
        self.asked.append(("readmit", nid))
        return Err.UNREACH

    def lift(self, nid: int, now: int) -> Err:
        self.asked.append(("lift", nid))
        return Err.OK

    def set_rate(self, messages: int, bucket: int, now: int) -> None:
        self.asked.append(("rate", messages, bucket))

    def recall(self, first: int, last: int, now: int) -> Err:
        self.asked.append(("recall", first, last))
        return Err.OK if self.open else Err.BUSY

    def recalling(self) -> int:
        return self.left

    def in_use(self, first: int, last: int) -> bool:
        return self.used is not None and first <= self.used <= last

    def outdated(self, first: int, last: int) -> bool:
        return self.under_way


def registers() -> tuple[Registers, Recorder, AddressMap]:
    services, amap = Recorder(), AddressMap([SamEntry(0, PAGE - 1)])
    return Registers(Identity(guid=7, vectors=32), amap, services), services, amap


def word(value: int) -> bytes:
    return value.to_bytes(8, "little")


def test_writable_bits_are_kept_and_others_have_no_effect() -> None:
    """A write to a field is read back; reserved and read-only bits stay as they are."""
    regs, _, _ = registers()
    assert regs.write(Register.ERRDST, b"\xff" * 8, 0) == Err.OK
    assert regs.read(Register.ERRDST, 8) == word((1 << 11) - 1)
    before = regs.read(Register.ID, 16)
    assert regs.write(Register.ID, b"\xff" * 16, 0) == Err.OK
    assert regs.read(Register.ID, 16) == before


def test_error_destination_and_master() -> None:
    """ERRDST names a node while it is on; CFGMASTER on lets only its NID write."""
    regs, _, _ = registers()
    before = regs.error_destination
    regs.write(Register.ERRDST, ERRDST_D0.build({"nid": 5, "on": 1}), 0)
    assert (before, regs.error_destination) == (None, 5)
    assert [regs.may_write(nid) for nid in (5, 9)] == [True, True]
    regs.write(Register.CFGMASTER, CFGMASTER_D0.build({"nid": 5, "on": 1}), 0)
    assert [regs.may_write(nid) for nid in (5, 9)] == [True, False]


@pytest.mark.parametrize(
    ("command", "asked", "err"),
    [
        (FenceCommand.FENCE, [("fence", 9)], Err.OK),
        (FenceCommand.READMIT, [("readmit", 9)], Err.UNREACH),
        (FenceCommand.LIFT, [("lift", 9)], Err.OK),
        (0, [], Err.PROTO),
    ],
)
def test_fence_commands(command: int, asked: list[object], err: Err) -> None:
    """Each command of FENCE does its part of 6.2; what is none ends with PROTO."""
    regs, services, _ = registers()
    assert regs.write(Register.FENCE, FENCE_D0.build({"nid": 9, "command": command}), 0) == err
    assert services.asked == asked


def test_rate() -> None:
    """RATE hands messages per 1024 TU and bucket size to the ports."""
    regs, services, _ = registers()
    regs.write(Register.RATE, RATE_D0.build({"messages": 3, "bucket": 4}), 0)
    assert services.asked == [("rate", 3, 4)]


def test_recall_begins_in_a_quiesced_range_and_is_counted_down() -> None:
    """RECALL needs both addresses of a quiesced range and a free place; RECALLING has the lines left.

    HSL 5.1.4 [HSL-COH-057, HSL-COH-058].
    """
    regs, services, amap = registers()
    both = word(0) + word(127)
    assert regs.write(Register.RECALL, both, 0) == Err.PROTO
    amap.put(0, SamEntry(0, PAGE - 1, quiesced=True))
    assert regs.write(Register.RECALL, word(0), 0) == Err.PROTO
    assert regs.write(Register.RECALL + 8, word(0), 0) == Err.PROTO
    assert regs.write(Register.RECALL, word(64) + word(0), 0) == Err.PROTO
    assert services.asked == []
    assert regs.write(Register.RECALL, both, 0) == Err.OK
    services.open = False
    assert regs.write(Register.RECALL, both, 0) == Err.BUSY
    assert services.asked == [("recall", 0, 127)] * 2
    for services.left, shown in ((3, 3), (1 << 33, (1 << 32) - 1)):
        assert regs.read(Register.RECALLING, 8) == word(shown)
    assert regs.write(Register.RECALLING, word(0), 0) == Err.OK
    assert regs.read(Register.RECALLING, 8) == word((1 << 32) - 1)


QUIET = SamEntry(0, PAGE - 1, home=1, quiesced=True)
LOSSES = {
    "invalid": None,
    "without W": QUIET._replace(rights=Right.C | Right.R),
    "without C": QUIET._replace(rights=Right.R | Right.W),
    "another home": QUIET._replace(home=2),
    "another target": QUIET._replace(type=SamType.HDM_H, mt=3),
    "interleaved": QUIET._replace(ways=1),
    "moved": QUIET._replace(base=PAGE, last=2 * PAGE - 1),
}


@pytest.mark.parametrize("name", LOSSES)
def test_an_entry_takes_away_only_what_is_quiesced_and_recalled(name: str) -> None:
    """C, W or the home of a line go only in a range that is quiesced and not in use. [HSL-COH-059]."""
    regs, services, amap = registers()
    amap.put(0, QUIET._replace(quiesced=False))
    after = encode_entry(LOSSES[name])
    assert regs.write(SAM_BASE, after, 0) == Err.PROTO
    assert regs.write(SAM_BASE, encode_entry(QUIET), 0) == Err.OK
    services.used = 64
    assert regs.write(SAM_BASE, after, 0) == Err.PROTO
    assert amap.lookup(0) == QUIET
    services.used = None
    assert isinstance(regs.write(SAM_BASE, after, 0), Later)
    assert amap.lookup(0) == (LOSSES[name] if name != "moved" else None)


def test_an_entry_with_a_lower_index_takes_away_too() -> None:
    """An entry that is found first gives its range to another home. [HSL-COH-059]."""
    regs, _, amap = registers()
    amap.put(0, None)
    amap.put(5, SamEntry(0, 4 * PAGE - 1, home=1))
    over = SamEntry(PAGE, 2 * PAGE - 1, home=2)
    assert regs.write(SAM_BASE + 3 * SAM_STRIDE, encode_entry(over), 0) == Err.PROTO
    assert regs.write(SAM_BASE + 6 * SAM_STRIDE, encode_entry(over), 0) == Err.OK  # never found


def test_what_takes_nothing_away_needs_no_quiet_range() -> None:
    """More rights, less of R, A or N, an entry for MMIO: at once. [HSL-COH-059]."""
    regs, _, amap = registers()
    amap.put(0, SamEntry(0, PAGE - 1, rights=Right.C | Right.R))
    for rights in (Right.C | Right.R | Right.W, Right.C | Right.W):
        assert regs.write(SAM_BASE, encode_entry(SamEntry(0, PAGE - 1, rights=rights)), 0) == Err.OK
    apart = SamEntry(PAGE, 2 * PAGE - 1, SamType.MMIO, home=4)
    assert regs.write(SAM_BASE + SAM_STRIDE, encode_entry(apart), 0) == Err.OK
    assert regs.write(SAM_BASE + SAM_STRIDE, bytes(32), 0) == Err.OK


def test_the_write_of_an_entry_ends_after_the_requests_by_the_old_one() -> None:
    """A request for a moved line is under way to the old home: no completion yet. [HSL-COH-061]."""
    regs, services, amap = registers()
    amap.put(0, QUIET)
    services.under_way = True
    later = regs.write(SAM_BASE, encode_entry(QUIET._replace(home=2)), 0)
    assert isinstance(later, Later)
    assert amap.home(0) == 2
    assert later.poll(0) is None
    services.under_way = False
    done = later.poll(0)
    assert done is not None
    assert done.err == Err.OK


ALL = Right.C | Right.R | Right.W | Right.A | Right.N
RULE = AclEntry(0, PAGE - 1, src=5, rights=ALL)


@pytest.mark.parametrize(
    ("was", "now", "loses"),
    [
        (None, RULE, False),
        (None, RULE._replace(rights=Right.R), True),
        (RULE, None, True),
        (RULE, RULE._replace(rights=ALL & ~Right.W), True),
        (RULE, RULE._replace(rights=Right.C | Right.W), False),
        (RULE, RULE._replace(src_mask=0), False),
        (RULE, RULE._replace(src=6), True),
        (RULE, RULE._replace(base=PAGE, last=2 * PAGE - 1), True),
        (RULE._replace(src_mask=0), RULE, True),
        (RULE._replace(rights=Right.R), None, False),
        (RULE._replace(rights=Right.R), RULE._replace(rights=Right.R), False),
    ],
)
def test_a_rule_takes_away_only_what_is_quiesced_and_recalled(
    was: AclEntry | None, now: AclEntry | None, loses: bool
) -> None:
    """A rule that may cost an access C or W needs a quiesced and recalled range. [HSL-COH-059]."""
    regs, services, amap = registers()
    amap.access_list.put(0, was)
    assert regs.write(ACL_BASE, encode_acl(now), 0) == (Err.PROTO if loses else Err.OK)
    amap.put(0, QUIET)
    amap.access_list.put(0, was)
    services.used = 0
    assert regs.write(ACL_BASE, encode_acl(now), 0) == (Err.PROTO if loses else Err.OK)
    services.used = PAGE
    assert regs.write(ACL_BASE, encode_acl(now), 0) == Err.OK
    assert amap.access_list.entries[0] == now


def test_map_entries_are_replaced_whole() -> None:
    """A SAM entry is written by LEN=2 only, and rules from then on; a bad one changes nothing."""
    regs, _, amap = registers()
    at = SAM_BASE + 3 * SAM_STRIDE
    entry = SamEntry(PAGE, 2 * PAGE - 1, SamType.HDM_D, home=4)
    assert regs.write(at, encode_entry(entry)[:8], 0) == Err.PROTO
    assert regs.write(at + 16, encode_entry(entry)[:16], 0) == Err.PROTO
    bad = bytearray(encode_entry(entry))
    bad[0] |= 0xE  # a reserved type
    assert regs.write(at, bytes(bad), 0) == Err.PROTO
    assert amap.lookup(PAGE) is None
    assert regs.write(at, encode_entry(entry), 0) == Err.OK
    assert amap.lookup(PAGE) == entry
    assert regs.read(at, 32) == encode_entry(entry)
    assert regs.write(at, encode_entry(entry._replace(quiesced=True)), 0) == Err.OK
    assert isinstance(regs.write(at, bytes(32), 0), Later)
    assert amap.lookup(PAGE) is None


def test_access_list_entries() -> None:
    """An ACL entry decides by range, SRC and DOM, the lowest first; without one the defaults hold.

    [HSL-SEC-002].
    """
    regs, _, amap = registers()
    amap.put(0, SamEntry(0, PAGE - 1, quiesced=True))
    only = AclEntry(0, PAGE - 1, src=5, dom=3, dom_mask=0xFFF, rights=Right.R)
    every = AclEntry(0, PAGE - 1, src=4, src_mask=0x3FC, rights=Right.W)
    for index, entry in ((2, every), (1, only)):
        assert regs.write(ACL_BASE + 32 * index, encode_acl(entry), 0) == Err.OK
        assert decode_acl(regs.read(ACL_BASE + 32 * index, 32)) == entry
    assert amap.rights(8, 5, 3) == Right.R
    assert amap.rights(8, 5, 2) == amap.rights(8, 7, 0) == Right.W
    assert amap.rights(8, 8, 0) == Right.C | Right.R | Right.W | Right.A | Right.N
    assert amap.rights(PAGE, 5, 3) == Right(0)  # outside the map
    assert amap.copy().rights(8, 5, 3) == Right.R
    regs.write(ACL_BASE + 32, bytes(32), 0)
    assert amap.rights(8, 5, 3) == Right.W


def test_illegal_access_list_entries() -> None:
    """Ranges that are no pages and indices beyond the last are refused."""
    entries = AccessList()
    for bad in (AclEntry(8, PAGE - 1), AclEntry(0, PAGE), AclEntry(PAGE, PAGE - 1)):
        with pytest.raises(ConfigError, match="expected a range of whole pages"):
            entries.put(0, bad)
    with pytest.raises(ConfigError, match="there are 32"):
        entries.put(32, None)
    with pytest.raises(ConfigError, match="32 bytes"):
        decode_acl(bytes(31))
    with pytest.raises(ConfigError, match="there are 64"):
        AddressMap([]).put(64, None)
