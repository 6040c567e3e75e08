"""Translation between two nodes: IOMMU at one, translation cache at the other (HSL 5.10, 5.14)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hsl._generated.constants import Aop, Err, Op, PageCode
from hsl._generated.layouts import PAGE_RESPONSE_D0, TRANSLATION_D0
from hsl.agents.access import Access, Perm
from hsl.agents.atc import ATTEMPTS, GROUP_LIMIT, WAITING_LIMIT, AtcConfig
from hsl.agents.iommu import MAPPING_LIMIT, Iommu, Mapping, PageRequest
from hsl.engine.config import NodeConfig
from hsl.engine.node import Node
from hsl.errors import ConfigError
from tests.engine.translating import (
    CPU_IO,
    DATA,
    GPU_AGENT,
    GPU_IO,
    PAGE_OF_VA,
    PASID,
    RW,
    VA,
    Scripted,
    System,
    invalidate,
)
from tests.engine.wires import HOST, PAGE, Wire


def test_accesses_go_where_the_page_tables_say() -> None:
    """Stores, loads and atomics by virtual address reach the physical page; TransReq is sent once."""
    system = System()
    system.iommu.map(PASID, Mapping(PAGE_OF_VA, HOST + 3 * PAGE, RW))
    assert system.do("store", VA + 8, DATA).err == Err.OK
    load = system.do("load", VA + 8)
    assert load.ticket is not None
    assert load.ticket.result() == DATA
    assert system.host(HOST + 3 * PAGE + 8) == DATA
    system.do("atomic_store", VA + 16, (5).to_bytes(8, "little"), aop=Aop.ADD)
    assert system.host(HOST + 3 * PAGE + 16) == (5).to_bytes(8, "little")
    assert system.asked() == 1


def test_large_pages_and_shared_mappings() -> None:
    """A mapping of 2^n pages covers them all, a global one holds for every PASID, a small one goes first."""
    system = System()
    system.iommu.map(0, Mapping(PAGE_OF_VA, HOST, RW, size=4, shared=True))
    system.do("store", VA + 5 * PAGE + 24, DATA)
    assert system.host(HOST + 5 * PAGE + 24) == DATA
    other = system.atc.access(7, Access("load", VA + 5 * PAGE + 24, 8), system.wire.now)
    system.wire.run(lambda: other.done)
    assert other.ticket is not None
    assert other.ticket.result() == DATA
    assert system.asked() == 1
    own = Mapping(PAGE_OF_VA + 5, HOST + PAGE, RW)
    system.iommu.map(PASID, own)
    assert system.iommu.lookup(PASID, PAGE_OF_VA + 5) == own
    system.iommu.unmap(PASID, own)
    assert system.iommu.lookup(PASID, PAGE_OF_VA + 5) == system.iommu.lookup(9, PAGE_OF_VA)


def test_the_own_mapping_of_a_pasid_goes_before_a_global_one_of_the_same_pages() -> None:
    """Of two mappings of one size a device gets that of its PASID, and each other PASID the global one."""
    system = System()
    system.iommu.map(0, Mapping(PAGE_OF_VA, HOST, RW, shared=True))
    system.iommu.map(PASID, Mapping(PAGE_OF_VA, HOST + PAGE, RW))
    system.do("store", VA, DATA)
    assert system.host(HOST + PAGE) == DATA, "5.10: the mapping of the PASID itself"
    other = system.atc.access(7, Access("store", VA, 8, b"of all!!"), system.wire.now)
    system.wire.run(lambda: other.done)
    assert system.host(HOST) == b"of all!!", "5.10: the global mapping, for who has no other"


@pytest.mark.parametrize(
    ("perms", "kind", "data", "err"),
    [
        (Perm.R, "load", b"", Err.OK),
        (Perm.R, "store", DATA, Err.ACCESS),
        (Perm.W, "load", b"", Err.ACCESS),
        (Perm.W, "atomic_store", DATA, Err.ACCESS),
        (RW, "atomic_store", DATA, Err.OK),
        (Perm.X | Perm.PRIV, "load", b"", Err.ACCESS),
        (None, "load", b"", Err.ACCESS),
    ],
)
def test_a_page_gives_no_more_than_it_has(perms: Perm | None, kind: str, data: bytes, err: Err) -> None:
    """A page that is not there, or lacks a right that is wanted, is a fault: ACCESS, nothing is touched.

    [HSL-ATS-001].
    """
    system = System()
    if perms is not None:
        system.iommu.map(PASID, Mapping(PAGE_OF_VA, HOST + PAGE, perms))
    access = system.do(kind, VA, data)
    assert (access.err, access.ticket is None) == (err, err != Err.OK)
    wanted = Access("trans_req", PAGE_OF_VA, dst=CPU_IO, pasid=PASID, perms=Perm.R)
    ticket = system.gpu.submit(GPU_AGENT, wanted, system.wire.now)
    system.wire.finish(ticket)
    granted = perms is not None and Perm.R in perms
    assert ticket.err == (Err.OK if granted else Err.ACCESS)
    if granted:
        assert TRANSLATION_D0.parse(ticket.data[:8])["perms"] == perms
    assert system.iommu.faults == (not granted) + (err != Err.OK)


@pytest.mark.parametrize(
    ("page", "pasid", "data", "dropped"),
    [
        (PAGE_OF_VA, PASID, invalidate(), True),
        (PAGE_OF_VA + 1, PASID, invalidate(), False),
        (PAGE_OF_VA & ~0xF, PASID, invalidate(size=4), True),
        (PAGE_OF_VA, 1, invalidate(), False),
        (PAGE_OF_VA, 1, invalidate(every=1), True),
        (0, PASID, invalidate(size=31), True),
    ],
)
def test_what_an_invalidation_drops(page: int, pasid: int, data: bytes, dropped: bool) -> None:
    """TransInv takes the pages of its size and PASID, of all with the flag, of every address with size 31."""
    system = System()
    system.iommu.map(PASID, Mapping(PAGE_OF_VA, HOST + PAGE, RW))
    system.do("store", VA, DATA)
    system.iommu.map(PASID, Mapping(PAGE_OF_VA, HOST + 2 * PAGE, RW))
    assert system.tell("trans_inv", page, data, pasid) == Err.OK
    system.do("store", VA, b"newdata!")
    assert (system.host(HOST + 2 * PAGE) == b"newdata!") == dropped


def test_invalidation_ends_after_the_accesses_that_use_the_page() -> None:
    """Cmp of TransInv comes only when the read that went out with the old translation is completed.

    A report of T_REQ to the program is no completion. [HSL-ATS-002].
    """
    for late in (False, True):
        host = Scripted()
        access = host.begin()
        host.translate(HOST + PAGE)
        read = host.took(Op.ReadShared)
        host.invalidate()
        assert not host.invalidated()
        if late:
            deadline = host.gpu.agents[GPU_AGENT].next_deadline()
            assert deadline is not None
            host.gpu.agents[GPU_AGENT].tick(deadline)  # the links do not stall
            host.rest()
            assert access.done
            assert access.ticket is not None
            assert access.ticket.err == Err.UNREACH
            assert not host.invalidated()
        fields = {"txn": read.txn, "st": 1, "len": 3, "data": bytes(64)}
        host.say(Op.CmpData, 0, read.src, **fields)
        assert access.done
        assert host.invalidated()


def test_invalidation_waits_for_an_access_that_was_reported_before_it_came() -> None:
    """An access whose T_REQ is over still uses its page: a TransInv that comes then waits for its completion.

    [HSL-ATS-002].
    """
    host = Scripted()
    access = host.begin()
    host.translate(HOST + PAGE)
    read = host.took(Op.ReadShared)
    deadline = host.gpu.agents[GPU_AGENT].next_deadline()
    assert deadline is not None
    host.gpu.agents[GPU_AGENT].tick(deadline)  # the links do not stall
    host.rest()
    assert access.done
    host.invalidate()
    assert not host.invalidated(), "5.10: the read may still reach the old page"
    host.say(Op.CmpData, 0, read.src, txn=read.txn, st=1, len=3, data=bytes(64))
    assert host.invalidated()


def test_translation_that_crosses_an_invalidation_is_asked_for_again() -> None:
    """TransInv may overtake the answer of an older TransReq: that answer is not used. [HSL-ATS-002]."""
    host = Scripted()
    access = host.begin()
    (request,) = [m for m in host.peer.messages if m.op == Op.TransReq]
    host.invalidate()
    assert host.invalidated()
    host.translate(HOST + PAGE)
    assert not access.done
    host.translate(HOST + 2 * PAGE)
    assert host.took(Op.ReadShared).addr == HOST + 2 * PAGE
    assert request.dst == CPU_IO


@pytest.mark.parametrize(("perms", "size"), [(Perm.W, 0), (Perm(0), 0), (RW, 31)])
def test_answers_that_are_no_translation_are_faults(perms: Perm, size: int) -> None:
    """A host that answers with fewer rights than asked for, or the size code 31, gives nothing."""
    host = Scripted()
    access = host.begin()
    host.translate(HOST, perms, size)
    assert access.err == Err.ACCESS


def test_a_page_is_asked_for_and_the_access_goes_on() -> None:
    """A fault becomes a PageReq; software maps the page and answers its group once. [HSL-ATS-003]."""
    system = System(page_requests=True)
    access = system.begin("store", VA, DATA)
    taken: list[PageRequest] = []

    def asked() -> bool:
        taken.extend(system.iommu.page_requests())
        return bool(taken)

    system.wire.run(asked)
    (request,) = taken
    assert (request.src, request.pasid, request.page, request.perms) == (GPU_AGENT, PASID, PAGE_OF_VA, Perm.W)
    assert request.last
    system.iommu.map(PASID, Mapping(PAGE_OF_VA, HOST + PAGE, RW))
    response = PAGE_RESPONSE_D0.build({"group": request.group, "code": PageCode.RETRY})
    assert system.tell("page_rsp", 0, response) == Err.OK
    system.wire.run(lambda: access.done)
    assert access.err == Err.OK
    assert system.host(HOST + PAGE) == DATA
    assert system.tell("page_rsp", 0, response) == Err.PROTO  # the group has its answer


@pytest.mark.parametrize(
    ("code", "err"), [(PageCode.FAULT, Err.ACCESS), (PageCode.FAILURE, Err.ACCESS), (9, Err.ACCESS)]
)
def test_refused_pages_end_the_access(code: int, err: Err) -> None:
    """FAULT, FAILURE and codes that are none end the accesses that wait for the page."""
    host = Scripted(page_requests=True)
    access = host.begin()
    host.refuse()
    page = host.took(Op.PageReq)
    host.say(Op.Cmp, CPU_IO, page.src, txn=page.txn)
    assert not access.done
    host.respond(page, code)
    assert access.err == err


def test_a_page_request_that_finds_no_slot_is_presented_again() -> None:
    """A PageReq that finds the host's queue full is repeated until software has taken what is in it.

    HSL 5.10.3 [HSL-NCR-009].
    """
    system = System(queue=2, page_requests=True)
    first, second = (system.begin("load", VA + PAGE * at) for at in range(2))
    system.wire.run(lambda: bool(system.gpu.agents[GPU_AGENT]._ncr._paused))
    assert not first.done
    (taken,) = system.iommu.page_requests()
    system.wire.run(lambda: bool(system.iommu._requests))
    (other,) = system.iommu.page_requests()
    assert {taken.page, other.page} == {PAGE_OF_VA, PAGE_OF_VA + 1}
    assert not second.done


def test_loss_of_the_host_ends_walks_and_forgets_translations() -> None:
    """When the translating node is lost, waiting accesses end with UNREACH and no old translation is used."""
    system = System(page_requests=True)
    system.iommu.map(PASID, Mapping(PAGE_OF_VA + 1, HOST + PAGE, RW))
    system.do("load", VA + PAGE)
    waiting = system.begin("load", VA)
    system.wire.run(lambda: bool(system.iommu.page_requests()))
    system.gpu.ports[0].down(system.wire.now)
    system.wire.run(lambda: waiting.done)
    assert waiting.err == Err.UNREACH
    assert not system.atc._entries
    system.wire.run(system.wire.connected)
    before = system.asked()
    assert system.do("load", VA + PAGE).err == Err.OK
    assert system.asked() == before + 1


def test_an_access_gets_what_it_needs_itself() -> None:
    """A load behind a store of a page that may only be read is done; the store alone ends with ACCESS."""
    system = System()
    system.iommu.map(PASID, Mapping(PAGE_OF_VA, HOST + PAGE, Perm.R))
    for kinds in (("store", "load", "store", "load"), ("load", "store", "load")):
        system.tell("trans_inv", PAGE_OF_VA, invalidate())
        begun = [system.begin(kind, VA, DATA if kind == "store" else b"") for kind in kinds]
        system.wire.run(lambda begun=begun: all(each.done for each in begun))  # type: ignore[misc]
        assert [each.err for each in begun] == [Err.ACCESS if kind == "store" else Err.OK for kind in kinds]


def test_accesses_of_a_page_keep_their_order() -> None:
    """A load does not pass a store of its line that waits for a right, though it has its own. HSL 5.9 F2."""
    system = System()
    system.iommu.map(PASID, Mapping(PAGE_OF_VA, HOST + PAGE, Perm.R))
    system.do("load", VA)
    system.iommu.map(PASID, Mapping(PAGE_OF_VA, HOST + PAGE, RW))
    store, load = system.begin("store", VA, DATA), system.begin("load", VA)
    system.wire.run(lambda: store.done and load.done)
    assert load.ticket is not None
    assert load.ticket.result() == DATA


def test_more_accesses_wait_for_a_page_than_the_agent_takes() -> None:
    """What finds the agent full when its translation comes waits for room, in order, and is done."""
    system = System()
    small = replace(system.gpu.config, agents=[replace(a, pending=4) for a in system.gpu.config.agents])
    system.gpu, system.cpu = Node(small), Node(system.cpu.config)
    system.wire = Wire(system.cpu, system.gpu)
    system.wire.connect()
    system.iommu.map(PASID, Mapping(PAGE_OF_VA, HOST + PAGE, RW))
    words = [bytes([i]) * 8 for i in range(1, 21)]
    begun = [system.begin("store", VA + 8 * (i % 2), word) for i, word in enumerate(words)]
    system.wire.run(lambda: all(each.done for each in begun))
    assert {each.err for each in begun} == {Err.OK}
    assert system.host(HOST + PAGE) == words[-2]
    assert system.host(HOST + PAGE + 8) == words[-1]


def test_only_the_translating_port_invalidates() -> None:
    """A TransInv that comes by another port than that of the IOMMU ends with ACCESS and drops nothing.

    Else a third node could keep a device translating for ever. HSL 6.3.
    """
    host = Scripted()
    host.begin()
    host.translate(HOST + PAGE)
    own = Access("trans_inv", 0, data=invalidate(size=31), dst=GPU_IO, pasid=PASID)
    ticket = host.gpu.submit(GPU_AGENT + 1, own, host.wire.now)
    host.rest()
    assert ticket.err == Err.ACCESS
    assert len(host.atc._entries) == 1


def test_host_that_answers_retry_for_ever() -> None:
    """After ATTEMPTS page requests an access ends with ACCESS."""
    host = Scripted(page_requests=True)
    access = host.begin()
    for _ in range(ATTEMPTS):
        assert not access.done
        host.refuse()
        host.respond(host.took(Op.PageReq), PageCode.RETRY)
    host.refuse()
    assert access.err == Err.ACCESS


def test_groups_of_pages() -> None:
    """Several pages make a group: its last PageReq says so, one PageRsp answers it.

    HSL 5.10.3 [HSL-ATS-003, HSL-NCR-012].
    """
    system = System()
    group = system.atc.request_pages(PASID, [1, 2, 3], Perm.R, system.wire.now)
    assert [ticket.access.addr for ticket in group.tickets] == [1, 2], "LAST before the others are completed"
    system.wire.run(lambda: len(group.tickets) == 3 and group.tickets[2].done)
    assert [(r.page, r.group, r.last) for r in system.iommu.page_requests()] == [
        (1, group.number, False),
        (2, group.number, False),
        (3, group.number, True),
    ]
    response = PAGE_RESPONSE_D0.build({"group": group.number, "code": PageCode.FAULT})
    assert system.tell("page_rsp", 0, response, pasid=1) == Err.PROTO  # of another PASID
    assert group.code is None
    assert system.tell("page_rsp", 0, response) == Err.OK
    assert group.code == PageCode.FAULT


def test_caps() -> None:
    """Entries, waiting accesses, groups and mappings are bounded, and each bound is said."""
    system = System(entries=2)
    for i in range(4):
        system.iommu.map(PASID, Mapping(PAGE_OF_VA + i, HOST + i * PAGE, RW))
        system.do("load", VA + i * PAGE)
    assert len(system.atc._entries) == 2
    for i in range(WAITING_LIMIT):
        system.begin("load", i * PAGE)
    with pytest.raises(ConfigError, match=str(WAITING_LIMIT)):
        system.begin("load", 0)
    for _ in range(GROUP_LIMIT):
        system.atc.request_pages(PASID, [1], Perm.R, system.wire.now)
    with pytest.raises(ConfigError, match=f"{GROUP_LIMIT} groups"):
        system.atc.request_pages(PASID, [1], Perm.R, system.wire.now)
    system.iommu._tables = dict.fromkeys(((0, 0, i) for i in range(MAPPING_LIMIT)), Mapping(0, 0, RW))
    with pytest.raises(ConfigError, match="MAPPING_LIMIT"):
        system.iommu.map(PASID, Mapping(0, 0, RW))


@pytest.mark.parametrize(
    ("pasid", "mapping"),
    [
        (0, Mapping(1, 0, RW, size=1)),
        (0, Mapping(0, PAGE, RW, size=1)),
        (0, Mapping(0, 0, RW, size=31)),
        (0, Mapping(1 << 52, 0, RW)),
        (0, Mapping(0, 1 << 52, RW)),
        (1 << 20, Mapping(0, 0, RW)),
    ],
)
def test_bad_mappings(pasid: int, mapping: Mapping) -> None:
    """A mapping must be aligned to its size and lie in both address spaces."""
    with pytest.raises(ConfigError, match="IOMMU"):
        Iommu().map(pasid, mapping)


def test_bad_configurations() -> None:
    """An ATC needs an agent, an I/O agent and entries; an access an address of 64 bits."""
    with pytest.raises(ConfigError, match="entries"):
        AtcConfig(agent=2, iommu=1, entries=0)
    with pytest.raises(ConfigError, match="ATC needs"):
        NodeConfig(atc=AtcConfig(agent=2, iommu=1))
    with pytest.raises(ConfigError, match="64 bits"):
        System().begin("load", 1 << 64)


def test_no_virtual_access_uses_a_copy_after_a_stall() -> None:
    """A device that translates judges its timers too before it uses a copy. HSL 3.1 [HSL-LNK-058]."""
    system = System()
    system.iommu.map(PASID, Mapping(PAGE_OF_VA, HOST, RW))
    system.do("store", VA, DATA)
    system.wire.quiesce()
    late = system.atc.access(PASID, Access("load", VA, 8), system.wire.now + 10**10)
    assert not late.done or late.err or (late.ticket is not None and late.ticket.err)
