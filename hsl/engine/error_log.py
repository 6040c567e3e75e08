"""The error log of a port: the last errors, and how often each came (HSL 6.5)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from hsl._generated.constants import ERROR_LOG_ENTRIES, ErrorCode, Severity
from hsl._generated.tables import ERROR_SEVERITY
from hsl.codec.message import Message

__all__ = ["ErrorLog", "LogEntry"]

COUNTER_MAX: Final = (1 << 32) - 1  # counters are u32 and stay there (6.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One error.

    `time` in ns; `first`: the first of its code since the log was cleared; `message` or `data` (the first
    bytes of a flit) is what it was about; `text` is for people.
    """

    time: int
    code: ErrorCode
    severity: Severity
    link: int
    first: bool
    text: str
    message: Message | None = None
    data: bytes = b""


class ErrorLog:
    """A ring of ERROR_LOG_ENTRIES entries, the oldest is overwritten, and a saturating counter per code."""

    def __init__(self) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=ERROR_LOG_ENTRIES)
        self.counters: dict[ErrorCode, int] = {}

    def __len__(self) -> int:
        """Entries held."""
        return len(self._entries)

    @property
    def entries(self) -> list[LogEntry]:
        """The entries, oldest first."""
        return list(self._entries)

    def add(
        self,
        now: int,
        code: ErrorCode,
        text: str,
        *,
        link: int = 0,
        message: Message | None = None,
        data: bytes = b"",
    ) -> LogEntry:
        """Log an error at `now` (ns). HSL 6.5 [HSL-RAS-006]."""
        seen = self.counters.get(code, 0)
        self.counters[code] = min(seen + 1, COUNTER_MAX)
        severity = Severity(ERROR_SEVERITY[code])
        entry = LogEntry(
            time=now,
            code=code,
            severity=severity,
            link=link,
            first=not seen,
            text=text,
            message=message,
            data=data,
        )
        self._entries.append(entry)
        return entry

    def clear(self) -> None:
        """Forget entries, first flags and counters (MgmtMsg LOG clear, 5.14)."""
        self._entries.clear()
        self.counters.clear()
