"""The result of negotiation of each port, which the requests that arrive by it are checked against."""

from __future__ import annotations

from typing import Final

from hsl._generated.constants import ADDRESS_BITS, MAX_TXN, Feature
from hsl.agents import atomics
from hsl.codec.checks import Negotiated

__all__ = ["FEATURES", "LOCAL", "Peers", "overlap"]

FEATURES: Final = (
    Feature.ATS | Feature.PRI | Feature.NcEnq | Feature.Viral | Feature.Recall | Feature.HandOver | Feature.UT
)
# What an agent of the same node may use: all that the agents here perform.
LOCAL = Negotiated(atomics.PERFORMED, FEATURES, MAX_TXN, ADDRESS_BITS)


def overlap(one: range, other: range) -> bool:
    """True if two ranges of NIDs have one in common."""
    return one.start < other.stop and other.start < one.stop


class Peers:
    """Ranges of NIDs, one per port, each with its configuration; all others are local."""

    def __init__(self, local: Negotiated = LOCAL) -> None:
        self._local = local
        self._ranges: dict[range, Negotiated] = {}

    def attach(self, nids: range, negotiated: Negotiated) -> None:
        """`nids` are reached by a port with this configuration; a range that overlaps goes."""
        offered = negotiated._replace(atomics=negotiated.atomics & atomics.PERFORMED)
        kept = {known: had for known, had in self._ranges.items() if not overlap(known, nids)}
        self._ranges = kept | {nids: offered}

    @property
    def groups(self) -> int:
        """The number of groups: the local agents, and the nodes behind each port."""
        return 1 + len(self._ranges)

    def group(self, nid: int) -> int:
        """Return the group of `nid`; 0 is local."""
        return next((1 + index for index, nids in enumerate(self._ranges) if nid in nids), 0)

    def of(self, nid: int) -> Negotiated:
        """The configuration that holds for requests of `nid`."""
        for nids, known in self._ranges.items():
            if nid in nids:
                return known
        return self._local
