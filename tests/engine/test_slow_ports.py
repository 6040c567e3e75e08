"""Transaction timers take the greatest unit of all ports that are up (HSL 5.11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from hsl._generated.constants import TIMERS
from hsl.engine.node import Node
from tests.engine import cluster


@pytest.mark.parametrize("slow", [(8, 12), (12, 8)])
def test_transaction_timers_are_in_the_greatest_slow_unit(
    monkeypatch: pytest.MonkeyPatch, slow: tuple[int, int]
) -> None:
    """Two devices with another SLOW_EXP each, whichever comes up last. [HSL-LNK-051]."""
    build = cluster.build

    def slower(node: int, devices: int, ports: int, mshrs: int, timers: Mapping[str, int]) -> Node:
        made = build(node, devices, ports, mshrs, timers)
        if not node:
            return made
        config = made.config
        own = [replace(port, slow_exp=slow[node - 1]) for port in config.ports]
        return Node(replace(config, ports=own))

    monkeypatch.setattr(cluster, "build", slower)
    cpu = cluster.Cluster(2).nodes[0]
    assert [port.result.slow_exp for port in cpu.ports if port.result] == list(slow)
    assert cpu.homes[0]._do.t_snp == TIMERS["T_SNP"].tu << 12
