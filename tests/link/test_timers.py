"""The timers of 3.1: lengths, order at one instant."""

from __future__ import annotations

import pytest

from hsl._generated.constants import TIMERS, LinkState
from hsl.link.classify import Input
from hsl.link.timers import NEVER, TIMER_ORDER, TimerSet
from tests.link.pair import TU, Pair, message


def test_a_timer_fires_at_its_length_and_not_before() -> None:
    """Started at t with length d, a timer fires at the first instant >= t + d, once."""
    timers = TimerSet()
    timers.tu = 64
    timers.start("T_ACK", 1000)
    due = 1000 + 4 * 64
    assert timers.next() == due
    assert not timers.expired("T_ACK", due - 1)
    assert timers.expired("T_ACK", due)
    assert not timers.expired("T_ACK", due)
    assert timers.next() == NEVER


def test_restart_stop_and_stop_all() -> None:
    """Starting a running timer moves its deadline; a stopped one never fires."""
    timers = TimerSet()
    timers.start("T_KA", 0)
    timers.start("T_KA", 10)
    assert timers.next() == 10 + TIMERS["T_KA"].tu
    timers.stop("T_KA")
    timers.stop("T_KA")
    timers.start("T_HS", 0)
    timers.stop_all()
    assert timers.next() == NEVER


def test_timers_of_one_instant_fire_in_the_order_of_the_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    """All timers with one deadline: each fires once, in the order of 3.1, T_CR of the port in its place."""
    pair = Pair().up()
    fired: list[str] = []

    def record(got: Input, now: int) -> None:
        fired.append(got.event)

    monkeypatch.setattr(pair.a.link, "handle", record)
    pair.a.link.timers.running = {
        name: 5000 for name in reversed(TIMER_ORDER) if name not in ("T_CR", "T_PORT", "T_BOND")
    }
    pair.a.port.timers.running = {"T_CR": 5000}
    assert pair.a.port.next_deadline() == 5000
    pair.a.port.tick(4999)
    assert fired == []
    pair.a.port.tick(5000)
    assert fired == [name for name in TIMER_ORDER if name not in ("T_PORT", "T_BOND")]
    assert pair.a.port.next_deadline() is None


def test_timer_order_is_the_spec_s() -> None:
    """The order of the table of 3.1: link and port timers, without those of transactions."""
    assert TIMER_ORDER == (
        "T_STATE",
        "T_PORT",
        "T_DEADKA",
        "T_REPLAY",
        "T_NAK",
        "T_HS",
        "T_PM",
        "T_BOND",
        "T_ACK",
        "T_CR",
        "T_KA",
    )


def test_a_state_runs_only_its_own_timers() -> None:
    """Leaving a state stops its timers.

    An idle ACTIVE runs T_KA and T_DEADKA, a DEAD or DISABLED link none.
    """
    pair = Pair().up()
    pair.settle()
    assert set(pair.a.link.timers.running) == {"T_KA", "T_DEADKA"}
    pair.a.waiting.append(message())
    pair.run(1)
    assert set(pair.a.link.timers.running) == {"T_KA", "T_DEADKA", "T_REPLAY"}
    pair.a.port.retrain(pair.now)
    pair.run(1)
    assert pair.a.state() is LinkState.RECOVERY
    assert set(pair.a.link.timers.running) == {"T_STATE", "T_HS"}
    pair.a.port.pal_down(0, pair.now)
    assert set(pair.a.link.timers.running) == {"T_STATE"}
    pair.a.port.disable(pair.now)
    pair.run(0)
    assert pair.a.port.next_deadline() is None
    assert TU == 64
