"""A link without progress ends within the bound of 3.4.3, whatever its peer sends."""

from __future__ import annotations

import pytest

from hsl._generated.constants import (
    ACK_NONE,
    N_RECOV,
    N_REPLAY,
    STORM_LIMIT,
    STORM_WINDOW_TU,
    TIMERS,
    CtlOp,
    ErrorCode,
    LinkState,
)
from tests.link.pair import TU, Pair, config, ctl_from, message

T_REPLAY, T_STATE, T_HS = (TIMERS[name].tu * TU for name in ("T_REPLAY", "T_STATE", "T_HS"))
BOUND = (N_RECOV + 1) * (N_REPLAY + 1) * T_REPLAY + N_RECOV * T_STATE


def answers(pair: Pair, op: CtlOp) -> None:
    """The peer answers a RESYNC at once, and in ACTIVE sends `op` for the flit that it never acknowledges."""
    link = pair.a.link
    active = pair.a.state() is LinkState.ACTIVE
    body = {"exp": 0} | ({} if op is CtlOp.NAK and active else {"rn": link.rn})
    pair.inject(pair.a, ctl_from(pair.b, op if active else CtlOp.RESYNC_ACK, body, ack=ACK_NONE))


@pytest.mark.parametrize("op", [CtlOp.RESYNC, CtlOp.NAK, CtlOp.RESYNC_ACK])
def test_link_without_progress_ends(op: CtlOp) -> None:
    """A peer that repeats a control flit and acknowledges nothing ends the link, code 16 [HSL-LNK-053]."""
    pair = Pair().up()
    pair.b.hook = lambda data: []
    pair.a.port.send(message())
    pair.run(1)
    began = pair.now
    while pair.a.state() is not LinkState.DEAD and pair.now - began <= BOUND:
        pair.run(T_HS)
        answers(pair, op)
    pair.run(1)
    assert pair.a.state() is LinkState.DEAD, f"HSL-LNK-053: {pair.a.state().name} after {pair.now - began} ns"
    assert pair.a.errors()[-1] == ErrorCode.LOST
    assert pair.a.counters.recoveries == N_RECOV


def test_resync_with_progress_restarts_t_replay() -> None:
    """A RESYNC that acknowledges a flit starts T_REPLAY anew for the next one [HSL-LNK-053]."""
    pair = Pair().up()
    pair.b.hook = lambda data: []
    for txn in range(2):
        pair.a.port.send(message(txn=txn))
        pair.run(1)
    pair.run(T_HS)
    due = pair.a.link.timers.running["T_REPLAY"]
    pair.inject(pair.a, ctl_from(pair.b, CtlOp.RESYNC, {"exp": 0, "rn": 1}, ack=ACK_NONE))
    assert pair.a.link.timers.running["T_REPLAY"] == due, "HSL-LNK-053: no progress"
    pair.inject(pair.a, ctl_from(pair.b, CtlOp.RESYNC, {"exp": 1, "rn": 1}, ack=0))
    assert pair.a.link.timers.running["T_REPLAY"] == pair.now + T_REPLAY, "HSL-LNK-053: progress"


def test_storm_counts_in_tu() -> None:
    """The window of STORM has 4096 TU, not slow TU: NAKs of a wire with noise do not add up [HSL-LNK-054]."""
    pair = Pair(config(1), config(2, slow_exp=9)).up()
    nak = ctl_from(pair.b, CtlOp.NAK, {"exp": 0})
    for _ in range(2 * STORM_LIMIT):
        pair.inject(pair.a, nak)
        pair.run(STORM_WINDOW_TU * TU // (STORM_LIMIT - 5))
    assert pair.a.state() is LinkState.ACTIVE, "HSL-LNK-054: a window is over after 4096 TU"
