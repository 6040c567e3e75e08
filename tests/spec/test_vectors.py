"""spec/vectors against the specification: nothing that a codec must know is without a vector."""

import copy
import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import jsonschema
import pytest

from hsl._generated import layouts
from hsl._generated.constants import CtlOp, ErrorCode, FlitType, Op, Vc
from hsl._generated.layouts import A0_FIELDS, A1_FIELDS, B0_FIELDS, H0_FIELDS, H1_FIELDS
from hsl._generated.tables import AOPS, ATOMIC_SIZES, CAPS_RULES, CODEC_CHECKS, OPCODES, VC_HEADER
from hsl.codec.checks import unused
from hsl.codec.flit import FORMATS
from tests.support import vectors
from tests.support.make_vectors.__main__ import files

VECTORS = vectors.load()
ALL = [vector for chapter in VECTORS.values() for vector in chapter]
GRANULE = 8
BE_BITS = 64
Demand = tuple[Any, ...]
ROWS = {"A": (*A0_FIELDS, *A1_FIELDS), "B": B0_FIELDS}
ANSWERED = {Vc.REQ, Vc.RWD, Vc.MEM, Vc.NCR}  # a bad message is completed with an error


def swept(bits: int) -> set[int]:
    """0, all ones, each single bit."""
    return {0, (1 << bits) - 1, *(1 << bit for bit in range(bits))}


def used_bits(op: int, field: str, mask: int) -> int:
    """How many of the low bits of a field the opcode uses."""
    return int(unused(op).get(field, mask)).bit_length()


def demanded() -> Iterator[Demand]:
    """What the specification has, each piece as what `observed` gives for a vector that shows it."""
    for form in FORMATS:
        for field, _, mask in H0_FIELDS:
            yield from (("H0", form, field, value) for value in swept(mask.bit_length()))
    for field, _, mask in H1_FIELDS:
        if field == "som":
            yield from (("H1", field, value) for value in swept(mask.bit_length()))
        else:
            yield ("H1", field, mask)
    for op, info in OPCODES.items():
        yield from _of_message(op, VC_HEADER[info.vc])
        if info.be != "0":
            yield from (("BE", op, value) for value in swept(BE_BITS))
        if VC_HEADER[info.vc] == "A":
            yield from (("be", op, present) for present in (False, True))
    for op in range(1 << 5, 1 << 8):
        if op not in OPCODES and op >> 5 not in ANSWERED:
            yield ("unknown", op)
    for vc in ANSWERED:
        yield ("unknown request", vc)
    yield from _of_ctl()
    yield from (("error", *check) for check in [(code, requirement) for _, code, requirement in CODEC_CHECKS])
    yield from (("credit", vc.name) for vc in Vc)
    for op in (Op.AtomicLoad, Op.AtomicStore):
        yield from (("atomic", op, aop, size) for aop in AOPS for size in ATOMIC_SIZES)
    for info in OPCODES.values():
        if info.feature:
            yield from (("feature", info.code, refused) for refused in (False, True))


def _of_message(op: int, header: str) -> Iterator[Demand]:
    for field, _, mask in ROWS[header]:
        if field in ("op", "be"):
            continue
        bits = used_bits(op, field, mask)
        if bits:
            yield from (("message", op, field, value) for value in swept(bits))
        if bits < mask.bit_length():
            yield ("unused", op, field)


def _of_ctl() -> Iterator[Demand]:
    for op, fields in layouts.CTL_FIELDS.items():
        parts = {part.name: part for part in layouts.CTL_BODIES[op].subcons}
        for field in fields:
            size, count = parts[field].sizeof(), getattr(parts[field].subcon, "count", 0)
            if field != "record":  # its fields are below
                for place in range(count or 1):
                    bits = 8 * size // (count or 1)
                    yield from (("CTL", op, field, place, value) for value in swept(bits))
        for at in range(layouts.CTL_BODY_BYTES):
            if at in (min(_free(op), default=-1), max(_free(op), default=-1)):
                yield ("CTL reserved", op, at)
        yield ("CTL flags", op)
    for field in ("epoch", "peer"):
        yield from (("CTL header", field, value) for value in swept(32))
    offered = [name for name, rule in CAPS_RULES.items() if rule not in ("zero", "result")]
    for part in layouts.CAPS_RECORD.subcons:
        if part.name in offered:
            yield from (("CAPS", part.name, value) for value in swept(8 * part.sizeof()))


def _free(op: int) -> set[int]:
    """Bytes of a body that no field has."""
    used, at = set[int](), 0
    for part in layouts.CTL_BODIES[op].subcons:
        if part.name in layouts.CTL_FIELDS[op]:
            used |= set(range(at, at + part.sizeof()))
        at += part.sizeof()
    return set(range(layouts.CTL_BODY_BYTES)) - used


