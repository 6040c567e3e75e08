"""The records of MgmtMsg: error log, counters, lost contents; the upper tester is a module (HSL 5.14)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hsl._generated.constants import ADDRESS_BITS, ERROR_LOG_ENTRIES, Err, LogOp, MgmtType, Op
from hsl._generated.layouts import MGMT_ANSWER_BYTES, MGMT_ANSWER_D0, MGMT_D0
from hsl.agents.services import Later, Services
from hsl.agents.upper_tester import UpperTester
from hsl.codec.message import Message

__all__ = ["COUNTERS_READ", "Management"]

COUNTERS_READ = 16  # counters in one answer (5.14)
COUNTER_BYTES = 4
LEN_RECORD = 3

Answer = Message | Later


def refused(err: Err) -> Message:
    """The completion of a record that is not served."""
    return Message(Op.Cmp, err=err)


def raw(record: bytes) -> Message:
    """A completion with a whole record."""
    return Message(Op.CmpData, len=LEN_RECORD, data=record.ljust(MGMT_ANSWER_BYTES, b"\0"))


def answer(request: bytes, body: bytes = b"", **fields: int) -> Message:
    """A completion whose D0 copies TYPE, SUB and ID; `body` are the bytes from D4 on."""
    head = MGMT_D0.parse(request[:8])
    del head["arg"]
    return raw((MGMT_ANSWER_D0.build(head | fields)).ljust(32, b"\0") + body)


class Management:
    """Serves the MgmtMsg of one node."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.upper_tester = UpperTester(services)
        self._types: Mapping[int, Callable[[Message, int, int, int], Answer]] = {
            MgmtType.LOG: self._log,
            MgmtType.COUNTERS: self._counters,
            MgmtType.CONTENT_LOST: self._content_lost,
        }

    def serve(self, message: Message, upper_tester: bool, now: int) -> Answer:
        """One record; `upper_tester`: the feature was negotiated."""
        head = MGMT_D0.parse(message.data[:8])
        if head["type"] == MgmtType.UT and upper_tester:
            return self.upper_tester.begin(message, now)
        handler = self._types.get(head["type"])
        return refused(Err.UNSUP) if handler is None else handler(message, head["sub"], head["arg"], now)

    def _log(self, message: Message, sub: int, arg: int, now: int) -> Answer:
        if sub == LogOp.CLEAR:
            self._services.clear_log(message.src)
            return answer(message.data)
        if sub != LogOp.READ:
            return refused(Err.UNSUP)
        if arg >= ERROR_LOG_ENTRIES:
            return refused(Err.PROTO)
        return raw(self._services.log_entry(message.src, arg))

    def _counters(self, message: Message, sub: int, arg: int, now: int) -> Answer:
        if sub:
            return refused(Err.UNSUP)
        if arg >= 1 << 16:  # a code has 16 bits (6.5)
            return refused(Err.PROTO)
        codes = range(arg, arg + COUNTERS_READ)
        counts = (self._services.counter(message.src, code) for code in codes)
        return raw(b"".join(count.to_bytes(COUNTER_BYTES, "little") for count in counts))

    def _content_lost(self, message: Message, sub: int, arg: int, now: int) -> Answer:
        if sub:
            return refused(Err.UNSUP)
        first, last = (int.from_bytes(message.data[at : at + 8], "little") for at in (8, 16))
        if not first <= last < 1 << ADDRESS_BITS:
            return refused(Err.PROTO)
        err = self._services.content_lost(message.src, first, last, now)
        return refused(err) if err == Err.UNSUP else answer(message.data, status=err)
