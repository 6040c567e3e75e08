"""A home that loses a node: fences, late messages, timers, re-admission (HSL 5.11, 6.2)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import TIMERS, Err, ErrorCode, Op, St
from hsl.agents.waiting import RECALL_LIMIT
from hsl.codec.message import Message
from hsl.engine.error_log import ErrorLog
from hsl.engine.management import NodeServices
from tests.agents.home_rig import DIRTY, FIELDS, HOME, LINE, MT, NEW, OLD, OTHER, A, B, C, Rig, SlowRig, shape

TU = 64
T_SNP = TIMERS["T_SNP"].tu * TU
T_CACK = TIMERS["T_CACK"].tu * TU


def test_a_recall_begins_at_all_homes_of_a_node_or_at_none() -> None:
    """While one home has no room for another recall the node begins it nowhere. HSL 5.4 T10."""
    free, full = Rig(), Rig()
    for rig in (free, full):
        rig.hold(B)
    for _ in range(RECALL_LIMIT):
        full.home.recall(0, LINE, 0)
    services = NodeServices({}, {HOME: free.home, HOME + 1: full.home}, (), ErrorLog())
    assert services.recall(0, LINE, 0) == Err.BUSY
    assert free.home.idle
    (snoop,) = full.sent()
    full.send(Op.SnpRsp, B, txn=snoop.txn)
    assert services.recall(0, LINE, 0) == Err.OK
    (snoop,) = free.sent()
    assert services.recalling() == 1
    free.send(Op.SnpRsp, B, txn=snoop.txn)
    assert services.recalling() == 0


def fence(rig: Rig, nid: int) -> list[Message]:
    """Fence `nid`, and what the home sends then."""
    rig.home.fence(nid, rig.now)
    return rig.sent()


def test_fence_of_holders() -> None:
    """A lost sharer leaves its lines usable, a lost owner leaves its line poisoned. [HSL-RAS-003]."""
    rig = Rig()
    rig.put("S")
    rig.hold(B, addr=OTHER)
    assert fence(rig, B) == []
    assert rig.directory() == ("S", {C})
    assert rig.directory(OTHER) == ("I", set())
    assert (rig.memory.poisoned(LINE), rig.memory.poisoned(OTHER)) == (False, True)
    assert rig.send(Op.ReadOnce, A, addr=OTHER)[0].poison == 1


def test_pending_snoop_of_a_lost_node_counts_as_answered() -> None:
    """A snoop that waits for the lost owner ends: the line is poisoned and the request goes on.

    HSL 6.2 F2.
    """
    rig = Rig()
    rig.put("X")
    rig.send(Op.ReadUnique, A)
    (grant,) = fence(rig, B)
    assert shape([grant]) == [("CmpData", A, "M", "OK")]
    assert grant.poison == 1
    rig.ack(grant)
    assert rig.directory() == ("X", {A})


def test_pending_snoop_of_one_lost_sharer_leaves_the_others_awaited() -> None:
    """One of two snooped sharers is lost: the other's answer is still awaited, nothing is poisoned."""
    rig = Rig()
    rig.put("S")
    snoop, _ = rig.send(Op.ReadUnique, A)
    assert fence(rig, C) == []
    (grant,) = rig.send(Op.SnpRsp, B, txn=snoop.txn)
    assert (grant.poison, grant.data) == (0, OLD)


def test_lost_requester_in_ack() -> None:
    """A grant whose requester is lost before its CmpAck: the line is free and poisoned. HSL 6.2 F2."""
    rig = Rig()
    rig.send(Op.ReadUnique, A)
    rig.send(Op.ReadOnce, B)
    (done,) = fence(rig, A)
    assert shape([done]) == [("CmpData", B, "I", "OK")]
    assert done.poison == 1
    assert rig.directory() == ("I", set())


def test_lost_requester_while_snoops_are_out() -> None:
    """A request whose requester is lost while it is served sends it nothing and grants nothing.

    [HSL-COH-036].
    """
    rig = Rig()
    rig.put("X")
    (snoop,) = rig.send(Op.ReadUnique, A)
    assert fence(rig, A) == []
    assert rig.send(Op.SnpRspData, B, txn=snoop.txn, data=DIRTY) == []
    assert rig.directory() == ("I", set())
    assert rig.memory.read_line(LINE) == (DIRTY, False)
    assert rig.home.idle


