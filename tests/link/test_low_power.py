"""Low power L1: the way in, losses on it and races (HSL 3.7)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import (
    N_PM,
    PM_IDLE_HOLDOFF_TU,
    TIMERS,
    CtlOp,
    FlitType,
    Op,
)
from hsl._generated.tables import CREDIT_MINIMA
from tests.link.low_power import (
    ACTIVE,
    L1,
    RECOVERY,
    ask,
    asleep,
    awake,
    low,
    sent_times,
    states,
    works,
)
from tests.link.pair import (
    FLIT_NS,
    LATENCY,
    TU,
    Faults,
    Pair,
    burst,
    config,
    ctl_from,
    decode,
    flit_from,
    is_ctl,
    message,
)

T_PM = TIMERS["T_PM"].tu * TU
HOLDOFF = PM_IDLE_HOLDOFF_TU * TU


def test_entry_and_silence() -> None:
    """PM_REQ is answered by PM_ACK with its TAG, both sides are in L1, no timer runs and nothing is sent.

    [HSL-LNK-033]
    """
    pair = asleep()
    (request,), (answer,) = pair.a.ctl(CtlOp.PM_REQ), pair.b.ctl(CtlOp.PM_ACK)
    assert request[1].body == answer[1].body == {"level": 1, "tag": 1}
    before = [len(side.sent) for side, _ in pair.sides]
    assert [side.port.next_deadline() for side, _ in pair.sides] == [None, None]
    pair.run(10**6 * TU)
    assert [len(side.sent) for side, _ in pair.sides] == before
    assert states(pair) == (L1, L1)
    works(pair)


def test_not_offered_by_one_side() -> None:
    """L1 that only one side offers is not negotiated: pm_idle asks for nothing [HSL-LNK-005]."""
    for pair in (Pair(low(1), config(2)).up(), Pair(config(1), low(2)).up()):
        pair.settle()
        for side, _ in pair.sides:
            ask(pair, side)
        pair.run(100 * TU)
        assert states(pair) == (ACTIVE, ACTIVE)
        assert not pair.a.ctl(CtlOp.PM_REQ) + pair.b.ctl(CtlOp.PM_REQ)


@pytest.mark.parametrize("busy", ["unacked", "naked", "waiting", "returnable"])
def test_a_side_that_is_not_idle_does_not_ask(busy: str) -> None:
    """pm_idle does nothing while a flit is not acknowledged or missing, a message waits, or credit is due."""
    pair = awake(credits=CREDIT_MINIMA)
    if busy == "unacked":
        burst(pair, 1)
        assert pair.run(TU, until=lambda: pair.a.link.tx.unacked == 1)
    elif busy == "naked":
        pair.inject(pair.a, flit_from(pair.b, FlitType.NOP, seq=1))
    elif busy == "waiting":
        pair.b.releasing = False
        burst(pair, 9)
        pair.run(100 * TU)
        assert pair.a.port.backlog(7)
    else:
        pair.a.releasing = False
        pair.b.waiting.append(message(Op.Cmp))
        pair.run(100 * TU)
        pair.a.port.release(4)
    ask(pair)
    assert not pair.a.link.pm_open
    assert "PM_REQ" not in pair.a.link.due


def test_a_request_that_is_open_is_not_opened_again() -> None:
    """pm_idle while a request is open asks for nothing new: one TAG."""
    pair = awake()
    for _ in range(3):
        ask(pair)
    pair.run(TU)
    ask(pair)
    pair.run(10 * TU)
    assert [ctl.body["tag"] for _, ctl in pair.a.ctl(CtlOp.PM_REQ)] == [1]


def busy_peer() -> Pair:
    """`a` is idle; `b` has a message for which `a` gives no credit back."""
    pair = awake(credits=CREDIT_MINIMA)
    pair.a.releasing = False
    pair.b.waiting.extend(message(Op.Cmp, txn) for txn in range(9))
    pair.run(200 * TU)
    assert pair.b.port.backlog(4) == 1
    assert pair.a.link.idle
    return pair


def test_refusal_and_holdoff_to_the_nanosecond() -> None:
    """A peer that is not idle answers PM_NAK; pm_idle is ignored for 256 TU from then, not longer."""
    pair = busy_peer()
    ask(pair)
    assert pair.run(10 * TU, until=lambda: bool(pair.a.link.pm_quiet_until))
    refused = pair.now
    assert [ctl.body["tag"] for _, ctl in pair.b.ctl(CtlOp.PM_NAK)] == [1]
    assert pair.a.link.pm_quiet_until == refused + HOLDOFF
    assert not pair.a.link.pm_open
    pair.run(HOLDOFF - 1)
    ask(pair)
    assert not pair.a.link.pm_open
    pair.run(1)
    ask(pair)
    pair.run(10 * TU)
    assert [ctl.body["tag"] for _, ctl in pair.a.ctl(CtlOp.PM_REQ)] == [1, 2]
    assert states(pair) == (ACTIVE, ACTIVE)
    pair.a.port.release(4, 8)
    pair.a.releasing = True
    works(pair)


def test_answers_with_another_tag_are_ignored() -> None:
    """PM_ACK and PM_NAK with a TAG that is not that of the open request change nothing."""
    pair = awake()
    pair.b.line.clear()
    pair.a.hook = Faults(is_ctl(CtlOp.PM_REQ), count=99)
    ask(pair)
    pair.run(1)
    for op in (CtlOp.PM_ACK, CtlOp.PM_NAK):
        for tag in (0, 2, 255):
            pair.inject(pair.a, ctl_from(pair.b, op, {"level": 1, "tag": tag}))
    assert pair.a.state() is ACTIVE
    assert pair.a.link.pm_open
    assert pair.a.link.pm_quiet_until == 0


def test_tag_wraps() -> None:
    """TAG has eight bits."""
    pair = awake()
    pair.a.link.tag = 255
    ask(pair)
    pair.run(10 * TU)
    assert [ctl.body["tag"] for _, ctl in pair.b.ctl(CtlOp.PM_ACK)] == [0]
    assert states(pair) == (L1, L1)


def test_idle_is_judged_after_the_ack_of_the_request() -> None:
    """A PM_REQ that carries the last ACK finds its receiver idle; without it the receiver is busy."""
    pair = awake()
    pair.a.link.tx.store(decode(flit_from(pair.a, FlitType.PROT)))
    late = ctl_from(pair.b, CtlOp.PM_REQ, {"level": 1, "tag": 9})
    pair.inject(pair.a, late)
    assert pair.a.state() is ACTIVE
    assert pair.a.link.due["PM_NAK"] == 9
    acking = ctl_from(pair.b, CtlOp.PM_REQ, {"level": 1, "tag": 10}, ack=pair.a.link.tx.base)
    pair.inject(pair.a, acking)
    assert pair.a.state() is L1


def test_a_request_that_shows_a_gap_is_refused() -> None:
    """PM_REQ whose SEQ is ahead: flits are missing, so NAK and PM_NAK."""
    pair = awake()
    seq = pair.a.link.rx.exp + 1
    pair.inject(pair.a, ctl_from(pair.b, CtlOp.PM_REQ, {"level": 1, "tag": 9}, seq=seq))
    assert {"NAK", "PM_NAK"} <= pair.a.link.due.keys()
    assert pair.a.state() is ACTIVE


# -------------------------------------------------------------------------------------- losses and T_PM


def test_request_lost() -> None:
    """A lost PM_REQ is sent again after T_PM, to the nanosecond, with the same TAG."""
    pair = awake()
    pair.a.hook = Faults(is_ctl(CtlOp.PM_REQ), count=2)
    ask(pair)
    pair.run(3 * T_PM)
    first, *later = sent_times(pair.a, CtlOp.PM_REQ)
    assert later == [first + T_PM, first + 2 * T_PM]
    assert {ctl.body["tag"] for _, ctl in pair.a.ctl(CtlOp.PM_REQ)} == {1}
    assert states(pair) == (L1, L1)
    works(pair)


def test_ack_lost_and_request_repeated() -> None:
    """PM_ACK is lost: the peer is in L1 alone, and answers the repeated PM_REQ with the same TAG again."""
    pair = awake()
    pair.b.hook = Faults(is_ctl(CtlOp.PM_ACK))
    ask(pair)
    pair.run(5 * TU)
    assert states(pair) == (ACTIVE, L1)
    pair.run(T_PM)
    assert states(pair) == (L1, L1)
    assert [ctl.body["tag"] for _, ctl in pair.b.ctl(CtlOp.PM_ACK)] == [1, 1]
    works(pair)


def lonely() -> Pair:
    """No PM_ACK arrives: `a` has given up in ACTIVE, `b` is in L1."""
    pair = awake()
    pair.b.hook = Faults(is_ctl(CtlOp.PM_ACK), count=99)
    ask(pair)
    pair.run(N_PM * T_PM - 1)
    assert pair.a.link.pm_open
    pair.run(TU)
    return pair


def test_all_acks_lost_gives_up_after_the_fourth() -> None:
    """After N_PM sends, T_PM apart, the request is over; no PM_REQ is left due."""
    pair = lonely()
    times = sent_times(pair.a, CtlOp.PM_REQ)
    assert times == [times[0] + number * T_PM for number in range(N_PM)]
    assert not pair.a.link.pm_open
    assert "PM_REQ" not in pair.a.link.due
    assert states(pair) == (ACTIVE, L1)
    assert len(pair.b.ctl(CtlOp.PM_ACK)) == N_PM


def test_all_acks_lost_then_traffic_wakes_the_peer() -> None:
    """The PROT that comes to a side in L1 is accepted at once and wakes it."""
    pair = lonely()
    burst(pair, 3)
    pair.run(LATENCY + 5 * FLIT_NS)
    assert [m.txn for m in pair.b.got] == [0, 1, 2]
    assert pair.b.state() is not L1
    pair.settle()
    works(pair)


def test_all_acks_lost_and_nothing_to_send_ends_by_t_deadka() -> None:
    """The side that stays ACTIVE hears nothing: T_DEADKA, and its RESYNC wakes the peer; its NOPs do not."""
    pair = lonely()
    heard = max(at for at, data in pair.b.sent if not is_ctl(CtlOp.PM_ACK)(data)) + LATENCY
    dead = TIMERS["T_DEADKA"].tu * TU
    pair.run(heard + dead - pair.now - 1)
    assert states(pair) == (ACTIVE, L1)
    assert pair.a.of_type(FlitType.NOP)[-1][0] > heard
    pair.run(1)
    assert states(pair) == (RECOVERY, L1)
    pair.settle()
    pair.run(10 * TU)
    assert states(pair) == (ACTIVE, ACTIVE)
    works(pair)


# -------------------------------------------------------------------------------------------- entry races


def test_simultaneous_requests() -> None:
    """Both ask at once: each answers by PM_ACK and is in L1; the answers that arrive there are ignored."""
    pair = awake()
    ask(pair)
    ask(pair, pair.b)
    pair.run(10 * TU)
    assert states(pair) == (L1, L1)
    for side, _ in pair.sides:
        assert len(side.ctl(CtlOp.PM_REQ)) == len(side.ctl(CtlOp.PM_ACK)) == 1
        assert not side.link.pm_open
    assert [side.port.next_deadline() for side, _ in pair.sides] == [None, None]
    works(pair)


@pytest.mark.parametrize("lost", ["a", "b"])
def test_simultaneous_requests_one_lost(lost: str) -> None:
    """Both ask, one PM_REQ is lost: the other one brings both to L1."""
    pair = awake()
    getattr(pair, lost).hook = Faults(is_ctl(CtlOp.PM_REQ))
    ask(pair)
    ask(pair, pair.b)
    pair.run(10 * TU)
    assert states(pair) == (L1, L1)
    works(pair)


def test_own_message_before_the_request_is_sent() -> None:
    """A message in the instant of pm_idle: the PROT goes first and cancels the request unsent."""
    pair = awake()
    ask(pair)
    burst(pair, 1)
    pair.run(10 * TU)
    assert not pair.a.ctl(CtlOp.PM_REQ)
    assert not pair.a.link.pm_open
    assert states(pair) == (ACTIVE, ACTIVE)
    assert len(pair.b.got) == 1


def test_own_message_after_the_request() -> None:
    """A PROT that follows the PM_REQ cancels it; the PM_ACK is ignored, the PROT wakes the peer."""
    pair = awake()
    ask(pair)
    pair.run(FLIT_NS)
    assert pair.a.ctl(CtlOp.PM_REQ)
    burst(pair, 2)
    pair.run(LATENCY + 1)
    assert not pair.a.link.pm_open
    assert pair.b.ctl(CtlOp.PM_ACK)
    pair.run(LATENCY)
    assert pair.a.state() is ACTIVE
    assert RECOVERY in pair.b.states()
    pair.settle()
    assert [m.txn for m in pair.b.got] == [0, 1]
    works(pair)


def test_message_of_the_peer_crosses_the_request() -> None:
    """The peer has just sent a PROT: it is not idle and refuses; nobody sleeps."""
    pair = awake()
    pair.b.waiting.append(message(Op.NcWrite, 7))
    ask(pair)
    pair.run(5 * TU)
    assert pair.b.ctl(CtlOp.PM_NAK)
    assert states(pair) == (ACTIVE, ACTIVE)
    assert [m.txn for m in pair.a.got] == [7]


def test_peer_has_work_right_after_its_answer() -> None:
    """The peer answers, sleeps and wakes at once: PM_ACK then RESYNC bring this side to L1 and back."""
    pair = awake()
    ask(pair)
    assert pair.run(TU * 10, until=lambda: pair.b.state() is L1)
    pair.b.waiting.append(message(Op.NcWrite, 7))
    pair.settle()
    assert L1 in pair.a.states()
    assert [m.txn for m in pair.a.got] == [7]
    works(pair)


def test_answer_lost_and_peer_has_work() -> None:
    """As above with the PM_ACK lost: RESYNC finds this side ACTIVE with an open request, and is answered."""
    pair = awake()
    pair.b.hook = Faults(is_ctl(CtlOp.PM_ACK))
    ask(pair)
    assert pair.run(TU * 10, until=lambda: pair.b.state() is L1)
    pair.b.waiting.append(message(Op.NcWrite, 7))
    pair.run(5 * TU)
    assert [m.txn for m in pair.a.got] == [7]
    pair.run(20 * TU)
    works(pair)


def test_recovery_cancels_the_request() -> None:
    """A retrain while the request is open ends it: no PM_REQ later, T_PM stops."""
    pair = awake()
    pair.a.hook = Faults(is_ctl(CtlOp.PM_REQ), count=99)
    ask(pair)
    pair.run(TU)
    pair.a.port.retrain(pair.now)
    assert not pair.a.link.pm_open
    pair.run(3 * T_PM)
    assert len(pair.a.ctl(CtlOp.PM_REQ)) == 1
    works(pair)


def test_request_in_recovery_is_refused() -> None:
    """A side in RECOVERY answers PM_REQ by PM_NAK, be it idle."""
    pair = awake()
    pair.a.port.retrain(pair.now)
    pair.inject(pair.a, ctl_from(pair.b, CtlOp.PM_REQ, {"level": 1, "tag": 9}))
    assert pair.a.state() is RECOVERY
    pair.run(TU)
    assert [ctl.body["tag"] for _, ctl in pair.a.ctl(CtlOp.PM_NAK)] == [9]


def test_a_port_that_was_woken_once_sleeps_again() -> None:
    """An access that woke the port for its lease wakes it once; the next L1 lasts.

    HSL 3.7.5 [HSL-LNK-057].
    """
    pair = asleep()
    pair.a.port.woken = True
    assert pair.run(20 * TU, until=lambda: states(pair) == (ACTIVE, ACTIVE))
    pair.settle()
    ask(pair)
    assert pair.run(10 * TU, until=lambda: states(pair) == (L1, L1))
    pair.run(100 * TU)
    assert states(pair) == (L1, L1), "3.7.5: nothing is to be sent"
