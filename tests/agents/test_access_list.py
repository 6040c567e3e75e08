"""Which accesses an entry of the access list decides about (HSL 5.14, 6.3)."""

from __future__ import annotations

from itertools import product

import pytest

from hsl._generated.constants import Err, Op, Right, SamType
from hsl.agents.access_list import AclEntry
from hsl.agents.address_map import ALL_RIGHTS, AddressMap, SamEntry
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.io import IoAgent, IoConfig
from hsl.agents.memory import Memory
from hsl.codec.message import Message

HOME = 1
PAGE = 1 << 12
SRC, DOM = 0b10_0110, 0b1010


class Listed:
    """A home whose access list has one entry."""

    def __init__(self, entry: AclEntry, rights: Right = ALL_RIGHTS) -> None:
        amap = AddressMap([SamEntry(0, 4 * PAGE - 1, home=HOME, rights=rights)])
        amap.access_list.put(0, entry)
        self.home = HomeAgent(HomeConfig(nid=HOME, address_map=amap), Memory(0, 4 * PAGE))

    def ends(self, src: int, dom: int, addr: int = 0) -> Err:
        """How a ReadOnce ends."""
        self.home.receive(Message(Op.ReadOnce, src, HOME, 0, 3, addr, dom=dom), 0)
        return Err(self.home.outbox.pop().err)


@pytest.mark.parametrize("mask", [0b11_1111, 0b11_1100, 0b00_0011, 0])
@pytest.mark.parametrize("field", ["src", "dom"])
def test_only_the_bits_of_the_mask_are_compared(field: str, mask: int) -> None:
    """An entry decides about each SRC and DOM that equals its own in the bits of the mask.

    Also where its own SRC or DOM has bits outside of the mask. [HSL-SEC-002].
    """
    given = {"src": SRC, "dom": DOM}
    masks = {"src_mask": 0x3FF, "dom_mask": 0xFFF} | {f"{field}_mask": mask}
    listed = Listed(AclEntry(0, PAGE - 1, **given, **masks, rights=Right(0)))
    for flipped in range(1 << 6):
        asked = given | {field: given[field] ^ flipped}
        matches = not flipped & mask
        expected = Err.ACCESS if matches else Err.OK
        rule = f"6.3 ACL: {field} {asked[field]:#b}, entry {given[field]:#b}, mask {mask:#b}"
        assert listed.ends(**asked) == expected, rule


@pytest.mark.parametrize(("page", "offset"), list(product(range(4), (0, PAGE - 64))))
def test_an_entry_decides_about_its_pages_only(page: int, offset: int) -> None:
    """The range of an entry is from its first page to its last, both inclusive. [HSL-SEC-002]."""
    listed = Listed(AclEntry(PAGE, 3 * PAGE - 1, src_mask=0, rights=Right(0)))
    expected = Err.ACCESS if page in (1, 2) else Err.OK
    assert listed.ends(5, 0, page * PAGE + offset) == expected, "6.3 ACL: BASE to LAST"


@pytest.mark.parametrize("default", [Right(0), Right.R, ALL_RIGHTS])
@pytest.mark.parametrize("given", [Right(0), Right.R, ALL_RIGHTS])
def test_an_entry_that_matches_replaces_the_default_rights(default: Right, given: Right) -> None:
    """An entry decides alone: it gives rights that the map does not give, and takes those that it gives.

    The default rights of the map decide about everyone else. [HSL-SEC-002].
    """
    listed = Listed(AclEntry(0, 4 * PAGE - 1, src=SRC, rights=given), default)
    rule = f"6.3 ACL: the map gives {default!r}, the entry {given!r}"
    assert listed.ends(SRC, DOM) == (Err.OK if Right.R in given else Err.ACCESS), rule
    assert listed.ends(SRC + 1, DOM) == (Err.OK if Right.R in default else Err.ACCESS), rule


@pytest.mark.parametrize("op", [Op.NcRead, Op.NcWrite])
@pytest.mark.parametrize("dom", [0, DOM, DOM + 1])
def test_an_entry_decides_about_the_domain_of_a_non_coherent_request(op: Op, dom: int) -> None:
    """NcRead and NcWrite are judged by their own DOM, as coherent requests are. HSL 5.14 [HSL-SEC-002]."""
    amap = AddressMap([SamEntry(0, PAGE - 1, SamType.MMIO, home=HOME)])
    amap.access_list.put(0, AclEntry(0, PAGE - 1, src_mask=0, dom=DOM, dom_mask=0xFFF, rights=Right(0)))
    device = IoAgent(IoConfig(nid=HOME, address_map=amap))
    device.receive(Message(op, SRC, HOME, dom=dom, data=bytes(8) if op == Op.NcWrite else b""), 0)
    expected = Err.ACCESS if dom == DOM else Err.OK
    assert device.outbox.pop().err == expected, f"6.3 ACL: {op.name} of domain {dom:#b}, entry of {DOM:#b}"
