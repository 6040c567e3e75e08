"""The checks of a home before its tables: of two faults in a request the first decides (HSL 5.4 T15)."""

from __future__ import annotations

from itertools import combinations
from typing import Any, NamedTuple

import pytest

from hsl._generated.constants import Err, ErrorCode, Op, Right
from hsl.agents.access_list import AclEntry
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.peers import LOCAL
from hsl.codec.message import Message
from tests.agents.home_rig import HOME, LINE, ONE, OTHER, SIZE, A, B, Rig

TXNS = 16  # negotiated
HELD = 5  # a TXN of A and of B that is outstanding
NO_RIGHTS = 9  # an isolation domain
FENCED = B
GOOD: dict[str, Any] = {"src": A, "txn": 0, "addr": OTHER, "len": 0, "x": 1, "data": ONE}


class Fault(NamedTuple):
    """What is wrong with a request, and how the home says so: the ERR of a Cmp, or a code that it logs."""

    fields: dict[str, Any]
    err: Err | None = None
    logged: ErrorCode | None = None


# In the order of T15; of the two kinds of bad format 5.12 puts that of BE before that of AOP.
FAULTS = {
    "fenced": Fault({"src": FENCED}),
    "not homed here": Fault({"addr": SIZE}, err=Err.DECODE),
    "bad BE": Fault({"be": 1}, err=Err.PROTO),
    "reserved AOP": Fault({"aop": 31}, err=Err.UNSUP),
    "no right": Fault({"dom": NO_RIGHTS}, err=Err.ACCESS),
    "viral": Fault({"viral": True}, err=Err.DATA),
    "TXN in use": Fault({"txn": HELD}, logged=ErrorCode.PROTO),
    "TXN too large": Fault({"txn": TXNS}, logged=ErrorCode.PROTO),
}


def judge(**fields: Any) -> tuple[list[Err], list[ErrorCode]]:
    """The ERR of each answer to an AtomicStore, and what the home logs."""
    rig = Rig()
    amap = AddressMap([SamEntry(0, SIZE - 1, home=HOME)])
    amap.access_list.put(0, AclEntry(0, (1 << 52) - 1, src_mask=0, dom=NO_RIGHTS, dom_mask=0xFFF))
    rig.home = HomeAgent(HomeConfig(nid=HOME, address_map=amap), rig.memory)
    rig.home.attach(range(A, B + 1), LOCAL._replace(max_txn=TXNS))
    rig.send(Op.ReadUnique, 8)  # LINE is busy until its CmpAck, so what comes next waits
    for nid in (A, B):
        rig.send(Op.ReadOnce, nid, txn=HELD)
    rig.home.fence(FENCED, 0)
    rig.home.taken.clear()
    before = rig.memory.read(0, SIZE)
    fields = GOOD | fields
    viral = fields.pop("viral", False)
    rig.home.receive(Message(Op.AtomicStore, dst=HOME, **fields), 0, viral)
    assert len(rig.home.taken) == 1, "5.2 D5: the credit of each goes back"
    errs = [Err(message.err) for message in rig.sent()]
    if errs != [Err.OK]:
        assert rig.memory.read(0, SIZE) == before, "5.4 T15: a request that is refused touches nothing"
    return errs, rig.errors()


def end(name: str) -> tuple[list[Err], list[ErrorCode]]:
    """How a request ends that a fault decides about."""
    fault = FAULTS[name]
    return [] if fault.err is None else [fault.err], [] if fault.logged is None else [fault.logged]


def test_a_request_without_a_fault_is_done() -> None:
    """The request that the tests below spoil is good."""
    assert judge() == ([Err.OK], [])


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_alone(name: str) -> None:
    """A request with one fault ends as T15 says."""
    assert judge(**FAULTS[name].fields) == end(name), f"5.4 T15: {name}"


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in combinations(FAULTS, 2) if not FAULTS[pair[0]].fields.keys() & FAULTS[pair[1]].fields],
)
def test_of_two_faults_the_first_check_decides(first: str, second: str) -> None:
    """A request with two faults ends as with the one that T15 checks first, and with nothing else."""
    ended = judge(**FAULTS[first].fields, **FAULTS[second].fields)
    assert ended == end(first), f"5.4 T15: {first} is checked before {second}"


def test_what_the_tests_rely_on() -> None:
    """The line that the faulty requests wait at is not theirs, and domain 0 has all rights."""
    assert GOOD["addr"] not in (LINE, SIZE)
    assert Right.A in AddressMap([SamEntry(0, SIZE - 1, home=HOME)]).rights(OTHER, A, 0)
