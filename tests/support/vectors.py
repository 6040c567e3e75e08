"""Runs the vectors of spec/vectors through a codec: `check(engine, vector)` fails with what differs.

`engine` has decode_flit, encode_flit, credit_return_fault, encode_message, decode_ctl, encode_ctl,
check_request, Packer and Unpacker, as `hsl.codec` names them.
"""

import json
from collections import Counter, deque
from pathlib import Path
from typing import Any

from hsl._generated.constants import ErrorCode, FlitType, Op, Vc
from hsl.codec.checks import Negotiated
from hsl.codec.ctl import CAPS, Ctl
from hsl.codec.flit import FORMATS, Flit
from hsl.codec.message import Message
from hsl.errors import CodecError

DIRECTORY = Path(__file__).resolve().parents[2] / "spec" / "vectors"
Vector = dict[str, Any]
EVERYTHING = Negotiated(atomics=0xFF, features=0xFFFFFFFF, max_txn=4096, address_bits=52)
WITHOUT_CONTENT = {FlitType.NOP, FlitType.PROT, FlitType.CTL}  # of these `payload` is not given: it is below


def load() -> dict[str, list[Vector]]:
    """Chapter -> its vectors."""
    documents = [json.loads(path.read_text("utf-8")) for path in sorted(DIRECTORY.glob("*.json"))]
    return {document["chapter"]: document["vectors"] for document in documents if "vectors" in document}


class Received:
    """The result of an engine for the flits of a vector, up to the first error."""

    def __init__(self, engine: Any, vector: Vector) -> None:
        self.flits: list[Flit] = []
        self.messages: list[Message] = []
        self.error: CodecError | None = None
        self._engine = engine
        self._credits: Counter[str] | None = Counter(vector["credits"]) if "credits" in vector else None
        self._unpacker = engine.Unpacker()
        for data in vector["bytes"]:
            if self.error is None:
                self._take(bytes.fromhex(data), vector["format"])

    @property
    def unfinished(self) -> bool:
        """True if a message has begun and not ended."""
        return bool(self._unpacker.unfinished)

    def _take(self, data: bytes, form: str) -> None:
        try:
            flit = self._engine.decode_flit(data, form)
        except CodecError as error:
            self.error = error
            return
        self.flits.append(flit)
        if flit.ft == FlitType.PROT:
            self.error = self._engine.credit_return_fault(flit)
            if self.error is None:
                som = flit.som if FORMATS[form].has_som else None
                found, self.error = self._unpacker.feed(flit.payload, som, self._admit)
                self.messages += found

    def _admit(self, vc: int) -> bool:
        if self._credits is None:
            return True
        self._credits[Vc(vc).name] -= 1
        return self._credits[Vc(vc).name] >= 0


def check(engine: Any, vector: Vector) -> None:
    """AssertionError when `engine` decodes or encodes otherwise than the vector says."""
    got = Received(engine, vector)
    if "error" in vector:
        check_error(got, vector["error"])
        return
    assert got.error is None, f"refused: {got.error}"
    fields = vector["fields"]
    messages = [message(shown) for shown in fields.get("messages", [])]
    same(got.messages, messages, "messages")
    same(got.unfinished, fields.get("unfinished", False), "unfinished")
    payloads = [
        check_payload(engine, flit, shown) for flit, shown in zip(got.flits, fields["flits"], strict=True)
    ]
    again = [bytes.fromhex(data) for data in vector["reencoded" if "reencoded" in vector else "bytes"]]
    check_granules(engine, vector, messages, again)
    for flit, payload, wire in zip(got.flits, payloads, again, strict=True):
        form = FORMATS[flit.format]
        granules = wire[form.payload_offset : form.crc_offset] if payload is None else payload
        same(engine.encode_flit(flit._replace(payload=granules)).hex(), wire.hex(), "encoded")


def same(found: object, expected: object, what: str) -> None:
    """Found is expected, or an AssertionError that shows both."""
    if found != expected:
        raise AssertionError(f"{what}: {found}, expected {expected}")


