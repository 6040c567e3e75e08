"""Batches: columns, Message objects, streams over several calls, limits and what cannot be sent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsl._generated.constants import ErrorCode, Op, Vc
from hsl.codec import batch
from hsl.codec.batch import FLIT, MESSAGE, UNLIMITED, BatchDecoder, BatchEncoder, MessageBatch, prot_flits
from hsl.codec.ctl import Ctl
from hsl.codec.engines import engine
from hsl.codec.flit import FORMATS, Flit
from hsl.codec.message import Message
from hsl.errors import CodecError, ConfigError
from tests.codec import cases
from tests.codec.strategies import messages
from tests.support import bigint

FORMS = sorted(FORMATS)
MIXED = [
    cases.READ_MESSAGE,
    cases.sample(0xA0, len=3, st=1, txn=7),
    cases.sample(0x42, len=1, be=0),
    cases.sample(0x42, len=3, be=(1 << 64) - 1, addr=(1 << 52) - 64),
    cases.sample(0x81, txn=0xFFF),
]


def test_golden() -> None:
    """V1 and V2 are two rows of flits and one message; V3 has two."""
    flits, found = BatchDecoder("L64").decode(cases.V1 + cases.V2)
    assert flits["ft"].tolist() == [0, 1]
    assert (flits["ack"].tolist(), flits["cvc"].tolist(), flits["messages"].tolist()) == (
        [1023, 3],
        [0, 4],
        [0, 1],
    )
    assert list(found) == [cases.V2_MESSAGE]
    assert found["flit"].tolist() == [1]
    flits, found = BatchDecoder("B256").decode(cases.V3)
    assert flits["som"].tolist() == [0x201]
    assert list(found) == cases.V3_MESSAGES


def test_dtypes() -> None:
    """The columns are those that the documentation names, and rows are as wide as the structs of C."""
    assert (MESSAGE.itemsize, FLIT.itemsize) == (112, 24)
    assert set(Message._fields) - {"be", "data"} < set(MESSAGE.names or ())
    assert MESSAGE["data"].shape == (64,)
    assert MESSAGE["addr"] == np.uint64
    assert set(FLIT["fault"].names or ()) == {"requirement", "offset", "code", "field"}


def test_message_batch() -> None:
    """A batch is columns by name, messages by number, batches by slice and mask."""
    found = MessageBatch.of(MIXED)
    assert len(found) == len(MIXED)
    assert list(found) == MIXED
    assert [found[i] for i in range(len(MIXED))] == MIXED
    assert found[-1] == MIXED[-1]
    assert list(found[1:3]) == MIXED[1:3]
    assert list(found[found["op"] == Op.WritePtl]) == MIXED[2:4]
    assert found["txn"].tolist() == [message.txn for message in MIXED]
    assert bytes(found["data"][1]) == MIXED[1].data
    assert found["has_be"].tolist() == [0, 0, 1, 1, 0]
    assert list(MessageBatch.of([])) == []


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_round_trip(form: str, data: st.DataObject) -> None:
    """Any messages, encoded and decoded in parts, are those of the reference, byte for byte."""
    sent = data.draw(st.lists(messages(), min_size=1, max_size=12))
    expected = cases.flits_of(sent, form)
    encoded, taken = BatchEncoder(form).encode(prot_flits(len(expected)), MessageBatch.of(sent))
    assert taken == len(sent)
    assert [row.tobytes() for row in encoded] == expected
    cut = data.draw(st.integers(0, len(expected)))
    decoder = BatchDecoder(form)
    parts = [decoder.decode(encoded[:cut]), decoder.decode(encoded[cut:])]
    assert [message for part in parts for message in part.messages] == sent
    assert not decoder.unfinished
    ends = [number for part in parts for number in part.messages["flit"].tolist()]
    assert ends == sorted(ends)
    assert all(0 <= number < len(expected) for number in ends)


def test_stream_goes_on() -> None:
    """A message that has begun ends in a later call, of the encoder and of the decoder."""
    message = cases.sample(0x40, len=3)
    encoder, decoder = BatchEncoder("L64"), BatchDecoder("L64")
    first, taken = encoder.encode(prot_flits(1), MessageBatch.of([message]))
    assert (taken, encoder.unfinished) == (1, True)
    assert (len(decoder.decode(first).messages), decoder.unfinished) == (0, True)
    second, taken = encoder.encode(prot_flits(1, seq=1), MessageBatch.of([]))
    assert (taken, encoder.unfinished) == (0, False)
    found = decoder.decode(second)
    assert (list(found.messages), found.messages["flit"].tolist(), decoder.unfinished) == (
        [message],
        [1],
        False,
    )


def test_faults_and_on() -> None:
    """A flit at fault is a row with its error, and decoding goes on; go-back-N repeats a damaged flit."""
    sent = [cases.sample(0x40, len=3), cases.READ_MESSAGE]
    first, second = cases.flits_of(sent, "L64")
    damaged = bytes([second[0] ^ 1]) + second[1:]
    reserved = bigint.l64(bigint.h0(ft=5), b"")
    found = BatchDecoder("L64").decode(first + damaged + reserved + second + first[:7])
    errors = [found.error(index) for index in range(5)]
    assert [error and (error.code, error.requirement, error.offset) for error in errors] == [
        None,
        (ErrorCode.CRC, "HSL-FLT-003", 60),
        (ErrorCode.RESERVED_FT, "HSL-FLT-007", 0),
        None,
        (ErrorCode.CRC, "HSL-FLT-001", 7),
    ]
    assert list(found.messages) == sent
    assert found.messages["flit"].tolist() == [3, 3]


def test_credits() -> None:
    """Each message takes a credit of its VC; without one the flit is at fault."""
    flits = b"".join(cases.flits_of([cases.READ_MESSAGE] * 7, "L64"))
    decoder = BatchDecoder("L64", {Vc.REQ: 3, Vc.NCR: UNLIMITED})
    found = decoder.decode(flits)
    assert len(found.messages) == 3
    error = found.error(0)
    assert error is not None
    assert (error.code, error.offset) == (ErrorCode.CREDIT_UNDERFLOW, 4 + 8 * 6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("portable", [False, True])
def test_more_than_the_room_of_a_call(form: str, portable: bool) -> None:
    """More flits than FLIT_ROOM and more messages than MESSAGE_ROOM are one result all the same."""
    per = FORMATS[form].granules
    count = max(batch.FLIT_ROOM, batch.MESSAGE_ROOM // per) + 3
    sent = [cases.sample(0x81, txn=i % 4096) for i in range(per)]
    one = cases.flits_of(sent, form)[0]
    found = BatchDecoder(form, portable=portable).decode(one * count)
    assert len(found.flits) == count
    assert len(found.messages) == count * per
    assert not found.flits["fault"]["code"].any()
    assert found.flits["message"].tolist() == list(range(0, count * per, per))
    assert found.messages["txn"].tolist() == list(range(per)) * count
    assert found.messages["flit"][::per].tolist() == list(range(count))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: np.frombuffer(data, np.uint8)])
def test_any_buffer(kind: type[bytes]) -> None:
    """bytes, bytearray, memoryview and arrays are decoded where they are; nothing is nothing."""
    assert list(BatchDecoder("L64").decode(kind(cases.V2)).messages) == [cases.V2_MESSAGE]
    empty = BatchDecoder("L64").decode(kind(b""))
    assert (len(empty.flits), len(empty.messages)) == (0, 0)
    assert (empty.flits.dtype, empty.messages.array.dtype) == (FLIT, MESSAGE)


def test_arrays_are_copies() -> None:
    """What a call gave is not changed by the next one."""
    decoder = BatchDecoder("L64")
    first = decoder.decode(cases.V2)
    flits, found = first.flits.copy(), list(first.messages)
    decoder.decode(b"".join(cases.flits_of(MIXED, "L64")))
    assert (first.flits == flits).all()
    assert list(first.messages) == found


def test_other_flits() -> None:
    """The payload of a flit that is no PROT is the caller's; PROT may be told to take no message."""
    native = engine("native")
    payload = native.encode_ctl(Ctl(0x10, False, 1, 2, {"exp": 5}))
    flits = prot_flits(3)
    flits["ft"] = [2, 1, 0]
    flits["messages"] = [0, 0, 0]
    payloads = np.zeros((3, 56), np.uint8)
    payloads[0] = np.frombuffer(payload, np.uint8)
    encoded, taken = BatchEncoder("L64").encode(flits, MessageBatch.of(MIXED), payloads)
    assert taken == 0
    assert [row.tobytes() for row in encoded] == [
        native.encode_flit(Flit("L64", 2, seq=0, payload=payload)),
        native.encode_flit(Flit("L64", 1, seq=1)),
        native.encode_flit(Flit("L64", 0, seq=2)),
    ]


