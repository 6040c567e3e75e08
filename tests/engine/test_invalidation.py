"""What an invalidation takes: large translations, global ones, walks that are under way (HSL 5.10)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest

from hsl._generated.constants import LINE_BYTES, Err, Op, St
from hsl.agents.access import Perm
from hsl.agents.atc import Translated
from hsl.agents.iommu import Mapping
from tests.engine.translating import (
    CPU_CORE,
    CPU_IO,
    DATA,
    GPU_IO,
    PAGE_OF_VA,
    PASID,
    RW,
    VA,
    Scripted,
    System,
    invalidate,
)
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


# ---- what a completed TransInv promises (5.10.2)


@pytest.mark.parametrize("used", range(PAGES))
@pytest.mark.parametrize("taken", [0, 3])
def test_an_access_in_any_page_of_the_entry_holds_it_up(used: int, taken: int) -> None:
    """TransInv of one page waits for each access that its large translation was used for. [HSL-ATS-005]."""
    host = Scripted()
    host.begin()
    host.translate(HOST, RW, size=LARGE)
    host.finish(host.took(Op.ReadShared))
    host.begin(va=VA + used * PAGE + LINE_BYTES)
    read = host.took(Op.ReadShared)
    host.invalidate(page=PAGE_OF_VA + taken)
    assert not host.invalidated(), "5.10.2: an access that was translated by the entry has not ended"
    host.finish(read)
    assert host.invalidated()


def test_an_access_that_has_sent_nothing_yet_holds_it_up() -> None:
    """A translated access that waits for its line has sent no request, and will use the old page yet.

    [HSL-ATS-005].
    """
    host = Scripted()
    host.begin()
    host.translate(HOST)
    read = host.took(Op.ReadShared)
    store = host.begin("store")
    assert not host.peer.took(Op.ReadUnique)
    host.invalidate()
    host.finish(read)
    upgrade = host.took(Op.Upgrade)
    assert not host.invalidated(), "5.10.2: the store was translated by the entry, and has not ended"
    host.say(Op.Cmp, 0, upgrade.src, txn=upgrade.txn, st=St.E)
    assert store.done
    assert host.invalidated()


def test_the_walk_of_an_access_that_is_not_translated_does_not_hold_it_up() -> None:
    """TransInv ends though a walk is under way; the answer of that walk is discarded. [HSL-ATS-006]."""
    host = Scripted()
    access = host.begin("store")
    host.invalidate()
    assert host.invalidated()
    host.translate(HOST)
    assert not host.peer.took(Op.ReadUnique), "5.10.2: an answer from before the TransInv is used"
    host.translate(HOST + PAGE)
    assert host.took(Op.ReadUnique).addr == HOST + PAGE
    assert not access.done


# ---- how software takes a page away (5.10.2)

GIVEN, OTHERS = HOST + PAGE, b"of other"  # the page is given to another process, which stores this
STEPS = ("unmap", "invalidate", "reuse")
MOMENTS = [(kind, step) for kind in ("load", "store") for step in STEPS]  # what the device does before a step


def taken_away(order: tuple[str, ...], kind: str, before: str) -> bytes:
    """Take a page away in an order, while the device loads, or begins to store, before one of the steps.

    Return what is in the page after a last store of the device.
    """
    system = System()
    mapping = Mapping(PAGE_OF_VA, GIVEN, RW)
    system.iommu.map(PASID, mapping)
    begun = [system.do("load", VA)]

    def reuse() -> None:
        system.wire.finish(system.cpu.store(CPU_CORE, GIVEN, OTHERS, system.wire.now))

    steps: dict[str, Callable[[], object]] = {
        "unmap": lambda: system.iommu.unmap(PASID, mapping),
        "invalidate": lambda: system.tell("trans_inv", PAGE_OF_VA, invalidate()),
        "reuse": reuse,
    }
    for step in order:
        if (kind, step) == ("load", before):
            system.do("load", VA)
        elif step == before:
            begun.append(system.begin("store", VA, DATA))
        steps[step]()
    begun.append(system.begin("store", VA, DATA))
    system.wire.run(lambda: all(access.done for access in begun))
    return system.host(GIVEN)


@pytest.mark.parametrize(("kind", "before"), MOMENTS)
def test_a_page_that_is_taken_away_in_order_is_safe(kind: str, before: str) -> None:
    """Page table first, then TransInv, its Cmp, then reuse: no device reaches the data of the new owner.

    [HSL-ATS-004].
    """
    assert taken_away(STEPS, kind, before) == OTHERS


@pytest.mark.parametrize("order", [order for order in permutations(STEPS) if order != STEPS])
def test_each_other_order_loses_data(order: tuple[str, ...]) -> None:
    """In each other order there is a moment from which the device reaches the data of the new owner."""
    assert DATA in (taken_away(order, *moment) for moment in MOMENTS)


def in_back_off() -> tuple[Scripted, Translated]:
    """Return a host, and a store of the device that was translated and has ended BUSY."""
    host = Scripted()
    stored = host.begin("store")
    host.translate(HOST)
    request = host.took(Op.ReadUnique)
    host.say(Op.Cmp, 0, request.src, txn=request.txn, err=Err.BUSY)
    host.peer.messages.clear()
    return host, stored


def test_an_access_in_back_off_does_not_hold_up_an_invalidation() -> None:
    """It is translated again, before accesses that came later, and done in the new page. [HSL-COH-062]."""
    host, stored = in_back_off()
    loaded = host.begin("load")
    assert not loaded.done
    host.invalidate()
    assert host.invalidated(), "5.4 T4 HSL-COH-062: a store in back-off holds up TransInv"
    assert not stored.done
    host.translate(HOST + PAGE)
    request = host.took(Op.ReadUnique)
    assert request.addr == HOST + PAGE
    host.finish(request)
    assert (stored.err, stored.done) == (Err.OK, True)
    assert loaded.ticket is not None
    assert loaded.ticket.result() == DATA


def test_an_access_in_back_off_may_lose_its_page() -> None:
    """The page may not be had any more: the access ends with the fault; no fence waits for it."""
    host, stored = in_back_off()
    host.invalidate()
    host.refuse()
    assert (stored.done, stored.err) == (True, Err.ACCESS)
    assert stored.ticket is not None
    assert stored.ticket.performed


def test_a_request_that_ends_busy_after_the_invalidation_holds_it_up_no_more() -> None:
    """The access is in back-off from then on, and is translated again. HSL 5.4 T4 [HSL-COH-062]."""
    host = Scripted()
    host.begin("store")
    host.translate(HOST)
    request = host.took(Op.ReadUnique)
    host.invalidate()
    assert not host.invalidated()
    host.say(Op.Cmp, 0, request.src, txn=request.txn, err=Err.BUSY)
    assert host.invalidated()
    assert len(host.peer.took(Op.TransReq)) == 1


def test_an_access_in_back_off_holds_up_no_second_transinv() -> None:
    """Two pages of one translation: both TransInv end, though the access is translated again between.

    HSL 5.4 T4 [HSL-COH-062], 5.10 [HSL-NCR-010].
    """
    host = Scripted()
    host.begin("store")
    host.translate(HOST, size=2)
    request = host.took(Op.ReadUnique)
    for txn, page in ((9, PAGE_OF_VA), (10, PAGE_OF_VA + 1)):
        pasid = {"x": PASID & 0xFF, "dom": PASID >> 8}
        host.say(Op.TransInv, CPU_IO, GPU_IO, txn=txn, addr=page, data=invalidate(), **pasid)
    host.say(Op.Cmp, 0, request.src, txn=request.txn, err=Err.BUSY)
    assert [done.txn for done in host.peer.took(Op.Cmp) if done.src == GPU_IO] == [9, 10]
