"""Accesses that are withdrawn are translated before what waits for the agent (HSL 5.4 T4)."""

from __future__ import annotations

from hsl._generated.constants import Err, Op
from hsl.agents.access import Access
from hsl.agents.atc import Translated
from tests.engine.translating import PASID, VA, Scripted
from tests.engine.wires import HOST


def test_withdrawn_accesses_come_before_those_that_wait_for_the_agent() -> None:
    """A newer access waits, because the agent was full; the older ones are put before it."""
    host = Scripted()
    stored = host.begin("store")
    host.translate(HOST)
    request = host.took(Op.ReadUnique)
    host.say(Op.Cmp, 0, request.src, txn=request.txn, err=Err.BUSY)
    behind = host.begin("load")
    newer = Translated(Access("load", VA, 8), PASID)
    host.atc._ready.append(newer)
    assert host.atc._withdraw([stored, behind]) == [stored, behind]
    assert list(host.atc._ready) == [stored, behind, newer]
