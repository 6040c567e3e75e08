"""Shortened timers of transactions keep the bounds of 5.11, and are shown."""

from __future__ import annotations

from itertools import combinations_with_replacement

import pytest

from hsl._generated.constants import MAX_TU_EXP, TIMERS
from hsl.agents.request import RequestAgent
from hsl.agents.request_config import RequestConfig
from hsl.emulator.timers import TransactionTimers
from hsl.emulator.topology import Topology
from hsl.errors import ConfigError
from hsl.link.timers import ladder_ns
from spec.gen.check.times import Times
from spec.gen.load import ROOT, load

S = 1_000_000_000


def t_loss(exponent: int) -> int:
    return TIMERS["T_LOSS"].tu << exponent


@pytest.mark.parametrize("exponent", range(MAX_TU_EXP + 1))
def test_request_outlasts_its_home(exponent: int) -> None:
    """T_REQ is longer than T_SNP + 4 T_MEM + T_CACK + 2 T_LOSS, however short the timers [HSL-LNK-055]."""
    for timers in (TransactionTimers(exponent), TransactionTimers(exponent, longest=1)):
        home = timers.home
        least = home["T_SNP"] + 4 * home["T_MEM"] + home["T_CACK"] + 2 * t_loss(exponent)
        assert least < timers.request <= TIMERS["T_REQ"].tu << exponent, "HSL-LNK-055"
        assert all(home[name] <= TIMERS[name].tu << exponent for name in home)


@pytest.mark.parametrize("negotiated", [18, 20, 22, 24])
def test_request_outlasts_t_loss_of_the_session(negotiated: int) -> None:
    """Where the peer has a greater SLOW_EXP, T_LOSS is longer, and T_REQ with it [HSL-LNK-055]."""
    topology = Topology(tu=18)
    node = topology.gpu_node(lambda: 1)
    for agent in node.agents.values():
        agent.set_tu(1 << negotiated)
        least = topology.timers.transaction + 2 * t_loss(negotiated)
        assert agent._outstanding.t_req > least, "HSL-LNK-055"


def test_profile_needs_no_floor() -> None:
    """An agent without shortened timers has T_REQ of the profile, in slow TU [HSL-LNK-055]."""
    agent = RequestAgent(RequestConfig(nid=1, address_map=Topology().address_map()))
    agent.set_tu(64)
    assert agent._outstanding.t_req == 2097152 * 64


def test_ladder_is_that_of_the_checker() -> None:
    """The ladder of the emulators has the length of which the checker proves the bounds, in every pair."""
    spec = load(ROOT)
    for pair in combinations_with_replacement(range(0, MAX_TU_EXP + 1, 5), 2):
        assert ladder_ns(*pair) == Times(spec, pair).ladder, pair
    assert ladder_ns(0, 0) == 13568


def test_shown() -> None:
    """The line of a node names the timers, and by how much they lie below the ladders."""
    below = "below the ladders of the links, HSL 5.11"
    each = "timers: T_SNP 5 s, T_MEM 5 s, T_CACK 5 s, T_REQ 60.8 s"
    assert str(TransactionTimers(20)) == f"{each}; 32 s {below}"
    assert str(TransactionTimers(20, links=8)) == f"{each}; 162 s {below}"
    assert "below" not in str(TransactionTimers(6)), "those of the profile lie above"


def test_chosen_timers_are_used_and_checked() -> None:
    """Timers that a user chooses replace the usual ones; a T_REQ that is too short is refused. HSL 5.11."""
    given = {"T_SNP": 60 * S, "T_CACK": 90 * S}
    timers = TransactionTimers(20, given=given)
    assert timers.home == {"T_SNP": 60 * S, "T_MEM": TransactionTimers(20).home["T_MEM"], "T_CACK": 90 * S}
    assert timers.request == timers.least_request + 5 * S > 150 * S
    assert TransactionTimers(20, given=given | {"T_REQ": 300 * S}).request == 300 * S
    with pytest.raises(ConfigError, match=r"T_REQ is 100 s; expected more than .* = 196 s \(HSL 5.11"):
        TransactionTimers(20, given=given | {"T_REQ": 100 * S})
