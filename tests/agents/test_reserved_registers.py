"""DRAIN is reserved for 1.1, also at a node with a home (HSL 5.14)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import Register
from hsl.agents.address_map import AddressMap
from hsl.agents.identity import Identity
from hsl.agents.registers import Registers
from tests.agents.test_registers import Recorder


class WithHome(Recorder):
    has_home = True


class WithoutHome(Recorder):
    has_home = False


@pytest.mark.parametrize("services", [WithHome(), WithoutHome()])
def test_drain_is_at_no_node(services: Recorder) -> None:
    """Neither a node with a home nor one without has the register: it does not decode."""
    regs = Registers(Identity(guid=7, vectors=32), AddressMap([]), services)
    assert not regs.exists(Register.DRAIN, 8)
    assert regs.exists(Register.FENCE, 8) == services.has_home
