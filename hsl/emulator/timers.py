"""The timers of transactions of an emulator on sockets: shorter than those of the profile (HSL 5.11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hsl._generated.constants import N_REQ_LOSS, N_REQ_MEM, TIMERS
from hsl.errors import ConfigError
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
        longest: longest T_SNP, T_MEM and T_CACK in ns, where `given` has no other
        given: T_SNP, T_MEM, T_CACK and T_REQ in ns, those that a user has chosen

    ConfigError for a T_REQ that is not longer than HSL 5.11 demands.

    """

    exponent: int
    links: int = 1
    longest: int = LONGEST_NS
    given: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.request <= self.least_request:
            raise ConfigError(
                f"T_REQ is {self.request / NS_PER_S:.3g} s; expected more than T_SNP + {N_REQ_MEM} T_MEM + "
                f"T_CACK + {N_REQ_LOSS} T_LOSS = {self.least_request / NS_PER_S:.3g} s "
                "(HSL 5.11 [HSL-LNK-055])"
            )

    @property
    def home(self) -> dict[str, int]:
        """T_SNP, T_MEM and T_CACK."""
        usual = {name: min(TIMERS[name].tu << self.exponent, self.longest) for name in HOME_TIMERS}
        return {name: self.given.get(name, ns) for name, ns in usual.items()}

    @property
    def least_request(self) -> int:
        """The time that T_REQ must exceed. HSL 5.11 [HSL-LNK-055]."""
        return self.transaction + N_REQ_LOSS * (TIMERS["T_LOSS"].tu << self.exponent)

    @property
    def transaction(self) -> int:
        """The time after which a home has ended a transaction, but for T_LOSS: T_SNP + 4 T_MEM + T_CACK."""
        home = self.home
        return home["T_SNP"] + N_REQ_MEM * home["T_MEM"] + home["T_CACK"]

    @property
    def request(self) -> int:
        """T_REQ: longer than a home and 2 T_LOSS take. HSL 5.11 [HSL-LNK-055]."""
        usual = min(TIMERS["T_REQ"].tu << self.exponent, self.least_request + self.longest)
        if self.given:  # the bound may have grown beyond the T_REQ of the profile
            usual = self.least_request + self.longest
        return self.given.get("T_REQ", usual)

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
