"""Low power L1: what wakes a link, what does not, and races on the way out (HSL 3.7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hsl._generated.constants import (
    TIMERS,
    CtlOp,
    ErrorCode,
    FlitSize,
    FlitType,
    LinkState,
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
    sent_times,
    settle_but_credits,
    states,
    works,
)
from tests.link.pair import (
    FLIT_NS,
    TU,
    Faults,
    Pair,
    Side,
    burst,
    ctl_from,
    damage,
    decode,
    flit_from,
    is_ctl,
    is_type,
    message,
)

T_HS, T_CR = (TIMERS[name].tu * TU for name in ("T_HS", "T_CR"))


def test_work_wakes_both_and_numbers_go_on() -> None:
    """L1 exit keeps SEQ and credits: the first PROT after it has the next number [HSL-LNK-033]."""
    pair = awake()
    burst(pair, 10)
    pair.settle()
    numbers = pair.a.link.tx.next, pair.b.link.rx.exp, list(pair.a.port._credits.available)
    ask(pair)
    pair.run(10 * TU)
    assert states(pair) == (L1, L1)
    assert (pair.a.link.tx.next, pair.b.link.rx.exp, pair.a.port._credits.available) == numbers
    start = len(pair.a.sent)
    burst(pair, 1)
    pair.settle()
    kinds = [flit.seq for _, flit in pair.a.of_type(FlitType.PROT)]
    assert kinds[-1] == numbers[0]
    assert is_ctl(CtlOp.RESYNC)(pair.a.sent[start][1])
    assert len(set(kinds)) == numbers[0] + 1
    assert pair.b.link.rx.exp == numbers[1] + 1
    works(pair)


def test_any_number_of_wakes() -> None:
    """A wake is no step of the recovery ladder: RC stays 0 and fifty of them are fine [HSL-LNK-039]."""
    pair = awake()
    for number in range(50):
        ask(pair, pair.a if number % 2 else pair.b)
        assert pair.run(10 * TU, until=lambda: states(pair) == (L1, L1))
        burst(pair, 1)
        pair.settle()
        assert pair.a.link.rc == pair.b.link.rc == 0
    assert len(pair.b.got) == 50
    assert pair.a.counters.recoveries == pair.b.counters.recoveries == 0
    assert pair.a.errors() == pair.b.errors() == []


def test_both_wake_at_once() -> None:
    """Both have work in the same instant: both RESYNC, both answer, all arrives once."""
    pair = asleep()
    for side, _ in pair.sides:
        side.waiting.extend(message(Op.NcWrite, txn) for txn in range(3))
    pair.settle()
    for side, _ in pair.sides:
        assert [m.txn for m in side.got] == [0, 1, 2]
    works(pair)


@pytest.mark.parametrize("op", [CtlOp.RESYNC, CtlOp.RESYNC_ACK])
def test_wake_with_losses(op: CtlOp) -> None:
    """A lost RESYNC, or its answer, is made good by the next RESYNC after T_HS."""
    pair = asleep()
    (pair.a if op is CtlOp.RESYNC else pair.b).hook = Faults(is_ctl(op), count=2)
    burst(pair, 1)
    pair.run(4 * T_HS)
    first, second, third, *_ = sent_times(pair.a, CtlOp.RESYNC)
    assert second == first + T_HS
    assert third >= second
    assert len(pair.b.got) == 1
    works(pair)


def new_prot(side: Side) -> bytes:
    """A PROT that `side` has in its replay buffer, as if just sent."""
    data = flit_from(side, FlitType.PROT)
    side.link.tx.store(decode(data))
    return data


WAKES: dict[str, Callable[[Pair], Any]] = {
    "PROT": lambda pair: new_prot(pair.b),
    "PROT ahead": lambda pair: flit_from(pair.b, FlitType.PROT, seq=pair.b.link.tx.next + 3),
    "PROT duplicate": lambda pair: flit_from(pair.b, FlitType.PROT, seq=1022),
    "NOP that shows a gap": lambda pair: flit_from(pair.b, FlitType.NOP, seq=pair.b.link.tx.next + 1),
    "RESYNC_ACK that shows a gap": lambda pair: gap_in_resync_ack(pair, pair.a.link.rn),
    "RESYNC_ACK of another RN that shows a gap": lambda pair: gap_in_resync_ack(pair, 9),
    "NAK": lambda pair: ctl_from(pair.b, CtlOp.NAK, {"exp": pair.b.link.rx.exp}),
    "RESYNC": lambda pair: ctl_from(pair.b, CtlOp.RESYNC, {"exp": pair.b.link.rx.exp, "rn": 5}),
    "RETRAIN_REQ": lambda pair: ctl_from(pair.b, CtlOp.RETRAIN_REQ),
}
STAYS: dict[str, Callable[[Pair], Any]] = {
    "NOP": lambda pair: flit_from(pair.b, FlitType.NOP),
    "damaged": lambda pair: damage(flit_from(pair.b, FlitType.PROT)),
    "PM_REQ": lambda pair: ctl_from(pair.b, CtlOp.PM_REQ, {"level": 1, "tag": 77}),
    "PM_ACK": lambda pair: ctl_from(pair.b, CtlOp.PM_ACK, {"level": 1, "tag": 1}),
    "PM_NAK": lambda pair: ctl_from(pair.b, CtlOp.PM_NAK, {"level": 1, "tag": 1}),
    "stale": lambda pair: ctl_from(pair.b, CtlOp.RESYNC, {"exp": 0, "rn": 5}, epoch=77),
    "RESYNC_ACK": lambda pair: ctl_from(
        pair.b, CtlOp.RESYNC_ACK, {"exp": pair.b.link.rx.exp, "rn": pair.a.link.rn}
    ),
}


def gap_in_resync_ack(pair: Pair, rn: int) -> bytes:
    """A RESYNC_ACK whose SEQ is ahead."""
    body = {"exp": pair.b.link.rx.exp, "rn": rn}
    return ctl_from(pair.b, CtlOp.RESYNC_ACK, body, seq=pair.b.link.tx.next + 1)


@pytest.mark.parametrize("what", WAKES)
def test_what_wakes(what: str) -> None:
    """Each flit that means traffic, or trouble, leads from L1 to RECOVERY and on to ACTIVE.

    [HSL-LNK-033] [HSL-LNK-047]
    """
    pair = asleep()
    pair.inject(pair.a, WAKES[what](pair))
    assert pair.a.state() is RECOVERY
    pair.run(5 * TU)
    assert states(pair) == (ACTIVE, ACTIVE)


@pytest.mark.parametrize("what", STAYS)
def test_what_does_not_wake(what: str) -> None:
    """A NOP, damage, stale CTL and PM answers leave L1 as it is; only PM_REQ is answered, by PM_ACK."""
    pair = asleep()
    start = len(pair.a.sent)
    pair.inject(pair.a, STAYS[what](pair))
    pair.run(TU)
    assert pair.a.state() is L1
    answers = pair.a.sent[start:]
    assert [is_ctl(CtlOp.PM_ACK)(data) for _, data in answers] == ([True] if what == "PM_REQ" else [])
    works(pair)


@pytest.mark.parametrize("how", ["retrain", "both retrain", "pal_retrain", "unplug"])
def test_retrain_in_l1(how: str) -> None:
    """sw_retrain, PAL_RETRAIN and a cut of the line in L1: RECOVERY without counting, then ACTIVE."""
    pair = asleep()
    if how == "unplug":
        pair.unplug()
        assert states(pair) == (RECOVERY, RECOVERY)
        pair.run(100 * TU)
        pair.plug()
    elif how == "pal_retrain":
        pair.a.port.pal_retrain(0, pair.now)
    else:
        pair.a.port.retrain(pair.now)
        if how == "both retrain":
            pair.b.port.retrain(pair.now)
    assert pair.a.state() is RECOVERY
    pair.run(10 * TU)
    assert states(pair) == (ACTIVE, ACTIVE)
    assert pair.a.link.rc == pair.b.link.rc == 0
    works(pair)


def test_credit_that_becomes_free_in_l1() -> None:
    """A credit released in L1 wakes the link after T_CR, to the nanosecond, and is returned [HSL-LNK-028]."""
    pair = awake()
    pair.b.releasing = False
    burst(pair, 1)
    settle_but_credits(pair)
    ask(pair)
    pair.run(10 * TU)
    assert states(pair) == (L1, L1)
    pair.b.port.release(7)
    pair.run(T_CR - 1)
    assert states(pair) == (L1, L1)
    pair.run(1)
    assert pair.b.state() is RECOVERY
    pair.b.releasing = True
    pair.run(10 * TU)
    assert pair.a.port._credits.home
    assert states(pair) == (ACTIVE, ACTIVE)


def test_half_the_credits_free_in_l1_wake_at_once() -> None:
    """Credits up to the threshold are work: no T_CR is waited for."""
    pair = awake(credits=CREDIT_MINIMA)
    pair.b.releasing = False
    burst(pair, 2)
    settle_but_credits(pair)
    ask(pair)
    pair.run(10 * TU)
    assert states(pair) == (L1, L1)
    pair.b.port.release(7, 2)
    pair.run(1)
    assert pair.b.state() is RECOVERY


def test_a_message_without_credit_does_not_wake() -> None:
    """tx_work needs a message with credit: one without it sleeps on until the peer returns some.

    The last credit of NCR is for those that sink, so with 4 credits the fourth NcWrite has none.
    """
    pair = awake(credits=CREDIT_MINIMA)
    pair.b.releasing = False
    burst(pair, 3)
    settle_but_credits(pair)
    ask(pair)
    pair.run(10 * TU)
    assert states(pair) == (L1, L1)
    pair.a.waiting.append(message(Op.NcWrite, 99))
    pair.run(1000 * TU)
    assert states(pair) == (L1, L1)
    pair.b.port.release(7, 3)
    pair.b.releasing = True
    pair.settle()
    assert pair.b.got[-1].txn == 99


def test_disable_in_l1() -> None:
    """sw_disable in L1 is told to the sleeping peer by DISABLE; enable brings a new session."""
    pair = asleep()
    pair.a.port.disable(pair.now)
    pair.run(5 * TU)
    assert states(pair) == (LinkState.DISABLED, LinkState.DETECT)
    assert (pair.a.downs(), pair.b.downs()) == (["sw_disable"], ["DISABLE"])
    pair.a.port.enable(pair.now)
    pair.run(40 * TU)
    assert pair.a.port.up
    assert pair.b.port.up


def test_restart_of_one_side_in_l1() -> None:
    """A side that lost power in L1 comes back with a new EPOCH: its HELLO ends the sleeper's session."""
    pair = asleep()
    pair.restart(pair.a)
    pair.run(40 * TU)
    assert pair.b.downs() == ["HELLO_new_other"]
    assert pair.a.port.up
    assert pair.b.port.up
    ask(pair)
    pair.run(10 * TU)
    assert states(pair) == (L1, L1)


