"""What was negotiated with whom: requests are checked against the configuration of the port they came by."""

from __future__ import annotations

from hsl._generated.constants import ADDRESS_BITS, MAX_NID, MAX_TXN
from hsl.agents import atomics
from hsl.codec.checks import Negotiated

__all__ = ["LOCAL", "Peers"]

# What an agent of the same node may use: all that the agents here perform.
LOCAL = Negotiated(atomics.PERFORMED, 0, MAX_TXN, ADDRESS_BITS)


class Peers:
    """Ranges of NIDs, one per port (so at most MAX_NID + 1), each with its configuration; all others are local."""

    def __init__(self, local: Negotiated = LOCAL) -> None:
        self._local = local
        self._ranges: dict[range, Negotiated] = {}

    def attach(self, nids: range, negotiated: Negotiated) -> None:
        """`nids` are reached by a port with this configuration. ConfigError is the link's: it refuses overlaps."""
        assert len(self._ranges) <= MAX_NID
        offered = negotiated._replace(atomics=negotiated.atomics & atomics.PERFORMED)
        self._ranges = {known: had for known, had in self._ranges.items() if known != nids} | {nids: offered}

    def of(self, nid: int) -> Negotiated:
        """The configuration that holds for requests of `nid`."""
        return next((known for nids, known in self._ranges.items() if nid in nids), self._local)