@pytest.mark.parametrize(
    "op", [Op.WriteFull, Op.AtomicStore, Op.ReadShared, Op.WritePtl, Op.Flush, Op.ReadOnce]
)
def test_request_of_a_lost_node_is_not_performed_before_its_memory_write(op: Op) -> None:
    """Snoops already sent are finished, but the write of a lost requester is not begun. HSL 5.6."""
    rig = Rig()
    rig.put("X")
    (snoop,) = rig.send(op, A, **FIELDS.get(op, {}))
    fence(rig, A)
    assert rig.send(Op.SnpRsp, B, txn=snoop.txn, st=St.S if op == Op.ReadShared else St.I) == []
    assert rig.memory.read_line(LINE)[0] == OLD
    assert rig.home.idle


def test_waiting_requests_of_a_lost_node_are_purged() -> None:
    """Requests of the lost node that wait are dropped, those of others are served; the buffers are free."""
    rig = Rig(tshrs=2)
    (grant,) = rig.send(Op.ReadUnique, A)
    rig.hold(C, addr=OTHER)
    rig.send(Op.ReadUnique, A, addr=OTHER)  # both TSHRs are busy now
    rig.send(Op.WriteFull, B)
    rig.send(Op.ReadOnce, C)
    rig.send(Op.WriteFull, B, addr=LINE + 512)
    rig.home.taken.clear()
    assert fence(rig, B) == []
    assert [m.src for m in rig.home.taken] == [B, B]
    (snoop,) = rig.ack(grant)
    assert shape(rig.send(Op.SnpRsp, A, txn=snoop.txn)) == [("CmpData", C, "I", "OK")]
    assert rig.memory.read_line(LINE)[0] == OLD
    assert rig.memory.read(LINE + 512, 64) == bytes(64)


def test_late_messages_of_a_fenced_node_change_nothing() -> None:
    """SnpRspData, CmpAck, WbFull and requests of a fenced node: buffer free, no effect, no answer.

    [HSL-COH-035].
    """
    rig = Rig()
    rig.put("X")
    (snoop,) = rig.send(Op.ReadShared, A)
    (grant,) = fence(rig, B)
    for op in (Op.SnpRspData, Op.SnpRsp):
        assert rig.send(op, B, txn=snoop.txn, data=DIRTY) == []
    assert rig.send(Op.WbFull, B) == []
    assert rig.send(Op.ReadUnique, B) == []
    fence(rig, A)
    assert rig.send(Op.CmpAck, A, txn=grant.htxn) == []
    assert rig.home.counters["late"] == 5
    assert rig.memory.poisoned(LINE)
    assert rig.errors() == [ErrorCode.DATA_LOST] * 2  # of the fences: each poisoned the line of an owner
    assert rig.home.idle


def test_readmitted_node_starts_clean_with_the_same_numbers() -> None:
    """After re-admission the node uses its old TXNs again and holds nothing. [HSL-COH-037]."""
    rig = Rig()
    rig.put("X")
    rig.send(Op.ReadUnique, A, txn=1)
    (grant,) = fence(rig, B)
    rig.ack(grant)
    fence(rig, A)
    for nid in (A, B):
        rig.home.readmit(nid)
    (grant,) = rig.send(Op.ReadUnique, A, txn=1)
    assert (grant.dst, grant.st, grant.poison) == (A, St.E, 1)
    rig.ack(grant)
    (snoop,) = rig.send(Op.ReadShared, B, txn=1)
    assert shape(rig.send(Op.SnpRsp, A, txn=snoop.txn, st=St.S)) == [("CmpData", B, "S", "OK")]


def test_old_transaction_of_a_readmitted_node_stays_silent() -> None:
    """A transaction of a lost requester that ends after the re-admission sends the new incarnation nothing.

    HSL 6.2 F5.
    """
    rig = Rig()
    rig.put("X")
    (snoop,) = rig.send(Op.ReadUnique, A, txn=1)
    fence(rig, A)
    rig.home.readmit(A)
    assert rig.send(Op.ReadShared, A, txn=1) == []  # waits for the line
    (grant,) = rig.send(Op.SnpRsp, B, txn=snoop.txn)
    assert shape([grant]) == [("CmpData", A, "E", "OK")]
    assert grant.txn == 1
    rig.ack(grant)
    assert rig.home.idle