def check_error(got: Received, expected: dict[str, Any]) -> None:
    """The error, where it was found, and what was delivered before it."""
    assert got.error is not None, f"accepted: {got.flits} {got.messages}"
    error = got.error
    failed = len(got.flits) - (error.code != ErrorCode.CRC)
    found = (ErrorCode(error.code).name, error.code, error.requirement, failed, error.offset)
    names = ("code", "number", "requirement", "flit", "offset")
    same(found, tuple(expected[name] for name in names), "error")
    same(got.messages, [message(shown) for shown in expected.get("delivered", [])], "delivered")


def check_payload(engine: Any, flit: Flit, shown: dict[str, Any]) -> bytes | None:
    """The header of `flit`, and its content unless that is granules; the payload it is sent with, or None."""
    head = {name: value for name, value in shown.items() if name not in ("payload", "ctl")}
    size = FORMATS[flit.format].payload_bytes
    same(flit, Flit(flit.format, **head, payload=flit.payload), "header")
    match flit.ft:
        case FlitType.PROT:
            return None
        case FlitType.NOP:
            same(flit.payload, bytes(size), "payload of a NOP")
            return b""
        case FlitType.CTL:
            expected = ctl(engine, shown["ctl"])
            found = engine.decode_ctl(flit.payload)
            same(found, expected, "CTL")
            if "caps" in shown["ctl"]:
                given = dict.fromkeys(CAPS.fields, 0) | shown["ctl"]["caps"]
                same(CAPS.decode(found.body["record"]), given, "CAPS record")
                same(CAPS.encode(given), found.body["record"], "encoded CAPS record")
            payload: bytes = engine.encode_ctl(expected, size=size)
            return payload
        case _:
            same(flit.payload.hex(), shown["payload"], "payload")
            return flit.payload


def check_granules(engine: Any, vector: Vector, messages: list[Message], wires: list[bytes]) -> None:
    """The messages are encoded to these granules; a Packer makes these payloads and SOM maps of them."""
    form = FORMATS[vector["format"]]
    prot = [
        (wire[form.payload_offset : form.crc_offset], shown.get("som", 0))
        for wire, shown in zip(wires, vector["fields"]["flits"], strict=True)
        if shown["ft"] == FlitType.PROT
    ]
    if "InteriorPad" not in vector["flags"] and "Unfinished" not in vector["flags"]:
        queue, packer = deque(messages), engine.Packer()
        packed = [packer.fill(lambda: queue.popleft() if queue else None, form.name) for _ in prot]
        same(packed, prot, "packed")
        same(packer.unfinished, False, "left in the packer")
        return
    stream, at = b"".join(payload for payload, _ in prot), 0
    for sent in messages:
        granules = engine.encode_message(sent)
        at = stream.index(granules, at) + len(granules)


def check_completion(engine: Any, vector: Vector) -> None:
    """A request that is refused for its format gets the ERR that the vector says, and no other one does."""
    requests = [message(shown) for shown in vector.get("fields", {}).get("messages", [])]
    if len(requests) != 1 or requests[0].vc in (Vc.SNP, Vc.RSP, Vc.DAT):
        return
    negotiated = Negotiated(**vector["negotiated"]) if "negotiated" in vector else EVERYTHING
    same(engine.check_request(requests[0], negotiated).name, vector.get("completion", "OK"), vector["id"])


def message(shown: dict[str, Any]) -> Message:
    """A message as the codec has it."""
    fields = {name: value for name, value in shown.items() if name not in ("op", "opcode")}
    fields["data"] = bytes.fromhex(fields.get("data", ""))
    assert "op" not in shown or Op(shown["opcode"]).name == shown["op"]
    return Message(shown["opcode"], **fields)


def ctl(engine: Any, shown: dict[str, Any]) -> Ctl:
    """A CTL as the codec has it; numbers of its body that are not named are 0."""
    body = {
        name: bytes.fromhex(value) if isinstance(value, str) else value
        for name, value in shown["body"].items()
    }
    whole = engine.decode_ctl(bytes([shown["op"]]) + bytes(55)).body  # what the body of this CTL_OP has
    return Ctl(
        shown["op"], shown.get("seen", False), shown.get("epoch", 0), shown.get("peer", 0), whole | body
    )
