"""Ladders, RECOVERY, signs of life, STORM, PAL (HSL 3.4.3, 6.3)."""

from __future__ import annotations

from itertools import pairwise

from hsl._generated.constants import (
    N_RECOV,
    N_REPLAY,
    STORM_LIMIT,
    STORM_WINDOW_TU,
    TIMERS,
    CtlOp,
    ErrorCode,
    FlitType,
    LinkState,
    Op,
)
from tests.link.pair import (
    LATENCY,
    TU,
    Faults,
    Hook,
    Pair,
    always,
    burst,
    ctl_from,
    flit_from,
    is_ctl,
    is_type,
    message,
)

LENGTH = {name: timer.tu * TU for name, timer in TIMERS.items()}
PROT, NOP = is_type(FlitType.PROT), is_type(FlitType.NOP)


def test_ladder_to_recovery_and_to_dead() -> None:
    """N_REPLAY replays without progress, the next trigger is RECOVERY; it ends in DEAD in the time of 3.4.3.

    [HSL-LNK-020] [HSL-LNK-024]
    """
    pair = Pair().up()
    pair.b.hook = Faults(always, count=10**9)
    burst(pair, 1)
    start = pair.now
    pair.run((N_REPLAY + 1) * LENGTH["T_REPLAY"] + 1)
    # Silence of T_DEADKA comes before the fifth T_REPLAY: either ends the stay in ACTIVE.
    assert pair.a.state() is LinkState.RECOVERY
    assert pair.a.counters.recoveries == 1
    pair.run(LENGTH["T_STATE"])
    assert pair.a.state() is LinkState.DEAD
    assert pair.a.errors()[-1] == ErrorCode.LOST
    assert pair.a.downs() == ["T_STATE"]
    assert pair.now - start <= 13568 * TU


def without_prots(pair: Pair) -> Hook:
    """`a` is heard, but each PROT arrives as a NOP that shows no gap: nothing is ACKed or NAKed."""
    return lambda data: [(flit_from(pair.a, FlitType.NOP, seq=0) if PROT(data) else data, False)]


def test_replay_ladder_alone() -> None:
    """With a peer that is heard but never acknowledges, the fifth T_REPLAY is the RECOVERY trigger.

    [HSL-LNK-020]
    """
    pair = Pair().up()
    pair.a.hook = without_prots(pair)
    burst(pair, 1)
    start = pair.now
    pair.run((N_REPLAY + 1) * LENGTH["T_REPLAY"] + 1, until=lambda: pair.a.state() is LinkState.RECOVERY)
    assert pair.a.state() is LinkState.RECOVERY
    assert pair.now == start + (N_REPLAY + 1) * LENGTH["T_REPLAY"]
    assert pair.a.counters.replay_timeouts == N_REPLAY + 1
    assert len(pair.a.of_type(FlitType.PROT)) == 1 + N_REPLAY


def test_recoveries_without_progress_end_in_dead() -> None:
    """N_RECOV recoveries that succeed while PROT never gets through: the next trigger is DEAD.

    [HSL-LNK-024]
    """
    pair = Pair().up()
    pair.a.hook = without_prots(pair)
    burst(pair, 1)
    start = pair.now
    assert pair.run(13568 * TU, until=lambda: pair.a.state() is LinkState.DEAD)
    assert pair.a.counters.recoveries == N_RECOV
    stays = N_RECOV + 1
    assert pair.now - start <= stays * (N_REPLAY + 1) * LENGTH["T_REPLAY"] + N_RECOV * 10 * LATENCY
    assert pair.a.errors()[-1] == ErrorCode.LOST


def test_naks_without_progress_climb_the_ladder() -> None:
    """A NAK that brings progress is no replay trigger; one that brings none is [HSL-LNK-020]."""
    pair = Pair().up()
    pair.b.hook = Faults(always, count=10**9)
    burst(pair, 3)
    pair.run(100)
    link = pair.a.link
    pair.inject(pair.a, ctl_from(pair.b, CtlOp.NAK, {"exp": 1}, ack=0))
    assert (link.rpc, link.tx.base, link.tx.rp, link.tx.next) == (0, 1, 1, 3)
    for count in range(1, N_REPLAY + 1):
        pair.inject(pair.a, ctl_from(pair.b, CtlOp.NAK, {"exp": 1}, ack=0))
        assert (link.rpc, pair.a.state()) == (count, LinkState.ACTIVE)
    pair.inject(pair.a, ctl_from(pair.b, CtlOp.NAK, {"exp": 1}, ack=0))
    assert (link.rpc, pair.a.state()) == (0, LinkState.RECOVERY)


