"""Flits as JSON: `hsl codec decode` prints the document, `hsl codec encode` takes it (schema hsl.codec/1).

`flits` has one object per flit. `ft` is the number and `type` the name of its flit type; `messages` are those
that end in this flit, each with the index `flit` and the byte `offset` of its first granule. `op`, `st` and
`err` are the names of the spec, or numbers where it has none; encode takes either. `data` and other byte
strings are hex. A flit that does not decode has `error` and, so that it can be encoded again, its bytes as
`raw`. A message that begins and never ends leaves its granules as `unfinished` in the flits that have them.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import Any, Final

from hsl._generated.constants import GRANULE_BYTES, CtlOp, Err, ErrorCode, FlitType, Op, St, Vc
from hsl._generated.layouts import A0_FIELDS, A1_FIELDS, B0_FIELDS
from hsl._generated.tables import VC_HEADER
from hsl.codec.ctl import CAPS, CAPS_OF, Ctl
from hsl.codec.engines import Engine, engine
from hsl.codec.flit import Flit, FlitFormat, flit_format
from hsl.codec.message import Message
from hsl.errors import CodecError

__all__ = [
    "CTL_BYTES_FIELDS",
    "DOCUMENT",
    "ENCODED",
    "ENUMS",
    "HEADER",
    "Json",
    "decode_document",
    "message_fields",
]

Json = dict[str, Any]
DOCUMENT: Final = "hsl.codec/1"  # schema of the document of flits
ENCODED: Final = "hsl.codec.encoded/1"  # schema of `encode --json`: the flits as hex
HEADER: Final = ("viral", "seq", "ack", "cvc", "ccnt")
ENUMS: Final[dict[str, type[IntEnum]]] = {"op": Op, "st": St, "err": Err}
OF_HEADER: Final = {
    "A": tuple(name for name, _, _ in (*A0_FIELDS, *A1_FIELDS)),
    "B": tuple(name for name, _, _ in B0_FIELDS),
}
OF_DATA: Final = ("len", "poison")  # fields of class B for DAT only. HSL 2.6
CTL_BYTES_FIELDS: Final = ("magic", "raw")  # fields of CTL bodies that are hex


def name_of(enum: type[IntEnum], value: int) -> str | int:
    """The spec's name of `value`, or the number when it has none."""
    try:
        return enum(value).name
    except ValueError:
        return value


def error_json(error: CodecError) -> Json:
    """An error as the document has it."""
    code = ErrorCode(error.code)
    found = {"code": int(code), "name": code.name, "requirement": error.requirement}
    return found | {"offset": error.offset, "text": str(error)}


def decode_document(data: bytes, format: str, codec: str = "reference") -> list[Json]:
    """The flits of one direction of a link, one behind the other in `data`, as JSON objects.

    `codec` is the engine that does it; ConfigError when it is not there.
    """
    decoder = Decoder(flit_format(format), engine(codec))
    size = decoder.form.bytes
    for at in range(0, len(data), size):
        decoder.add(data[at : at + size])
    decoder.drop_open()
    return decoder.flits


class Decoder:
    """Flits to JSON objects; keeps the granule stream and where in it messages began."""

    def __init__(self, form: FlitFormat, codec: Engine) -> None:
        self.form = form
        self._codec = codec
        self.flits: list[Json] = []
        self._unpacker = self._codec.Unpacker()
        self._begun: deque[tuple[int, int]] = deque()  # (flit, byte offset) of messages that have not ended
        self._payloads: dict[int, bytes] = {}  # of the flits that an open message is in

    def add(self, data: bytes) -> None:
        """One flit."""
        found: Json = {"format": self.form.name}
        try:
            flit = self._codec.decode_flit(data, self.form.name)
            found |= {"ft": flit.ft, "type": name_of(FlitType, flit.ft)}
            found |= {name: getattr(flit, name) for name in HEADER}
            if self.form.has_som:
                found["som"] = flit.som
            found["messages"] = []
            self._content(flit, found)
        except CodecError as error:
            found |= {"error": error_json(error), "raw": data.hex()}
        self.flits.append(found)

    def _content(self, flit: Flit, found: Json) -> None:
        if flit.ft == FlitType.CTL:
            found["ctl"] = ctl_json(self._codec.decode_ctl(flit.payload))
        elif flit.ft == FlitType.PROT:
            self._granules(flit, found)
        elif flit.ft == FlitType.PROT_S:
            found["payload"] = flit.payload.hex()
        elif flit.ft != FlitType.NOP:
            text = f"flit type {flit.ft} is reserved"
            raise CodecError(text, code=ErrorCode.RESERVED_FT, requirement="HSL-FLT-007")

    def _granules(self, flit: Flit, found: Json) -> None:
        """The messages of a PROT; what ends it ends the open message too. HSL 2.5 P7."""
        if fault := self._codec.credit_return_fault(flit):
            self.drop_open()
            raise fault
        som = flit.som if self.form.has_som else None
        messages, error = self._unpacker.feed(flit.payload, som, lambda vc: True)
        index = len(self.flits)
        starts = (granule for granule in range(self.form.granules) if self._unpacker.som >> granule & 1)
        self._begun += ((index, self.form.payload_offset + GRANULE_BYTES * granule) for granule in starts)
        found["messages"] = [message_json(message, *self._begun.popleft()) for message in messages]
        if not self._begun or self._begun[0][0] == index:
            self._payloads.clear()
        if error is not None:
            self.drop_open()
            raise error
        if self._begun:
            self._payloads[index] = flit.payload

    def drop_open(self) -> None:
        """The open message, if there is one, never ends: its granules stay with their flits."""
        for index, payload in self._payloads.items():
            begin = self._begun[0][1] - self.form.payload_offset if index == self._begun[0][0] else 0
            self.flits[index]["unfinished"] = payload[begin:].hex()
        self._unpacker = self._codec.Unpacker()
        self._begun.clear()
        self._payloads.clear()


def message_fields(vc: int) -> list[str]:
    """The fields that a message of `vc` has between its opcode and its data, in the order of the header."""
    names = OF_HEADER[VC_HEADER[vc]]
    return [name for name in names if name != "op" and (vc != Vc.RSP or name not in OF_DATA)]


def message_json(message: Message, flit: int, offset: int) -> Json:
    """A message, with the fields that its class has."""
    found: Json = {"op": name_of(Op, message.op), "opcode": int(message.op)}
    values = {name: getattr(message, name) for name in message_fields(message.vc)}
    found |= {name: name_of(ENUMS[name], value) if name in ENUMS else value for name, value in values.items()}
    if message.be is None:
        found.pop("be", None)
    if message.data:
        found["data"] = message.data.hex()
    return found | {"flit": flit, "offset": offset}


def ctl_json(ctl: Ctl) -> Json:
    """A CTL; the record of CAPS as an object."""
    found: Json = {"op": name_of(CtlOp, ctl.op), "opcode": int(ctl.op), "seen": ctl.seen}
    found |= {"epoch": ctl.epoch, "peer": ctl.peer}
    for name, value in ctl.body.items():
        if name == CAPS_OF:
            found[name] = CAPS.decode(value)
        else:
            found[name] = value.hex() if name in CTL_BYTES_FIELDS else value
    return found
