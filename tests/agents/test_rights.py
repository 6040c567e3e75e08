"""Rights by domain at the grant, and rules of the access list that shrink or move (HSL 6.3)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import Err, Op, Right
from hsl._generated.layouts import ACL_BASE
from hsl.agents.access_list import AclEntry, encode_acl
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.identity import Identity
from hsl.agents.memory import Memory
from hsl.agents.registers import Registers
from hsl.codec.message import Message
from tests.agents.home_rig import HOME, A, shape
from tests.agents.test_registers import ALL, PAGE, Recorder

DOM = 0b1010


@pytest.mark.parametrize(("dom", "state"), [(DOM, "S"), (0, "E")])
def test_the_domain_of_a_reader_decides_about_its_grant(dom: int, state: str) -> None:
    """Domain DOM has no W: its ReadShared is granted S; domain 0 has all rights and gets E. [HSL-COH-046]."""
    amap = AddressMap([SamEntry(0, PAGE - 1, home=HOME)])
    rule = AclEntry(0, PAGE - 1, src_mask=0, dom=DOM, dom_mask=0xFFF, rights=Right.C | Right.R)
    amap.access_list.put(0, rule)
    home = HomeAgent(HomeConfig(nid=HOME, address_map=amap), Memory(0, PAGE))
    home.receive(Message(Op.ReadShared, A, HOME, 0, 3, 0, dom=dom), 0)
    assert shape(list(home.outbox)) == [("CmpData", A, state, "OK")]


@pytest.mark.parametrize(
    ("was", "now", "lost"),
    [
        ((0, 2 * PAGE - 1, ALL), (0, PAGE - 1, ALL), PAGE),  # its last page is no longer covered
        ((0, 2 * PAGE - 1, ALL), (PAGE, 2 * PAGE - 1, ALL), 0),  # its first page
        ((0, PAGE - 1, ALL), (PAGE, 2 * PAGE - 1, Right.R), 0),  # both the old and the new range lose
    ],
)
def test_each_part_of_a_range_that_loses_is_quiesced(
    was: tuple[int, int, Right], now: tuple[int, int, Right], lost: int
) -> None:
    """The page `lost` may cost an access C or W, and it alone is not quiesced: PROTO. [HSL-COH-059]."""
    services = Recorder()
    pages = [SamEntry(at, at + PAGE - 1, quiesced=at != lost) for at in (0, PAGE)]
    amap = AddressMap(pages)
    regs = Registers(Identity(guid=7, vectors=32), amap, services)
    old, new = (AclEntry(base, last, src=5, rights=rights) for base, last, rights in (was, now))
    amap.access_list.put(0, old)
    assert regs.write(ACL_BASE, encode_acl(new), 0) == Err.PROTO
    assert amap.access_list.entries[0] == old
