"""What comes over a VIRAL port is not to be trusted: data are taken as poisoned (HSL 6.1)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import Aop, Err, Op, St
from hsl.agents.access import Access
from hsl.agents.request import RequestAgent
from hsl.codec.message import Message
from tests.support.agents import OLD, A, complete, drain, line_of, load, store
from tests.support.coherence import FIRST, HOME, agent

IO = 1  # the node that completes non-coherent requests


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
