"""Lines of a log that somebody else can cause: at most one a second of each kind, with a count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_KINDS", "LogLimit"]

INTERVAL_NS: Final = 1_000_000_000
MAX_KINDS: Final = 32  # kinds beyond these share one line
OTHERS: Final = "other events"


@dataclass(slots=True)
class Kind:
    """A kind of log line: the time of the next line in ns, its text, and the events that wait for it."""

    due: int
    text: str = ""
    waiting: int = 0


class LogLimit:
    """Writes the first event of a kind at once, and later ones as one line a second that counts them.

    `write` takes a line. Times are ns of the clock of the owner.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._kinds: dict[str, Kind] = {}

    def event(self, kind: str, text: str, now: int, detail: str = "") -> None:
        """Note an event at `now`; log the first of its `kind` with its `detail`."""
        if kind not in self._kinds and len(self._kinds) >= MAX_KINDS:
            kind, text, detail = OTHERS, OTHERS, ""
        found = self._kinds.get(kind)
        if found is None:
            self._kinds[kind] = Kind(now + INTERVAL_NS)
            self._write(text + detail)
            return
        found.waiting, found.text = found.waiting + 1, text
        self._tell(found, now)

    def tick(self, now: int) -> None:
        """Write the lines that are due."""
        for found in self._kinds.values():
            self._tell(found, now)

    def deadline(self) -> int | None:
        """The time of the next line, None if no event waits."""
        return min((found.due for found in self._kinds.values() if found.waiting), default=None)

    def flush(self) -> None:
        """Write what still waits: the end of the log."""
        for found in self._kinds.values():
            self._tell(found, found.due)

    def _tell(self, found: Kind, now: int) -> None:
        if found.waiting and now >= found.due:
            self._write(f"{found.text} ({found.waiting} more)")
            found.waiting, found.due = 0, now + INTERVAL_NS
