"""CTL payloads: the words of link control (HSL 3.3.1)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from hsl._generated.constants import CtlFlag, CtlOp, ErrorCode
from hsl._generated.layouts import CTL_BODIES, CTL_BODY_BYTES, CTL_BODY_OFFSET, CTL_FIELDS, CTL_HEADER
from hsl.errors import CodecError

__all__ = ["CTL_BYTES", "Ctl", "decode_ctl", "encode_ctl"]

CTL_BYTES: Final = CTL_BODY_OFFSET + CTL_BODY_BYTES
# SEEN means nothing elsewhere: sent 0, ignored. HSL 3.3.1.
WITH_SEEN: Final = frozenset({CtlOp.HELLO, CtlOp.CAPS, CtlOp.INITFC})
HEADER_WIDTHS: Final = {"ctl_op": 1, "epoch": 4, "peer": 4}
# CTL_OP -> field -> value when it is not named: all content not named is 0. HSL 3.3.3.
_ZERO: Final = {op: dict(body.parse(bytes(CTL_BODY_BYTES))) for op, body in CTL_BODIES.items()}
_WIDTHS: Final = {
    op: {field.name: field.sizeof() for field in body.subcons} for op, body in CTL_BODIES.items()
}


class Ctl(NamedTuple):
    """The payload of a CTL flit.

    `op` is a CtlOp or an unknown number; `epoch` that of the sender, `peer` that of its peer as it knows it
    (0: none). `body` has the fields of CTL_FIELDS[op]: int, bytes (`magic`, `record`) or a list of int
    (`credits` of VC1 to VC7, `exp` of BOND_FAIL); of an unknown op only `raw`, its 44 bytes. HSL 3.3.1.
    """

    op: int
    seen: bool
    epoch: int
    peer: int
    body: dict[str, Any]


def encode_ctl(ctl: Ctl, size: int = CTL_BYTES) -> bytes:
    """The payload, filled up with zeros to `size` bytes; body fields that are not given are 0.

    CodecError (MALFORMED) when a field is unknown, does not fit or is of the wrong kind.
    """
    name = _name(ctl.op)
    for field, value in zip(HEADER_WIDTHS, (ctl.op, ctl.epoch, ctl.peer), strict=True):
        _check_int(name, field, value, HEADER_WIDTHS[field])
    if ctl.seen and ctl.op not in WITH_SEEN:
        raise _refused(f"SEEN in {name}; legal is 0")
    flags = int(CtlFlag.SEEN) if ctl.seen else 0
    head = CTL_HEADER.build(
        {"ctl_op": ctl.op, "flags": flags, "zero": 0, "epoch": ctl.epoch, "peer": ctl.peer}
    )
    payload: bytes = head + _body(ctl.op, name, ctl.body)
    return payload.ljust(size, b"\0")


def decode_ctl(payload: bytes) -> Ctl:
    """The CTL in the first 56 bytes of `payload`; reserved bits are ignored. CodecError when it is short."""
    if len(payload) < CTL_BYTES:
        raise _refused(f"CTL payload of {len(payload)} bytes; legal is {CTL_BYTES} and more")
    head = CTL_HEADER.parse(payload[:CTL_BODY_OFFSET])
    op, raw = head["ctl_op"], bytes(payload[CTL_BODY_OFFSET:CTL_BYTES])
    seen = op in WITH_SEEN and bool(head["flags"] & CtlFlag.SEEN)
    return Ctl(op, seen, head["epoch"], head["peer"], _fields(op, raw))


def _fields(op: int, raw: bytes) -> dict[str, Any]:
    if op not in CTL_BODIES:
        return {"raw": raw}
    found = CTL_BODIES[op].parse(raw)
    return {
        name: list(found[name]) if isinstance(found[name], list) else found[name] for name in CTL_FIELDS[op]
    }


def _body(op: int, name: str, body: dict[str, Any]) -> bytes:
    """The 44 bytes of the body."""
    known: tuple[str, ...] = CTL_FIELDS.get(op, ("raw",))
    for field, value in body.items():
        if field not in known:
            raise _refused(f"{name} has no field {field!r}; it has {', '.join(known)}")
        if op in CTL_BODIES:
            _check(name, field, value, _ZERO[op][field], _WIDTHS[op][field])
        else:
            _check(name, field, value, b"", CTL_BODY_BYTES)
    if op not in CTL_BODIES:
        return bytes(body.get("raw", bytes(CTL_BODY_BYTES)))
    built: bytes = CTL_BODIES[op].build(_ZERO[op] | body)
    return built


def _check(name: str, field: str, value: Any, zero: Any, width: int) -> None:
    """`value` is of the kind of `zero` and fits in `width` bytes."""
    if isinstance(zero, bytes):
        if not isinstance(value, bytes) or len(value) != width:
            raise _refused(f"{field} = {value!r} in {name}; legal are {width} bytes")
    elif isinstance(zero, list):
        if not isinstance(value, list | tuple) or len(value) != len(zero):
            raise _refused(f"{field} = {value!r} in {name}; legal are {len(zero)} numbers")
        for item in value:
            _check_int(name, field, item, width // len(zero))
    else:
        _check_int(name, field, value, width)


def _check_int(name: str, field: str, value: Any, width: int) -> None:
    if not isinstance(value, int) or not 0 <= value < 1 << 8 * width:
        raise _refused(f"{field} = {value!r} in {name}; legal is 0..{(1 << 8 * width) - 1}")


def _name(op: int) -> str:
    return CtlOp(op).name if op in CTL_BODIES else f"CTL_OP {op!r}"


def _refused(text: str) -> CodecError:
    return CodecError(text, code=ErrorCode.MALFORMED, requirement="HSL-FLT-002")
