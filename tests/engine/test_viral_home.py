"""Writes of a home on a VIRAL port to a memory target here are poisoned (HSL 6.1)."""

from __future__ import annotations

import pytest

from hsl.agents.access import Access
from tests.engine.cluster import Cluster, hosted


@pytest.mark.parametrize("viral", [False, True])
def test_what_a_viral_home_writes_to_a_target_is_poisoned(viral: bool) -> None:
    """MemWr over the port of a VIRAL node: the target stores it with POISON. [HSL-RAS-013]."""
    pair = Cluster(1)
    cpu, device = pair.nodes
    pair.load(0, hosted(0))
    cpu.ports[0].viral = viral
    pair.store(0, hosted(0), b"from CPU")
    pair.do(0, Access("flush", hosted(0)))
    (target,) = device.targets.values()
    assert target.memory.poisoned(hosted(0)) == viral
