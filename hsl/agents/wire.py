"""The messages that a request agent sends (HSL 5.3, 5.12, 5.14)."""

from __future__ import annotations

from collections.abc import Callable

from hsl._generated.constants import LINE_BYTES, Op, St
from hsl._generated.tables import OPCODES
from hsl.agents import atomics
from hsl.agents.access import Access, span, spread
from hsl.agents.cache import Line
from hsl.codec.checks import data_bytes
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


def _read_once(base: Message, line: Line, access: Access | None) -> Message:
    assert access is not None
    code = snapshot_len(access)
    return base._replace(addr=access.addr - access.addr % data_bytes(code), len=code)


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
    Op.ReadOnce: _read_once,
    Op.WbFull: _write_back,
    Op.WriteFull: _write_full,
    Op.WritePtl: _write_ptl,
    Op.AtomicLoad: _atomic,
    Op.AtomicStore: _atomic,
}


def coherent(op: int, src: int, dst: int, txn: int, line: Line, access: Access | None) -> Message:
    """The REQ or RWD message of a request for `line`; `access` gives the data of a write or an atomic."""
    base = Message(op, src, dst, txn, LINE_LEN, line.addr, dom=access.dom if access else 0)
    return BODIES.get(op, _dataless)(base, line, access)


def snapshot_len(access: Access) -> int:
    """The least LEN of a ReadOnce whose aligned bytes have those of the access. HSL 5.12."""
    lengths = OPCODES[Op.ReadOnce].len
    return next(n for n in lengths if access.addr % data_bytes(n) + access.size <= data_bytes(n))


def answer_len(op: int, access: Access | None) -> int:
    """LEN of the CmpData that a coherent request asks for. HSL 5.12."""
    if op == Op.AtomicLoad:
        assert access is not None
        return atomics.shape(access.aop, access.size).answer
    if op == Op.ReadOnce:
        assert access is not None
        return snapshot_len(access)
    return LINE_LEN


def snoop_answer(snoop: Message, src: int, st: St) -> Message:
    """The SnpRsp of a snoop, without data. HSL 2.6."""
    return Message(Op.SnpRsp, src, snoop.src, snoop.txn, st=st, qos=snoop.qos, trace=snoop.trace)


NCR_OPS = {
    "ncread": Op.NcRead,
    "ncwrite": Op.NcWrite,
    "ncenq": Op.NcEnq,
    "intr": Op.Intr,
    "trans_req": Op.TransReq,
    "trans_inv": Op.TransInv,
    "page_req": Op.PageReq,
    "page_rsp": Op.PageRsp,
    "mgmt": Op.MgmtMsg,
    "cfg_read": Op.CfgRead,
    "cfg_write": Op.CfgWrite,
}
PASID_LOW = 8  # bits of PASID in X; the rest is in DOM (2.6)


def ncr_len(access: Access) -> int:
    """LEN of an NCR request, and of the CmpData it asks for. HSL 5.14."""
    lengths = OPCODES[NCR_OPS[access.kind]].len
    return lengths[0] if len(lengths) == 1 else span(access).len


def non_coherent(access: Access, src: int, txn: int) -> Message:
    """The NCR message of an access; byte enables only when not all bytes are meant. HSL 5.14."""
    op = NCR_OPS[access.kind]
    info = OPCODES[op]
    base = Message(
        op,
        src,
        access.dst,
        txn,
        len=ncr_len(access),
        addr=access.addr,
        data=access.data,
        aop=access.stream if info.aop == "stream" else 0,
        dom=access.dom,
    )
    if info.x != "zero":
        x = access.pasid & (1 << PASID_LOW) - 1 | access.perms << PASID_LOW
        return base._replace(dom=access.pasid >> PASID_LOW, x=x)
    if info.be != "any":
        return base
    where = span(access)
    data = spread(access, where) if info.data else b""
    return base._replace(addr=where.addr, be=where.be, data=data)
