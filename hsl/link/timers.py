"""Deadlines of the named timers of HSL 3.1."""

from __future__ import annotations

from typing import Final

from hsl._generated.constants import TIMERS

__all__ = ["NEVER", "TIMER_ORDER", "TimerSet"]

# Later than any clock; the largest TU exponent leaves deadlines far below it.
NEVER: Final = (1 << 63) - 1
# Link and port timers in the order in which they fire at one instant. HSL 3.1.
TIMER_ORDER: Final = tuple(
    name
    for name, timer in sorted(TIMERS.items(), key=lambda item: item[1].order)
    if timer.scope in ("link", "port")
)
_LENGTH: Final = {name: TIMERS[name].tu for name in TIMER_ORDER}


class TimerSet:
    """The running timers of one link or port. One fires at the first instant >= its start + its length."""

    __slots__ = ("running", "tu")

    def __init__(self) -> None:
        self.tu = 1  # ns
        self.running: dict[str, int] = {}

    def start(self, name: str, now: int) -> None:
        """Start `name`, or start it again."""
        self.running[name] = now + _LENGTH[name] * self.tu

    def stop(self, name: str) -> None:
        """Stop `name` if it runs."""
        self.running.pop(name, None)

    def stop_all(self) -> None:
        """Stop all."""
        self.running.clear()

    def expired(self, name: str, now: int) -> bool:
        """True if `name` fires; it is stopped then."""
        if self.running.get(name, NEVER) > now:
            return False
        del self.running[name]
        return True

    def next(self) -> int:
        """The earliest deadline, NEVER if none runs."""
        return min(self.running.values()) if self.running else NEVER
