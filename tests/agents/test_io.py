"""The I/O agent: MMIO, interrupts and registers on NCR (HSL 5.10, 5.14)."""

from __future__ import annotations

from typing import Any

import pytest

from hsl._generated.constants import (
    MAGIC,
    VERSION,
    Err,
    ErrorCode,
    Op,
    Register,
    Right,
    Role,
    SamType,
    Vc,
)
from hsl._generated.layouts import SAM_BASE
from hsl._generated.tables import OPCODES
from hsl.agents.address_map import AddressMap, SamEntry, encode_entry
from hsl.agents.home_actions import ERRORS_LIMIT
from hsl.agents.identity import Identity
from hsl.agents.io import MMIO_LIMIT, Doorbell, Interrupt, IoAgent, IoConfig
from hsl.agents.iommu import Iommu
from hsl.agents.services import Alone
from hsl.codec.checks import Negotiated
from hsl.codec.message import Message
from hsl.errors import ConfigError

NID, A, B = 1, 2, 3
PAGE = 4096
MMIO = 1 << 40
MAP = AddressMap(
    [
        SamEntry(MMIO, MMIO + PAGE - 1, SamType.MMIO, home=NID),
        SamEntry(MMIO + PAGE, MMIO + 2 * PAGE - 1, SamType.MMIO, home=NID + 9),
        SamEntry(MMIO + 2 * PAGE, MMIO + 3 * PAGE - 1, SamType.MMIO, home=NID, rights=Right.R),
        SamEntry(0, PAGE - 1, home=0),
    ]
)
EIGHT = b"12345678"
INTR = bytes([5, 0, 0, 0, 6, 0, 0, 0])  # vector 5, data 6


class Rig:
    """An I/O agent, and requests with TXNs that count up."""

    def __init__(self, **config: Any) -> None:
        values: dict[str, Any] = {"nid": NID, "address_map": MAP}
        services = config.pop("services", None)
        vectors = config.get("vectors", 32)
        identity = Identity(guid=0x1122, roles=Role.HA | Role.IOA, vectors=vectors)
        self.io = IoAgent(IoConfig(**(values | config)), services, identity=identity)
        self.txn = 0

    def send(self, op: int, src: int = A, *, viral: bool = False, **fields: Any) -> list[Message]:
        """One message, and what comes back."""
        self.txn += 1
        if op in (Op.NcRead, Op.NcWrite):
            fields = {"addr": MMIO} | fields
        if op in (Op.NcWrite, Op.Intr, Op.CfgWrite):
            fields = {"data": INTR if op == Op.Intr else EIGHT} | fields
        self.io.receive(Message(op, src=src, **({"dst": NID, "txn": self.txn} | fields)), 0, viral)
        return self.sent()

    def sent(self) -> list[Message]:
        """What came back since the last look."""
        out = list(self.io.outbox)
        self.io.outbox.clear()
        return out

    def err(self, op: int, **fields: Any) -> str:
        """The ERR of the one completion."""
        (done,) = self.send(op, **fields)
        assert (done.src, done.dst, done.txn) == (fields.get("dst", NID), A, fields.get("txn", self.txn))
        return Err(done.err).name


def test_write_and_read_back() -> None:
    """NcWrite writes the enabled bytes, NcRead gives them, 0 where BE is 0. HSL 5.10, 5.14."""
    rig = Rig()
    assert rig.err(Op.NcWrite, addr=MMIO + 16, len=1, data=bytes(range(16)), be=0xF00F) == "OK"
    (done,) = rig.send(Op.NcRead, addr=MMIO + 16, len=1)
    assert (done.op, done.len, done.data) == (Op.CmpData, 1, b"\0\1\2\3" + bytes(8) + b"\x0c\x0d\x0e\x0f")
    (done,) = rig.send(Op.NcRead, addr=MMIO + 24, be=0xC0)
    assert done.data == bytes(6) + b"\x0e\x0f"
    assert rig.io.peek(MMIO + 28, 4) == b"\x0c\x0d\x0e\x0f"
    assert not rig.io.has_doorbell()  # 16 bytes do not ring