def test_what_cannot_be_sent() -> None:
    """The first flit or message that cannot be sent is a CodecError that says where."""
    bad = MessageBatch.of([cases.READ_MESSAGE, Message(0x1F)])
    error = cases.error_of(BatchEncoder("L64").encode, prot_flits(2), bad)
    assert (error.requirement, "message 1" in str(error)) == ("HSL-FLT-008", True)
    flits = prot_flits(2)
    flits["seq"][1] = 1024
    error = cases.error_of(BatchEncoder("L64").encode, flits, MessageBatch.of([]))
    assert (error.code, error.requirement, "flit 1" in str(error)) == (
        ErrorCode.MALFORMED,
        "HSL-FLT-002",
        True,
    )


@pytest.mark.parametrize(
    "message",
    [Message(0x20, src=1 << 16), Message(0x20, txn=-1), Message(256), Message(0x40, data=bytes(65))],
)
def test_what_has_no_place_in_a_column(message: Message) -> None:
    """A value that is wider than its column is refused, not cut."""
    with pytest.raises(CodecError, match="does not fit"):
        MessageBatch.of([cases.READ_MESSAGE, message])


def test_unknown_format() -> None:
    """A format that is none is a ConfigError."""
    for kind in (BatchDecoder, BatchEncoder):
        with pytest.raises(ConfigError, match="L64 or B256"):
            kind("L128")


@pytest.mark.parametrize(
    "credits", [{8: 1}, {-1: 1}, {"REQ": 1}, {Vc.REQ: -1}, {Vc.REQ: 1 << 32}, {Vc.REQ: 1.5}]
)
def test_impossible_credits(credits: dict[int, int]) -> None:
    """Credits of a VC that does not exist, and a count that does not fit, are a ConfigError."""
    with pytest.raises(ConfigError, match=r"credits: .* of VC .*; expected 0\.\.4294967295 of VC 0\.\.7"):
        BatchDecoder("L64", credits)
