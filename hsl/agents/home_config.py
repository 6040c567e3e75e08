"""The parts and the limits of a home."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hsl._generated.constants import MAX_TXN
from hsl.agents.address_map import AddressMap
from hsl.agents.entries import DIRECTORY_LINES
from hsl.agents.memory_leg import LOST_LIMIT
from hsl.agents.peers import LOCAL
from hsl.codec.checks import Negotiated
from hsl.errors import ConfigError

__all__ = ["HomeConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeConfig:
    """A home: it answers for ranges of memory and keeps their directory. HSL 5.6.

    Attributes:
        nid: its node identifier; the entries of `address_map` with this home are its ranges
        address_map: the AddressMap of its node
        tshrs: lines that can have a transaction at a time
        directory_lines: lines that can have holders at a time (HSL 5.2 D10)
        lost_lines: lines of memory targets that can be marked lost, at least 64 (HSL 5.6.3)
        tu: the time unit in ns
        timers: "T_SNP", "T_MEM", "T_CACK" in ns, where they are not those of the profile in units of `tu`
        negotiated: what holds for requests from its own node

    A Node raises ConfigError for `tshrs`, `directory_lines` or `lost_lines` outside its range, and for a
    range of the home outside its Memory.

    """

    nid: int
    address_map: AddressMap
    tshrs: int = 64
    directory_lines: int = DIRECTORY_LINES
    lost_lines: int = LOST_LIMIT
    tu: int = 64
    timers: Mapping[str, int] = field(default_factory=dict)
    negotiated: Negotiated = LOCAL

    def check(self) -> None:
        """Raise ConfigError for `tshrs` or `directory_lines` outside its range."""
        if not 0 < self.tshrs <= MAX_TXN:
            raise ConfigError(f"home {self.nid}: {self.tshrs} TSHRs; expected 1..{MAX_TXN}")
        if self.directory_lines < 1:
            raise ConfigError(f"home {self.nid}: {self.directory_lines} directory lines; expected 1 or more")
