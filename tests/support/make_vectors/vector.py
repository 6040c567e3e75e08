"""The parts of a vector: messages as plain dicts, a granule stream cut into flits, the three results.

A message is {"op": number, field: number, "be": mask, "data": bytes}; a field that is not there is 0, without
"be" there is no byte-enable granule. Only `tests.support.bigint` makes bytes.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Self

from tests.support import bigint

Message = dict[str, Any]
Vector = dict[str, Any]

PAYLOAD = {"L64": 56, "B256": 240}
PAYLOAD_AT = {"L64": 4, "B256": 8}
ORDER = (
    "opcode", "src", "dst", "txn", "len", "addr", "be", "data", "aop", "dom", "x", "htxn", "st", "err",
    "poison", "qos", "trace",
)  # fmt: skip


def name_of(op: int) -> str:
    """The name of an opcode, or its number."""
    return bigint.OPERATIONS[op][0] if op in bigint.OPERATIONS else f"{op:#04x}"


def is_class_b(op: int) -> bool:
    """RSP and DAT have the short header. 2.6."""
    return op >> 5 in (4, 5)


def carried(op: int, length: int) -> int:
    """Bytes of data of a message. 2.6."""
    return 8 << length if "data" in bigint.uses(op) else 0


# What a sample must have to be a legal message (5.12, 5.14); LEN is 0 and the rest is 0 else.
LEN3 = (*range(0x20, 0x27), 0x40, 0x41, 0x60, 0x61, 0x62, 0xA1, 0xC0, 0xC1, 0xE2, 0xE8)
LEN1 = (0xE4, 0xEB)
BE = (0x42, 0xC2)  # has byte enables for all its data in a sample, which it need not have


def sample(op: int, **fields: Any) -> Message:
    """A message with `fields`, the rest 0 or as little as is legal; data are counted up from 1."""
    message: Message = {"op": op}
    length = 3 if op in LEN3 else 1 if op in LEN1 else 0
    if length:
        message["len"] = length
    if op in BE:
        message["be"] = (1 << (8 << fields.get("len", 0))) - 1
    message |= fields
    size = carried(op, message.get("len", 0))
    if size and "data" not in fields:
        message["data"] = bytes(range(1, size + 1))
    return message


def raw(message: Message) -> bytes:
    """The granules of a message."""
    make = bigint.class_b if is_class_b(message["op"]) else bigint.class_a
    return make(**message)


def shown(message: Message) -> dict[str, Any]:
    """The message as a vector has it: fields that are 0 are left out."""
    op = message["op"]
    known = {"op": name_of(op)} if op in bigint.OPERATIONS else {}
    values = message | {"opcode": op, "data": message.get("data", b"").hex()}
    kept = {name: values[name] for name in ORDER if values.get(name) or (name == "be" and "be" in values)}
    return known | kept


class Stream:
    """Granules of messages and PAD one after the other; SOM is kept along."""

    def __init__(self, *messages: Message) -> None:
        self.granules = b""
        self.starts: list[int] = []
        self.messages: list[Message] = []
        for message in messages:
            self.add(message)

    def add(self, message: Message, wire: bytes = b"") -> Self:
        """A message; `wire` when its bytes are not those that it would be sent with."""
        self.messages.append(message)
        return self.start(wire or raw(message))

    def start(self, granules: bytes) -> Self:
        """Granules that begin where a message begins."""
        self.starts.append(len(self.granules) // 8)
        self.granules += granules
        return self

    def skip(self, granules: bytes) -> Self:
        """Granules that begin no message: PAD, and what is none."""
        self.granules += granules
        return self

    def flits(self, form: str = "L64", som: int = 0, **head: int) -> tuple[list[bytes], list[dict[str, int]]]:
        """The stream as PROT flits of SEQ 0, 1, ..., and their headers; `som` is flipped in the last H1."""
        size = PAYLOAD[form]
        cuts = range(0, max(len(self.granules), 1), size)
        wires, heads = [], []
        for at in cuts:
            fields = {"ft": 1, "seq": at // size} | head
            payload = self.granules[at : at + size]
            here = [start - at // 8 for start in self.starts]
            starts = sum(1 << start for start in here if 0 <= start < size // 8)
            starts ^= som if at == cuts[-1] else 0
            wires.append(flit(form, fields, payload, starts))
            heads.append(fields | ({"som": starts} if form == "B256" else {}))
        return wires, heads


def flit(form: str, head: dict[str, int], payload: bytes = b"", h1: int = 0) -> bytes:
    """One flit."""
    if form == "L64":
        return bigint.l64(bigint.h0(**head), payload)
    return bigint.b256(bigint.h0(**head), payload, h1)


def _shown_head(head: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in head.items() if value or name == "ft"}


def accepted(
    id: str,
    comment: str,
    form: str,
    wires: Iterable[bytes],
    heads: Iterable[dict[str, Any]],
    messages: Sequence[Message] = (),
    *,
    clean: Iterable[bytes] = (),
    flags: Sequence[str] = (),
    **more: Any,
) -> Vector:
    """A valid vector; an acceptable one when `clean`, what it is sent as, is given and differs."""
    data, again = [wire.hex() for wire in wires], [wire.hex() for wire in clean]
    vector = {
        "id": id,
        "comment": comment,
        "flags": sorted(flags),
        "result": "acceptable" if again else "valid",
        "format": form,
        "bytes": data,
    } | more
    if again:
        if again == data:
            raise ValueError(f"{id}: no bit differs")
        vector["reencoded"] = again
    vector["fields"] = {"flits": [_shown_head(head) for head in heads]}
    if messages:
        vector["fields"]["messages"] = [shown(message) for message in messages]
    return vector


CODES = {"CRC": 1, "CREDIT_UNDERFLOW": 5, "SOM": 7, "MALFORMED": 8}


def refused(
    id: str,
    comment: str,
    form: str,
    wires: Sequence[bytes],
    code: str,
    requirement: str,
    offset: int,
    *,
    delivered: Sequence[Message] = (),
    flags: Sequence[str] = (),
    credits: dict[str, int] | None = None,
) -> Vector:
    """An invalid vector: the last of `wires` has the error, at the byte `offset` of it."""
    error: dict[str, Any] = {
        "code": code,
        "number": CODES[code],
        "requirement": requirement,
        "flit": len(wires) - 1,
        "offset": offset,
    }
    if delivered:
        error["delivered"] = [shown(message) for message in delivered]
    return {
        "id": id,
        "comment": comment,
        "flags": sorted(flags),
        "result": "invalid",
        "format": form,
        "bytes": [wire.hex() for wire in wires],
        **({"credits": credits} if credits is not None else {}),
        "error": error,
    }