def test_t_snp_fences_who_did_not_answer() -> None:
    """At T_SNP every node that owes an answer is lost; the transaction goes on when they are gone.

    HSL 5.11 [HSL-RAS-002] [HSL-RAS-007].
    """
    rig = Rig()
    for nid in (B, C, 7):
        rig.hold(nid, Op.ReadShared)
    rig.now = 1000
    snoop, *_ = rig.send(Op.ReadUnique, A)
    rig.send(Op.SnpRsp, B, txn=snoop.txn)
    assert rig.home.next_deadline() == 1000 + T_SNP
    rig.home.tick(1000 + T_SNP - 1)
    assert rig.sent() == []
    rig.home.tick(1000 + T_SNP)
    assert rig.home.fences == [C, 7]
    assert rig.home.next_deadline() is None
    assert fence(rig, C) == []
    assert shape(fence(rig, 7)) == [("CmpData", A, "E", "OK")]
    assert rig.errors() == [ErrorCode.TIMEOUT, ErrorCode.FENCED] * 2
    assert not rig.home.fenced(B)


def test_t_cack_fences_the_requester() -> None:
    """At T_CACK the node that owes the CmpAck is lost; the next request waits for the walk. HSL 5.11."""
    rig = Rig()
    rig.send(Op.ReadUnique, A)
    rig.send(Op.ReadUnique, B)
    assert rig.home.next_deadline() == T_CACK
    rig.home.tick(T_CACK)
    assert rig.sent() == []
    assert rig.home.fences == [A]
    rig.now = T_CACK
    (grant,) = fence(rig, A)
    assert (grant.dst, grant.poison) == (B, 1)
    assert rig.home.next_deadline() == 2 * T_CACK


def isolate(rig: Rig, nid: int) -> list[Message]:
    """Lose `nid`, and what the home sends then."""
    rig.home.isolate(nid, rig.now)
    return rig.sent()


def test_requests_for_lines_of_a_node_under_isolation_wait() -> None:
    """Lines that list the lost node wait for the walk; all others are served, and nothing of it is heard.

    After the walk no snoop goes to it [HSL-RAS-008] [HSL-COH-050].
    """
    rig = Rig()
    rig.hold(B, Op.ReadShared)
    assert isolate(rig, B) == []
    assert (rig.home.isolating(B), rig.home.fenced(B)) == (True, True)
    assert rig.send(Op.WriteFull, A) == []
    assert shape(rig.send(Op.ReadOnce, A, addr=OTHER, txn=300)) == [("CmpData", A, "I", "OK")]
    assert rig.send(Op.Evict, B) == []
    assert rig.send(Op.ReadOnce, B, addr=OTHER) == []
    assert rig.directory() == ("X", {B})
    assert shape(fence(rig, B)) == [("Cmp", A, "I", "OK")]
    assert rig.home.idle


@pytest.mark.parametrize("snooped", [True, False])
def test_snoop_of_a_node_under_isolation_waits(snooped: bool) -> None:
    """A snoop that the lost node has not answered is answered by the walk, not before [HSL-RAS-007]."""
    rig = Rig()
    rig.put("S")
    snoop, _ = rig.send(Op.ReadUnique, A)
    assert isolate(rig, C) == []
    if snooped:
        assert rig.send(Op.SnpRsp, C, txn=snoop.txn) == []
    assert rig.send(Op.SnpRsp, B, txn=snoop.txn) == []
    assert shape(fence(rig, C)) == [("CmpData", A, "E", "OK")]


def test_request_of_a_node_under_isolation_gets_no_answer() -> None:
    """A transaction of the lost node ends without an answer, before the walk [HSL-RAS-008]."""
    rig = Rig()
    rig.hold(A, addr=OTHER)
    rig.put("X")
    (snoop,) = rig.send(Op.ReadUnique, A)
    assert isolate(rig, A) == []
    assert rig.send(Op.SnpRspData, B, txn=snoop.txn, data=DIRTY) == []
    assert rig.memory.read_line(LINE) == (DIRTY, False)
    assert rig.directory(OTHER) == ("X", {A})
    assert rig.home.state_of(LINE) == "IDLE"
    fence(rig, A)
    assert rig.directory(OTHER) == ("I", set())


def test_grant_to_a_node_under_isolation_keeps_its_line_busy() -> None:
    """The line of a grant that was not acknowledged waits for the walk [HSL-RAS-008]."""
    rig = Rig()
    rig.send(Op.ReadShared, A)
    assert isolate(rig, A) == []
    assert rig.send(Op.ReadOnce, B) == []
    assert shape(fence(rig, A)) == [("CmpData", B, "I", "OK")]


def test_who_holds_nothing_is_fenced_at_once() -> None:
    """Without a line that lists the lost node nothing waits for proof."""
    rig = Rig()
    rig.hold(B)
    assert rig.home.isolate(A, 0) is False
    assert (rig.home.isolating(A), rig.home.fenced(A)) == (False, True)
    assert rig.home.isolate(B, 0) is True


