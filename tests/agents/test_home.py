"""The home agent: the tables of HSL 5.6 from outside, as a peer sees them."""

from __future__ import annotations

import pytest

from hsl._generated.constants import MAX_TXN, ErrorCode, Op, St
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.home_actions import ERRORS_LIMIT
from hsl.agents.memory import Memory
from hsl.agents.peers import LOCAL
from hsl.agents.waiting import RECALL_LIMIT
from hsl.codec.checks import Negotiated
from hsl.errors import ConfigError
from tests.agents.home_rig import (
    ADDED,
    DIRTY,
    FIELDS,
    HOME,
    LINE,
    MAP,
    MERGED,
    NEW,
    NO_HAND,
    OLD,
    OTHER,
    SIZE,
    A,
    B,
    C,
    Rig,
    shape,
)

# HSL 5.6, by hand: request -> (snoop at dir S, snoop at dir X, completion, ST at I, ST at S, ST at X,
# memory after)
UNLISTED = {
    Op.ReadShared: ("", "SnpShared", "CmpData", "E", "S", "S", OLD),
    Op.ReadUnique: ("SnpInv", "SnpInv", "CmpData", "E", "E", "E", OLD),
    Op.MakeUnique: ("SnpInv", "SnpInv", "Cmp", "M", "M", "M", OLD),
    Op.Upgrade: ("SnpInv", "SnpInv", "CmpData", "E", "E", "E", OLD),
    Op.ReadOnce: ("", "SnpCur", "CmpData", "I", "I", "I", OLD),
    Op.WriteFull: ("SnpInv", "SnpInv", "Cmp", "I", "I", "I", NEW),
    Op.WritePtl: ("SnpInv", "SnpInv", "Cmp", "I", "I", "I", MERGED),
    Op.AtomicLoad: ("SnpInv", "SnpInv", "CmpData", "I", "I", "I", ADDED),
    Op.AtomicStore: ("SnpInv", "SnpInv", "Cmp", "I", "I", "I", ADDED),
    Op.Flush: ("SnpInv", "SnpInv", "Cmp", "I", "I", "I", OLD),
}
HOLDERS: dict[str, set[int]] = {"I": set(), "S": {B, C}, "X": {B}}


@pytest.mark.parametrize("state", "ISX")
@pytest.mark.parametrize("op", UNLISTED)
def test_request_of_a_node_that_is_not_listed(op: Op, state: str) -> None:
    """Each request by an unlisted node snoops whom the table says, then completes, in each directory state.

    HSL 5.6 [HSL-COH-001, HSL-COH-002, HSL-COH-003, HSL-COH-004, HSL-COH-005, HSL-COH-007, HSL-COH-008,
    HSL-COH-009, HSL-COH-013].
    """
    at_s, at_x, completion, *rest = UNLISTED[op]
    granted = str(dict(zip("ISX", rest[:3], strict=True))[state])
    rig = Rig()
    rig.put(state)
    out = rig.send(op, A, **FIELDS.get(op, {}))
    snoop = {"I": "", "S": at_s, "X": at_x}[state]
    if snoop:
        assert shape(out) == [(snoop, nid, "I", "OK") for nid in sorted(HOLDERS[state])]
        kept = {"SnpShared": St.S, "SnpCur": St.E, "SnpInv": St.I}[snoop]
        out = [m for s in out for m in rig.send(Op.SnpRsp, s.dst, txn=s.txn, st=kept)]
    assert shape(out) == [(completion, A, granted, "OK")]
    if granted != "I":
        assert rig.home.state_of(LINE) == "ACK"
        rig.ack(out[0])
    assert rig.home.state_of(LINE) == "IDLE"
    assert rig.memory.read_line(LINE) == (rest[3], False)
    if completion == "CmpData":
        assert out[0].data == (OLD[:8] if op == Op.AtomicLoad else OLD)
    after = {"S": ("S", {A} | HOLDERS[state]), "E": ("X", {A}), "M": ("X", {A})}
    kept_after: tuple[str, set[int]] = (state, HOLDERS[state]) if op == Op.ReadOnce else ("I", set())
    assert rig.directory() == after.get(granted, kept_after)
    assert rig.errors() == []


