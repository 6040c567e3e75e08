"""A change of the map that moves two ranges waits for requests to each (HSL 5.1.4)."""

from __future__ import annotations

import pytest

from hsl._generated.layouts import SAM_BASE, SAM_STRIDE
from hsl.agents.address_map import AddressMap, SamEntry, encode_entry
from hsl.agents.identity import Identity
from hsl.agents.registers import Registers
from hsl.agents.services import Later
from tests.agents.test_registers import PAGE, Recorder

QUIET = SamEntry(0, 3 * PAGE - 1, home=1, quiesced=True)
MIDDLE = SamEntry(PAGE, 2 * PAGE - 1, home=1, quiesced=True)


class OneUnderWay(Recorder):
    """A request for one line is under way."""

    line: int | None = None

    def outdated(self, first: int, last: int) -> bool:
        return self.line is not None and first <= self.line <= last


@pytest.mark.parametrize("line", [0, 2 * PAGE])
def test_the_write_of_an_entry_waits_for_requests_to_each_range_that_it_moves(line: int) -> None:
    """The entry counts before and behind the middle page, which another entry has. [HSL-COH-061]."""
    services = OneUnderWay()
    amap = AddressMap([MIDDLE, QUIET])
    regs = Registers(Identity(guid=7, vectors=32), amap, services)
    services.line = line
    later = regs.write(SAM_BASE + SAM_STRIDE, encode_entry(QUIET._replace(home=2)), 0)
    assert isinstance(later, Later)
    assert later.poll(0) is None, "a request to the old home is under way"
    services.line = None
    assert later.poll(0) is not None
