"""CTL payloads: the words of link control (HSL 3.3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from hsl._generated.constants import CtlFlag, CtlOp, ErrorCode
from hsl._generated.layouts import (
    CAPS_RECORD,
    CTL_BODIES,
    CTL_BODY_BYTES,
    CTL_BODY_OFFSET,
    CTL_FIELDS,
    CTL_HEADER,
)
from hsl._generated.tables import CAPS_RULES
from hsl.errors import CodecError

__all__ = ["CAPS", "CTL_BYTES", "Ctl", "Record", "decode_ctl", "encode_ctl"]

CTL_BYTES: Final = CTL_BODY_OFFSET + CTL_BODY_BYTES
# SEEN means nothing elsewhere: sent 0, ignored. HSL 3.3.1.
WITH_SEEN: Final = frozenset({CtlOp.HELLO, CtlOp.CAPS, CtlOp.INITFC})


class Record:
    """A Construct layout with typed errors: `fields` are its names that mean something, the rest is 0."""

    def __init__(self, name: str, layout: Any, fields: Iterable[str]) -> None:
        self.name = name
        self.fields = tuple(fields)
        self._layout = layout
        self._zero: dict[str, Any] = dict(layout.parse(bytes(layout.sizeof())))
        self._widths: dict[str, int] = {part.name: part.sizeof() for part in layout.subcons}

    def encode(self, values: Mapping[str, Any]) -> bytes:
        """The bytes; what `values` does not name is 0. CodecError for an unknown or unfitting field."""
        for field, value in values.items():
            if field not in self.fields:
                raise _refused(f"{self.name} has no field {field!r}; it has {', '.join(self.fields)}")
            self._check(field, value)
        built: bytes = self._layout.build(self._zero | dict(values))
        return built

    def decode(self, raw: bytes) -> dict[str, Any]:
        """The fields: int, bytes, or a list of int. CodecError when `raw` is short."""
        if len(raw) < sum(self._widths.values()):
            raise _refused(f"{self.name} of {len(raw)} bytes; expected {sum(self._widths.values())}")
        found = self._layout.parse(raw[: sum(self._widths.values())])
        values = ((name, found[name]) for name in self.fields)
        return {name: list(value) if isinstance(value, list) else value for name, value in values}

    def _check(self, field: str, value: Any) -> None:
        """`value` is of the kind of the field and fits in it."""
        zero, width = self._zero[field], self._widths[field]
        if isinstance(zero, bytes):
            if not isinstance(value, bytes) or len(value) != width:
                raise _refused(f"{field} = {value!r} in {self.name}; expected {width} bytes")
        elif isinstance(zero, list):
            if not isinstance(value, list | tuple) or len(value) != len(zero):
                raise _refused(f"{field} = {value!r} in {self.name}; expected {len(zero)} numbers")
            for item in value:
                self._check_int(field, item, width // len(zero))
        else:
            self._check_int(field, value, width)

    def _check_int(self, field: str, value: Any, width: int) -> None:
        if not isinstance(value, int) or not 0 <= value < 1 << 8 * width:
            raise _refused(f"{field} = {value!r} in {self.name}; expected 0..{(1 << 8 * width) - 1:#x}")


def _refused(text: str) -> CodecError:
    return CodecError(text, code=ErrorCode.MALFORMED, requirement="HSL-FLT-002")


HEADER: Final = Record("CTL header", CTL_HEADER, ("ctl_op", "flags", "epoch", "peer"))
BODIES: Final = {op: Record(CtlOp(op).name, body, CTL_FIELDS[op]) for op, body in CTL_BODIES.items()}
# The record of CAPS (3.3.2), without its reserved bytes.
CAPS: Final = Record(
    "CAPS record", CAPS_RECORD, (name for name, rule in CAPS_RULES.items() if rule != "zero")
)
CAPS_OF: Final = "record"  # the field of the CAPS body that holds one
# What one side sends of it: the rest belongs to the result record, is sent 0 and ignored on receipt.
OFFER: Final = Record(
    "CAPS record",
    CAPS_RECORD,
    (name for name, rule in CAPS_RULES.items() if rule not in ("zero", "result")),
)


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
    """Return the payload, filled up with zeros to `size` bytes; body fields that are not given are 0.

    CodecError (MALFORMED) when a field is unknown, does not fit or is of the wrong kind.
    """
    if ctl.seen and ctl.op not in WITH_SEEN:
        raise _refused(f"SEEN in CTL_OP {ctl.op!r}; expected 0")
    flags = int(CtlFlag.SEEN) if ctl.seen else 0
    head = HEADER.encode({"ctl_op": ctl.op, "flags": flags, "epoch": ctl.epoch, "peer": ctl.peer})
    body = BODIES[ctl.op].encode(ctl.body) if ctl.op in BODIES else _unknown(ctl)
    if CAPS_OF in ctl.body and ctl.body[CAPS_OF] != _offer(ctl.body[CAPS_OF]):
        raise _refused("a CAPS record with more than one side's offer; expected 0 there")
    return (head + body).ljust(size, b"\0")


def decode_ctl(payload: bytes) -> Ctl:
    """Return the CTL in the first 56 bytes of `payload`; reserved bits are ignored. CodecError if short."""
    if len(payload) < CTL_BYTES:
        raise _refused(f"CTL payload of {len(payload)} bytes; expected {CTL_BYTES} and more")
    head = HEADER.decode(payload)
    op, raw = head["ctl_op"], bytes(payload[CTL_BODY_OFFSET:CTL_BYTES])
    seen = op in WITH_SEEN and bool(head["flags"] & CtlFlag.SEEN)
    body = BODIES[op].decode(raw) if op in BODIES else {"raw": raw}
    if CAPS_OF in body:
        body[CAPS_OF] = _offer(body[CAPS_OF])
    return Ctl(op, seen, head["epoch"], head["peer"], body)


def _offer(record: bytes) -> bytes:
    """Return a CAPS record without the fields that are ignored on receipt. HSL 3.3.2 [HSL-FLT-005]."""
    return OFFER.encode(OFFER.decode(record))


def _unknown(ctl: Ctl) -> bytes:
    """Return the body of an unknown CTL_OP."""
    raw = ctl.body.get("raw", bytes(CTL_BODY_BYTES))
    if ctl.body.keys() - {"raw"} or not isinstance(raw, bytes) or len(raw) != CTL_BODY_BYTES:
        raise _refused(f"body {ctl.body!r} of CTL_OP {ctl.op}; expected raw of {CTL_BODY_BYTES} bytes")
    return raw