@pytest.mark.parametrize("negotiated", [LOCAL, NO_HAND], ids=["handed-over", "written"])
@pytest.mark.parametrize(
    "op", [Op.ReadShared, Op.ReadUnique, Op.WriteFull, Op.AtomicLoad, Op.ReadOnce, Op.Flush]
)
def test_dirty_snoop_data_are_in_memory_or_handed_over(op: Op, negotiated: Negotiated) -> None:
    """Dirty data of the owner are in the answer, and in memory unless the requester has them in M.

    Those of SnpCur are for the answer only. [HSL-COH-010, HSL-COH-045].
    """
    rig = Rig(negotiated=negotiated)
    rig.put("X")
    (snoop,) = rig.send(op, A, **FIELDS.get(op, {}))
    kept = {Op.SnpShared: St.S, Op.SnpInv: St.I, Op.SnpCur: St.M}[Op(snoop.op)]
    (done,) = rig.send(Op.SnpRspData, B, txn=snoop.txn, st=kept, data=DIRTY)
    if done.op == Op.CmpData:
        assert done.data == (DIRTY[:8] if op == Op.AtomicLoad else DIRTY)
    memory = {
        Op.ReadOnce: OLD,
        Op.ReadUnique: OLD if done.st == St.M else DIRTY,
        Op.WriteFull: NEW,
        Op.AtomicLoad: (int.from_bytes(DIRTY[:8], "little") + 1).to_bytes(8, "little") + DIRTY[8:],
    }
    assert rig.memory.read_line(LINE)[0] == memory.get(op, DIRTY)
    assert (done.st == St.M) == (op == Op.ReadUnique and negotiated is LOCAL)


def test_upgrade_of_a_sharer_gets_no_data() -> None:
    """Upgrade of a listed sharer ends with Cmp(E) after all others are invalid. [HSL-COH-006]."""
    rig = Rig()
    rig.put("S")
    (snoop,) = rig.send(Op.Upgrade, C)
    assert shape([snoop]) == [("SnpInv", B, "I", "OK")]
    (grant,) = rig.send(Op.SnpRsp, B, txn=snoop.txn)
    assert shape([grant]) == [("Cmp", C, "E", "OK")]
    rig.ack(grant)
    assert rig.directory() == ("X", {C})


def test_upgrade_of_the_only_sharer_needs_no_snoop() -> None:
    """Upgrade of the only sharer is granted at once."""
    rig = Rig()
    rig.put("S")
    rig.send(Op.Evict, B)
    assert shape(rig.send(Op.Upgrade, C)) == [("Cmp", C, "E", "OK")]


@pytest.mark.parametrize("op", sorted({*UNLISTED} - {Op.Upgrade}))
def test_request_of_a_listed_node_is_refused(op: Op) -> None:
    """Any other request of a holder ends with PROTO, and changes nothing. HSL 5.6."""
    for state, holder in (("S", C), ("X", B)):
        rig = Rig()
        rig.put(state)
        assert shape(rig.send(op, holder, **FIELDS.get(op, {}))) == [("Cmp", holder, "I", "PROTO")]
        assert rig.directory() == (state, HOLDERS[state])
        assert rig.errors() == [ErrorCode.PROTO]
        assert rig.memory.read_line(LINE)[0] == OLD


def test_upgrade_of_the_owner_is_refused() -> None:
    """An owner has nothing to upgrade: PROTO, nothing changes. HSL 5.6."""
    rig = Rig()
    rig.put("X")
    assert shape(rig.send(Op.Upgrade, B)) == [("Cmp", B, "I", "PROTO")]
    assert rig.directory() == ("X", {B})


@pytest.mark.parametrize("state", "ISX")
@pytest.mark.parametrize("op", [Op.Evict, Op.WbFull])
def test_stale_evict_and_writeback_change_nothing(op: Op, state: str) -> None:
    """Evict and WbFull of a node that is not listed end with Cmp(I), data dropped.

    [HSL-COH-011, HSL-COH-012].
    """
    rig = Rig()
    rig.put(state)
    assert shape(rig.send(op, A)) == [("Cmp", A, "I", "OK")]
    assert rig.directory() == (state, HOLDERS[state])
    assert rig.memory.read_line(LINE)[0] == OLD


