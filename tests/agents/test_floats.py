"""Floating-point atomics, bit by bit (HSL 5.12)."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from hsl._generated.constants import Aop
from hsl._generated.tables import FLOATS, FloatInfo
from hsl.agents import atomics, floats
from hsl.agents.floats import add

SEED = 5
CASES = 25_000  # pairs of each format, together 100,000
SIGNS = {form: 1 << form.exponent + form.fraction for form in FLOATS.values()}


@pytest.mark.parametrize(
    ("aop", "old", "operand", "new"),
    [
        (Aop.FADD32, 0x3F800001, 0x33800000, 0x3F800002),
        (Aop.FADD32, 0x3F800000, 0x33800000, 0x3F800000),
        (Aop.FADD32, 0x7F7FFFFF, 0x73000000, 0x7F800000),
        (Aop.FADD32, 0x7F7FFFFF, 0x72FFFFFF, 0x7F7FFFFF),
        (Aop.FADD32, 0x7FA00001, 0x3F800000, 0x7FC00000),
        (Aop.FADD2xFP16, 0x3C007BFF, 0x3C007BFF, 0x40007C00),
        (Aop.FADD2xBF16, 0x3F807F7F, 0x3F807F7F, 0x40007F80),
        (Aop.FADD64, 0x3FF0000000000001, 0x3CA0000000000000, 0x3FF0000000000002),
        (Aop.FADD64, 0x3FF0000000000000, 0x3CA0000000000000, 0x3FF0000000000000),
    ],
)
def test_examples(aop: Aop, old: int, operand: int, new: int) -> None:
    """The sums that 5.12 gives, and their like in the other formats. [HSL-COH-016]."""
    size = 8 if aop == Aop.FADD64 else 4
    got, returned = atomics.apply(aop, size, old.to_bytes(size, "little"), operand.to_bytes(size, "little"))
    assert (int.from_bytes(got, "little"), returned) == (new, old.to_bytes(size, "little"))


@pytest.mark.parametrize("aop", sorted(FLOATS))
def test_special_numbers(aop: int) -> None:
    """NaNs become the canonical one, infinities stay, zeros keep the sign that IEEE 754 gives them."""
    form = FLOATS[aop]
    minus = SIGNS[form]
    infinity = minus - (1 << form.fraction)
    one = ((1 << form.exponent - 1) - 1) << form.fraction
    for nan in (infinity + 1, infinity + 1 | minus, form.nan | minus, minus - 1):
        for other in (0, one, infinity, nan):
            assert add(form, nan, other) == add(form, other, nan) == form.nan
    assert add(form, infinity, infinity | minus) == form.nan
    assert add(form, infinity, one) == add(form, one, infinity) == infinity
    assert add(form, infinity | minus, infinity | minus) == infinity | minus
    assert add(form, one, one | minus) == add(form, 0, minus) == 0
    assert add(form, minus, minus) == minus
    assert add(form, 1, 1) == 2  # subnormals are kept
    assert add(form, (1 << form.fraction) - 1, 1) == 1 << form.fraction  # the least normal number
    assert add(form, 1 | minus, 1) == 0


def test_lanes_are_independent() -> None:
    """No carry and no NaN of one half reaches the other."""
    form = FLOATS[Aop.FADD2xFP16]
    assert floats.add_lanes(form, 0x7E013C00, 0x00003C00) == 0x7E004000
    assert floats.add_lanes(form, 0x3C007BFF, 0x3C007BFF) == 0x40007C00


def hardware(aop: int, a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The sums by numpy, NaNs made canonical; bfloat16 by float32, whose precision makes it exact."""
    form = FLOATS[aop]
    with np.errstate(all="ignore"):
        if aop == Aop.FADD2xBF16:
            wide = (np.uint32(x << 16).view(np.float32) for x in (a.astype(np.uint32), b.astype(np.uint32)))
            total = sum(wide, np.float32(-0.0))
            bits = total.view(np.uint32).astype(np.uint64)
            rounded = (bits + 0x7FFF + (bits >> np.uint64(16) & np.uint64(1))) >> np.uint64(16)
            return np.where(np.isnan(total), form.nan, rounded).astype(np.uint64)
        word, kind = {
            Aop.FADD32: (np.uint32, np.float32),
            Aop.FADD64: (np.uint64, np.float64),
            Aop.FADD2xFP16: (np.uint16, np.float16),
        }[Aop(aop)]
        total = a.astype(word).view(kind) + b.astype(word).view(kind)
        return np.where(np.isnan(total), form.nan, total.view(word)).astype(np.uint64)


def pairs(form: FloatInfo, rng: Random) -> list[tuple[int, int]]:
    """Half of them anything; half near each other, so that ties, cancellation and carries happen."""
    sign = SIGNS[form]
    found = []
    for i in range(CASES):
        a = rng.randrange(2 * sign)
        b = rng.randrange(2 * sign)
        if i % 2:
            exponent = (a >> form.fraction) + rng.randint(-form.fraction - 2, form.fraction + 2)
            fraction = rng.choice([0, 1, b, (1 << form.fraction) - 1, 1 << form.fraction - 1])
            b = (exponent << form.fraction) | fraction % (1 << form.fraction)
            b = (b ^ rng.choice([0, sign])) % (2 * sign)
        found.append((a, b))
    return found


@pytest.mark.parametrize("aop", sorted(FLOATS))
def test_sums_are_those_of_the_processor(aop: int) -> None:
    """Every sum has the bits that the host's own arithmetic gives, but for which NaN it is. [HSL-COH-016]."""
    form = FLOATS[aop]
    cases = pairs(form, Random(f"{SEED} {aop}"))
    a, b = (np.array(column, dtype=np.uint64) for column in zip(*cases, strict=True))
    wanted = hardware(aop, a, b)
    for (one, other), sum_ in zip(cases, wanted.tolist(), strict=True):
        assert add(form, one, other) == sum_, f"seed {SEED}, {Aop(aop).name} {one:#x} + {other:#x}"
