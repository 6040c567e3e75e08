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

Port = int | range  # its number, or the one range that it ever has


def overlap(one: range, other: range) -> bool:
    """True if two ranges of NIDs have one in common."""
    return one.start < other.stop and other.start < one.stop


class Peers:
    """Ranges of NIDs, one per port, each with its configuration; all others are local.

    A port has one range, that of its present or last session, and keeps its group whatever the range becomes.
    `ports`: those that have a group before they first come up.
    """

    def __init__(self, local: Negotiated = LOCAL, ports: int = 0) -> None:
        self._local = local
        self._ranges: dict[range, tuple[Port, Negotiated]] = {}
        self._groups: dict[Port, int] = {port: 1 + port for port in range(ports)}  # at most one a port

    def attach(self, nids: range, negotiated: Negotiated, port: int | None = None) -> None:
        """`nids` are reached by `port`, whose former range goes; None: a port of their own. HSL 6.3."""
        key: Port = nids if port is None else port
        self._groups.setdefault(key, 1 + len(self._groups))
        offered = negotiated._replace(atomics=negotiated.atomics & atomics.PERFORMED)
        kept = {
            known: (had, to)
            for known, (had, to) in self._ranges.items()
            if had != key and not overlap(known, nids)
        }
        self._ranges = kept | {nids: (key, offered)}

    @property
    def groups(self) -> int:
        """The number of groups: the local agents, and the nodes behind each port."""
        return 1 + len(self._groups)

    def group(self, nid: int) -> int:
        """Return the group of `nid`; 0 is local."""
        return next((self._groups[port] for nids, (port, _) in self._ranges.items() if nid in nids), 0)

    @property
    def max_txns(self) -> list[int]:
        """The numbers of TXNs that the nodes behind the ports take, each once, ascending."""
        return sorted({known.max_txn for _, known in self._ranges.values()})

    def perform(self, home: int | None, aop: int, size: int) -> bool:
        """True if the class of an atomic was negotiated with the home of its address, None if it has none."""
        known = self._local if home is None else self.of(home)
        return bool(known.atomics & atomics.atomic_class(aop, size))

    def of(self, nid: int) -> Negotiated:
        """The configuration that holds for requests of `nid`."""
        for nids, (_, known) in self._ranges.items():
            if nid in nids:
                return known
        return self._local