def test_gap_in_recovery_is_naked_after_it() -> None:
    """RECOVERY sends no NAK; a gap found there is NAKed at the return to ACTIVE [HSL-LNK-022]."""
    pair = Pair().up()
    pair.b.hook = Faults(always, count=10**9)
    pair.a.port.retrain(pair.now)
    pair.run(20)
    pair.inject(pair.a, flit_from(pair.b, FlitType.PROT, seq=2))
    pair.run(20)
    assert pair.a.link.rx.naked
    assert pair.a.ctl(CtlOp.NAK) == []
    pair.inject(pair.a, ctl_from(pair.b, CtlOp.RESYNC_ACK, {"exp": 0, "rn": 1}, seq=2))
    start = pair.now
    pair.run(20)
    assert [now for now, _ in pair.a.ctl(CtlOp.NAK)] == [start]


def test_idle_link_survives_any_number_of_retrains() -> None:
    """Retrains of an idle link that succeed never add up to DEAD [HSL-LNK-039]."""
    pair = Pair().up()
    for turn in range(4 * N_RECOV):
        side = (pair.a, pair.b)[turn % 2]
        side.port.retrain(pair.now)
        assert pair.run(20 * TU, until=lambda: pair.a.state() is pair.b.state() is LinkState.ACTIVE)
        pair.run(LENGTH["T_KA"] + LATENCY + 1)
    assert pair.a.downs() == []
    assert pair.a.counters.recoveries == 4 * N_RECOV  # one's own and the other's RETRAIN_REQ


def test_storm_of_retrains_is_fatal() -> None:
    """The 65th RETRAIN_REQ within a window of 4096 TU ends the link with code 24. HSL 6.3 [HSL-SEC-004]."""
    pair = Pair().up()
    pair.a.link.storm_start = pair.now
    for turn in range(STORM_LIMIT):
        assert pair.a.state() is not LinkState.DEAD, turn
        pair.inject(pair.a, ctl_from(pair.b, CtlOp.RETRAIN_REQ))
    assert pair.a.state() is LinkState.DEAD
    assert pair.a.counters.errors[ErrorCode.STORM] == 1
    pair.run(20 * TU)
    assert [ctl.body["error"] for _, ctl in pair.a.ctl(CtlOp.ERR_FATAL)] == [ErrorCode.STORM] * 3


def test_storm_of_empty_naks_is_fatal() -> None:
    """65 NAKs for nothing are STORM; each is answered by a NOP, and a new window forgives. [HSL-SEC-004]."""
    pair = Pair().up()
    nak = ctl_from(pair.b, CtlOp.NAK, {"exp": 0})
    for _ in range(STORM_LIMIT - 1):
        pair.inject(pair.a, nak)
        pair.run(1)
    assert pair.a.state() is LinkState.ACTIVE
    assert len(pair.a.of_type(FlitType.NOP)) >= 5  # the line was busy most of the time
    pair.run(STORM_WINDOW_TU * TU)
    for _ in range(STORM_LIMIT - 1):
        pair.inject(pair.a, nak)
    assert pair.a.state() is LinkState.ACTIVE
    pair.inject(pair.a, nak)
    assert pair.a.state() is LinkState.DEAD


def test_naks_that_find_unacked_flits_are_no_storm() -> None:
    """However many NAKs ask for a flit that is not acknowledged yet, none counts for STORM. [HSL-SEC-004]."""
    pair = Pair().up()
    for turn in range(2 * STORM_LIMIT):
        burst(pair, 1)
        pair.run(1)
        assert pair.a.link.tx.base != pair.a.link.tx.next, turn
        pair.inject(pair.a, ctl_from(pair.b, CtlOp.NAK, {"exp": pair.a.link.tx.base}))
        pair.settle()
    assert pair.a.counters.errors[ErrorCode.STORM] == 0
    assert pair.a.state() is LinkState.ACTIVE


def test_recovery_keeps_all() -> None:
    """RECOVERY with flits unacked, in both directions: RESYNC(RN), RESYNC_ACK(RN), replay.

    Nothing lost or doubled.

    [HSL-LNK-022] [HSL-LNK-037]
    """
    pair = Pair().up()
    burst(pair, 60)
    pair.b.waiting.extend(message(Op.Cmp, txn) for txn in range(60))
    pair.run(150)
    pair.a.port.retrain(pair.now)
    pair.settle()
    assert [m.txn for m in pair.b.got] == list(range(60))
    assert [m.txn for m in pair.a.got] == list(range(60))
    resyncs = [ctl.body["rn"] for _, ctl in pair.a.ctl(CtlOp.RESYNC)]
    acks = [ctl.body["rn"] for _, ctl in pair.b.ctl(CtlOp.RESYNC_ACK)]
    assert resyncs[0] == 1
    assert set(acks) <= set(resyncs)
    assert pair.a.ctl(CtlOp.RETRAIN_REQ)[0][0] < pair.a.ctl(CtlOp.RESYNC)[0][0]
    assert pair.a.downs() == []


