"""What the tests of low power have in common: pairs that are awake or asleep."""

from __future__ import annotations

from typing import Any

from hsl._generated.constants import CtlOp, LinkState, Op, Power
from hsl.link import PortConfig
from tests.link.pair import TU, Pair, Side, config, message

L1, ACTIVE, RECOVERY = LinkState.L1, LinkState.ACTIVE, LinkState.RECOVERY


def low(guid: int, **changes: Any) -> PortConfig:
    return config(guid, power=int(Power.L1), **changes)


def awake(**changes: Any) -> Pair:
    """Both sides ACTIVE and quiet, L1 negotiated."""
    pair = Pair(low(1, **changes), low(2, **changes)).up()
    pair.settle()
    return pair


def states(pair: Pair) -> tuple[LinkState, LinkState]:
    return pair.a.state(), pair.b.state()


def ask(pair: Pair, side: Side | None = None) -> None:
    (side or pair.a).port.pm_idle(pair.now)


def asleep(**changes: Any) -> Pair:
    """Both sides in L1."""
    pair = awake(**changes)
    ask(pair)
    assert pair.run(10 * TU, until=lambda: states(pair) == (L1, L1))
    pair.run(TU)
    return pair


def settle_but_credits(pair: Pair) -> None:
    """Run until all is acknowledged; the messages delivered keep their credits."""
    assert pair.run(100 * TU, until=lambda: pair.a.link.idle and pair.b.link.idle)
    pair.run(10 * TU)


def works(pair: Pair) -> None:
    """Messages go both ways, each once; nobody has seen LINK_DOWN and all recoveries were wakes."""
    for side, other in pair.sides:
        start = len(other.got)
        side.waiting.extend(message(Op.NcWrite, txn) for txn in range(5))
        pair.settle()
        assert [m.txn for m in other.got[start:]] == list(range(5))
    for side, _ in pair.sides:
        assert side.state() is ACTIVE
        assert side.downs() == []
        assert not side.link.pm_open


def sent_times(side: Side, op: CtlOp) -> list[int]:
    return [now for now, _ in side.ctl(op)]
