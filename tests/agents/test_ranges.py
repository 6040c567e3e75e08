"""The ranges of a node: what a map entry may take, and what the identity registers tell (HSL 5.15.2)."""

from __future__ import annotations

from typing import Any

import pytest

from hsl._generated.constants import Err, NodeClass, Register, Role, SamType
from hsl._generated.layouts import (
    AGENT_BASE,
    AGENT_COUNT,
    AGENT_D0,
    AGENT_STRIDE,
    PRODUCT_D0,
    RANGE_BASE,
    RANGE_COUNT,
    RANGE_ENTRY,
    RANGE_STRIDE,
    SAM_BASE,
)
from hsl.agents.address_map import AddressMap, SamEntry, encode_entry
from hsl.agents.identity import Identity, Product
from hsl.agents.memory import Memory
from hsl.agents.ranges import NodeRange, Ranges
from hsl.agents.registers import Registers
from hsl.agents.services import Alone, Later
from hsl.errors import ConfigError, TransactionError

PAGE = 4096
SIZE = 4 * PAGE
HOME, IO, TARGET = 32, 33, 34
NIDS = frozenset({HOME, IO, TARGET})
HDM_D, HDM_H, MMIO = SamType.HDM_D, SamType.HDM_H, SamType.MMIO


def node_range(*types: SamType, **fields: Any) -> NodeRange:
    values: dict[str, Any] = {"size": SIZE, "types": frozenset(types), "home": HOME, "mt": TARGET}
    return NodeRange(**(values | fields))


def entry(kind: SamType = HDM_D, base: int = SIZE, size: int = SIZE, **fields: Any) -> SamEntry:
    return SamEntry(base, base + size - 1, kind, **({"home": HOME, "mt": TARGET} | fields))


@pytest.mark.parametrize(
    ("one", "fits"),
    [
        (entry(), True),
        (entry(size=SIZE + PAGE), False),
        (entry(HDM_H), False),
        (entry(HDM_H, mt=TARGET + 1), True),  # of another node: nothing that this one has
        (entry(home=IO), False),
        (entry(home=99), True),
        (entry(home=HOME - 1, ways=1), False),  # the range is not shared
        (entry(MMIO, home=IO, size=PAGE), True),
        (entry(MMIO, home=HOME, size=PAGE), False),
        (entry(SamType.HOSTMEM), True),  # a home says itself what it can serve
    ],
)
def test_an_entry_takes_a_range_that_fits(one: SamEntry, fits: bool) -> None:
    """Type, agent, size and ways of an entry must be those of a range. HSL 5.15.2 [HSL-BOT-005]."""
    ranges = Ranges([node_range(HDM_D), node_range(MMIO, home=IO, size=PAGE)], NIDS)
    assert ranges.can_take(one) is fits


def test_a_range_stays_where_it_is() -> None:
    """The first range that fits is taken, each once; a taken one is not moved. HSL 5.15.2 [HSL-BOT-005]."""
    placed: list[tuple[str, int]] = []
    first = node_range(HDM_D, place=lambda base, size: placed.append(("first", base)))
    second = node_range(HDM_D, HDM_H, place=lambda base, size: placed.append(("second", base)))
    ranges = Ranges([first, second], NIDS)
    assert ranges.take(entry(base=SIZE))
    assert not ranges.take(entry(base=SIZE, quiesced=True))
    assert ranges.take(entry(base=3 * SIZE))
    assert placed == [("first", SIZE), ("second", 3 * SIZE)]
    assert not ranges.can_take(entry(base=5 * SIZE))
    assert ranges.can_take(entry(HDM_H, base=3 * SIZE))  # its homing may change (5.1.4), its place not
    assert not ranges.can_take(entry(HDM_H, base=SIZE))


def test_a_shared_range_fits_by_its_ways() -> None:
    """An entry with WAYS takes a range with at least as many, and no other. HSL 5.15.2 [HSL-BOT-005]."""
    ranges = Ranges([node_range(HDM_D), node_range(HDM_D, ways=1)], NIDS)
    assert ranges.can_take(entry(home=HOME - 1, ways=1, granule=12))
    assert not ranges.can_take(entry(home=HOME - 1, ways=2, granule=12))


