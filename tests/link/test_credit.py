"""Credits and arbiter by themselves (HSL 3.5)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import ErrorCode
from hsl._generated.tables import ARBITER_WHEEL
from hsl.errors import ConfigError
from hsl.link.config import below_minima
from hsl.link.credit import Arbiter, Credits

ALL = (9, 9, 9, 9, 9, 9, 0)


@pytest.mark.parametrize(
    ("cvc", "ccnt", "code"),
    [
        (0, 0, None),
        (1, 2, None),
        (1, 3, ErrorCode.CREDIT_OVERFLOW),
        (0, 1, ErrorCode.MALFORMED),
        (1, 0, ErrorCode.MALFORMED),
        (7, 1, ErrorCode.MALFORMED),
    ],
)
def test_returns_are_checked(cvc: int, ccnt: int, code: ErrorCode | None) -> None:
    """F8 goes before F6; a good return adds to what is available, a bad one adds nothing [HSL-LNK-031]."""
    pool = Credits(ALL, ALL)
    pool.available[1] -= 2
    assert pool.take(cvc, ccnt) == code
    assert pool.available[1] == (9 if (cvc, code) == (1, None) else 7)


def test_admission_ends_with_the_advertisement() -> None:
    """As many messages begin as were advertised, and one more for each credit that was returned.

    [HSL-LNK-030]
    """
    pool = Credits(ALL, ALL)
    assert [pool.admit(2) for _ in range(10)] == [True] * 9 + [False]
    assert not pool.admit(7)
    pool.held[2] = 9
    pool.release(2, 4)
    assert pool.pick() == (2, 4)
    assert [pool.admit(2) for _ in range(5)] == [True] * 4 + [False]


def test_pick_goes_round() -> None:
    """The VC to return is searched from the one after the last used, start 1; CCNT is at most 31.

    [HSL-LNK-028]
    """
    pool = Credits((40,) * 7, ALL)
    for vc, count in ((1, 2), (4, 40), (7, 1)):
        pool.held[vc] = count
        pool.release(vc, count)
    assert [pool.pick() for _ in range(5)] == [(1, 2), (4, 31), (7, 1), (4, 9), (0, 0)]


@pytest.mark.parametrize(("advertised", "threshold"), [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (32, 16)])
def test_return_threshold(advertised: int, threshold: int) -> None:
    """A return is due at max(1, advertisement / 2), rounded down, or when T_CR has expired."""
    pool = Credits((advertised,) + (0,) * 6, ALL)
    pool.held[1] = advertised
    for free in range(1, threshold):
        pool.release(1, 1)
        assert not pool.must_return(), free
    pool.release(1, 1)
    assert pool.must_return()


def test_t_cr_without_anything_returnable() -> None:
    """T_CR that ends when all has been returned makes nothing due, now or when the next buffer is free."""
    pool = Credits((8,) * 7, ALL)
    pool.expire()
    assert not pool.must_return()
    pool.held[3] = 1
    pool.release(3, 1)
    assert not pool.must_return()
    pool.expire()
    assert pool.must_return()
    assert pool.pick() == (3, 1)
    assert not pool.must_return()


def test_release_is_checked() -> None:
    """Only what is held can be released."""
    pool = Credits(ALL, ALL)
    for count in (0, 1, -1):
        with pytest.raises(ConfigError):
            pool.release(1, count)


def test_wheel() -> None:
    """With all VCs eligible the grants are the wheel; RSP and DAT get 10 of 15, each other VC one.

    [HSL-LNK-041]
    """
    arbiter = Arbiter()
    grants = [arbiter.next(range(1, 8)) for _ in range(30)]
    assert tuple(grants) == ARBITER_WHEEL * 2
    assert [grants[:15].count(vc) for vc in range(1, 8)] == [1, 1, 1, 5, 5, 1, 1]


def test_wheel_skips_and_goes_on_after_the_grant() -> None:
    """A VC that is not eligible is passed over; the next search begins after the place that was granted."""
    arbiter = Arbiter()
    assert arbiter.next({7}) == 7
    assert arbiter.next({1, 2, 3, 5, 6, 7}) == 5
    assert arbiter.next({1, 4}) == 4
    assert arbiter.next(()) == 0
    assert arbiter.next({1, 2}) == 1


@pytest.mark.parametrize(
    ("values", "roles", "mask", "below"),
    [
        ((4, 4, 4, 8, 8, 4, 4), 0b11111, 0xFE, False),
        ((3, 4, 4, 8, 8, 4, 4), 0b11111, 0xFE, True),
        ((0, 0, 4, 8, 8, 0, 0), 0b00001, 0xFE, False),  # RA: SNP, RSP, DAT
        ((0, 0, 3, 8, 8, 0, 0), 0b00001, 0xFE, True),
        ((0, 0, 4, 8, 8, 0, 0), 0b00010, 0xFE, True),  # HA: REQ, RWD too
        ((4, 4, 4, 8, 8, 0, 4), 0b11111, 0xBE, False),  # MEM masked out
        ((4, 4, 4, 8, 8, 4, 4), 0b11111, 0xBE, True),
        ((4, 4, 4, 8, 65536, 4, 4), 0b11111, 0xFE, True),
        ((4, 4, 4, 8, 65535, 4, 4), 0b11111, 0xFE, False),
    ],
)
def test_minima(values: tuple[int, ...], roles: int, mask: int, below: bool) -> None:
    """F1: minima where a role receives, at most 65,535, 0 outside the mask [HSL-LNK-029]."""
    assert below_minima(values, roles, mask) is below


@pytest.mark.parametrize(("advertised", "due"), [(1, 1), (8, 4), (32, 16), (62, 31), (100, 31), (65535, 31)])
def test_return_is_due_at_half_and_at_a_full_field(advertised: int, due: int) -> None:
    """A return is due when half of a VC can be returned, and never later than at 31 [HSL-LNK-028]."""
    pool = Credits((9, 9, 9, 9, advertised, 9, 9), ALL)
    pool.held[5] = due
    for count in range(due):
        assert not pool.must_return(), f"HSL-LNK-028: {count} of {advertised}"
        pool.release(5, 1)
    assert pool.must_return(), "HSL-LNK-028"
