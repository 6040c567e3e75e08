"""Credits of a port and the arbiter of its VCs (HSL 3.5). Lists are indexed by VC; index 0 is not used."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from hsl._generated.constants import MAX_CCNT, ErrorCode, Vc
from hsl._generated.tables import ARBITER_WHEEL
from hsl.errors import ConfigError

__all__ = ["Arbiter", "Credits"]

VCS: Final = tuple(int(vc) for vc in Vc)
# The search for a VC to return starts after the last one used. HSL 3.5 F9.
SEARCH: Final = {last: tuple((last + step) % len(VCS) + 1 for step in range(len(VCS))) for last in (0, *VCS)}
# By place of the wheel: the VCs in the order of the search, each with the place after it.
PLACES: Final = range(len(ARBITER_WHEEL))
TURNS: Final[list[list[tuple[int, int]]]] = [
    [(ARBITER_WHEEL[at], (at + 1) % len(PLACES)) for at in (*PLACES[first:], *PLACES[:first])]
    for first in PLACES
]


class Credits:
    """Credits of one session of a port, both directions.

    Sending: `available` of the `granted` that the peer has advertised. Receiving: each of the `advertised`
    is either `outstanding` (with the peer), `held` (by a delivered message), in a message on the way up,
    or `returnable`.
    """

    __slots__ = (
        "_half",
        "advertised",
        "available",
        "due",
        "granted",
        "held",
        "last",
        "outstanding",
        "owed",
        "returnable",
        "threshold",
    )

    def __init__(self, advertised: tuple[int, ...], granted: tuple[int, ...]) -> None:
        self.advertised = [0, *advertised]
        self.granted = [0, *granted]
        self.available = list(self.granted)
        self.outstanding = list(self.advertised)
        self.held = [0] * len(self.advertised)
        self.returnable = [0] * len(self.advertised)
        self.owed = 0  # returnable, over all VCs
        self.threshold = [max(1, min(total // 2, MAX_CCNT)) for total in self.advertised]
        self._half = 0  # bit VC: its threshold is reached
        self.last = 0  # the VC of the last return
        self.due = False  # T_CR has expired with something returnable

    def take(self, cvc: int, ccnt: int) -> ErrorCode | None:
        """Credits come back in a flit: F8, then F6 [HSL-LNK-031]."""
        if not cvc and not ccnt:
            return None
        if not cvc or not ccnt or not self.granted[cvc]:
            return ErrorCode.MALFORMED
        if self.available[cvc] + ccnt > self.granted[cvc]:
            return ErrorCode.CREDIT_OVERFLOW
        self.available[cvc] += ccnt
        return None

    def admit(self, vc: int) -> bool:
        """A message of `vc` begins: whether the peer had a credit for it. F5 [HSL-LNK-030]."""
        if not self.outstanding[vc]:
            return False
        self.outstanding[vc] -= 1
        return True

    def release(self, vc: int, count: int) -> None:
        """The buffers of `count` delivered messages are free; F3. ConfigError for more than are held."""
        if not 0 < count <= self.held[vc]:
            raise ConfigError(f"release of {count} credits of VC {vc}; {self.held[vc]} are held")
        self.held[vc] -= count
        self.returnable[vc] += count
        self.owed += count
        if self.returnable[vc] >= self.threshold[vc]:
            self._half |= 1 << vc

    def expire(self) -> None:
        """T_CR: what is returnable is due. Where nothing is, nothing is: else empty PROT had no end."""
        self.due = self.owed > 0

    def must_return(self) -> bool:
        """True if a return is due: half of a VC or a full CCNT is pending, or T_CR expired. F9 (c)."""
        return self.due or self._half != 0

    def pick(self) -> tuple[int, int]:
        """CVC and CCNT of the PROT that is being built. F9 [HSL-LNK-028]."""
        for vc in SEARCH[self.last] if self.owed else ():
            if self.returnable[vc]:
                count = min(self.returnable[vc], MAX_CCNT)
                self.returnable[vc] -= count
                self.owed -= count
                if self.returnable[vc] < self.threshold[vc]:
                    self._half &= ~(1 << vc)
                self.outstanding[vc] += count
                self.last = vc
                self.due = False
                return vc, count
        return 0, 0

    @property
    def home(self) -> bool:
        """True if the peer has returned all credits."""
        return self.available == self.granted


class Arbiter:
    """The wheel of F10: who sends the next message."""

    __slots__ = ("place",)

    def __init__(self) -> None:
        self.place = 0

    def next(self, eligible: Container[int]) -> int:
        """The VC whose turn it is of those `eligible`, 0 if none is. RSP and DAT get 2 of 3 places (P5)."""
        for vc, after in TURNS[self.place]:
            if vc in eligible:
                self.place = after
                return vc
        return 0
