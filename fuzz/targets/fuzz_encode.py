"""Encoding of hostile input: JSON documents for `hsl codec encode`, arrays of random records for the batch.

`test_one_input` takes any bytes; atheris, Hypothesis and pytest call it alike. The first byte says what is
done with the rest (MODES), the second which flit format. Run it with atheris (the `fuzz` extra):

    python -m fuzz.targets.fuzz_encode fuzz/corpus/encode
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np

from fuzz.targets.fuzz_codec_differential import Input, draw_message, fuzz, outcome
from hsl._generated.constants import CtlOp, FlitType, Op
from hsl.cli.flit_encode import encode_document
from hsl.cli.flit_json import DOCUMENT, decode_document
from hsl.codec.batch import FLIT, MESSAGE, BatchDecoder, BatchEncoder, MessageBatch, prot_flits
from hsl.codec.engines import engine
from hsl.codec.flit import FORMATS, Flit, FlitFormat
from hsl.codec.message import Message
from hsl.errors import ConfigError
from hsl.files import parse_json

__all__ = ["MODES", "encoded", "outcome", "test_one_input"]

MAX_ROWS: Final = 64  # messages and flits of one batch: an input has no more bytes than some records
KEYS: Final = "format type ft seq ack viral cvc ccnt som messages ctl payload unfinished raw error op opcode"
MORE: Final = "flit offset data be epoch peer seen caps magic x"
NAMES: Final = (*KEYS.split(), *MORE.split(), *Message._fields)
WORDS: Final = (
    *FORMATS,
    *FlitType.__members__,
    *CtlOp.__members__,
    *Op.__members__,
    "",
    "00",
    "zz",
    "5" * 128,
)
DEPTH: Final = 5


def test_one_input(data: bytes) -> None:
    """AssertionError when encoding breaks a promise on `data`; no other exception is legal."""
    source = Input(data)
    mode, form = source.number() % len(MODES), tuple(FORMATS.values())[source.number() % len(FORMATS)]
    MODES[mode](source, form)


def text(source: Input, form: FlitFormat) -> None:
    """The rest is the text of a document."""
    try:
        document = parse_json(source.rest, "-")
    except ConfigError:
        return
    check_document(document)


def document(source: Input, form: FlitFormat) -> None:
    """The rest draws a document: flits that decode might have printed, with values of any kind among them."""
    check_document(whole([flit(source, form) for _ in range(1 + source.number() % 4)]))


def whole(flits: list[Any]) -> dict[str, Any]:
    """Return the document of some flits."""
    return {"schema": DOCUMENT, "flits": flits}


def flit(source: Input, form: FlitFormat) -> dict[str, Any]:
    """A flit object."""
    ft = (FlitType.PROT, FlitType.PROT, FlitType.PROT, *FlitType)[source.number() % (3 + len(FlitType))]
    found: dict[str, Any] = {"format": form.name, "type": ft.name}
    for name, most in (("seq", 1023), ("ack", 1023), ("viral", 1)):
        if source.number() & 1:
            found[name] = source.number(2) & most
    if ft == FlitType.PROT:
        found["messages"] = [message(source) for _ in range(source.number() % 4)]
    if ft == FlitType.CTL:
        found["ctl"] = {
            "op": list(CtlOp.__members__)[source.number() % len(CtlOp)],
            "epoch": source.number(4),
        }
        spoil(source, found["ctl"])
    spoil(source, found)
    return found


def message(source: Input) -> dict[str, Any]:
    """A message object, as decode prints one."""
    drawn = draw_message(source)
    fields = {name: field for name, field in drawn._asdict().items() if field not in (0, b"", None)}
    found = {"op": drawn.op} | fields | ({"data": drawn.data.hex()} if drawn.data else {})
    spoil(source, found)
    return found


def spoil(source: Input, found: dict[str, Any]) -> None:
    """Now and then a key of any name has any value."""
    if source.number() % 8 == 1:
        found[NAMES[source.number() % len(NAMES)]] = value(source, DEPTH)


def value(source: Input, depth: int) -> Any:
    """Any JSON value, likely one that has a meaning."""
    kind = source.number() % 10
    if kind < 3:
        return source.wild((1 << 8 * (source.number() % 9)) - 1)
    if kind < 5:
        return WORDS[source.number() % len(WORDS)]
    if kind == 5:
        return source.take(source.number() % 70).hex()
    if kind == 6:
        return (None, True, False, 1.5, float("inf"), -1, 10**400, "\ud800")[source.number() % 8]
    if not depth:
        return 0
    if kind < 9:
        return {
            NAMES[source.number() % len(NAMES)]: value(source, depth - 1) for _ in range(source.number() % 6)
        }
    return [value(source, depth - 1) for _ in range(source.number() % 4)]


def check_document(document: Any) -> None:
    """Both engines give the same flits or refuse; what is encoded decodes, and encodes to the same again."""
    found = [encoded(document, codec) for codec in ("reference", "native")]
    assert found[0] == found[1], f"{document}\nreference: {found[0]}\nnative:    {found[1]}"
    flits = found[0]
    if not isinstance(flits, list) or not flits or any("raw" in each for each in document["flits"]):
        return
    form = document["flits"][0]["format"]
    assert all(len(each) == FORMATS[form].bytes for each in flits)
    again = decode_document(b"".join(flits), form)
    if not any("error" in each for each in again):
        json.dumps(again)
        assert encode_document(whole(again)) == flits, f"{document}\ndecoded: {again}"


def encoded(document: Any, codec: str) -> list[bytes] | str:
    """The flits, or the words with which they are refused."""
    try:
        return encode_document(document, codec)
    except ConfigError:
        return "refused"


def records(source: Input, form: FlitFormat) -> None:
    """The rest is raw memory of both arrays, of which most fields are out of range."""
    check_batch(rows(source, FLIT), MessageBatch(rows(source, MESSAGE)), form)


def likely_records(source: Input, form: FlitFormat) -> None:
    """Messages that can be sent, in flits that can, and now and then a wrong byte in either array."""
    drawn = [draw_message(source) for _ in range(source.number() % MAX_ROWS)]
    native = engine("native")
    messages = MessageBatch.of([each for each in drawn if outcome(native.encode_message, each)[0] == "value"])
    flits = prot_flits(source.number() % MAX_ROWS, source.number(2))
    for name, most in (("ack", 1023), ("viral", 1), ("messages", 5)):
        if source.number() & 1:
            flits[name] = source.number(2) & most
    for array in (messages.array, flits):
        raw = array.view(np.uint8)
        for _ in range(max(0, source.number() % 8 - 4) if raw.size else 0):
            raw[source.number(2) % raw.size] = source.number()
    check_batch(flits, messages, form)


def rows(source: Input, dtype: np.dtype[np.void]) -> Any:
    """An array of records made of the next bytes."""
    count = source.number() % MAX_ROWS
    return np.frombuffer(source.take(count * dtype.itemsize), dtype).copy()


def check_batch(flits: Any, messages: MessageBatch, form: FlitFormat) -> None:
    """The batch refuses, or gives flits that decode to the messages it has taken."""
    before = flits.tobytes(), messages.array.tobytes()
    encoder = BatchEncoder(form.name)
    kind, found = outcome(encoder.encode, flits, messages)
    assert (flits.tobytes(), messages.array.tobytes()) == before, "the caller's arrays are never changed"
    native = engine("native")
    if kind == "error":
        assert found[1], "an error has the requirement that was broken"
        return
    data, taken = found
    assert data.shape == (len(flits), form.bytes)
    assert taken <= len(messages)
    for row in messages[:taken]:
        native.encode_message(row)  # it was taken, so it can be sent
    for index, record in enumerate(flits):
        if record["ft"] != FlitType.PROT:
            head = {name: int(record[name]) for name in ("ft", "viral", "seq", "ack", "cvc", "ccnt", "som")}
            zeros = bytes(form.payload_bytes)
            assert native.encode_flit(Flit(form.name, **head, payload=zeros)) == data[index].tobytes()
    decoded = BatchDecoder(form.name).decode(data)
    if all(decoded.error(index) is None for index in range(len(flits))):
        ended = taken - encoder.unfinished
        assert len(decoded.messages) == ended
        for sent, got in zip(messages[:ended], decoded.messages, strict=True):
            assert native.encode_message(sent) == native.encode_message(got)


MODES: Final = (text, document, records, likely_records)


if __name__ == "__main__":
    fuzz(test_one_input)
