"""What a request agent sends: the message of each request (HSL 5.3, 5.12, 5.14)."""

from __future__ import annotations

from collections.abc import Callable

from hsl._generated.constants import LINE_BYTES, Op
from hsl._generated.tables import OPCODES
from hsl.agents import atomics
from hsl.agents.access import Access, span, spread
from hsl.agents.cache import Line
from hsl.codec.message import Message

LINE_LEN = (LINE_BYTES // 8).bit_length() - 1  # LEN of 64 bytes


def _dataless(base: Message, line: Line, access: Access | None) -> Message:
    return base


def _write_back(base: Message, line: Line, access: Access | None) -> Message:
    return base._replace(data=bytes(line.data), poison=int(line.poison))


def _write_full(base: Message, line: Line, access: Access | None) -> Message:
    assert access is not None
    return base._replace(data=access.data)


def _write_ptl(base: Message, line: Line, access: Access | None) -> Message:
    assert access is not None
    where = span(access)
    return base._replace(addr=where.addr, len=where.len, be=where.be, data=spread(access, where))


def _atomic(base: Message, line: Line, access: Access | None) -> Message:
    assert access is not None
    size = access.size
    return base._replace(
        addr=access.addr,
        len=atomics.shape(access.aop, size).len,
        aop=access.aop,
        x=atomics.SIZE_CODES[size],
        data=atomics.place(size, access.addr, access.data),
    )


BODIES: dict[int, Callable[[Message, Line, Access | None], Message]] = {
    Op.WbFull: _write_back,
    Op.WriteFull: _write_full,
    Op.WritePtl: _write_ptl,
    Op.AtomicLoad: _atomic,
    Op.AtomicStore: _atomic,
}


def coherent(op: int, src: int, dst: int, txn: int, line: Line, access: Access | None) -> Message:
    """The REQ or RWD message of a request for `line`; `access` gives the data of a write or an atomic."""
    base = Message(op, src, dst, txn, LINE_LEN, line.addr)
    return BODIES.get(op, _dataless)(base, line, access)


def answer_len(op: int, access: Access | None) -> int:
    """LEN of the CmpData that a coherent request asks for. HSL 5.12."""
    if op == Op.AtomicLoad:
        assert access is not None
        return atomics.shape(access.aop, access.size).answer
    return LINE_LEN


NCR_OPS = {"ncread": Op.NcRead, "ncwrite": Op.NcWrite, "intr": Op.Intr}


def non_coherent(access: Access, src: int, txn: int) -> Message:
    """The NCR message of an access; byte enables only when not all bytes are meant."""
    op = NCR_OPS[access.kind]
    base = Message(op, src, access.dst, txn, aop=access.stream)
    if op == Op.Intr:
        return base._replace(data=access.data)
    where = span(access)
    whole = where.be == (1 << (8 << where.len)) - 1
    data = spread(access, where) if OPCODES[op].data else b""
    return base._replace(addr=where.addr, len=where.len, be=None if whole else where.be, data=data)