def test_evict_and_writeback_of_holders() -> None:
    """Evict removes the holder; WbFull of the owner writes memory, that of a sharer is PROTO and dropped.

    HSL 5.6.
    """
    rig = Rig()
    rig.put("S")
    assert shape(rig.send(Op.Evict, B)) == [("Cmp", B, "I", "OK")]
    assert rig.directory() == ("S", {C})
    assert shape(rig.send(Op.WbFull, C)) == [("Cmp", C, "I", "OK")]
    assert rig.directory() == ("I", set())
    assert rig.memory.read_line(LINE)[0] == OLD
    assert rig.errors() == [ErrorCode.PROTO]
    rig.put("X")
    assert shape(rig.send(Op.WbFull, B, poison=1)) == [("Cmp", B, "I", "OK")]
    assert rig.directory() == ("I", set())
    assert rig.memory.read_line(LINE) == (NEW, True)
    assert rig.errors() == []


def test_snoops_leave_in_ascending_nid_and_all_answers_are_awaited() -> None:
    """A snoop set leaves in ascending NID order; the grant follows the last answer only. HSL 5.4 T12."""
    rig = Rig()
    for nid in (9, 5, 7):
        rig.hold(nid, Op.ReadShared)
    snoops = rig.send(Op.ReadUnique, A)
    assert [m.dst for m in snoops] == [5, 7, 9]
    assert len({m.txn for m in snoops}) == 1
    assert rig.send(Op.SnpRsp, 7, txn=snoops[0].txn) == []
    assert rig.send(Op.SnpRsp, 5, txn=snoops[0].txn) == []
    assert shape(rig.send(Op.SnpRsp, 9, txn=snoops[0].txn)) == [("CmpData", A, "E", "OK")]


# ---- answers that no conforming cache gives
def test_data_of_a_node_that_is_not_the_owner_are_ignored() -> None:
    """SnpRspData of a sharer counts as its answer, but its data go nowhere (T6). [HSL-COH-020]."""
    rig = Rig()
    rig.put("S")
    first, second = rig.send(Op.ReadUnique, A)
    assert rig.send(Op.SnpRspData, B, txn=first.txn, data=DIRTY) == []
    (grant,) = rig.send(Op.SnpRspData, C, txn=second.txn, data=DIRTY)
    assert grant.data == OLD
    assert rig.memory.read_line(LINE)[0] == OLD
    assert rig.errors() == [ErrorCode.PROTO] * 2


def test_answer_of_a_node_that_was_not_snooped_is_dropped() -> None:
    """SnpRsp and SnpRspData from outside P, or with another TXN, change nothing. [HSL-SEC-003]."""
    rig = Rig()
    rig.put("X")
    (snoop,) = rig.send(Op.ReadUnique, A)
    for op in (Op.SnpRsp, Op.SnpRspData):
        assert rig.send(op, C, txn=snoop.txn, data=DIRTY) == []
        assert rig.send(op, B, txn=snoop.txn + 1, data=DIRTY) == []
    assert rig.errors() == [ErrorCode.PROTO] * 4
    assert rig.home.state_of(LINE) == "SNP"
    assert shape(rig.send(Op.SnpRsp, B, txn=snoop.txn)) == [("CmpData", A, "E", "OK")]


@pytest.mark.parametrize("kept", [St.S, St.E, St.M])
@pytest.mark.parametrize("op", [Op.SnpRsp, Op.SnpRspData])
def test_invalidated_holder_leaves_whatever_state_it_claims(op: Op, kept: St) -> None:
    """After SnpInv the answerer leaves the directory, also when it claims to keep the line: PROTO.

    HSL 5.6.
    """
    rig = Rig()
    rig.put("X")
    (snoop,) = rig.send(Op.ReadUnique, A)
    (grant,) = rig.send(op, B, txn=snoop.txn, st=kept, data=DIRTY)
    assert grant.data == (DIRTY if op == Op.SnpRspData else OLD)
    assert rig.directory() == ("X", {A})
    assert rig.errors() == [ErrorCode.PROTO]


