"""HSL 5.12 and 5.14: what a request is refused for, typed from the prose."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from hsl._generated.constants import AtomicClass, Err, Feature
from hsl._generated.tables import AOPS, OPCODES
from hsl.codec.checks import ATOMIC_CHECKS, Negotiated, request_fault
from hsl.codec.engines import Engine
from hsl.codec.message import Message

ALL = Negotiated(atomics=0x1F, features=0xFFFFFFFF, max_txn=4096, address_bits=52)
NONE = Negotiated(atomics=0, features=0, max_txn=256, address_bits=52)
OK, PROTO, UNSUP = Err.OK, Err.PROTO, Err.UNSUP

READS = (0x20, 0x21, 0x22, 0x23, 0x25, 0x26, 0xC0)
LINE_WRITES = (0x40, 0x41, 0xC1)
PARTIAL = (0x42, 0xC2, 0xE0, 0xE1)


@pytest.fixture(scope="module")
def err(engine: Engine) -> Callable[..., int]:
    """The ERR of a request, by each engine."""

    def run(op: int, negotiated: Negotiated = ALL, **fields: Any) -> int:
        return engine.check_request(Message(op, **fields), negotiated)

    return run


@pytest.mark.parametrize("op", READS + LINE_WRITES)
def test_line_requests(err: Callable[..., int], op: int) -> None:
    """Requests of whole lines have LEN 3, BE 0 and ADDR[5:0] 0, else PROTO [HSL-TXN-005]."""
    assert err(op, NONE, len=3, addr=0xFFFFFFFFFFFC0) == OK
    assert [err(op, len=n) for n in range(3)] == [PROTO] * 3
    assert [err(op, len=3, addr=1 << bit) for bit in range(7)] == [PROTO] * 6 + [OK]
    assert err(op, len=3, be=0) == PROTO


def test_snapshots(err: Callable[..., int]) -> None:
    """ReadOnce is of a line or half of it, ADDR a multiple of that, without BE, else PROTO. [HSL-TXN-012]."""
    for code in range(4):
        for addr in (8, 16, 32, 64, 96, 128):
            assert err(0x24, NONE, len=code, addr=addr) == (PROTO if code < 2 or addr % (8 << code) else OK)
    assert err(0x24, len=2, be=0) == PROTO


@pytest.mark.parametrize("op", PARTIAL)
def test_partial(err: Callable[..., int], op: int) -> None:
    """Accesses of some bytes: BE or none, any AOP, ADDR a multiple of the size, no BE bits behind it."""
    for code, size in enumerate((8, 16, 32, 64)):
        assert err(op, NONE, len=code, addr=size, aop=31) == OK
        assert err(op, len=code, addr=size, be=(1 << size) - 1) == OK
        assert err(op, len=code, addr=size, be=0) == OK
        assert err(op, len=code, addr=4 + size) == PROTO
        assert err(op, len=code, addr=size // 2, be=1) == PROTO
        if size < 64:
            assert err(op, len=code, be=1 << size) == PROTO


# Opcode -> legal fields, the feature it needs, and fields each of which makes it PROTO. HSL 5.14.
NCR: dict[int, tuple[dict[str, Any], int, list[dict[str, Any]]]] = {
    0xE2: ({"len": 3, "addr": 64}, Feature.NcEnq, [{"len": 2}, {"be": 0}, {"addr": 8}]),
    0xE3: ({"len": 0, "aop": 31}, 0, [{"len": 1}, {"be": 0}]),
    0xE4: ({"len": 1, "addr": 1, "x": 0xFFF}, Feature.ATS, [{"len": 0}, {"be": 0}]),
    0xE5: ({"len": 0, "addr": 1, "x": 0xFF}, Feature.ATS, [{"len": 3}, {"be": 0}]),
    0xE6: ({"len": 0, "addr": 1, "x": 0xFFF}, Feature.PRI, [{"len": 1}, {"be": 0}]),
    0xE7: ({"len": 0, "x": 0xFF}, Feature.PRI, [{"len": 1}, {"be": 0}]),
    0xE8: ({"len": 3}, 0, [{"len": 0}, {"be": 0}]),
    0xE9: ({"len": 2, "addr": 32}, 0, [{"len": 3}, {"be": 0}, {"addr": 16}]),
    0xEA: ({"len": 0, "addr": 8}, 0, [{"len": 3}, {"be": 0}, {"addr": 4}]),
    0xEB: ({"len": 1}, 0, [{"len": 0}, {"be": 0}]),
}


@pytest.mark.parametrize("op", NCR)
def test_ncr(err: Callable[..., int], op: int) -> None:
    """The NCR table of 5.14: a feature not negotiated is UNSUP; then LEN, BE, alignment are PROTO."""
    legal, feature, wrong = NCR[op]
    assert err(op, **legal) == OK
    assert err(op, NONE._replace(features=feature), **legal) == OK
    for fields in wrong:
        assert err(op, **legal | fields) == PROTO
    if feature:
        without = ALL._replace(features=ALL.features & ~feature)
        assert [err(op, without, **legal | fields) for fields in ({}, wrong[0])] == [UNSUP, UNSUP]


def test_every_request_is_covered() -> None:
    """The tables above and the atomics are all known requests."""
    mine = {*READS, *LINE_WRITES, *PARTIAL, *NCR, 0x24, 0x43, 0x44}
    assert mine == {code for code, info in OPCODES.items() if info.vc in (1, 2, 6, 7)}


@pytest.mark.parametrize("op", [0x27, 0x3F, 0x45, 0xC3, 0xEC, 0xFF])
def test_unknown(err: Callable[..., int], op: int) -> None:
    """An unknown opcode of REQ, RWD, MEM and NCR is UNSUP, whatever else is wrong [HSL-LNK-034]."""
    assert err(op, be=0, x=3) == UNSUP


# AOP -> operand sizes in bytes, legal in AtomicStore, class. HSL 5.12, 3.3.2.
ATOMICS = (
    dict.fromkeys(range(8), ((4, 8), True, AtomicClass.INT))
    | {8: ((4, 8), False, AtomicClass.INT), 9: ((4, 8, 16), False, AtomicClass.INT)}
    | {16: ((4,), True, AtomicClass.FADD32), 17: ((8,), True, AtomicClass.FADD64)}
    | {18: ((4,), True, AtomicClass.FADD2x16), 19: ((4,), True, AtomicClass.FADD2x16)}
)
CAS_LEN = {4: 1, 8: 1, 16: 2}


def atomic_fields(aop: int, size: int) -> dict[str, Any]:
    return {
        "aop": aop,
        "x": {4: 0, 8: 1, 16: 2}[size],
        "len": CAS_LEN[size] if aop == 9 else 0,
        "addr": 0x1000 + size,
    }


@pytest.mark.parametrize("aop", range(32))
@pytest.mark.parametrize("op", [0x43, 0x44])
def test_atomics(err: Callable[..., int], op: int, aop: int) -> None:
    """Each AOP with each size, in both messages, is what the table of 5.12 says [HSL-TXN-005]."""
    assert set(ATOMICS) == set(AOPS)
    for size in (4, 8, 16):
        fields = atomic_fields(aop, size)
        if aop not in ATOMICS:
            assert err(op, **fields) == UNSUP
            continue
        sizes, store, needs = ATOMICS[aop]
        legal = size in sizes and (store or op == 0x43)
        assert err(op, **fields) == (OK if legal else PROTO)
        if legal:
            needs = AtomicClass.CAS16 if size == 16 else needs
            assert err(op, NONE._replace(atomics=needs), **fields) == OK
            assert err(op, ALL._replace(atomics=ALL.atomics & ~needs), **fields) == UNSUP
            assert [err(op, **fields | {"len": n}) for n in range(4) if n != fields["len"]] == [PROTO] * 3
            assert [err(op, **fields | {"addr": 1 << bit}) for bit in range(5)] == [
                OK if 1 << bit >= size else PROTO for bit in range(5)
            ]


# One way to fail each check of the list in 5.12, in its order; later ones do not undo earlier ones.
WAYS: list[tuple[Err, dict[str, Any]]] = [
    (PROTO, {"be": 0}),
    (PROTO, {"x": 4}),
    (UNSUP, {"aop": 10}),
    (PROTO, {"aop": 9, "op": 0x44}),
    (PROTO, {"aop": 18, "x": 1}),
    (PROTO, {"len": 3}),
    (PROTO, {"addr": 2}),
    (UNSUP, {"atomics": 0}),
]


def test_atomic_precedence(err: Callable[..., int]) -> None:
    """Of two faults the one that stands first in 5.12 decides; X has one check for all of its bits."""
    base: dict[str, Any] = {"op": 0x43, "aop": 0, "x": 0, "len": 0, "addr": 0, "atomics": 0x1F}
    found = []
    for expected, way in WAYS:
        fields = base | way
        atomics = fields.pop("atomics")
        fault = request_fault(Message(**fields), ALL._replace(atomics=atomics))
        assert fault is not None
        assert fault.err == expected
        found.append(next(i for i, check in enumerate(ATOMIC_CHECKS) if fault.text.endswith(check.legal)))
    assert found == sorted(found)
    assert len(set(found)) == len(WAYS)
    for (first, way), (_, later) in pairwise(WAYS):
        fields = base | later | way
        assert err(negotiated=ALL._replace(atomics=fields.pop("atomics")), **fields) == first
    assert err(0x43, x=3, aop=31) == PROTO
    assert err(0x43, aop=31, len=3, addr=1, negotiated=NONE) == UNSUP
    assert err(0x44, aop=9, x=0, len=1, negotiated=NONE) == PROTO