def observed(vector: dict[str, Any]) -> Iterator[Demand]:
    """What a vector shows. That its fields are those of its bytes is what the codec tests check."""
    form = FORMATS[vector["format"]]
    wires = [bytes.fromhex(data) for data in vector["bytes"]]
    if "error" in vector:
        yield from _in_error(vector, wires[-1], form.payload_offset)
        return
    for wire, flit in zip(wires, vector["fields"]["flits"], strict=True):
        for field, _, _ in H0_FIELDS:
            yield ("H0", form.name, field, flit.get(field, 0))
        if form.has_som and flit["ft"] == FlitType.PROT:
            h1 = layouts.H1.parse(wire[form.payload_offset - 4 : form.payload_offset])
            yield from (("H1", field, value) for field, value in h1.items())
        if "ctl" in flit:
            yield from _in_ctl(flit["ctl"], wire[form.payload_offset : form.payload_offset + 56])
    messages = vector["fields"].get("messages", [])
    for message in messages:
        yield from _in_message(message, vector)
    if vector["result"] == "acceptable" and len(messages) == 1:
        yield from _in_noise(messages[0]["opcode"], wires[0][form.payload_offset :])


def _in_error(vector: dict[str, Any], wire: bytes, payload_at: int) -> Iterator[Demand]:
    error = vector["error"]
    yield ("error", ErrorCode[error["code"]], error["requirement"])
    op, at = wire[error["offset"]] if error["offset"] < len(wire) else 0, error["offset"]
    if error["requirement"] == "HSL-LNK-034":
        yield ("unknown", op)
    if error["requirement"] == "HSL-LNK-030":
        yield ("credit", Vc(op >> 5).name)
    if error["requirement"] == "HSL-FLT-005":
        if op not in OPCODES or VC_HEADER[op >> 5] == "A":  # the second granule of a snoop
            at -= GRANULE
        if at >= payload_at:
            fields = _header(wire[at:])
            yield ("be", fields["op"], bool(fields.get("be")))
            yield from (("message", fields["op"], field, value) for field, value in fields.items())


def _header(raw: bytes) -> dict[str, int]:
    """All fields of a message header as they stand on the wire."""
    if VC_HEADER[raw[0] >> 5] == "B":
        return dict(layouts.B0.parse(raw[:GRANULE]))
    return dict(layouts.A0.parse(raw[:GRANULE])) | dict(layouts.A1.parse(raw[GRANULE : 2 * GRANULE]))


def _in_message(message: dict[str, Any], vector: dict[str, Any]) -> Iterator[Demand]:
    op = message["opcode"]
    if op not in OPCODES:
        yield ("unknown request", op >> 5)
        return
    header = VC_HEADER[op >> 5]
    for field, _, _ in ROWS[header]:
        yield ("message", op, field, message.get(field, 0))
    yield ("be", op, "be" in message)
    yield ("BE", op, message.get("be"))
    yield ("atomic", op, message.get("aop", 0), message.get("x", 0))
    if "negotiated" in vector:
        yield ("feature", op, vector.get("completion") == "UNSUP")


def _in_noise(op: int, payload: bytes) -> Iterator[Demand]:
    """Fields that the opcode does not use, with all their bits set."""
    for field, value in _header(payload).items():
        masks = {name: mask for name, _, mask in ROWS[VC_HEADER[op >> 5]]}
        free = masks[field] & ~unused(op).get(field, masks[field])
        if field == "st":
            free &= 3  # 4 to 7 are errors
        if free and value & free == free:
            yield ("unused", op, field)


def _in_ctl(ctl: dict[str, Any], payload: bytes) -> Iterator[Demand]:
    op = ctl["op"]
    yield ("CTL header", "epoch", ctl.get("epoch", 0))
    yield ("CTL header", "peer", ctl.get("peer", 0))
    for field, value in ctl.get("caps", {}).items():
        yield ("CAPS", field, value)
    if op not in layouts.CTL_BODIES:
        return
    for field in layouts.CTL_FIELDS[op]:
        value = ctl["body"].get(field, 0)
        if isinstance(value, str):
            value = int.from_bytes(bytes.fromhex(value), "little")
        for place, item in enumerate(value if isinstance(value, list) else [value]):
            yield ("CTL", op, field, place, item)
        if field == "record" and not value:
            yield from (("CAPS", name, 0) for name in CAPS_RULES)
    body = payload[layouts.CTL_BODY_OFFSET :]
    yield from (("CTL reserved", op, at) for at in _free(op) if body[at])
    if payload[1] & ~int(ctl.get("seen", False)) and all(payload[2:4]):
        yield ("CTL flags", op)