@pytest.mark.parametrize(
    ("op", "kept", "protos", "holders"),
    [
        (Op.SnpRsp, St.I, 0, {A}),
        (Op.SnpRsp, St.S, 0, {A, B}),
        (Op.SnpRsp, St.E, 1, {A, B}),
        (Op.SnpRsp, St.M, 1, {A, B}),
        (Op.SnpRspData, St.I, 0, {A}),
        (Op.SnpRspData, St.S, 0, {A, B}),
        (Op.SnpRspData, St.E, 1, {A, B}),
        (Op.SnpRspData, St.M, 1, {A, B}),
    ],
)
def test_answers_to_snp_shared(op: Op, kept: St, protos: int, holders: set[int]) -> None:
    """SnpShared: S makes the owner a sharer, I removes it; E and M count as S, with PROTO. HSL 5.6."""
    rig = Rig()
    rig.put("X")
    (snoop,) = rig.send(Op.ReadShared, A)
    (grant,) = rig.send(op, B, txn=snoop.txn, st=kept, data=DIRTY)
    rig.ack(grant)
    assert rig.directory()[1] == holders
    assert grant.st == (St.S if B in holders else St.E)
    assert len(rig.errors()) == protos


@pytest.mark.parametrize("op", [Op.SnpRsp, Op.SnpRspData])
@pytest.mark.parametrize("kept", list(St))
def test_answers_to_snp_cur(op: Op, kept: St) -> None:
    """SnpCur never changes directory or memory; an illegal ST is PROTO, the data still serve the answer.

    HSL 5.6.
    """
    rig = Rig()
    rig.put("X")
    (snoop,) = rig.send(Op.ReadOnce, A)
    (done,) = rig.send(op, B, txn=snoop.txn, st=kept, data=DIRTY)
    assert (done.op, done.st, done.htxn) == (Op.CmpData, St.I, 0)
    assert done.data == (DIRTY if op == Op.SnpRspData else OLD)
    assert rig.directory() == ("X", {B})
    assert rig.memory.read_line(LINE)[0] == OLD
    legal = kept == St.M if op == Op.SnpRspData else kept in (St.I, St.E)
    assert rig.errors() == ([] if legal else [ErrorCode.PROTO])


def test_cmp_ack_must_match() -> None:
    """A CmpAck of another node or with another HTXN does not free the line. HSL 5.4 T3, T7 [HSL-COH-014]."""
    rig = Rig()
    (grant,) = rig.send(Op.ReadUnique, A)
    assert rig.send(Op.ReadUnique, B) == []
    assert rig.send(Op.CmpAck, B, txn=grant.htxn) == []
    assert rig.send(Op.CmpAck, A, txn=grant.htxn + 1) == []
    assert rig.errors() == [ErrorCode.PROTO] * 2
    assert rig.home.state_of(LINE) == "ACK"
    assert shape(rig.ack(grant)) == [("SnpInv", A, "I", "OK")]


@pytest.mark.parametrize("op", [Op.SnpInv, Op.Cmp, Op.CmpData, Op.MemRd, Op.NcRead, 0x9F, 0xBF])
def test_messages_that_no_home_asked_for(op: int) -> None:
    """What a home never asked for is dropped with PROTO. HSL 5.4 T3."""
    rig = Rig()
    assert rig.send(op, A) == []
    assert rig.errors() == [ErrorCode.PROTO]


# ---- order and limits
def test_requests_of_a_busy_line_are_served_in_order_of_arrival() -> None:
    """REQ and RWD together, in order of arrival; at one instant RWD first, then the lower SRC.

    [HSL-COH-038].
    """
    rig = Rig()
    (grant,) = rig.send(Op.ReadUnique, A)
    rig.now = 1
    rig.send(Op.ReadOnce, 8)
    rig.send(Op.ReadOnce, 7)
    rig.send(Op.WriteFull, 9)
    rig.now = 2
    rig.send(Op.WriteFull, 5)
    assert rig.home.taken == [m for m in rig.home.taken if m.src == A]  # the others hold their credits
    (snoop,) = rig.ack(grant)
    out = rig.send(Op.SnpRsp, A, txn=snoop.txn)
    assert [m.dst for m in out] == [9, 7, 8, 5]
    assert [m.src for m in rig.home.taken] == [A, 9, 7, 8, 5]


def test_busy_line_does_not_stop_another() -> None:
    """A request of another line is served while one line waits for its CmpAck. HSL 5.4 T5 [HSL-TXN-007]."""
    rig = Rig()
    rig.send(Op.ReadUnique, A)
    rig.send(Op.ReadUnique, B)
    assert shape(rig.send(Op.ReadUnique, B, addr=OTHER)) == [("CmpData", B, "E", "OK")]


