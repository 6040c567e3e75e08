"""The timers of transactions of an emulator on sockets: shorter than those of the profile (HSL 5.11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hsl._generated.constants import N_REQ_LOSS, N_REQ_MEM, TIMERS
from hsl.link.timers import ladder_ns

__all__ = ["TransactionTimers"]

LONGEST_NS: Final = 5_000_000_000  # a user waits no longer for a node that does not answer
HOME_TIMERS: Final = ("T_SNP", "T_MEM", "T_CACK")
NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class TransactionTimers:
    """The timers of one node, in ns.

    Attributes:
        exponent: n of both units, TU and slow TU, of 2^n ns
        links: links of a port
        longest: longest T_SNP, T_MEM and T_CACK in ns

    """

    exponent: int
    links: int = 1
    longest: int = LONGEST_NS

    @property
    def home(self) -> dict[str, int]:
        """T_SNP, T_MEM and T_CACK."""
        return {name: min(TIMERS[name].tu << self.exponent, self.longest) for name in HOME_TIMERS}

    @property
    def transaction(self) -> int:
        """The time after which a home has ended a transaction, but for T_LOSS: T_SNP + 4 T_MEM + T_CACK."""
        home = self.home
        return home["T_SNP"] + N_REQ_MEM * home["T_MEM"] + home["T_CACK"]

    @property
    def request(self) -> int:
        """T_REQ: longer than a home and 2 T_LOSS take. HSL 5.11 [HSL-LNK-055]."""
        least = self.transaction + N_REQ_LOSS * (TIMERS["T_LOSS"].tu << self.exponent)
        return min(TIMERS["T_REQ"].tu << self.exponent, least + self.longest)

    @property
    def ladders(self) -> int:
        """The time in which the links of a port may end one after the other, and one ladder more."""
        wake = TIMERS["T_STATE"].tu << self.exponent  # an exit from L1 before each
        return (self.links + 1) * (ladder_ns(self.exponent, self.exponent) + wake)

    def __str__(self) -> str:
        each = self.home | {"T_REQ": self.request}
        text = ", ".join(f"{name} {value / NS_PER_S:.3g} s" for name, value in each.items())
        below = self.ladders - min(self.home.values())
        if below < 0:
            return f"timers: {text}"
        return f"timers: {text}; {below / NS_PER_S:.3g} s below the ladders of the links, HSL 5.11"
