"""Low power L1 under losses at random: no message is lost or doubled, and the link always wakes (HSL 3.7)."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsl._generated.constants import FlitSize, LinkState, Vc
from hsl._generated.tables import CREDIT_MINIMA
from hsl.link import state
from tests.link.low_power import low
from tests.link.pair import OF_VC, TU, Lossy, Pair, message

STEPS = 40
# Longer than T_DEADKA and the holdoff after PM_NAK.
LONG = 600 * TU


def sleepy_run(seed: int, rate: float, sizes: FlitSize = FlitSize.L64) -> int:
    """Requests for L1, messages and credit returns at random times; how often a side was in L1."""
    rng = random.Random(seed)
    pair = Pair(low(1, credits=CREDIT_MINIMA, flit_sizes=sizes), low(2, flit_sizes=sizes)).up()
    pair.settle()
    wanted: list[list[Any]] = [[], []]
    for side, _ in pair.sides:
        side.hook = Lossy(rng, rate)
    for number in range(STEPS):
        index = rng.randrange(2)
        side = pair.sides[index][0]
        kind = rng.random()
        if kind < 0.5:
            side.port.pm_idle(pair.now)
            if kind < 0.1:
                pair.sides[1 - index][0].port.pm_idle(pair.now)
        else:
            new = [message(rng.choice(list(OF_VC.values())), number) for _ in range(rng.randint(1, 3))]
            wanted[index] += new
            side.waiting.extend(new)
        pair.run(rng.choice((0, 10, 100, 150, 210, 250, 1000, 20 * TU, 40 * TU, LONG if rate < 0.2 else 0)))
        _sleeps_clean(pair, seed)
    for side, _ in pair.sides:
        side.hook = Lossy(rng, 0)
    pair.run(LONG, until=lambda: pair.quiesced())
    pair.settle()
    for (side, other), sent in zip(pair.sides, wanted, strict=True):
        assert side.downs() == [], seed
        for vc in Vc:
            assert [m for m in other.got if m.vc == vc] == [m for m in sent if m.vc == vc], seed
        assert side.port._credits.home, seed
    _sleeps_and_wakes(pair, seed)
    return sum(side.states().count(LinkState.L1) for side, _ in pair.sides)


def _sleeps_clean(pair: Pair, seed: int) -> None:
    """A side in L1 has all its flits acknowledged: none waits there for the next message to wake it."""
    for side, other in pair.sides:
        if side.state() is LinkState.L1:
            assert side.link.tx.unacked == 0, seed
            assert side.link.tx.next == other.link.rx.exp, seed


def _sleeps_and_wakes(pair: Pair, seed: int) -> None:
    """Left alone and asked, both go to L1; a message still wakes them."""
    pair.run(LONG)
    pair.a.port.pm_idle(pair.now)
    pair.run(10 * TU)
    assert pair.a.state() is pair.b.state() is LinkState.L1, seed
    for side, other in pair.sides:
        count = len(other.got)
        side.waiting.append(message())
        pair.settle()
        assert len(other.got) == count + 1, seed


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    rate=st.sampled_from([0.0, 0.02, 0.1, 0.2]),
    sizes=st.sampled_from([FlitSize.L64, FlitSize.L64 | FlitSize.B256]),
)
def test_random_losses(seed: int, rate: float, sizes: FlitSize) -> None:
    """Whatever is lost of requests, answers, RESYNC and traffic: all messages once, in order; credits home.

    [HSL-LNK-033] [HSL-LNK-039]
    """
    sleepy_run(seed, rate, sizes)


def test_the_runs_sleep() -> None:
    """The random runs do enter L1 before the check at the end, which has two entries of its own."""
    assert all(sleepy_run(seed, 0.0, FlitSize.L64) > 2 for seed in range(5))


def _without_l1(event: str) -> dict[str, Any]:
    """The link table with the cell of `event` in L1 empty."""
    cells = list(state._CELLS[event])
    cells[LinkState.L1] = ((), None)
    return state._CELLS | {event: tuple(cells)}


BUGS: dict[str, dict[str, Any]] = {
    "RESYNC in L1 ignored": {"hsl.link.state._CELLS": _without_l1("RESYNC")},
    "work in L1 ignored": {"hsl.link.state._CELLS": _without_l1("tx_work")},
    "every request granted": {
        "hsl.link.link.Link.idle_after": lambda self, flit: True,
        "hsl.link.link.Link.idle": True,
    },
    "PM_ACK due is forgotten": {"hsl.link.actions.pm_again": lambda link, got, now: None},
}


def sleepy_runs() -> None:
    for seed in range(20):
        sleepy_run(seed, 0.1)


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_caught(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks of `sleepy_run` fail when L1 is wrong."""
    for name, wrong in BUGS[bug].items():
        monkeypatch.setattr(name, wrong)
    with pytest.raises(AssertionError):
        sleepy_runs()
