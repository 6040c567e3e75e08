"""Limits of a run: the time units that work on a transport, and the time that a user gives it."""

from __future__ import annotations

import time

from hsl.errors import PeerLost
from hsl.transport.base import Place, Tap
from hsl.transport.faults import Arrival
from hsl.transport.time_units import TU_RANGES, check_tu

__all__ = ["TU_RANGES", "check_tu", "limited"]


def limited(tap: Tap | None, seconds: float | None) -> Tap | None:
    """Return `tap` with a limit of wall time: after it the next flit raises PeerLost."""
    if seconds is None:
        return tap
    end = time.monotonic() + seconds

    def watched(now: int, place: Place, flit: bytes, arrivals: list[Arrival] | None) -> None:
        if time.monotonic() >= end:
            raise PeerLost(f"the run did not end within the time limit of {seconds:g} s")
        if tap is not None:
            tap(now, place, flit, arrivals)

    return watched
