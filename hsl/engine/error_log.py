"""The error log of a port: the last errors, and how often each came (HSL 6.5)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hsl._generated.constants import ERROR_LOG_ENTRIES, ErrorCode, Severity
from hsl._generated.layouts import LOG_ENTRY
from hsl._generated.tables import ERROR_SEVERITY, VC_HEADER
from hsl.codec.message import Message
from hsl.codec.reference import encode_message
from hsl.errors import CodecError

__all__ = ["ErrorLog", "LogEntry"]

HEAD_BYTES: Final = 32  # of the message or flit, in an entry (6.5)
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

    @property
    def addr(self) -> int:
        """ADDR of its message, else 0."""
        return 0 if self.message is None else self.message.addr

    def encode(self) -> bytes:
        """The 64 bytes of 6.5 [HSL-RAS-006]."""
        message = self.message or Message(0)
        fields = {
            "time": self.time,
            "code": self.code,
            "severity": self.severity,
            "link": self.link,
            "flags": int(self.first),
            "op": message.op,
            "src": message.src,
            "dst": message.dst,
            "txn": message.txn,
            "zero": 0,
            "addr": message.addr,
            "head": self._head()[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0"),
        }
        return bytes(LOG_ENTRY.build(fields))

    def _head(self) -> bytes:
        if self.message is None or self.message.op >> 5 not in VC_HEADER:
            return self.data
        try:
            return encode_message(self.message)
        except CodecError:  # what a peer may send is wider than what we may send
            return b""


class ErrorLog:
    """A ring of ERROR_LOG_ENTRIES entries, the oldest is overwritten, and a saturating counter per code."""

    def __init__(self) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=ERROR_LOG_ENTRIES)
        self.counters: dict[ErrorCode, int] = {}
        # Told the first entry of severity 2 or more since the log was cleared: ErrMsg ERROR (6.5).
        self.report: Callable[[LogEntry], None] = lambda entry: None
        self._reported = False

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
        if severity >= Severity.non_fatal and not self._reported:
            self._reported = True
            self.report(entry)
        return entry

    def clear(self) -> None:
        """Forget entries, first flags and counters (MgmtMsg LOG clear, 5.14)."""
        self._entries.clear()
        self.counters.clear()
        self._reported = False