def test_register_written_by_the_device() -> None:
    """The device's own writes are read by NcRead and ring nothing."""
    rig = Rig()
    rig.io.write_register(MMIO + 8, 7)
    assert rig.send(Op.NcRead, addr=MMIO + 8)[0].data == (7).to_bytes(8, "little")
    assert not rig.io.has_doorbell()
    for call in (lambda: rig.io.write_register(MMIO - 8, 0), lambda: rig.io.peek(MMIO + PAGE - 4, 8)):
        with pytest.raises(ConfigError, match="MMIO"):
            call()


def test_doorbells_and_interrupts_come_in_order() -> None:
    """An NcWrite of 8 whole bytes is a doorbell, an Intr an interrupt; both in order, once.

    HSL 5.10 [HSL-NCR-001].
    """
    rig = Rig()
    rig.send(Op.NcWrite, addr=MMIO + 8)
    rig.send(Op.NcWrite, B, addr=MMIO, be=0xFF)
    rig.send(Op.NcWrite, addr=MMIO, be=0x7F)
    rig.send(Op.Intr)
    assert rig.io.has_doorbell()
    assert rig.io.has_interrupt()
    assert rig.io.doorbells() == [Doorbell(MMIO + 8, EIGHT, A), Doorbell(MMIO, EIGHT, B)]
    assert rig.io.interrupts() == [Interrupt(5, 6, A)]
    assert rig.io.doorbells() == []
    assert rig.io.interrupts() == []


def test_full_queues_complete_later_and_stop_only_their_stream() -> None:
    """A full queue completes nothing until the device takes from it; its stream waits in order, others go on.

    HSL 3.6 O4, 5.14.
    """
    rig = Rig(doorbells=1)
    assert len(rig.send(Op.NcWrite, aop=4)) == 1
    assert rig.send(Op.NcWrite, aop=4, addr=MMIO + 8) == []
    assert rig.send(Op.NcRead, aop=4) == []  # behind the doorbell of its stream
    assert len(rig.send(Op.NcWrite, aop=5, len=1, data=bytes(16))) == 1
    assert rig.send(Op.NcWrite, aop=5) == []
    assert len(rig.send(Op.NcRead, B, aop=4)) == 1
    assert len(rig.io.taken) == 3
    assert not rig.io.idle
    assert [bell.addr for bell in rig.io.doorbells()] == [MMIO]
    assert len(rig.sent()) == 2
    assert [bell.addr for bell in rig.io.doorbells()] == [MMIO + 8]
    assert len(rig.sent()) == 1
    assert len(rig.io.doorbells()) == 1
    assert rig.io.idle


def test_what_waits_is_dropped_with_its_node() -> None:
    """The buffers of a node that is lost are free, and its doorbells do not ring."""
    rig = Rig(doorbells=1)
    for src in (A, A, B):
        rig.send(Op.NcWrite, src)
    rig.io.lost(A)
    assert [m.src for m in rig.io.taken] == [A, A]
    assert [bell.src for bell in rig.io.doorbells() + rig.io.doorbells()] == [A, B]


def test_errors_are_capped() -> None:
    """A flood of errors keeps the newest ERRORS_LIMIT."""
    rig = Rig()
    for _ in range(ERRORS_LIMIT + 1):
        rig.send(Op.NcRead, txn=4096)
    assert len(rig.io.errors) == ERRORS_LIMIT


def test_mmio_is_capped() -> None:
    """More MMIO than MMIO_LIMIT is refused with the limit."""
    IoAgent(IoConfig(nid=1, address_map=AddressMap([SamEntry(0, MMIO_LIMIT - 1, SamType.MMIO, home=1)])))
    with pytest.raises(ConfigError, match=str(MMIO_LIMIT)):
        Rig(address_map=AddressMap([SamEntry(0, MMIO_LIMIT + PAGE - 1, SamType.MMIO, home=NID)]))


