"""An access translated again after back-off is no user of its old entry (HSL 5.10.2)."""

from __future__ import annotations

from hsl._generated.constants import Err, Op
from tests.engine.translating import PAGE_OF_VA, Scripted
from tests.engine.wires import HOST, PAGE


def test_an_access_translated_again_does_not_hold_up_an_invalidation_of_its_old_entry() -> None:
    """The old entry had 512 pages; the new one has one, and the TransInv names another. [HSL-COH-062]."""
    host = Scripted()
    stored = host.begin("store")
    host.translate(HOST, size=9)
    request = host.took(Op.ReadUnique)
    host.say(Op.Cmp, 0, request.src, txn=request.txn, err=Err.BUSY)
    host.peer.messages.clear()
    host.invalidate()
    assert host.invalidated()
    host.translate(HOST + PAGE)
    assert host.took(Op.ReadUnique).addr == HOST + PAGE
    assert not stored.done
    host.invalidate(page=PAGE_OF_VA + 3)
    assert host.invalidated(), "the store under way uses the new entry, which does not cover this page"