def test_timers_follow_the_negotiated_tu_or_the_configuration() -> None:
    """T_SNP and T_CACK are in TU of the largest negotiated TU, unless configured in ns. HSL 5.11."""
    rig = Rig(timers={"T_SNP": 500})
    rig.home.set_tu(128)
    rig.send(Op.ReadUnique, A)
    assert rig.home.next_deadline() == 2 * T_CACK
    (snoop,) = rig.ack(rig.send(Op.ReadUnique, A, addr=OTHER)[0]) or rig.send(Op.ReadUnique, B, addr=OTHER)
    assert snoop.op == Op.SnpInv
    assert rig.home.next_deadline() == 500


def test_stopped_timers_do_not_fence() -> None:
    """Answers that came in time stop the timers."""
    rig = Rig()
    rig.put("X")
    (snoop,) = rig.send(Op.ReadUnique, A)
    (grant,) = rig.send(Op.SnpRsp, B, txn=snoop.txn)
    rig.ack(grant)
    assert rig.home.next_deadline() is None
    rig.home.tick(10 * T_CACK)
    assert rig.home.fences == []


def test_fencing_twice_is_once() -> None:
    """A node that is fenced already is not walked again: a line that it cannot hold stays as it is."""
    rig = Rig()
    rig.put("X")
    fence(rig, B)
    rig.send(Op.WriteFull, A)
    assert fence(rig, B) == []
    assert not rig.memory.poisoned(LINE)


# ---- memory that answers later: a memory target
@pytest.mark.parametrize("acked_first", [False, True])
def test_line_stays_busy_until_its_writeback_and_its_grant_are_done(acked_first: bool) -> None:
    """Dirty snoop data are written and granted in one step; the next request waits for both ends.

    [HSL-COH-039, HSL-COH-044].
    """
    rig = SlowRig()
    rig.send(Op.ReadUnique, B)
    rig.ack(rig.memory_done()[0])
    (snoop,) = rig.send(Op.ReadShared, A)
    (grant,) = rig.send(Op.SnpRspData, B, txn=snoop.txn, st=St.S, data=DIRTY)
    assert (grant.data, grant.st, [message.op for message in rig.open]) == (DIRTY, St.S, [Op.MemWr])
    assert rig.home.state_of(LINE) == "WACK"
    assert rig.send(Op.ReadOnce, C) == []
    if acked_first:
        assert rig.ack(grant) == []
        assert rig.home.state_of(LINE) == "WB"
        assert rig.memory_done() == []
    else:
        assert rig.memory_done() == []
        assert rig.home.state_of(LINE) == "ACK"
        assert rig.ack(grant) == []
    assert rig.home.state_of(LINE) == "RD"
    assert [message.op for message in rig.open] == [Op.MemRd]
    (answer,) = rig.memory_done()
    assert answer.data == DIRTY


@pytest.mark.parametrize("op", [Op.ReadShared, Op.ReadUnique, Op.Upgrade, Op.ReadOnce, Op.AtomicLoad])
def test_failed_read_grants_nothing(op: Op) -> None:
    """MemRd failed: the request ends with the memory's code and the requester is not listed. HSL 5.13."""
    rig = SlowRig()
    rig.send(op, A, **FIELDS.get(op, {}))
    assert shape(rig.memory_done(err=5)) == [("Cmp", A, "I", "UNREACH")]
    assert rig.directory() == ("I", set())
    assert rig.home.idle


@pytest.mark.parametrize("op", [Op.WriteFull, Op.WritePtl, Op.AtomicStore, Op.WbFull])
def test_failed_write_poisons_the_line(op: Op) -> None:
    """MemWr failed: ERR, and reads give POISON until a whole-line write. HSL 5.13 [HSL-COH-040]."""
    rig = SlowRig()
    if op == Op.WbFull:
        rig.send(Op.ReadUnique, A)
        rig.ack(rig.memory_done()[0])
    rig.send(op, A, **FIELDS.get(op, {}))
    if op == Op.AtomicStore:
        assert rig.memory_done() == []
    assert shape(rig.memory_done(err=5)) == [("Cmp", A, "I", "UNREACH")]
    assert rig.send(Op.ReadOnce, B)[0].poison == 1
    assert rig.open == []
    rig.send(Op.WriteFull, B)
    rig.memory_done()
    rig.send(Op.ReadOnce, B)
    assert rig.memory_done()[0].poison == 0


