"""The error log of a port (HSL 6.5)."""

from __future__ import annotations

from hsl._generated.constants import ERROR_LOG_ENTRIES, ErrorCode, Op, Severity
from hsl.codec.message import Message
from hsl.engine import error_log
from hsl.engine.error_log import ErrorLog


def test_entry_tells_all() -> None:
    """Time, code, severity, link, first flag, text and what it was about are in the entry. [HSL-RAS-006]."""
    log = ErrorLog()
    message = Message(Op.CmpAck, 2, 3, 4)
    entry = log.add(123, ErrorCode.PROTO, "why", link=1, message=message, data=b"x")
    assert log.entries == [entry]
    assert (entry.time, entry.code, entry.severity, entry.link) == (
        123,
        ErrorCode.PROTO,
        Severity.non_fatal,
        1,
    )
    assert (entry.first, entry.text, entry.message, entry.data) == (True, "why", message, b"x")


def test_ring_keeps_the_newest() -> None:
    """The ring holds ERROR_LOG_ENTRIES; the oldest is overwritten, its count stays."""
    log = ErrorLog()
    for i in range(ERROR_LOG_ENTRIES + 3):
        log.add(i, ErrorCode.CRC, "")
    assert len(log) == ERROR_LOG_ENTRIES
    assert [log.entries[0].time, log.entries[-1].time] == [3, ERROR_LOG_ENTRIES + 2]
    assert log.counters[ErrorCode.CRC] == ERROR_LOG_ENTRIES + 3


def test_first_flag_is_per_code_until_cleared() -> None:
    """Only the first entry of a code has the flag; `clear` starts again."""
    log = ErrorLog()
    codes = [ErrorCode.CRC, ErrorCode.CRC, ErrorCode.PROTO, ErrorCode.CRC]
    assert [log.add(0, code, "").first for code in codes] == [True, False, True, False]
    log.clear()
    assert (len(log), log.counters) == (0, {})
    assert log.add(0, ErrorCode.CRC, "").first


def test_counters_saturate() -> None:
    """A counter stays at its 32-bit maximum."""
    log = ErrorLog()
    log.counters[ErrorCode.CRC] = error_log.COUNTER_MAX - 1
    for _ in range(3):
        log.add(0, ErrorCode.CRC, "")
    assert log.counters[ErrorCode.CRC] == (1 << 32) - 1
