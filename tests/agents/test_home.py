"""The home agent: the tables of HSL 5.6 from outside, as a peer sees them."""

from __future__ import annotations

import pytest

from hsl._generated.constants import MAX_TXN, Aop, Err, ErrorCode, Op, Right, SamType, St
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.home import RECALL_LIMIT, HomeAgent, HomeConfig
from hsl.agents.home_actions import ERRORS_LIMIT
from hsl.agents.memory import Memory
from hsl.codec.checks import Negotiated
from hsl.codec.message import Message
from hsl.errors import ConfigError
from tests.agents.home_rig import DIRTY, FULL_BE, HOME, LINE, MAP, NEW, OLD, OTHER, SIZE, A, B, C, Rig, shape

ONE = (1).to_bytes(8, "little")
# What each request of 5.6 carries beside its line.
FIELDS: dict[Op, dict[str, object]] = {
    Op.WritePtl: {"len": 0, "be": 0x0F, "data": NEW[:8]},
    Op.AtomicLoad: {"len": 0, "x": 1, "data": ONE},
    Op.AtomicStore: {"len": 0, "x": 1, "data": ONE},
}
ADDED = (int.from_bytes(OLD[:8], "little") + 1).to_bytes(8, "little") + OLD[8:]
MERGED = NEW[:4] + OLD[4:]

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
    HSL-COH-009].
    """
    at_s, at_x, completion, *rest = UNLISTED[op]
    granted = dict(zip("ISX", rest[:3], strict=True))[state]
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


@pytest.mark.parametrize(
    "op", [Op.ReadShared, Op.ReadUnique, Op.WriteFull, Op.AtomicLoad, Op.ReadOnce, Op.Flush]
)
def test_dirty_snoop_data_are_in_memory_and_in_the_answer(op: Op) -> None:
    """Dirty data of the owner reach memory (SnpCur: only the answer) and the request sees them.

    [HSL-COH-010].
    """
    rig = Rig()
    rig.put("X")
    (snoop,) = rig.send(op, A, **FIELDS.get(op, {}))
    kept = {Op.SnpShared: St.S, Op.SnpInv: St.I, Op.SnpCur: St.M}[Op(snoop.op)]
    (done,) = rig.send(Op.SnpRspData, B, txn=snoop.txn, st=kept, data=DIRTY)
    if done.op == Op.CmpData:
        assert done.data == (DIRTY[:8] if op == Op.AtomicLoad else DIRTY)
    memory = {
        Op.ReadOnce: OLD,
        Op.WriteFull: NEW,
        Op.AtomicLoad: (int.from_bytes(DIRTY[:8], "little") + 1).to_bytes(8, "little") + DIRTY[8:],
    }
    assert rig.memory.read_line(LINE)[0] == memory.get(op, DIRTY)


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


def test_waiting_requests_are_capped_by_room() -> None:
    """`room` is gone when `waiting` requests wait: the node lets no more in."""
    rig = Rig(waiting=3)
    rig.send(Op.ReadUnique, A)
    for nid in range(10, 13):
        assert rig.home.room
        rig.send(Op.ReadOnce, nid)
    assert not rig.home.room


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


# ---- checks at arrival (5.4 T15)
def refused(rig: Rig, op: int, err: Err, **fields: object) -> None:
    """The request ends with `err` at once and leaves no trace."""
    before = rig.directory(), rig.memory.read(0, SIZE)
    assert shape(rig.send(op, A, **fields)) == [("Cmp", A, "I", err.name)]
    assert (rig.directory(), rig.memory.read(0, SIZE)) == before
    assert rig.home.idle
    assert len(rig.home.taken) == 1


def test_address_that_is_not_homed_here() -> None:
    """DECODE outside the map, at another home and in MMIO, before any other check. [HSL-TXN-004]."""
    amap = AddressMap(
        [
            SamEntry(0, SIZE - 1, home=HOME - 1, ways=1, granule=12),
            SamEntry(SIZE, 2 * SIZE - 1, SamType.MMIO, home=HOME),
        ]
    )
    rig = Rig()
    rig.home = HomeAgent(HomeConfig(nid=HOME, address_map=amap), rig.memory)
    for addr in (0, SIZE, 1 << 40):
        rig.home.taken.clear()
        refused(rig, Op.ReadShared, Err.DECODE, addr=addr, len=1)  # LEN would be PROTO
    assert shape(rig.send(Op.ReadShared, A, addr=0x1000)) == [("CmpData", A, "E", "OK")]


@pytest.mark.parametrize(
    ("op", "fields", "err"),
    [
        (Op.ReadShared, {"len": 2}, Err.PROTO),
        (Op.ReadShared, {"addr": LINE + 8}, Err.PROTO),
        (Op.WbFull, {"be": FULL_BE}, Err.PROTO),
        (Op.WritePtl, {"len": 0, "data": NEW[:8]}, Err.PROTO),
        (Op.WritePtl, {"len": 0, "data": NEW[:8], "be": 0x1FF}, Err.PROTO),
        (Op.AtomicLoad, {"len": 0, "x": 3, "data": ONE}, Err.PROTO),
        (Op.AtomicLoad, {"len": 0, "x": 1, "aop": 12, "data": ONE}, Err.UNSUP),
        (Op.AtomicStore, {"len": 0, "x": 1, "aop": Aop.SWAP, "data": ONE}, Err.PROTO),
        (Op.AtomicLoad, {"len": 0, "x": 1, "addr": LINE + 4, "data": ONE}, Err.PROTO),
        (Op.AtomicStore, {"len": 0, "x": 0, "aop": Aop.FADD32, "data": ONE}, Err.UNSUP),
        (0x3F, {}, Err.UNSUP),
        (0x5F, {"data": NEW}, Err.UNSUP),
    ],
)
def test_format_errors(op: int, fields: dict[str, object], err: Err) -> None:
    """A request that breaks 5.12 ends with PROTO or UNSUP and has no effect. [HSL-TXN-005]."""
    refused(Rig(), op, err, **fields)


def test_atomic_class_that_was_not_negotiated() -> None:
    """An atomic of a class that was not negotiated ends with UNSUP, that of a local agent is done.

    HSL 5.12.
    """
    rig = Rig()
    rig.home.attach(range(A, A + 1), Negotiated(0, 0, 256, 52))
    refused(rig, Op.AtomicStore, Err.UNSUP, **FIELDS[Op.AtomicStore])
    assert shape(rig.send(Op.AtomicStore, B, **FIELDS[Op.AtomicStore])) == [("Cmp", B, "I", "OK")]


@pytest.mark.parametrize(
    ("op", "right"),
    [
        (Op.ReadShared, Right.R),
        (Op.ReadShared, Right.C),
        (Op.ReadUnique, Right.W),
        (Op.ReadOnce, Right.R),
        (Op.WriteFull, Right.W),
        (Op.Flush, Right.W),
        (Op.AtomicLoad, Right.A),
    ],
)
def test_missing_right(op: Op, right: Right) -> None:
    """A request without a right that it needs ends with ACCESS; Evict and WbFull never do.

    [HSL-SEC-002, HSL-COH-034].
    """
    rights = ~right & (Right.C | Right.R | Right.W | Right.A)
    rig = Rig()
    rig.home = HomeAgent(
        HomeConfig(nid=HOME, address_map=AddressMap([SamEntry(0, SIZE - 1, home=HOME, rights=rights)])),
        rig.memory,
    )
    refused(rig, op, Err.ACCESS, **FIELDS.get(op, {}))
    for never in (Op.Evict, Op.WbFull):
        assert shape(rig.send(never, A)) == [("Cmp", A, "I", "OK")]


def test_viral_port() -> None:
    """From a VIRAL port requests end with DATA, but Evict, WbFull and answers go on, data poisoned.

    [HSL-RAS-005].
    """
    rig = Rig()
    rig.put("X")

    def viral(op: Op, src: int, **fields: object) -> list[Message]:
        base: dict[str, object] = {"dst": HOME, "len": 3, "addr": LINE, "txn": 200}
        rig.home.receive(Message(op, src=src, **(base | fields)), 0, viral=True)  # type: ignore[arg-type]
        return rig.sent()

    assert shape(viral(Op.ReadShared, A)) == [("Cmp", A, "I", "DATA")]
    assert shape(viral(Op.WbFull, B, data=NEW)) == [("Cmp", B, "I", "OK")]
    assert rig.memory.read_line(LINE) == (NEW, True)
    rig.hold(B)
    (snoop,) = rig.send(Op.ReadUnique, A)
    (grant,) = viral(Op.SnpRspData, B, txn=snoop.txn, data=DIRTY)
    assert (grant.data, grant.poison) == (DIRTY, 1)
    viral(Op.CmpAck, A, txn=grant.htxn)
    assert shape(viral(Op.Evict, A)) == [("Cmp", A, "I", "OK")]
    assert rig.home.idle


def test_txn_in_use_or_too_large_is_dropped() -> None:
    """A TXN that is outstanding or not below the negotiated number: dropped, PROTO, no completion.

    HSL 5.4 T15.
    """
    rig = Rig()
    rig.home.attach(range(B, B + 1), Negotiated(1, 0, 16, 52))
    (grant,) = rig.send(Op.ReadUnique, A, txn=5)
    assert rig.send(Op.ReadOnce, B, txn=7) == []
    assert rig.send(Op.ReadOnce, B, txn=7, addr=OTHER) == []
    assert rig.send(Op.ReadOnce, B, txn=16, addr=OTHER) == []
    assert rig.errors() == [ErrorCode.PROTO] * 2
    # A new request may overtake the CmpAck: its TXN is free since the completion.
    assert shape(rig.send(Op.ReadOnce, A, txn=5, addr=OTHER)) == [("CmpData", A, "I", "OK")]
    assert len(rig.home.taken) == 4
    rig.ack(grant)


def test_completions_copy_what_they_answer() -> None:
    """SRC and DST swapped, TXN, QOS and TRACE of the request; snoops too, without DOM.

    HSL 2.6 [HSL-TXN-003].
    """
    rig = Rig()
    rig.hold(B)
    (snoop,) = rig.send(Op.ReadUnique, A, txn=77, qos=2, trace=1, dom=5)
    assert snoop == Message(Op.SnpInv, HOME, B, snoop.txn, 3, LINE, qos=2, trace=1)
    (grant,) = rig.send(Op.SnpRsp, B, txn=snoop.txn)
    assert grant == Message(Op.CmpData, HOME, A, 77, 3, data=OLD, htxn=grant.htxn, st=St.E, qos=2, trace=1)


def test_numbers_are_the_lowest_free() -> None:
    """HTXNs and snoop TXNs are the lowest free of their space. HSL 2.6."""
    rig = Rig()
    grants = [rig.send(Op.ReadUnique, A, addr=LINE + 64 * i)[0] for i in range(3)]
    assert [grant.htxn for grant in grants] == [0, 1, 2]
    rig.ack(grants[1])
    assert rig.send(Op.ReadUnique, A, addr=LINE + 64 * 3)[0].htxn == 1


# ---- data
def test_poison_is_kept_and_cleared() -> None:
    """Poison travels with data, partial writes keep it, whole lines clear it, atomics refuse it.

    [HSL-RAS-001].
    """
    rig = Rig()
    rig.send(Op.WritePtl, A, **FIELDS[Op.WritePtl], poison=1)
    assert rig.memory.poisoned(LINE)
    assert rig.send(Op.ReadOnce, A)[0].poison == 1
    assert shape(rig.send(Op.AtomicStore, A, **FIELDS[Op.AtomicStore])) == [("Cmp", A, "I", "DATA")]
    rig.send(Op.WritePtl, A, **FIELDS[Op.WritePtl])
    assert rig.memory.read_line(LINE) == (MERGED, True)  # the atomic was not performed [HSL-COH-041]
    rig.send(Op.WritePtl, A, be=FULL_BE, data=NEW)
    assert rig.memory.read_line(LINE) == (NEW, False)
    rig.send(Op.WriteFull, A, poison=1, data=OLD)
    assert rig.memory.read_line(LINE) == (OLD, True)
    rig.send(Op.WriteFull, A)
    assert rig.memory.read_line(LINE) == (NEW, False)


def test_atomic_with_poisoned_operand() -> None:
    """A poisoned operand: DATA, the line unchanged. HSL 5.12 [HSL-COH-041]."""
    rig = Rig()
    assert shape(rig.send(Op.AtomicLoad, A, **FIELDS[Op.AtomicLoad], poison=1)) == [("Cmp", A, "I", "DATA")]
    assert rig.memory.read_line(LINE) == (OLD, False)


def test_four_byte_atomic_is_placed() -> None:
    """A 4-byte atomic works on its bytes of the granule and returns them there, the rest 0.

    HSL 5.12 [HSL-COH-016].
    """
    rig = Rig()
    (done,) = rig.send(Op.AtomicLoad, A, addr=LINE + 0x14, len=0, x=0, data=bytes(4) + b"\xff\xff\xff\xff")
    assert (done.len, done.data) == (0, bytes(4) + OLD[0x14:0x18])
    assert rig.memory.read(LINE + 0x14, 4) == bytes([0x13, 0x15, 0x16, 0x17])


def test_cas_of_sixteen_bytes() -> None:
    """A CAS that fails leaves the line, one that holds swaps; both return the old value.

    HSL 5.12 [HSL-COH-017].
    """
    rig = Rig()
    fields = {"addr": LINE + 16, "len": 2, "x": 2, "aop": Aop.CAS}
    (done,) = rig.send(Op.AtomicLoad, A, **fields, data=NEW[:16] + DIRTY[:16])
    assert (done.len, done.data, rig.memory.read_line(LINE)[0]) == (1, OLD[16:32], OLD)
    (done,) = rig.send(Op.AtomicLoad, A, **fields, data=OLD[16:32] + DIRTY[:16])
    assert (done.data, rig.memory.read(LINE + 16, 16)) == (OLD[16:32], DIRTY[:16])


def test_empty_byte_enable_still_invalidates() -> None:
    """WritePtl with BE all 0 changes no byte and invalidates the holders all the same. HSL 5.12."""
    rig = Rig()
    rig.put("X")
    (snoop,) = rig.send(Op.WritePtl, A, len=0, be=0, data=NEW[:8])
    assert shape(rig.send(Op.SnpRsp, B, txn=snoop.txn)) == [("Cmp", A, "I", "OK")]
    assert (rig.directory(), rig.memory.read_line(LINE)) == (("I", set()), (OLD, False))


# ---- recall
def test_recall_takes_the_lines_of_a_range() -> None:
    """Recall snoops all holders in the range, those being granted too, and is done when none is left."""
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
