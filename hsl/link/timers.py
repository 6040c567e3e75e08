"""Deadlines of the named timers of HSL 3.1."""

from __future__ import annotations

from typing import Final

from hsl._generated.constants import N_RECOV, N_REPLAY, TIMERS

__all__ = ["NEVER", "TIMER_ORDER", "TimerSet", "ladder_ns"]

# Later than any clock; the largest TU exponent leaves deadlines far below it.
NEVER: Final = (1 << 63) - 1
# Link and port timers in the order in which they fire at one instant. HSL 3.1.
TIMER_ORDER: Final = tuple(
    name
    for name, timer in sorted(TIMERS.items(), key=lambda item: item[1].order)
    if timer.scope in ("link", "port")
)
_LENGTH: Final = {name: TIMERS[name].tu for name in TIMER_ORDER}
STAYS: Final = N_RECOV + 1  # in ACTIVE, of N_REPLAY + 1 replay triggers each. HSL 3.4.3
_SLOW: Final = frozenset(name for name in TIMER_ORDER if TIMERS[name].unit == "SLOW_EXP")


def ladder_ns(tu_exp: int, slow_exp: int) -> int:
    """The longest time in ns after which a link without progress is DEAD. HSL 3.4.3 [HSL-LNK-053]."""
    active = STAYS * (N_REPLAY + 1) * TIMERS["T_REPLAY"].tu
    return (active << tu_exp) + (N_RECOV * TIMERS["T_STATE"].tu << slow_exp)


class TimerSet:
    """The running timers of one link or port. One fires at the first instant >= its start + its length."""

    __slots__ = ("running", "slow", "tu")

    def __init__(self) -> None:
        self.tu = self.slow = 1  # ns
        self.running: dict[str, int] = {}

    def scale(self, tu_exp: int, slow_exp: int) -> None:
        """Set both units, 2^n ns. A timer that runs keeps its deadline. HSL 3.1 [HSL-LNK-051]."""
        self.tu, self.slow = 1 << tu_exp, 1 << slow_exp

    def start(self, name: str, now: int) -> None:
        """Start `name`, or start it again."""
        self.running[name] = now + _LENGTH[name] * (self.slow if name in _SLOW else self.tu)

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
