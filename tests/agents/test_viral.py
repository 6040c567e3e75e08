"""What comes over a VIRAL port is not to be trusted: data are taken as poisoned (HSL 6.1)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import Aop, Err, Op, St
from hsl.agents.access import Access
from hsl.agents.request import RequestAgent
from hsl.codec.message import Message
from tests.agents.home_rig import HOME as RIG_HOME
from tests.agents.home_rig import LINE, NEW, B, Rig, SlowRig
from tests.support.agents import OLD, A, complete, drain, line_of, load, store
from tests.support.coherence import FIRST, HOME, agent

IO = 1  # the node that completes non-coherent requests
OWNER, READER = B, 5  # of a home's line; C shares it with B


def answer(request: Message, **fields: object) -> Message:
    """The CmpData that completes a request with good data."""
    base = Message(
        Op.CmpData, request.dst, request.src, request.txn, request.len, data=bytes(8 << request.len)
    )
    return base._replace(**fields)  # type: ignore[arg-type]


def ask(one: RequestAgent, access: Access, **fields: object) -> bool:
    """Begin an access and complete it from a VIRAL port; return its poison."""
    ticket = one.submit(access, 0)
    (request,) = drain(one)
    one.receive(answer(request, **fields), 0, viral=True)
    drain(one)
    assert ticket.done
    assert ticket.err == Err.OK
    return ticket.poison


@pytest.mark.parametrize(
    ("access", "fields"),
    [
        (load(A), {"st": St.S}),
        (load(A), {"st": St.E}),
        (Access("read_once", A, 8), {}),
        (Access("atomic_load", A, 8, bytes(8), aop=Aop.ADD), {}),
        (Access("ncread", 0, 8, dst=IO), {"len": 0, "data": bytes(8)}),
    ],
)
def test_data_of_a_viral_home_are_poisoned(access: Access, fields: dict[str, object]) -> None:
    """CmpData that comes over a VIRAL port is taken with POISON = 1, whatever it says. [HSL-RAS-013]."""
    assert ask(agent(), access, **fields)


def test_a_copy_of_a_viral_home_keeps_its_mark() -> None:
    """A line that a VIRAL home grants is poisoned in the cache, and in the writeback. [HSL-RAS-013]."""
    one = agent()
    one.submit(store(A), 0)
    (request,) = drain(one)
    one.receive(answer(request, st=St.E, htxn=9), 0, viral=True)
    drain(one)
    assert one.submit(load(A), 0).poison
    one.submit(Access("evict", A), 0)
    (write_back,) = drain(one)
    assert (write_back.op, write_back.poison) == (Op.WbFull, 1)


def test_what_a_viral_home_cannot_spoil() -> None:
    """A copy that came before VIRAL is good, and so is a line that is written whole. [HSL-RAS-013]."""
    one = agent()
    one.submit(load(A), 0)
    (request,) = drain(one)
    complete(one, request, St.S)
    one.submit(store(A), 0)
    (upgrade,) = drain(one)
    one.receive(Message(Op.Cmp, HOME, FIRST, upgrade.txn, st=St.E, htxn=9), 0, viral=True)
    assert not one.submit(load(A), 0).poison
    two = agent()
    two.submit(line_of("store_line", A), 0)
    (request,) = drain(two)
    two.receive(Message(Op.Cmp, HOME, FIRST, request.txn, st=St.M, htxn=9), 0, viral=True)
    assert not two.submit(load(A), 0).poison


@pytest.mark.parametrize(
    ("access", "fields"),
    [
        (Access("cfg_read", 0, 8, dst=IO), {"len": 0, "data": OLD[:8]}),
        (Access("mgmt", size=64, data=bytes(64), dst=IO), {"len": 3, "data": OLD}),
    ],
)
def test_a_viral_node_can_be_diagnosed(access: Access, fields: dict[str, object]) -> None:
    """Answers of CfgRead and MgmtMsg are taken as they come, or no log could be read. [HSL-RAS-015]."""
    assert not ask(agent(), access, **fields)
    assert ask(agent(), access, **fields, poison=1)


# ---- the home


def told(rig: Rig, op: Op, src: int, **fields: object) -> list[Message]:
    """A message of a node behind a VIRAL port; return what the home sends upon it."""
    base: dict[str, object] = {"addr": LINE, "len": 3, "txn": 200} if op in (Op.Evict, Op.WbFull) else {}
    rig.home.receive(Message(op, src=src, **({"dst": RIG_HOME} | base | fields)), 0, viral=True)  # type: ignore[arg-type]
    return rig.sent()


def test_data_of_a_viral_target_are_poisoned() -> None:
    """CmpData of a memory target behind a VIRAL port is granted as poison. [HSL-RAS-013]."""
    rig = SlowRig()
    assert rig.send(Op.ReadUnique, OWNER) == []
    rig.home.receive(rig.memory_answer(), 0, viral=True)
    (grant,) = rig.sent()
    assert (grant.op, grant.st, grant.poison) == (Op.CmpData, St.E, 1)


def test_evict_of_a_viral_owner_poisons_the_line() -> None:
    """An owner may have written; over a VIRAL port its Evict is no proof that it has not. [HSL-RAS-016]."""
    rig = Rig()
    rig.hold(OWNER)
    (done,) = told(rig, Op.Evict, OWNER)
    assert (done.op, done.st, done.err) == (Op.Cmp, St.I, Err.OK)
    assert rig.directory() == ("I", set())
    assert rig.memory.poisoned(LINE)
    assert rig.send(Op.ReadOnce, READER)[0].poison


def test_evict_of_a_viral_sharer_poisons_nothing() -> None:
    """A sharer cannot have written: memory is good, also for who asks later. [HSL-RAS-016]."""
    rig = Rig()
    rig.put("S")
    (done,) = told(rig, Op.Evict, OWNER)
    assert (done.op, done.err) == (Op.Cmp, Err.OK)
    assert told(rig, Op.Evict, READER)[0].err == Err.OK
    assert rig.directory()[0] == "S"
    assert not rig.memory.poisoned(LINE)
    assert rig.errors() == []


def test_evict_that_waits_is_judged_when_it_is_served() -> None:
    """An Evict that was overtaken by a SnpShared finds a sharer, whose memory is poisoned by then."""
    rig = Rig()
    rig.hold(OWNER)
    (snoop,) = rig.send(Op.ReadShared, READER)
    assert told(rig, Op.Evict, OWNER) == []
    (grant,) = told(rig, Op.SnpRsp, OWNER, txn=snoop.txn, st=St.S)
    assert (grant.op, grant.st, grant.poison) == (Op.CmpData, St.S, 1)
    (done,) = rig.ack(grant)
    assert (done.op, done.dst, done.err) == (Op.Cmp, OWNER, Err.OK)
    assert rig.directory() == ("S", {READER})
    assert rig.memory.poisoned(LINE)
    assert rig.errors() == []


@pytest.mark.parametrize(
    ("request_", "kept", "poison"),
    [
        (Op.ReadUnique, St.I, 1),
        (Op.ReadShared, St.S, 1),
        (Op.ReadShared, St.I, 1),
        (Op.ReadOnce, St.E, 1),
        (Op.ReadOnce, St.I, 1),
    ],
)
def test_dataless_answer_of_a_viral_owner_poisons_the_line(request_: Op, kept: St, poison: int) -> None:
    """A SnpRsp of the listed owner over a VIRAL port counts as a poisoned line. [HSL-RAS-016]."""
    rig = Rig()
    rig.hold(OWNER)
    (snoop,) = rig.send(request_, READER)
    (answer,) = told(rig, Op.SnpRsp, OWNER, txn=snoop.txn, st=kept)
    assert (answer.op, answer.dst, answer.poison) == (Op.CmpData, READER, poison)
    if answer.st:
        rig.ack(answer)
    else:
        assert rig.directory() == ("X", {OWNER})
        told(rig, Op.Evict, OWNER)
    assert rig.memory.poisoned(LINE) or rig.directory() == ("X", {READER})
    assert rig.home.idle
    assert rig.errors() == []


def test_dataless_answer_of_a_viral_sharer_poisons_nothing() -> None:
    """A sharer that is invalidated had what memory has. [HSL-RAS-016]."""
    rig = Rig()
    rig.put("S")
    snoops = rig.send(Op.ReadUnique, READER)
    answers = [answer for snoop in snoops for answer in told(rig, Op.SnpRsp, snoop.dst, txn=snoop.txn)]
    assert [(answer.op, answer.poison) for answer in answers] == [(Op.CmpData, 0)]


def test_whole_writes_supersede_the_poison_of_a_viral_owner() -> None:
    """WriteFull behind a dataless answer of a VIRAL owner leaves a good line. [HSL-RAS-001]."""
    rig = Rig()
    rig.hold(OWNER)
    (snoop,) = rig.send(Op.WriteFull, READER)
    told(rig, Op.SnpRsp, OWNER, txn=snoop.txn)
    assert rig.memory.read_line(LINE) == (NEW, False)


def test_completed_line_of_a_good_owner_is_not_poisoned() -> None:
    """Without VIRAL, Evict and SnpRsp of the owner say that memory is good, whatever their POISON bit is."""
    rig = Rig()
    rig.hold(OWNER)
    rig.send(Op.Evict, OWNER, poison=1)
    assert not rig.memory.poisoned(LINE)
