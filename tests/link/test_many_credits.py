"""Up to 65,535 credits per VC (HSL 3.5 F1): all can be used, and return in time when freed at once."""

from __future__ import annotations

from hsl._generated.constants import CREDIT_RETURN_TU, MAX_CREDITS, Op, Vc
from tests.link.pair import LATENCY, TU, Pair, config, message

MANY = 3000


def test_many_credits_return_in_time() -> None:
    """Credits that become free at one instant are all returned within 64 TU of it [HSL-LNK-028]."""
    pair = Pair(config(1, queue_cap=MANY), config(2, credits={Vc.RSP: MAX_CREDITS})).up()
    pool = pair.a.port._credits
    assert pool.granted[Vc.RSP] == MAX_CREDITS
    pair.b.releasing = False
    for txn in range(MANY):
        pair.a.port.send(message(Op.Cmp, txn))
    assert pair.run(10**6, until=lambda: len(pair.b.got) == MANY)
    assert pool.available[Vc.RSP] == MAX_CREDITS - MANY
    pair.b.port.release(Vc.RSP, MANY)
    pair.run(CREDIT_RETURN_TU * TU + LATENCY)
    back = pool.available[Vc.RSP] - (MAX_CREDITS - MANY)
    assert back == MANY, f"HSL-LNK-028: {back} of {MANY} credits are back after {CREDIT_RETURN_TU} TU"