@pytest.mark.parametrize(
    ("op", "fields", "err"),
    [
        (0xFF, {}, "UNSUP"),
        (Op.MgmtMsg, {"len": 3, "data": bytes(64)}, "UNSUP"),
        (Op.MgmtMsg, {"len": 2, "data": bytes(32)}, "PROTO"),
        (Op.NcEnq, {"len": 3, "data": bytes(64), "addr": MMIO}, "DECODE"),
        (Op.TransReq, {"len": 1}, "UNSUP"),
        (Op.NcRead, {"addr": MMIO + 3 * PAGE, "len": 0}, "DECODE"),
        (Op.NcRead, {"addr": MMIO + PAGE}, "DECODE"),
        (Op.NcRead, {"addr": 0}, "DECODE"),
        (Op.NcWrite, {"dst": 7, "addr": MMIO}, "DECODE"),
        (Op.NcRead, {"addr": MMIO + 3 * PAGE + 4}, "DECODE"),  # before its alignment
        (Op.NcRead, {"addr": MMIO + 4}, "PROTO"),
        (Op.NcRead, {"addr": MMIO + 8, "len": 1}, "PROTO"),
        (Op.NcWrite, {"be": 0x100}, "PROTO"),
        (Op.Intr, {"len": 1, "data": bytes(16)}, "PROTO"),
        (Op.Intr, {"data": bytes([0, 1]) + bytes(6)}, "DECODE"),  # vector 256
        (Op.NcRead, {"addr": MMIO + 2 * PAGE}, "ACCESS"),
        (Op.NcWrite, {"poison": 1}, "DATA"),
        (Op.Intr, {"poison": 1}, "DATA"),
        (Op.CfgRead, {"addr": Register.FENCE}, "DECODE"),  # without a home
        (Op.CfgRead, {"addr": Register.DRAIN}, "DECODE"),  # reserved
        (Op.CfgRead, {"addr": 0x48, "len": 1}, "DECODE"),  # CFGMASTER and none
        (Op.CfgRead, {"addr": 0x2400}, "DECODE"),
        (Op.CfgRead, {"addr": 0, "len": 3}, "PROTO"),
    ],
)
def test_refused_requests(op: int, fields: dict[str, Any], err: str) -> None:
    """The first check of 5.14 that fails gives the ERR, and nothing happens. [HSL-NCR-003]."""
    rig = Rig()
    assert rig.err(op, **fields) == err
    assert rig.io.doorbells() == []
    assert rig.io.interrupts() == []
    assert len(rig.io.taken) == 1


@pytest.mark.parametrize("op", [op for op in OPCODES if op >> 5 == Vc.NCR and OPCODES[op].data])
def test_poisoned_data_are_used_for_nothing(op: int) -> None:
    """Each NCR whose data are poisoned ends with DATA and does nothing; an ErrMsg is dropped. HSL 5.14, 6.1.

    [HSL-RAS-001].
    """
    iommu = Iommu()
    rig = Rig(queues={MMIO: 1}, iommu=iommu)
    size = OPCODES[op].len[0]
    fields: dict[str, Any] = {"len": size, "data": b"\1\0\0\0" * (2 << size), "poison": 1}
    fields["addr"] = {Op.CfgWrite: Register.ERRDST, Op.NcWrite: MMIO, Op.NcEnq: MMIO}.get(Op(op), 0)
    done = rig.send(op, **fields)
    assert [Err(message.err).name for message in done] == ([] if op == Op.ErrMsg else ["DATA"])
    assert not any((rig.io.doorbells(), rig.io.interrupts(), rig.io.reports, rig.io.commands(MMIO)))
    assert not iommu.page_requests()
    assert rig.io.registers.error_destination is None
    assert len(rig.io.taken) == 1


def test_one_port_takes_half_of_the_page_requests() -> None:
    """A port that asks for page after page finds BUSY when half of the queue is its own; others do not."""
    services = Alone()
    services.together = lambda one, other: one == other  # type: ignore[method-assign]
    rig = Rig(services=services, iommu=Iommu(4))
    page: dict[str, Any] = {"len": 0, "data": bytes(8)}
    ends = [Err(rig.send(Op.PageReq, src, **page)[0].err).name for src in (A, A, A, B, B, B)]
    assert ends == ["OK", "OK", "BUSY", "OK", "OK", "BUSY"]


@pytest.mark.parametrize("op", [Op.TransReq, Op.PageReq, Op.NcEnq, Op.TransInv, Op.PageRsp])
def test_features_that_were_not_negotiated(op: Op) -> None:
    """ATS, PRI and NcEnq end with UNSUP before anything else is looked at. HSL 5.14."""
    rig = Rig(queues={MMIO: 1}, iommu=Iommu())
    rig.io.attach(range(A, A + 1), Negotiated(0, 0, 4096, 52))
    data = bytes(64 if op == Op.NcEnq else 0 if op == Op.TransReq else 8)
    assert rig.err(op, len=OPCODES[op].len[0], data=data, addr=1 << 50) == "UNSUP"


