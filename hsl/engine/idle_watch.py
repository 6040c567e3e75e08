"""Permission of the transaction layer for low power, once a port has been idle for a while (HSL 3.7)."""

from __future__ import annotations

from hsl._generated.constants import LinkState
from hsl.engine.gate import Gate

__all__ = ["IdleWatch"]


class IdleWatch:
    """Calls pm_idle of a port that is ACTIVE and has been idle for `idle_tu` TU; for 0 never.

    While the port stays so it is asked again after each such time: the link ignores what comes too early.
    """

    def __init__(self, gate: Gate, idle_tu: int) -> None:
        self._gate = gate
        self._idle_tu = idle_tu
        self._at: int | None = None  # when pm_idle is called, in ns; None while the port is not idle

    def observe(self, now: int) -> None:
        """Look at the port after all messages of an instant have moved."""
        port = self._gate.port
        active = self._idle_tu and port.up and any(link.state is LinkState.ACTIVE for link in port.links)
        if not active or port.result is None or not (port.idle and self._gate.idle):
            self._at = None
        elif self._at is None:
            self._at = now + self._idle_tu * port.result.tu

    def tick(self, now: int) -> None:
        """Call pm_idle if the time has come; a local request, so after the timers. HSL 3.1."""
        if self._at is not None and now >= self._at:
            self._at = None
            self._gate.port.pm_idle(now)

    def next_deadline(self) -> int | None:
        """The time at which `tick` is due, in ns; None for never."""
        return self._at
