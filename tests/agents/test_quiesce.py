"""A home whose range is quiesced and recalled (HSL 5.1.4, 5.4 T10, T15)."""

from __future__ import annotations

from typing import Any

import pytest

from hsl._generated.constants import Err, Op, Right, SamType, St
from hsl.agents.access_list import AclEntry
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.memory import Memory
from hsl.agents.peers import LOCAL
from tests.agents.home_rig import FIELDS, HOME, LINE, NEW, OTHER, SIZE, A, B, C, Rig, shape

QUIET = SamEntry(0, SIZE - 1, home=HOME, quiesced=True)
GIVEN_BACK = (Op.Evict, Op.WbFull)
ASKING = [
    Op.ReadShared,
    Op.ReadUnique,
    Op.MakeUnique,
    Op.Upgrade,
    Op.ReadOnce,
    Op.Flush,
    Op.WriteFull,
    Op.WritePtl,
    Op.AtomicLoad,
    Op.AtomicStore,
]


class QuietRig(Rig):
    """A home with a map of its own, whose range `quiesce` and `open` change."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.map = AddressMap([SamEntry(0, SIZE - 1, home=HOME)])
        self.home = HomeAgent(HomeConfig(nid=HOME, address_map=self.map, **config), self.memory)

    def quiesce(self, **fields: Any) -> None:
        """New requests end with BUSY."""
        self.map.put(0, QUIET._replace(**fields))

    def recall(self) -> int:
        """Recall LINE, and return the lines that are left."""
        self.home.recall(LINE, LINE + 63, self.now)
        return self.home.recalling


@pytest.mark.parametrize("op", ASKING)
def test_a_quiesced_home_answers_busy(op: Op) -> None:
    """A request other than Evict and WbFull ends BUSY and touches nothing. [HSL-COH-055]."""
    rig = QuietRig()
    rig.hold(B)
    rig.quiesce()
    asked = rig.send(op, A, **FIELDS.get(op, {}))
    assert shape(asked) == [("Cmp", A, "I", "BUSY")]
    assert rig.directory() == ("X", {B})
    assert rig.home.idle


def test_what_holders_give_back_is_served() -> None:
    """Evict and WbFull change directory and memory in a quiesced range as ever. [HSL-COH-056]."""
    rig = QuietRig()
    rig.hold(B)
    rig.hold(C, addr=OTHER)
    rig.quiesce()
    assert shape(rig.send(Op.WbFull, B)) == [("Cmp", B, "I", "OK")]
    assert shape(rig.send(Op.Evict, C, addr=OTHER)) == [("Cmp", C, "I", "OK")]
    assert (rig.directory(), rig.directory(OTHER)) == (("I", set()), ("I", set()))
    assert rig.memory.read_line(LINE) == (NEW, False)


def test_busy_comes_after_access_and_before_decode_elsewhere() -> None:
    """The order of the checks: no entry, form, rights, QUIESCED; a stale Evict is served. [HSL-COH-055]."""
    rig = QuietRig()
    rig.quiesce(home=HOME + 1)
    rig.map.access_list.put(0, AclEntry(0, 4095, src=C, rights=Right(0)))
    ends = {
        "no entry": rig.send(Op.ReadShared, A, addr=SIZE),
        "form": rig.send(Op.ReadShared, A, len=2),
        "rights": rig.send(Op.ReadShared, C, addr=0),
        "quiesced": rig.send(Op.ReadShared, A),
        "stale Evict": rig.send(Op.Evict, A),
    }
    rig.quiesce(home=HOME + 1, quiesced=False)
    ends["elsewhere"] = rig.send(Op.ReadShared, A)
    assert {what: Err(sent[0].err).name for what, sent in ends.items()} == {
        "no entry": "DECODE",
        "form": "PROTO",
        "rights": "ACCESS",
        "quiesced": "BUSY",
        "stale Evict": "OK",
        "elsewhere": "DECODE",
    }


def test_a_line_that_is_being_granted_is_recalled() -> None:
    """A is snooped for B, whose grant comes; only then is the line taken back. [HSL-COH-057, HSL-COH-058]."""
    rig = QuietRig()
    rig.hold(A)
    (snoop,) = rig.send(Op.ReadUnique, B)
    rig.quiesce()
    assert rig.recall() == 1
    (grant,) = rig.send(Op.SnpRsp, A, txn=snoop.txn)
    assert rig.home.recalling == 1
    (snoop,) = rig.ack(grant)
    assert (snoop.op, snoop.dst) == (Op.SnpInv, B)
    rig.send(Op.SnpRsp, B, txn=snoop.txn)
    assert (rig.home.recalling, rig.directory()) == (0, ("I", set()))


def test_a_line_that_is_only_waited_for_is_recalled() -> None:
    """A request without a TSHR has touched nothing yet; its line counts. [HSL-COH-057, HSL-COH-058]."""
    rig = QuietRig(tshrs=1)
    (other,) = rig.send(Op.ReadUnique, A, addr=OTHER)
    assert rig.send(Op.ReadUnique, B) == []
    rig.quiesce()
    assert rig.recall() == 1
    (grant,) = rig.ack(other)
    assert (grant.dst, rig.home.recalling) == (B, 1)
    (snoop,) = rig.ack(grant)
    rig.send(Op.SnpRspData, B, txn=snoop.txn, st=St.I)
    assert (rig.home.recalling, rig.directory()) == (0, ("I", set()))
    assert rig.memory.read_line(LINE) == (NEW, False)


@pytest.mark.parametrize("op", [Op.ReadUnique, Op.WriteFull])
def test_a_recall_stands_behind_requests_of_its_instant(op: Op) -> None:
    """A request waits when RECALL is written in the same instant. HSL 5.4 T10 [HSL-COH-057]."""
    rig = QuietRig()
    (first,) = rig.send(Op.ReadUnique, A)
    assert rig.send(op, B) == []
    rig.quiesce()
    assert rig.recall() == 1
    (snoop,) = rig.ack(first)
    sent = rig.send(Op.SnpRsp, A, txn=snoop.txn)
    assert [message.dst for message in sent[:1]] == [B], "the request that waited comes first"
    if op == Op.ReadUnique:
        snoops = rig.ack(sent[0])
        assert shape(snoops) == [("SnpInv", B, "I", "OK")], "then the recall"
        rig.send(Op.SnpRsp, B, txn=snoops[0].txn)
    assert (rig.home.recalling, rig.directory()) == (0, ("I", set()))


def test_a_line_in_use_is_listed_busy_or_waited_for() -> None:
    """What a CfgWrite that takes rights away asks for. [HSL-COH-059]."""
    rig = QuietRig(tshrs=1)
    assert not rig.home.in_use(0, SIZE - 1)
    (grant,) = rig.send(Op.ReadUnique, A)
    rig.send(Op.ReadOnce, B, addr=OTHER)
    assert [rig.home.in_use(at, at + 63) for at in (LINE, OTHER, LINE - 64)] == [True, True, False]
    rig.ack(grant)
    assert [rig.home.in_use(at, at + 63) for at in (LINE, OTHER)] == [True, False]


def test_a_part_of_a_range_that_is_not_quiesced_counts() -> None:
    """Each coherent line of the range must be in a QUIESCED entry; MMIO and gaps have no line."""
    page = 4096
    entries = [
        SamEntry(0, page - 1, quiesced=True),
        SamEntry(page, 2 * page - 1, SamType.MMIO, home=9),
        SamEntry(3 * page, 4 * page - 1, home=2, quiesced=True),
        SamEntry(0, 8 * page - 1, home=3),
    ]
    amap = AddressMap(entries[:3])
    assert amap.quiesced(0, 8 * page - 1)
    amap.put(3, entries[3])
    asked = [(0, page - 1), (0, 2 * page - 1), (0, 2 * page), (3 * page, 4 * page - 1), (3 * page, 4 * page)]
    assert [amap.quiesced(*each) for each in asked] == [True, True, False, True, False]


def test_a_home_without_memory_has_nothing_to_recall() -> None:
    """An empty range is recalled at once."""
    home = HomeAgent(HomeConfig(nid=HOME, address_map=AddressMap([QUIET])), Memory(0, SIZE))
    assert home.recall(0, SIZE - 1, 0).done
    assert home.recalling == 0


def test_a_recall_takes_each_line_with_a_byte_in_the_range() -> None:
    """Also the line that contains the first address. [HSL-COH-057]."""
    rig = QuietRig()
    rig.hold(A)
    recall = rig.home.recall(LINE + 8, LINE + 15, rig.now)
    assert (recall.lines, [m.op for m in rig.sent()]) == (1, [Op.SnpInv])


def test_an_evict_of_a_node_that_holds_nothing_is_no_use_of_a_line() -> None:
    """It waits behind a TSHR that its sender keeps: the range may move all the same. [HSL-COH-059]."""
    rig = QuietRig(tshrs=1)
    (grant,) = rig.send(Op.ReadUnique, A)
    for op in (Op.Evict, Op.WbFull):
        assert rig.send(op, B, addr=OTHER) == []
    assert not rig.home.in_use(OTHER, OTHER + 63)
    assert rig.home.recall(OTHER, OTHER + 63, rig.now).done
    rig.send(Op.ReadOnce, B, addr=OTHER)
    assert rig.home.in_use(OTHER, OTHER + 63)
    rig.ack(grant)


def test_a_holder_that_gives_a_line_back_waits_for_no_recall_by_register() -> None:
    """Its Recall may wait long for a TSHR that late holders keep; its WbFull does not. HSL 6.3."""
    slow, good = 16, 32
    rig = Rig(ports=2, tshrs=8)
    for index, nid in enumerate((slow, good)):
        rig.home.attach(range(nid, nid + 16), LOCAL, index)
    for line in range(20):
        rig.hold(slow, addr=line * 64)
    rig.hold(good, addr=20 * 64)
    recall = rig.home.recall(0, 21 * 64 - 1, 0)
    snoops = rig.sent()
    rig.now = 1
    assert [(m.op, m.dst) for m in rig.send(Op.WbFull, good, addr=20 * 64)] == [(Op.Cmp, good)]
    while snoops:
        snoops += rig.send(Op.SnpRsp, slow, txn=snoops.pop(0).txn, st=St.I)
    assert (recall.done, rig.home.idle) == (True, True)
