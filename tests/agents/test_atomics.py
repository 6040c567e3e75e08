"""Atomic operations (HSL 5.12)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsl._generated.constants import Aop, AtomicClass, Op
from hsl._generated.tables import AOPS, ATOMIC_SIZES
from hsl.agents import atomics
from hsl.codec.message import Message
from hsl.errors import ConfigError


def apply(aop: Aop, size: int, old: int, *operands: int) -> int:
    data = b"".join(operand.to_bytes(size, "little") for operand in operands)
    new, returned = atomics.apply(aop, size, old.to_bytes(size, "little"), data)
    assert returned == old.to_bytes(size, "little")
    return int.from_bytes(new, "little")


@pytest.mark.parametrize(
    ("aop", "size", "old", "operand", "new"),
    [
        (Aop.ADD, 4, 0xFFFFFFFF, 1, 0),
        (Aop.ADD, 8, 0x7FFFFFFFFFFFFFFF, 1, 0x8000000000000000),
        (Aop.SMAX, 4, 0x80000000, 1, 1),
        (Aop.UMAX, 4, 0x80000000, 1, 0x80000000),
        (Aop.SMIN, 8, 1, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF),
        (Aop.UMIN, 8, 1, 0xFFFFFFFFFFFFFFFF, 1),
        (Aop.CLR, 4, 0x00FF00FF, 0x00000F0F, 0x00FF00F0),
        (Aop.SET, 4, 0x00FF00FF, 0x00000F0F, 0x00FF0FFF),
        (Aop.EOR, 4, 0x00FF00FF, 0x00000F0F, 0x00FF0FF0),
        (Aop.SWAP, 8, 5, 7, 7),
    ],
)
def test_examples(aop: Aop, size: int, old: int, operand: int, new: int) -> None:
    """The results are those that 5.12 gives."""
    assert apply(aop, size, old, operand) == new


# A second opinion on each operation, in signed arithmetic or bit by bit.
MODEL = {
    Aop.ADD: lambda a, b, n: (a + b) % 2**n,
    Aop.CLR: lambda a, b, n: sum((a >> i & 1) << i for i in range(n) if not b >> i & 1),
    Aop.EOR: lambda a, b, n: sum(((a >> i & 1) != (b >> i & 1)) << i for i in range(n)),
    Aop.SET: lambda a, b, n: sum(((a >> i & 1) or (b >> i & 1)) << i for i in range(n)),
    Aop.SMAX: lambda a, b, n: b if (a + 2 ** (n - 1)) % 2**n < (b + 2 ** (n - 1)) % 2**n else a,
    Aop.SMIN: lambda a, b, n: b if (a + 2 ** (n - 1)) % 2**n > (b + 2 ** (n - 1)) % 2**n else a,
    Aop.UMAX: lambda a, b, n: max(a, b),
    Aop.UMIN: lambda a, b, n: min(a, b),
    Aop.SWAP: lambda a, b, n: b,
}


@given(st.sampled_from(sorted(MODEL)), st.sampled_from([4, 8]), st.data())
def test_integer_operations_agree_with_a_second_opinion(aop: Aop, size: int, data: st.DataObject) -> None:
    """Every integer operation is exact for every pair of values of 4 and 8 bytes."""
    numbers = st.integers(0, 2 ** (8 * size) - 1) | st.sampled_from(
        [0, 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1]
    )
    old, operand = data.draw(numbers), data.draw(numbers)
    assert apply(aop, size, old, operand) == MODEL[aop](old, operand, 8 * size)


@pytest.mark.parametrize("size", [4, 8, 16])
def test_cas_writes_only_when_all_bits_are_equal(size: int) -> None:
    """CAS swaps on equality, else the old value stays; it is returned in both cases."""
    assert apply(Aop.CAS, size, 9, 9, 5) == 5
    high = 9 | 1 << (8 * size - 1)
    assert apply(Aop.CAS, size, high, 9, 5) == high


def test_operands_of_4_bytes_sit_where_their_address_says() -> None:
    """ADD of 4 B at ..14: operand and old value in bytes 4..7 of the granule, the rest 0 (5.12)."""
    line = bytes(range(64))
    request = Message(Op.AtomicLoad, addr=0x1014, aop=Aop.ADD, data=bytes.fromhex("deadbeef 01000000"))
    new, data = atomics.perform(line, request)
    assert new == line[:0x14] + bytes([0x15, 0x15, 0x16, 0x17]) + line[0x18:]
    assert data == bytes(4) + line[0x14:0x18]
    assert atomics.place(4, 0x1014, b"abcdwxyz") == bytes(4) + b"abcd" + bytes(4) + b"wxyz"
    assert atomics.extract(4, 0x1014, bytes(4) + b"abcd" + bytes(4) + b"wxyz") == b"abcdwxyz"


@pytest.mark.parametrize(
    ("aop", "size", "expected"),
    [
        (Aop.ADD, 4, (0, 8, 0)),
        (Aop.ADD, 8, (0, 8, 0)),
        (Aop.CAS, 4, (1, 16, 0)),
        (Aop.CAS, 8, (1, 16, 0)),
        (Aop.CAS, 16, (2, 32, 1)),
    ],
)
def test_shapes(aop: Aop, size: int, expected: tuple[int, int, int]) -> None:
    """LEN and bytes of request and answer are those of the table in 5.12."""
    assert atomics.shape(aop, size) == expected
    operands = bytes(atomics.operand_bytes(aop, size))
    assert len(atomics.place(size, 0x100, operands)) == expected[1]


@given(
    st.sampled_from([(4, 0x104), (4, 0x100), (8, 0x108), (16, 0x110)]), st.binary(min_size=32, max_size=32)
)
def test_extract_undoes_place(where: tuple[int, int], data: bytes) -> None:
    """What is placed in granules is found there again."""
    size, addr = where
    operands = data[: 2 * size]
    assert atomics.extract(size, addr, atomics.place(size, addr, operands)) == operands


@pytest.mark.parametrize(
    ("aop", "size", "addr", "operands", "store", "text"),
    [
        (10, 4, 0, 4, False, "atomic operation 10"),
        (Aop.ADD, 16, 0, 16, False, "ADD of 16 bytes"),
        (Aop.SWAP, 4, 0, 4, True, "cannot be an atomic_store"),
        (Aop.CAS, 4, 0, 8, True, "cannot be an atomic_store"),
        (Aop.ADD, 8, 4, 8, False, "a multiple of the size"),
        (Aop.CAS, 8, 0, 8, False, "expected 16"),
    ],
)
def test_illegal_operations_are_refused(
    aop: int, size: int, addr: int, operands: int, store: bool, text: str
) -> None:
    """An operation that 5.12 forbids is a ConfigError that says what is legal."""
    with pytest.raises(ConfigError, match=text):
        atomics.check(aop, size, addr, operands, store=store)


def test_what_is_performed_is_what_is_offered() -> None:
    """An operation is performed if its class is offered; else it is a ConfigError, not a wrong result."""
    for code, info in AOPS.items():
        for size in info.sizes:
            offered = bool(atomics.atomic_class(code, size) & atomics.PERFORMED)
            operands = bytes(atomics.operand_bytes(code, size))
            if offered:
                atomics.apply(code, size, bytes(size), operands)
            else:
                with pytest.raises(ConfigError, match="not performed"):
                    atomics.apply(code, size, bytes(size), operands)
    assert atomics.atomic_class(Aop.CAS, 16) == AtomicClass.CAS16
    assert atomics.atomic_class(Aop.CAS, 8) == AtomicClass.INT
    assert {code: ATOMIC_SIZES[code] for code in atomics.SIZE_CODES.values()} == ATOMIC_SIZES