DEMANDED = sorted(set(demanded()), key=repr)


@cache
def shown() -> list[set[Demand]]:
    """What each vector shows."""
    return [set(observed(vector)) for vector in ALL]


def missing(found: Iterable[set[Demand]]) -> list[Demand]:
    """What none of `found` shows."""
    everything = set().union(*found)
    return [demand for demand in DEMANDED if demand not in everything]


def test_everything_has_a_vector() -> None:
    """Every opcode, CTL_OP, error; every field at 0, at max, with each single bit; every ignored field."""
    assert len(ALL) > 1000
    assert len({vector["id"] for vector in ALL}) == len(ALL), "an id twice"
    assert len(DEMANDED) > 4000
    assert missing(shown()) == []


@pytest.mark.parametrize("kind", sorted({demand[0] for demand in DEMANDED}))
def test_a_missing_vector_is_noticed(kind: str) -> None:
    """Without the vectors that show one demand of a kind, that demand is named."""
    demand = next(demand for demand in DEMANDED if demand[0] == kind)
    assert demand in missing(found for found in shown() if demand not in found)


def test_vectors_are_those_of_the_third_opinion() -> None:
    """`python -m tests.support.make_vectors` would write the same bytes."""
    stale = [name for name, text in files().items() if (vectors.DIRECTORY / name).read_text("utf-8") != text]
    assert not stale, f"run python -m tests.support.make_vectors: {stale}"
    on_disk = {path.name for path in vectors.DIRECTORY.glob("*.json")}
    assert on_disk == {*files(), "schema.json"}


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads((vectors.DIRECTORY / "schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("chapter", VECTORS)
def test_schema(chapter: str, validator: jsonschema.Draft202012Validator) -> None:
    """Each file fits the schema; ids are unique, `count` and the flags are right."""
    document = json.loads((vectors.DIRECTORY / f"{chapter}.json").read_text("utf-8"))
    validator.validate(document)
    found = document["vectors"]
    assert document["count"] == len(found) == len({vector["id"] for vector in found})
    assert {flag for vector in found for flag in vector["flags"]} == set(document["flags"])
    for vector in found:
        if "error" in vector:
            assert vector["error"]["flit"] == len(vector["bytes"]) - 1
            assert ErrorCode[vector["error"]["code"]] == vector["error"]["number"]
        for flit in vector.get("fields", {}).get("flits", []):
            name = flit.get("ctl", {}).get("name")
            assert name is None or CtlOp[name] == flit["ctl"]["op"]


WRONG: dict[str, dict[str, Any]] = {
    "no result": {"result": None},
    "unknown result": {"result": "perhaps"},
    "odd hex": {"bytes": ["abc"]},
    "id with a space": {"id": "a b"},
    "unknown key": {"extra": 1},
    "error of a valid one": {"error": {}},
    "no fields": {"fields": None},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_schema_refuses(wrong: str, validator: jsonschema.Draft202012Validator) -> None:
    """The schema refuses a vector that lacks what it must have, or has what it may not have."""
    document = json.loads((vectors.DIRECTORY / "flits.json").read_text("utf-8"))
    document["vectors"] = document["vectors"][:1]
    validator.validate(document)
    vector = copy.deepcopy(document["vectors"][0]) | WRONG[wrong]
    document["vectors"] = [{key: value for key, value in vector.items() if value is not None}]
    assert not validator.is_valid(document)


DERIVED = {vector["id"]: vector for vector in ALL if "notes" in vector}


def worked_out(notes: list[str]) -> bytes:
    """The bytes of a derivation: what stands after `->`, "N x 00" written out."""
    words = " ".join(line.partition("->")[2] for line in notes)
    return bytes.fromhex(re.sub(r"(\d+) x 00", lambda match: "00" * int(match[1]), words))


@pytest.mark.parametrize("name", DERIVED)
def test_derivation(name: str) -> None:
    """What was derived by hand, step by step, is every byte of the vector."""
    assert worked_out(DERIVED[name]["notes"]).hex() == "".join(DERIVED[name]["bytes"])


def test_derivations_are_many() -> None:
    """About thirty vectors are derived by hand, of every result and every chapter."""
    assert len(DERIVED) >= 30
    assert {vector["result"] for vector in DERIVED.values()} == {"valid", "acceptable", "invalid"}
    for chapter, found in VECTORS.items():
        assert any("notes" in vector for vector in found), chapter