def test_no_free_tshr_keeps_requests_waiting() -> None:
    """With all TSHRs in use requests wait in arrival order and none is lost. HSL 5.2 D2 [HSL-COH-015]."""
    rig = Rig(tshrs=2)
    first = [rig.send(Op.ReadUnique, A, addr=LINE + 64 * i) for i in range(5)]
    assert [len(out) for out in first] == [1, 1, 0, 0, 0]
    grants = [out[0] for out in first if out]
    served = []
    while grants:
        out = rig.ack(grants.pop(0))
        served += [m.txn for m in out]
        grants += out
    assert served == [2, 3, 4]
    assert rig.home.idle


def test_one_hot_line_does_not_starve_the_others() -> None:
    """With one TSHR a line full of requests takes turns with another by arrival. [HSL-COH-015]."""
    rig = Rig(tshrs=1)
    (grant,) = rig.send(Op.ReadUnique, A)
    for nid, addr in ((B, LINE), (B, OTHER), (C, LINE), (C, OTHER)):
        rig.now += 1
        rig.send(Op.ReadOnce, nid, addr=addr)
    (snoop,) = rig.ack(grant)
    out = rig.send(Op.SnpRsp, A, txn=snoop.txn, st=St.E)
    assert [m.dst for m in out] == [B, B, A]  # LINE of B, OTHER of B, then the snoop for C
    assert rig.home.state_of(LINE) == "SNP"


def test_errors_that_nobody_drains_are_capped() -> None:
    """A flood of errors keeps the newest ERRORS_LIMIT."""
    rig = Rig()
    for _ in range(ERRORS_LIMIT + 5):
        rig.send(Op.CmpAck, A, txn=9)
    assert len(rig.home.errors) == ERRORS_LIMIT
    assert rig.home.counters["PROTO"] == ERRORS_LIMIT + 5


@pytest.mark.parametrize("tshrs", [0, MAX_TXN + 1])
def test_tshrs_are_limited_by_their_numbers(tshrs: int) -> None:
    """More TSHRs than snoop TXNs, or none, is refused."""
    with pytest.raises(ConfigError, match="TSHRs"):
        Rig(tshrs=tshrs)


def test_home_of_a_range_without_memory_is_refused() -> None:
    """A range that is homed here and not in the memory is a ConfigError."""
    amap = AddressMap([SamEntry(0, 2 * SIZE - 1, home=HOME)])
    with pytest.raises(ConfigError, match="homed here"):
        HomeAgent(HomeConfig(nid=HOME, address_map=amap), Memory(0, SIZE))


# ---- recall
def test_recall_takes_the_lines_of_a_range() -> None:
    """Recall snoops all holders in the range, also those being granted, and counts lines. [HSL-COH-058]."""
    rig = Rig()
    rig.put("S")
    rig.hold(A, addr=OTHER)
    rig.hold(A, addr=LINE + 1024)
    (grant,) = rig.send(Op.ReadUnique, C, addr=LINE + 128)
    recall = rig.home.recall(LINE, LINE + 191, 5)
    snoops = rig.sent()
    assert shape(snoops) == [("SnpInv", B, "I", "OK"), ("SnpInv", C, "I", "OK"), ("SnpInv", A, "I", "OK")]
    for snoop in snoops:
        rig.send(Op.SnpRsp, snoop.dst, txn=snoop.txn)
    assert recall.lines == 1
    (snoop,) = rig.ack(grant)
    rig.send(Op.SnpRspData, C, txn=snoop.txn)
    assert recall.done
    assert rig.home.idle
    assert rig.directory(LINE + 1024) == ("X", {A})
    assert rig.memory.read_line(LINE + 128)[0] == NEW


def test_recall_of_an_empty_range_is_done_at_once_and_open_ones_are_capped() -> None:
    """Nothing listed: done. RECALL_LIMIT open ones: ConfigError."""
    rig = Rig()
    assert rig.home.recall(0, SIZE - 1, 0).done
    rig.put("X")
    for _ in range(RECALL_LIMIT):
        rig.home.recall(LINE, LINE + 63, 0)
    with pytest.raises(ConfigError, match="recalls"):
        rig.home.recall(LINE, LINE + 63, 0)
    (snoop,) = rig.sent()
    rig.send(Op.SnpRsp, B, txn=snoop.txn)
    assert rig.home.idle


def test_map_has_one_home() -> None:
    """The rig's map and home agree (guards the tests above)."""
    assert MAP.home(LINE) == HOME
