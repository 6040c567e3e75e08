"""Floating-point addition in integers: exact sum, rounded once to nearest even (HSL 5.12).

No number of the host's processor is used: its NaNs, flags and flushing of subnormals are its own affair.
"""

from __future__ import annotations

from hsl._generated.tables import FloatInfo

__all__ = ["add", "add_lanes"]


def add(form: FloatInfo, a: int, b: int) -> int:
    """The sum of two numbers of a format, all three as their bits."""
    infinity = ((1 << form.exponent) - 1) << form.fraction
    sign = 1 << (form.exponent + form.fraction)
    magnitudes = a & ~sign, b & ~sign
    if max(magnitudes) >= infinity:
        opposed = magnitudes == (infinity, infinity) and a != b
        if max(magnitudes) > infinity or opposed:
            return form.nan
        return a if magnitudes[0] == infinity else b
    total = _scaled(form, a, sign) + _scaled(form, b, sign)
    if total == 0:
        return a & b & sign  # -0 only of two of them
    return (sign if total < 0 else 0) | min(_rounded(form, abs(total)), infinity)


def add_lanes(form: FloatInfo, a: int, b: int) -> int:
    """The sums of the lanes of two words."""
    width = 1 + form.exponent + form.fraction
    mask = (1 << width) - 1
    shifts = range(0, width * form.lanes, width)
    return sum(add(form, a >> shift & mask, b >> shift & mask) << shift for shift in shifts)


def _scaled(form: FloatInfo, bits: int, sign: int) -> int:
    """The value of a finite number in units of the least subnormal one: always an integer."""
    exponent, fraction = divmod(bits & ~sign, 1 << form.fraction)
    value = fraction if exponent == 0 else ((1 << form.fraction) | fraction) << (exponent - 1)
    return -value if bits & sign else value


def _rounded(form: FloatInfo, value: int) -> int:
    """The bits of the number nearest to `value` > 0 least subnormals, of two the even one.

    A carry out of the fraction goes into the exponent by itself; what is beyond the largest number comes out
    as infinity or more.
    """
    shift = max(0, value.bit_length() - form.fraction - 1)
    kept = value >> shift
    rest = value - (kept << shift)
    half = 1 << shift >> 1
    kept += rest > half or (rest == half != 0 and kept % 2 == 1)
    return (shift << form.fraction) + kept
