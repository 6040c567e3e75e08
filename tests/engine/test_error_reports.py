"""Error log, reports, viral containment and the upper tester between nodes (HSL 6.1, 6.2, 6.5)."""

from __future__ import annotations

from functools import partial

from hsl._generated.constants import (
    Err,
    ErrMsgKind,
    ErrorCode,
    LogOp,
    MgmtType,
    Op,
    Register,
    UtOp,
)
from hsl._generated.layouts import (
    ERRDST_D0,
    LOG_ENTRY,
    MGMT_ANSWER_D0,
    MGMT_D0,
    UT_D0,
    UT_D1,
)
from hsl.agents.access import Access
from hsl.agents.io import err_msg
from hsl.codec.message import Message
from hsl.engine.error_log import ErrorLog
from tests.engine.star import CPU_HOME, CPU_IO, Star, configure, word
from tests.engine.test_protection import CORE, LINE, A, B

# ---- error log and reports


def counted(log: ErrorLog, protos: int) -> bool:
    return log.counters.get(ErrorCode.PROTO) == protos


def test_first_error_is_reported_to_the_destination() -> None:
    """The first entry of severity 2 makes one ErrMsg ERROR to ERRDST, until the log is cleared. HSL 6.5.

    [HSL-RAS-006].
    """
    star = Star()
    assert configure(star, Register.ERRDST, ERRDST_D0.build({"nid": B + 1, "on": 1})) == Err.OK
    reports = star.gpus["b"].io
    assert reports is not None
    bogus = Message(Op.CmpAck, A, CPU_HOME, 77)
    logged = 0
    for count in (1, 1, 2):
        star.gpus["a"].ports[0].send(bogus)
        star.touch(star.gpus["a"])
        logged += 1
        star.run(partial(counted, star.cpu.error_log, logged))
        star.do(CORE, Access("ncread", (1 << 40) + 33 * 4096, 8))  # behind the ErrMsg, if there is one
        assert len(reports.reports) == count
        if logged == 2:
            clear = MGMT_D0.build({"type": MgmtType.LOG, "sub": LogOp.CLEAR}).ljust(64, b"\0")
            assert star.do(A, Access("mgmt", size=64, data=clear, dst=CPU_IO)).err == Err.OK
            logged = 0
    report = reports.reports[0]
    assert (report.src, report.nid, report.code, report.severity) == (CPU_IO, CPU_IO, ErrorCode.PROTO, 2)


def test_log_entry_on_the_wire() -> None:
    """MgmtMsg LOG gives the 64 bytes of 6.5 of the asker's own port. [HSL-RAS-006]."""
    star = Star()
    bogus = Message(Op.SnpRsp, A, CPU_HOME, 5)
    star.gpus["a"].ports[0].send(bogus)
    star.touch(star.gpus["a"])
    star.run(lambda: bool(len(star.cpu.error_logs[0])))
    read = MGMT_D0.build({"type": MgmtType.LOG, "sub": LogOp.READ, "arg": 0}).ljust(64, b"\0")
    entry = LOG_ENTRY.parse(star.do(A, Access("mgmt", size=64, data=read, dst=CPU_HOME)).result())
    assert (entry.code, entry.severity, entry.flags, entry.op) == (ErrorCode.PROTO, 2, 1, Op.SnpRsp)
    assert (entry.src, entry.dst, entry.txn, entry.addr) == (A, CPU_HOME, 5, 0)
    assert entry.head[:1] == bytes([Op.SnpRsp])
    assert star.do(B, Access("mgmt", size=64, data=read, dst=CPU_IO)).result() == bytes(64)


# ---- viral


def test_own_viral_is_contained() -> None:
    """A VIRAL node's new requests end with DATA, its dirty lines come back poisoned. [HSL-RAS-005]."""
    star = Star()
    star.store(A, 0, 1)
    star.gpus["a"].go_viral("a test", star.now)
    star.gpus["a"].go_viral("again", star.now)
    star.touch(star.gpus["a"])
    star.run(lambda: star.cpu.ports[0].peer_viral)
    assert star.load(A, LINE).err == Err.DATA
    assert star.load(B, 0).poison
    assert star.gpus["a"].error_log.counters[ErrorCode.VIRAL] == 1
    status = star.do(CORE, Access("cfg_read", Register.STATUS, 8, dst=A + 1)).result()
    assert status[0] & 1


# ---- upper tester over the wire


def test_upper_tester_over_the_wire() -> None:
    """The CPU makes the device's cache store and then shows where the line is. HSL 5.14."""
    star = Star()

    def tested(sub: UtOp, data: bytes = b"") -> dict[str, int]:
        first = int.from_bytes(MGMT_D0.build({"type": MgmtType.UT, "sub": sub}), "little")
        first |= int.from_bytes(UT_D0.build({"size": 3}), "little")
        record = (word(first) + UT_D1.build({"addr": 0})).ljust(32, b"\0") + data
        ticket = star.do(CORE, Access("mgmt", size=64, data=record.ljust(64, b"\0"), dst=A + 1))
        return dict(MGMT_ANSWER_D0.parse(ticket.result()[:8]))

    assert tested(UtOp.STORE, word(9))["status"] == Err.OK
    assert tested(UtOp.PROBE)["state"] == 3  # M
    assert star.load(B, 0).result() == word(9)
    assert tested(UtOp.PROBE)["state"] == 1  # S
    assert star.gpus["a"].completions() == []


def test_reports_that_find_no_room_are_dropped() -> None:
    """A port that takes no NCR heaps up no ErrMsg, however many errors there are. HSL 6.5."""
    star = Star()
    gate = star.cpu._gates[1]
    gate.port.room = lambda lane: False  # type: ignore[method-assign]
    for _ in range(9):
        star.cpu._route(err_msg(ErrMsgKind.ERROR, CPU_IO, B + 1, CPU_IO, code=ErrorCode.PROTO))
    assert gate.kept == 0, "6.5: an ErrMsg is posted, and waits for nothing"


def test_the_loss_of_an_owner_is_in_the_log_of_its_port() -> None:
    """DATA_LOST of a node stands where its port is logged, although that is down by then. HSL 6.5."""
    star = Star()
    star.store(B, LINE, 7)
    star.kill("b")
    star.run(lambda: star.home.directory_of(LINE).dir == "I")
    lost = [ErrorCode.DATA_LOST in [entry.code for entry in log.entries] for log in star.cpu.error_logs]
    assert lost == [False, True], "6.5: one log for each port"
