"""Counters of a request agent."""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["RequestCounters"]


@dataclass(slots=True)
class RequestCounters:
    """Counters of an agent. A hit is a coherent access that ended at once, a miss one that had to wait."""

    hits: int = 0
    misses: int = 0
    fills: int = 0
    handed: int = 0  # fills with a dirty line: CmpData(M)
    evictions: int = 0  # Evict and WbFull that made room
    writebacks: int = 0  # WbFull, whatever for
    retries: int = 0  # accesses that will be presented again, since their home was BUSY
    snoops: int = 0
    snoop_data: int = 0  # snoops answered with data
    near_atomics: int = 0
    odd: int = 0  # snoops of lines not held (T11)
    proto: int = 0
    fenced: int = 0  # messages of lost homes, dropped
    unlogged: int = 0  # errors beyond what the log holds between two drains

    def as_dict(self) -> dict[str, int]:
        """The counters by name."""
        return asdict(self)