@pytest.mark.parametrize(
    ("fields", "err"),
    [
        ({"addr": MMIO + 9 * PAGE + 4, "be": 0x100}, "DECODE"),
        ({"addr": MMIO + 2 * PAGE + 4}, "PROTO"),
        ({"addr": MMIO + 2 * PAGE, "be": 0x100}, "PROTO"),
        ({"addr": MMIO + 2 * PAGE, "poison": 1}, "ACCESS"),
        ({"addr": MMIO, "poison": 1, "txn": 3}, "DATA"),
    ],
)
def test_the_first_check_that_applies(fields: dict[str, Any], err: str) -> None:
    """Address, form, right N, VIRAL, TXN: each goes before the next, from a VIRAL port too. HSL 5.14."""
    rig = Rig(doorbells=1)
    rig.send(Op.NcWrite)
    rig.send(Op.NcWrite, txn=3)  # waits, so its TXN is in use
    rig.sent()
    (done,) = rig.send(Op.NcWrite, viral=True, **fields)
    assert Err(done.err).name == err


def test_viral_port() -> None:
    """From a VIRAL port writes end with DATA, reads and interrupts go on. HSL 6.1 [HSL-RAS-005]."""
    rig = Rig()
    assert rig.err(Op.NcWrite, viral=True) == "DATA"
    assert rig.err(Op.CfgWrite, viral=True) == "DATA"
    assert rig.err(Op.NcRead, viral=True) == "OK"
    assert rig.err(Op.Intr, viral=True) == "OK"


def test_txn_in_use_or_too_large_is_dropped() -> None:
    """A TXN that waits or is above the negotiated number: dropped with PROTO, no completion. HSL 5.4 T15."""
    rig = Rig(doorbells=1)
    rig.io.attach(range(B, B + 1), Negotiated(0, 0, 8, 52))
    rig.send(Op.NcWrite)
    rig.send(Op.NcWrite, txn=3)
    assert rig.send(Op.NcRead, txn=3) == []
    assert rig.send(Op.NcRead, B, txn=8) == []
    assert [code for code, _, _ in rig.io.errors] == [ErrorCode.PROTO] * 2
    assert len(rig.send(Op.NcRead, B, txn=3)) == 1


def test_err_msg_is_posted() -> None:
    """An ErrMsg has no completion, good or bad; it is counted and its buffer is free.

    HSL 5.14 [HSL-TXN-001].
    """
    rig = Rig()
    for data in (bytes(16), b"\x01" * 16, b"\xff" * 16):
        assert rig.send(Op.ErrMsg, len=1, data=data) == []
    assert rig.io.counters["ErrMsg"] == 3
    assert len(rig.io.taken) == 3


def test_configuration_registers() -> None:
    """ID, GUID, STATUS and the address map can be read; a write to a read-only register changes nothing.

    HSL 5.14.
    """
    services = Alone()
    services.status = lambda: 4  # type: ignore[method-assign]
    rig = Rig(services=services)
    (done,) = rig.send(Op.CfgRead, addr=Register.ID, dst=77)
    assert done.data == MAGIC + bytes([*VERSION, Role.HA | Role.IOA, 0])
    assert done.src == 77
    (done,) = rig.send(Op.CfgRead, addr=Register.ID, len=1)
    assert done.data[8:] == (0x1122).to_bytes(8, "little")
    assert rig.err(Op.CfgWrite, addr=Register.ID) == "OK"
    assert rig.send(Op.CfgRead, addr=Register.STATUS)[0].data == (4).to_bytes(8, "little")
    for index in (1, 60):
        (done,) = rig.send(Op.CfgRead, addr=SAM_BASE + 32 * index, len=2)
        assert done.data == encode_entry(MAP.entries[index] if index == 1 else None)


def test_completion_copies_qos_and_trace() -> None:
    """QOS and TRACE of the request are in the completion. HSL 2.6."""
    (done,) = Rig().send(Op.NcRead, qos=3, trace=1)
    assert (done.qos, done.trace) == (3, 1)
