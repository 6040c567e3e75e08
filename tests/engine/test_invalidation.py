"""What an invalidation takes: large translations, global ones, walks that are under way (HSL 5.10)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import Err, Op
from hsl.agents.access import Perm
from hsl.agents.iommu import Mapping
from tests.engine.translating import DATA, PAGE_OF_VA, PASID, RW, VA, Scripted, System, invalidate
from tests.engine.wires import HOST, PAGE

LARGE = 2  # log2 of the pages of a large mapping
PAGES = 1 << LARGE


@pytest.mark.parametrize("inside", range(PAGES))
@pytest.mark.parametrize("touched", [0, 3])
def test_a_page_takes_the_larger_translation_around_it(inside: int, touched: int) -> None:
    """TransInv of any one page of a larger mapping drops it whole: no page of it is translated as before.

    [HSL-ATS-002].
    """
    system = System()
    system.iommu.map(PASID, Mapping(PAGE_OF_VA, HOST, RW, size=LARGE))
    va = VA + touched * PAGE
    system.do("store", va, DATA)
    system.iommu.map(PASID, Mapping(PAGE_OF_VA, HOST + PAGES * PAGE, RW, size=LARGE))
    assert system.tell("trans_inv", PAGE_OF_VA + inside, invalidate()) == Err.OK
    assert system.do("store", va, b"newdata!").err == Err.OK
    place = HOST + (PAGES + touched) * PAGE
    assert system.host(place) == b"newdata!", "5.10 HSL-ATS-002: the old translation is used after TransInv"
    assert system.host(HOST + touched * PAGE) == DATA


def test_a_page_beside_a_larger_translation_takes_nothing() -> None:
    """TransInv of the page before or behind a larger mapping leaves it: nothing is asked again."""
    system = System()
    system.iommu.map(PASID, Mapping(PAGE_OF_VA, HOST, RW, size=LARGE))
    system.do("store", VA, DATA)
    asked = system.asked()
    for page in (PAGE_OF_VA - 1, PAGE_OF_VA + PAGES):
        assert system.tell("trans_inv", page, invalidate()) == Err.OK
    assert system.do("load", VA).err == Err.OK
    assert system.asked() == asked


@pytest.mark.parametrize("shared", [False, True])
def test_a_walk_starts_anew_after_an_invalidation_of_another_pasid(shared: bool) -> None:
    """An answer under way may be a global translation, which TransInv of each PASID takes: it is not used.

    [HSL-ATS-002].
    """
    host = Scripted()
    access = host.begin("store")
    host.invalidate(pasid=PASID ^ 1)
    assert host.invalidated()
    host.translate(HOST + PAGE, RW, shared=shared)
    assert not host.peer.took(Op.ReadUnique), "5.10 HSL-ATS-002: an answer from before the TransInv is used"
    assert not access.done
    host.translate(HOST + 2 * PAGE, RW, shared=shared)
    assert host.took(Op.ReadUnique).addr == HOST + 2 * PAGE


@pytest.mark.parametrize("times", [1, 100])
@pytest.mark.parametrize(("size", "used"), [(LARGE, False), (0, True)])
def test_a_large_answer_is_not_used_after_an_invalidation_beside(size: int, used: bool, times: int) -> None:
    """An answer under way that covers a page of a TransInv is asked for again, whatever page was asked for.

    [HSL-ATS-002].
    """
    host = Scripted()
    host.begin("store")
    for _ in range(times):
        host.invalidate(page=PAGE_OF_VA + 1)
        assert host.invalidated()
    host.translate(HOST, RW, size=size)
    asked = [message.addr for message in host.peer.took(Op.ReadUnique)]
    if used and times == 1:
        assert asked == [HOST]
        return
    assert not asked, "5.10.2: an answer from before the TransInv covers a page of it, and is used"
    host.translate(HOST + PAGES * PAGE, RW, size=size)
    assert host.took(Op.ReadUnique).addr == HOST + PAGES * PAGE


@pytest.mark.parametrize("needs", [Perm.R, Perm.W])
def test_a_walk_of_another_page_goes_on(needs: Perm) -> None:
    """TransInv of another page leaves a walk alone: its answer is used."""
    host = Scripted()
    host.begin("load" if needs == Perm.R else "store")
    host.invalidate(page=PAGE_OF_VA + 1)
    assert host.invalidated()
    host.translate(HOST + PAGE)
    op = Op.ReadShared if needs == Perm.R else Op.ReadUnique
    assert host.took(op).addr == HOST + PAGE
