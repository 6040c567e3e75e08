"""A request agent believes the home of a line and the node that it asked, and nobody else (HSL 5.4 T16)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import Err, ErrorCode, Op, SamType, St
from hsl.agents.access import Access
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.request import RequestAgent
from hsl.agents.request_config import RequestConfig
from hsl.codec.message import Message
from tests.support.agents import NEW, OLD, OTHER, A, complete, drain, holding, line_of, load
from tests.support.coherence import BASE, FIRST, HOME, SIZE, agent

STRANGER, MOVED_TO = 5, 6
SNOOPS = (Op.SnpShared, Op.SnpInv, Op.SnpCur)


def codes(one: RequestAgent) -> list[ErrorCode]:
    """What the agent has logged."""
    return [code for code, *_ in one.errors]


def snooped(one: RequestAgent, op: int, src: int, addr: int = A) -> Message:
    """The answer to a snoop of a node."""
    one.receive(Message(op, src, FIRST, 1, 3, addr), 0)
    (answer,) = drain(one)
    assert (answer.dst, answer.txn) == (src, 1)
    return answer


@pytest.mark.parametrize("op", SNOOPS)
@pytest.mark.parametrize("st", [St.M, St.E, St.S])
def test_a_snoop_of_a_stranger_takes_nothing(op: Op, st: St) -> None:
    """A snoop of a node that is not the home: SnpRsp(I) without data, the copy stays, SRC_SPOOF.

    [HSL-SEC-011, HSL-COH-029].
    """
    one = holding(A, st)
    before = one.peek(A)
    answer = snooped(one, op, STRANGER)
    assert (answer.op, answer.st) == (Op.SnpRsp, St.I)
    assert (one.state_of(A), one.peek(A)) == (st.name, before)
    assert codes(one) == [ErrorCode.SRC_SPOOF]
    assert one.counters.odd == 1


@pytest.mark.parametrize("addr", [A, 0])
def test_a_snoop_of_a_stranger_for_a_line_that_is_not_held(addr: int) -> None:
    """For a line that is not held, or in no range, a stranger is told apart from the home. [HSL-SEC-011]."""
    one = agent()
    assert snooped(one, Op.SnpInv, STRANGER, addr).st == St.I
    assert codes(one) == [ErrorCode.SRC_SPOOF]
    assert not one.cache.lines
    assert snooped(one, Op.SnpInv, HOME).st == St.I
    assert codes(one) == [ErrorCode.SRC_SPOOF, ErrorCode.STALE]


def test_a_snoop_of_a_stranger_under_a_writeback() -> None:
    """The data of a WbFull that is under way go to nobody but the home. [HSL-SEC-011]."""
    one = holding(A, St.M)
    one.submit(Access("evict", A), 0)
    drain(one)
    assert snooped(one, Op.SnpInv, STRANGER).op == Op.SnpRsp
    answer = snooped(one, Op.SnpInv, HOME)
    assert (answer.op, answer.data) == (Op.SnpRspData, NEW)


def test_a_copy_keeps_the_home_that_granted_it() -> None:
    """After the map has changed a snoop counts from the home that granted the copy, not from the new one.

    For a line that is not held the map decides. [HSL-SEC-014].
    """
    amap = AddressMap([SamEntry(BASE, BASE + SIZE - 1, home=HOME)])
    one = RequestAgent(RequestConfig(nid=FIRST, address_map=amap, sets=4, ways=2))
    one.submit(line_of("store_line", A), 0)
    complete(one, drain(one)[0], St.M)
    amap.put(0, SamEntry(BASE, BASE + SIZE - 1, SamType.HDM_D, home=MOVED_TO))
    assert snooped(one, Op.SnpInv, MOVED_TO).op == Op.SnpRsp
    assert one.state_of(A) == "M"
    answer = snooped(one, Op.SnpInv, HOME)
    assert (answer.op, answer.data) == (Op.SnpRspData, NEW)
    assert codes(one) == [ErrorCode.SRC_SPOOF]
    assert snooped(one, Op.SnpInv, MOVED_TO).st == St.I
    assert codes(one) == [ErrorCode.SRC_SPOOF, ErrorCode.STALE]


def test_a_completion_of_a_stranger_is_dropped() -> None:
    """A completion from another node than was asked is PROTO and changes nothing. [HSL-SEC-012]."""
    one = agent()
    ticket = one.submit(load(OTHER), 0)
    (request,) = drain(one)
    forged = Message(Op.CmpData, STRANGER, FIRST, request.txn, len=3, data=NEW, st=St.E, htxn=1)
    for bad in (forged, forged._replace(op=Op.Cmp, data=b"", err=Err.ACCESS)):
        one.receive(bad, 0)
        assert drain(one) == []
    one.receive(Message(Op.CmpAck, HOME, FIRST, 0), 0)
    assert codes(one) == [ErrorCode.PROTO] * 3
    assert not ticket.done
    complete(one, request, St.S)
    assert ticket.result() == OLD[:8]


@pytest.mark.parametrize("length", [0, 1, 2])
def test_data_of_another_length_are_dropped(length: int) -> None:
    """CmpData with another LEN than was asked for is PROTO; the request stays outstanding. [HSL-SEC-013]."""
    one = agent()
    ticket = one.submit(load(A), 0)
    (request,) = drain(one)
    one.receive(
        Message(Op.CmpData, HOME, FIRST, request.txn, len=length, data=NEW[: 8 << length], st=St.E), 0
    )
    assert codes(one) == [ErrorCode.PROTO]
    assert not ticket.done
    complete(one, request, St.E)
    assert ticket.result() == OLD[:8]
