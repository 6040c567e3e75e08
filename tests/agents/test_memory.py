"""Memory of a home."""

from __future__ import annotations

import pytest

from hsl._generated.constants import Err
from hsl.agents.memory import MEMORY_LIMIT, Memory
from hsl.errors import ConfigError, TransactionError

BASE = 0x1000
LINE = bytes(range(64))


@pytest.fixture
def memory() -> Memory:
    return Memory(BASE, 256)


@pytest.mark.parametrize(("base", "size"), [(0, 0), (0, 63), (1, 64), (-64, 64), (0, MEMORY_LIMIT + 64)])
def test_bad_sizes_name_the_limit(base: int, size: int) -> None:
    """Base and size must be whole lines, the size at most MEMORY_LIMIT, and the error says so."""
    with pytest.raises(ConfigError, match=str(MEMORY_LIMIT)):
        Memory(base, size)


def test_the_largest_memory_costs_nothing_until_used() -> None:
    """A memory of MEMORY_LIMIT bytes is allowed and its last line works."""
    memory = Memory(0, MEMORY_LIMIT)
    memory.write_line(MEMORY_LIMIT - 64, LINE)
    assert memory.read_line(MEMORY_LIMIT - 64) == (LINE, False)


@pytest.mark.parametrize(
    ("addr", "size"), [(BASE - 1, 1), (BASE + 256, 1), (BASE + 250, 7), (BASE, -1), (0, 64)]
)
def test_access_outside_is_decode(memory: Memory, addr: int, size: int) -> None:
    """An access that is not wholly inside ends with a typed DECODE error."""
    with pytest.raises(TransactionError) as caught:
        memory.read(addr, size)
    assert caught.value.code == Err.DECODE
    if size > 0:
        with pytest.raises(TransactionError):
            memory.write(addr, bytes(size))


def test_bulk_load_and_read_back(memory: Memory) -> None:
    """Bytes written at any place are read back, the rest stays 0."""
    memory.write(BASE + 60, b"hello")
    assert memory.read(BASE + 58, 9) == bytes(2) + b"hello" + bytes(2)
    assert memory.covers(BASE, BASE + 255)
    assert not memory.covers(BASE, BASE + 256)


def test_poison_of_lines(memory: Memory) -> None:
    """Poison is one bit a line: set with a write or by `poison`, cleared by whole lines only.

    HSL 6.1 [HSL-RAS-001].
    """
    memory.write_line(BASE, LINE, poison=True)
    memory.poison(BASE + 64)
    assert memory.read_line(BASE) == (LINE, True)
    memory.write(BASE + 8, bytes(56 + 63))  # ends a byte before the second line is full
    assert memory.poisoned(BASE)
    assert memory.poisoned(BASE + 64)
    memory.write(BASE + 32, bytes(96))
    assert memory.poisoned(BASE)
    assert not memory.poisoned(BASE + 64)
    memory.write_line(BASE, LINE)
    assert not memory.poisoned(BASE)
    with pytest.raises(TransactionError):
        memory.poison(BASE + 256)


def test_merge_follows_the_byte_enables(memory: Memory) -> None:
    """Bytes whose enable is 1 change, at their place in the line; poison is kept unless all 64 are written.

    HSL 5.12.
    """
    memory.write_line(BASE, LINE, poison=True)
    memory.merge(BASE + 16, b"abcdefgh", 0b10000001)
    assert memory.read_line(BASE) == (LINE[:16] + b"a" + LINE[17:23] + b"h" + LINE[24:], True)
    memory.merge(BASE, bytes(64), (1 << 64) - 1)
    assert memory.read_line(BASE) == (bytes(64), False)
    memory.merge(BASE, b"x", 0, poison=True)
    assert memory.read_line(BASE) == (bytes(64), True)


@pytest.mark.parametrize("before", [False, True])
def test_a_poisoned_write_of_a_whole_line_poisons_it(memory: Memory, before: bool) -> None:
    """Poisoned data stay poisoned when they fill the line: only good data clear its mark.

    HSL 6.1 [HSL-RAS-001].
    """
    memory.write_line(BASE, bytes(64), poison=before)
    memory.merge(BASE, LINE, (1 << 64) - 1, poison=True)
    assert memory.read_line(BASE) == (LINE, True), "6.1: the POISON of a write of 64 bytes is kept"