def test_port_fatal_in_l1() -> None:
    """A PROT with a port-fatal fault in L1 is found: DEAD, and the peer is told."""
    pair = asleep()
    pair.inject(pair.a, flit_from(pair.b, FlitType.PROT, cvc=1, ccnt=0))
    assert pair.a.state() is LinkState.DEAD
    pair.run(5 * TU)
    assert pair.b.state() is LinkState.DEAD
    assert ErrorCode.MALFORMED in pair.a.errors()


def test_l1_sends_l64() -> None:
    """On a link of B256 the answers in L1 have 64 bytes, the PM_REQ of ACTIVE has 256."""
    pair = asleep(flit_sizes=FlitSize.L64 | FlitSize.B256)
    assert {len(data) for _, data in pair.a.sent if is_ctl(CtlOp.PM_REQ)(data)} == {256}
    assert {len(data) for _, data in pair.b.sent if is_ctl(CtlOp.PM_ACK)(data)} == {64}
    works(pair)
    assert {len(data) for _, data in pair.a.sent if is_type(FlitType.PROT)(data)} == {256}


def test_a_sleeping_port_is_quiesced() -> None:
    """Nothing is owed in L1, whatever was due when it was entered: a session can end there."""
    pair = awake()
    ask(pair)
    pair.run(FLIT_NS)
    pair.a.link.ack_now = True  # T_KA in the instant before the PM_ACK
    pair.a.wires[0].free = pair.now + 10**4
    pair.run(9 * TU)
    assert states(pair) == (L1, L1)
    assert pair.a.port.quiesced
    assert pair.b.port.quiesced