def test_failed_writeback_of_a_snoop() -> None:
    """Dirty data that did not reach memory: a read has them, later ones get POISON; a Flush reports it.

    HSL 5.6 [HSL-COH-040, HSL-COH-044].
    """
    for op, end in ((Op.ReadShared, "OK"), (Op.Flush, "UNREACH")):
        rig = SlowRig()
        rig.send(Op.ReadUnique, B)
        rig.ack(rig.memory_done()[0])
        (snoop,) = rig.send(op, A)
        out = rig.send(Op.SnpRspData, B, txn=snoop.txn, data=DIRTY)
        out += rig.memory_done(err=5)
        if op == Op.ReadShared:
            assert (out[0].data, out[0].poison) == (DIRTY, 0)
            rig.ack(out[0])
            rig.send(Op.Evict, A)
        assert shape(out)[0][3] == end
        assert rig.send(Op.ReadOnce, C)[0].poison == 1
        assert (rig.open, rig.home.idle) == ([], True)


def test_memory_completion_that_does_not_match_is_dropped() -> None:
    """A completion with another TXN, source, kind, LEN or state than asked for changes nothing: PROTO.

    HSL 5.4 T3, 5.12.
    """
    rig = SlowRig()
    rig.send(Op.WriteFull, A)
    good = rig.memory_answer()
    wrong = [
        good._replace(txn=good.txn + 1),
        good._replace(txn=good.txn + 1, err=Err.DATA),
        good._replace(src=MT + 1),
        good._replace(op=Op.CmpData, len=3, data=OLD),
        good._replace(st=St.S),
    ]
    for message in wrong:
        rig.home.receive(message, 0)
    assert rig.sent() == []
    assert rig.errors() == [ErrorCode.PROTO] * len(wrong)
    assert rig.home.state_of(LINE) == "WR"
    rig.home.receive(good, 0)
    assert shape(rig.sent()) == [("Cmp", A, "I", "OK")]
    rig.send(Op.ReadOnce, A)
    good = rig.memory_answer()
    for message in (
        good._replace(len=0, data=OLD[:8]),
        good._replace(op=Op.Cmp, data=b""),
        good._replace(st=St.M),
    ):
        rig.home.receive(message, 0)
    assert rig.home.state_of(LINE) == "RD"
    rig.home.receive(good, 0)
    assert rig.sent()[0].data == NEW


def test_lost_nodes_while_memory_is_awaited() -> None:
    """Requester lost in RD, WR or WB: the access is finished, nothing is sent, a begun write is done."""
    for op, done in ((Op.ReadUnique, OLD), (Op.WriteFull, NEW)):
        rig = SlowRig()
        rig.send(op, A)
        assert fence(rig, A) == []
        assert rig.memory_done() == []
        assert rig.home.idle
        assert rig.memory.read_line(LINE) == (done, False)
        assert rig.directory() == ("I", set())
    rig = SlowRig()
    rig.send(Op.ReadUnique, B)
    rig.ack(rig.memory_done()[0])
    (snoop,) = rig.send(Op.Flush, A)
    rig.send(Op.SnpRspData, B, txn=snoop.txn, data=DIRTY)
    assert rig.home.state_of(LINE) == "WB"
    fence(rig, A)
    fence(rig, B)
    assert rig.memory_done() == []
    assert rig.home.idle
    assert rig.memory.read_line(LINE) == (DIRTY, False)


def test_real_memory_fault_reaches_the_requester() -> None:
    """A line that the memory does not have ends the request with the memory's own code."""
    rig = Rig()
    rig.home._leg.memory = type(rig.memory)(0, 64)
    for op, fields in ((Op.ReadShared, {}), (Op.WriteFull, {}), (Op.WritePtl, FIELDS[Op.WritePtl])):
        assert shape(rig.send(op, A, **fields)) == [("Cmp", A, "I", "DECODE")]
    assert rig.errors() == [ErrorCode.DATA_LOST] * 2


def test_a_request_behind_one_of_a_lost_node_is_served() -> None:
    """A line that waits for a TSHR goes on with the next request when its first goes with its node.

    HSL 6.2 F1.
    """
    rig = Rig(tshrs=1)
    (grant,) = rig.send(Op.ReadUnique, A)
    for src in (B, C):
        assert rig.send(Op.ReadUnique, src, addr=OTHER) == []
    rig.home.fence(B, 0)
    assert [message.dst for message in rig.ack(grant)] == [C], "5.4 T5: no other request may come to serve it"