def test_late_resync_ack_does_not_end_recovery() -> None:
    """A RESYNC_ACK with another RN only carries its ACK [HSL-LNK-038]."""
    pair = Pair().up()
    pair.b.hook = Faults(always, count=10**6)
    pair.a.port.retrain(pair.now)
    pair.run(1)
    assert pair.a.state() is LinkState.RECOVERY
    for rn in (0, 2, 65535):
        pair.inject(pair.a, ctl_from(pair.b, CtlOp.RESYNC_ACK, {"exp": 0, "rn": rn}))
        assert pair.a.state() is LinkState.RECOVERY
    pair.inject(pair.a, ctl_from(pair.b, CtlOp.RESYNC_ACK, {"exp": 0, "rn": 1}))
    assert pair.a.state() is LinkState.ACTIVE


def test_resync_is_repeated_every_t_hs() -> None:
    """RESYNC goes out at entry and every T_HS until it is answered [HSL-LNK-022]."""
    pair = Pair().up()
    pair.a.hook = Faults(is_ctl(CtlOp.RESYNC), count=3)
    pair.a.port.retrain(pair.now)
    pair.run(100 * TU)
    times = [now for now, _ in pair.a.ctl(CtlOp.RESYNC)]
    steps = [later - sooner for sooner, later in pairwise(times)]
    assert all(abs(step - LENGTH["T_HS"]) <= 10 for step in steps)
    assert pair.a.state() is LinkState.ACTIVE


def test_keep_alive() -> None:
    """An idle link sends a flit at least every T_KA, and stays ACTIVE [HSL-LNK-025]."""
    pair = Pair().up()
    start = pair.now
    pair.run(20 * LENGTH["T_KA"])
    for side, _ in pair.sides:
        times = [now for now, _ in side.sent if now > start]
        assert all(later - sooner == LENGTH["T_KA"] for sooner, later in pairwise(times))
        assert side.state() is LinkState.ACTIVE
        assert len(times) >= 19


def test_silence_leads_to_recovery() -> None:
    """A peer silent for T_DEADKA: RECOVERY, and DEAD after T_STATE more [HSL-LNK-026]."""
    pair = Pair().up()
    last = max(now for now, _ in pair.b.sent)
    pair.b.hook = Faults(always, count=10**9)
    heard = last + LATENCY
    pair.run(10**6, until=lambda: pair.a.state() is LinkState.RECOVERY)
    assert pair.now <= heard + LENGTH["T_DEADKA"]
    entered = pair.now
    pair.run(10**7, until=lambda: pair.a.state() is LinkState.DEAD)
    assert pair.now == entered + LENGTH["T_STATE"]


def test_pal_down_and_up_keeps_the_session() -> None:
    """PAL_DOWN and PAL_UP within T_STATE, with flits under way: RECOVERY, and all is delivered once."""
    pair = Pair().up()
    burst(pair, 40)
    pair.b.waiting.extend(message(Op.Cmp, txn) for txn in range(40))
    pair.run(150)
    pair.unplug()
    assert pair.a.state() is pair.b.state() is LinkState.RECOVERY
    sent = len(pair.a.sent)
    pair.run(LENGTH["T_STATE"] // 2)
    assert len(pair.a.sent) == sent
    pair.plug()
    pair.settle()
    assert [m.txn for m in pair.b.got] == list(range(40))
    assert [m.txn for m in pair.a.got] == list(range(40))
    assert pair.a.downs() == pair.b.downs() == []


def test_pal_down_for_t_state_ends_the_session() -> None:
    """PAL_DOWN that lasts longer than T_STATE: DEAD, LINK_DOWN; ERR_FATAL is not kept for the next PAL."""
    pair = Pair().up()
    pair.unplug()
    pair.run(LENGTH["T_STATE"])
    assert pair.a.state() is LinkState.DEAD
    assert pair.a.downs() == ["T_STATE"]
    sent = len(pair.a.sent)
    pair.plug()
    pair.run(100 * TU)
    assert len(pair.a.sent) == sent