def test_tables_tell_agents_and_ranges() -> None:
    """AGENT and RANGE list the node from its first NID on, and nobody writes them. [HSL-BOT-002]."""
    agents = [(HOME, Role.HA), (IO, Role.IOA), (TARGET, Role.MT)]
    ranges = Ranges([node_range(HDM_D, HDM_H), node_range(MMIO, home=IO, size=PAGE)], NIDS)
    product = Product(vendor=0x1234, device=7, revision=2, node_class=NodeClass.GPU)
    identity = Identity(
        roles=Role.HA | Role.IOA | Role.MT,
        product=product,
        agents=agents,
        first=HOME,
        ranges=ranges,
        ready=False,
    )
    regs = Registers(identity, AddressMap([]), Alone())
    entries = [AGENT_D0.parse(regs.read(AGENT_BASE + AGENT_STRIDE * i, 8)) for i in range(AGENT_COUNT)]
    assert [(e["offset"], e["role"]) for e in entries if e["valid"]] == [
        (nid - HOME, role) for nid, role in agents
    ]
    table = [RANGE_ENTRY.parse(regs.read(RANGE_BASE + RANGE_STRIDE * i, 16)) for i in range(RANGE_COUNT)]
    told = [(e.d0["types"], e.d0["home"], e.d0["mt"], e.d1["size"]) for e in table if e.d0["valid"]]
    assert told == [(1 << HDM_D | 1 << HDM_H, 0, 2, SIZE // PAGE), (1 << MMIO, 1, 0, 1)]
    assert PRODUCT_D0.parse(regs.read(Register.PRODUCT, 8)) == {
        "vendor": 0x1234, "device": 7, "revision": 2, "kind": NodeClass.GPU,
    }  # fmt: skip
    before = regs.read(AGENT_BASE, 32), regs.read(RANGE_BASE, 32), regs.read(Register.PRODUCT, 8)
    for offset, size in ((AGENT_BASE, 32), (RANGE_BASE, 32), (Register.PRODUCT, 8)):
        assert regs.write(offset, b"\xff" * size, 0) == Err.OK
    assert (regs.read(AGENT_BASE, 32), regs.read(RANGE_BASE, 32), regs.read(Register.PRODUCT, 8)) == before
    assert not regs.exists(AGENT_BASE + AGENT_STRIDE * AGENT_COUNT, 8)
    assert not regs.exists(RANGE_BASE + RANGE_STRIDE * RANGE_COUNT, 8)


def test_an_entry_that_fits_nothing_is_refused_by_the_register() -> None:
    """A CfgWrite of an entry that the node cannot serve ends with PROTO, and the map stays. [HSL-BOT-005]."""

    class Serves(Alone):
        def can_serve(self, entry: SamEntry) -> bool:
            return Ranges([node_range(HDM_D)], NIDS).can_take(entry)

    amap = AddressMap([])
    regs = Registers(Identity(), amap, Serves())
    assert regs.write(SAM_BASE, encode_entry(entry(size=PAGE)), 0) == Err.PROTO
    assert list(amap) == []
    assert regs.write(SAM_BASE, encode_entry(entry()), 0) == Err.OK
    assert list(amap) == [entry()]


def test_memory_without_an_address() -> None:
    """Memory answers where it was placed, part by part, and nowhere else."""
    memory = Memory(None, 2 * PAGE)
    with pytest.raises(TransactionError, match="without an address"):
        memory.read(0, 8)
    memory.place(PAGE, PAGE)
    memory.place(8 * PAGE, PAGE)
    memory.write_line(PAGE, b"a" * 64)
    memory.write_line(8 * PAGE, b"b" * 64, poison=True)
    assert (memory.read_line(PAGE), memory.read_line(8 * PAGE)) == ((b"a" * 64, False), (b"b" * 64, True))
    assert memory.covers(8 * PAGE, 9 * PAGE - 1)
    assert not memory.covers(PAGE, 2 * PAGE)
    for addr in (0, 2 * PAGE, 9 * PAGE):
        with pytest.raises(TransactionError, match="lie outside"):
            memory.read(addr, 1)
    with pytest.raises(ConfigError, match="placed"):
        memory.place(16 * PAGE, PAGE)


@pytest.mark.parametrize(
    "fields", [{"size": 0}, {"size": PAGE + 1}, {"types": frozenset()}, {"ways": 4}, {"ways": -1}]
)
def test_bad_ranges(fields: dict[str, Any]) -> None:
    """A range of no whole pages, of no type, or of too many ways: ConfigError."""
    with pytest.raises(ConfigError, match="range of"):
        node_range(HDM_D, **fields)


def test_tables_have_an_end() -> None:
    """More agents or ranges than the tables have room for: ConfigError."""
    with pytest.raises(ConfigError, match="AGENT"):
        Identity(agents=[(nid, Role.RA) for nid in range(AGENT_COUNT + 1)])
    with pytest.raises(ConfigError, match="RANGE"):
        Ranges([node_range(HDM_D)] * (RANGE_COUNT + 1))


@pytest.mark.parametrize(
    ("ready", "used", "err"), [(False, False, Err.OK), (False, True, Err.PROTO), (True, False, Err.PROTO)]
)
def test_the_map_of_a_device_may_change_while_it_is_not_ready(ready: bool, used: bool, err: Err) -> None:
    """A range of another node needs no QUIESCED then, but nobody here may hold a line of it. HSL 5.15.3."""

    class Using(Alone):
        def in_use(self, first: int, last: int) -> bool:
            return used

    regs = Registers(Identity(ready=ready), AddressMap([]), Using())
    assert regs.write(SAM_BASE, encode_entry(entry(home=99)), 0) == Err.OK
    done = regs.write(SAM_BASE, encode_entry(entry(home=98)), 0)
    assert (Err.OK if isinstance(done, Later) else done) == err


def test_a_shared_range_fits_fewer_ways() -> None:
    """WAYS of RANGE is the most that an entry may have. HSL 5.15.2."""
    ranges = Ranges([node_range(HDM_D, ways=2)], NIDS)
    assert [ranges.can_take(entry(home=HOME - 1, ways=ways, granule=12)) for ways in (1, 2, 3)] == [
        True,
        True,
        False,
    ]


def test_the_target_of_an_entry_is_that_of_its_range() -> None:
    """An HDM_H entry that names another agent of the node as target takes no range. [HSL-BOT-005]."""
    ranges = Ranges([node_range(HDM_H)], NIDS)
    assert not ranges.can_take(entry(HDM_H, mt=IO))
    assert ranges.can_take(entry(HDM_H))
