"""Slow timers have a unit of their own, SLOW_EXP of CAPS (HSL 3.1, 3.3.2)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hsl._generated.constants import MAX_TU_EXP, TIMERS, TU_EXP_LIMIT, ErrorCode, FlitType, LinkState
from hsl._generated.layouts import CAPS_RECORD
from hsl.link.config import PortConfig, parse_caps
from hsl.link.timers import TIMER_ORDER, TimerSet
from hsl.transport.udp import UdpLink
from tests.link.pair import TU, Pair, config
from tests.support.sessions import FAST, calling, device, listening, run, until

SLOW = {"T_STATE", "T_PORT", "T_DEADKA"}
SLOW_EXP = 9
SLOW_TU = 1 << SLOW_EXP
LENGTH = {name: timer.tu for name, timer in TIMERS.items()}


@pytest.mark.parametrize("name", TIMER_ORDER)
def test_unit_of_each_timer(name: str) -> None:
    """T_STATE, T_PORT and T_DEADKA count in slow TU, every other timer of a link in TU [HSL-LNK-051]."""
    timers = TimerSet()
    timers.scale(6, SLOW_EXP)
    timers.start(name, 5)
    unit = SLOW_TU if name in SLOW else 64
    assert timers.next() == 5 + LENGTH[name] * unit, f"HSL-LNK-051: {name}"


def is_in(pair: Pair, state: LinkState) -> bool:
    return pair.a.state() is state


def test_silence_and_recovery_of_a_slow_link() -> None:
    """T_DEADKA and then T_STATE of RECOVERY last as the peer's SLOW_EXP says; T_KA does not [HSL-LNK-051]."""
    pair = Pair(config(1), config(2, slow_exp=SLOW_EXP)).up()
    link = pair.a.link
    pair.a.hook = pair.b.hook = lambda data: []
    began, sent = (
        link.timers.running["T_DEADKA"] - LENGTH["T_DEADKA"] * SLOW_TU,
        len(pair.a.of_type(FlitType.NOP)),
    )
    pair.run(LENGTH["T_DEADKA"] * SLOW_TU - 2 * LENGTH["T_KA"] * TU)
    assert is_in(pair, LinkState.ACTIVE), "HSL-LNK-051: T_DEADKA counts in slow TU"
    assert len(pair.a.of_type(FlitType.NOP)) - sent > 10, "HSL-LNK-051: T_KA counts in TU"
    assert pair.run(10**6, until=lambda: not is_in(pair, LinkState.ACTIVE))
    recovery = pair.now
    assert recovery - began <= (LENGTH["T_DEADKA"] + 1) * SLOW_TU
    pair.run(LENGTH["T_STATE"] * SLOW_TU - 2 * TU)
    assert is_in(pair, LinkState.RECOVERY), "HSL-LNK-051: T_STATE counts in slow TU"
    pair.run(4 * TU)
    assert is_in(pair, LinkState.DEAD)


def test_own_unit_until_config_ends() -> None:
    """In CONFIG T_STATE counts in the own slow TU, whatever the peer has offered [HSL-LNK-051]."""
    for own, other in ((SLOW_EXP, 0), (0, SLOW_EXP)):
        pair = Pair(config(1, slow_exp=own), config(2, slow_exp=other))
        pair.start()
        while pair.a.state() is not LinkState.CONFIG:
            pair.run(1)
        unit = 1 << max(own, 6)
        assert pair.a.link.timers.running["T_STATE"] == pair.now + LENGTH["T_STATE"] * unit, "HSL-LNK-051"


CASES: list[tuple[dict[str, Any], int, bool]] = [
    ({}, TU_EXP_LIMIT, True),
    ({}, TU_EXP_LIMIT + 1, False),
    ({}, 255, False),
    ({"slow_exp": TU_EXP_LIMIT + 2}, TU_EXP_LIMIT + 2, True),
    ({"slow_exp": TU_EXP_LIMIT + 2}, TU_EXP_LIMIT + 3, False),
    ({"tu_exp_limit": 10}, 10, True),
    ({"tu_exp_limit": 10}, 11, False),
    ({"tu_exp_limit": MAX_TU_EXP}, MAX_TU_EXP, True),
    ({"tu_exp_limit": MAX_TU_EXP}, MAX_TU_EXP + 1, False),
]


@pytest.mark.parametrize(("own", "slow", "comes_up"), CASES)
def test_limit_of_the_slow_unit(own: dict[str, Any], slow: int, comes_up: bool) -> None:
    """A result of SLOW_EXP above the limit of the port ends the link with code 10 [HSL-LNK-050]."""
    pair = Pair(config(1, **own), config(2, tu_exp_limit=MAX_TU_EXP))
    record = CAPS_RECORD.build(parse_caps(pair.b.port.config.record()) | {"slow_exp": slow})
    pair.b.link.record = record
    pair.start().run(40 * TU)
    assert pair.a.state() is (LinkState.ACTIVE if comes_up else LinkState.DEAD), "HSL-LNK-050"
    assert (ErrorCode.CFG in pair.a.errors()) is not comes_up, "HSL-LNK-050: the code is CFG"


def test_default_is_the_tu() -> None:
    """A side that offers no unit for slow timers has one, as before: 0 counts as TU_EXP [HSL-LNK-049]."""
    plain: PortConfig = config(1)
    assert parse_caps(plain.record())["slow_exp"] == 0
    pair = Pair(plain).up()
    result = pair.a.port.result
    assert result is not None
    assert (result.tu_exp, result.slow_exp, result.slow_tu) == (6, 6, 64)


@pytest.mark.parametrize(("own", "peer"), [(FAST + 2, 0), (0, FAST + 2)])
def test_silence_counts_in_slow_tu(own: int, peer: int) -> None:
    """The binding has the slow TU of the link: the own, from the end of CONFIG the result [HSL-PAL-009]."""

    async def body() -> None:
        one = await listening(device(1, tu_exp=FAST, slow_exp=own), "udp://:0", passive=True)
        assert isinstance(one.link, UdpLink)
        assert one.link.above() == (LinkState.DETECT, 1 << max(own, FAST)), "HSL-PAL-009: the own one"
        two = await calling(device(2, tu_exp=FAST, slow_exp=peer), one.uri)
        await until(lambda: one.device.port.up)
        assert one.link.above()[1] == 1 << FAST + 2, "HSL-PAL-009: the result"
        await asyncio.gather(one.end(), two.end())

    run(body())
