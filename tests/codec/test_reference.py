"""HSL chapter 2: flits and messages, against golden vectors, the third opinion and hostile bytes."""

import random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsl._generated import constants, layouts
from hsl._generated.tables import OPCODES, VC_HEADER
from hsl.codec import checks, reference
from hsl.codec.engines import Engine
from hsl.codec.flit import FORMATS, Flit
from hsl.codec.message import Message
from hsl.errors import CodecError, ConfigError
from tests.codec import cases
from tests.codec.strategies import likely_payloads, messages
from tests.support import bigint

FORMS = ("L64", "B256")


@pytest.mark.parametrize("checker", cases.CHECKERS, ids=lambda checker: checker.__name__)
def test_checkers(engine: Engine, checker: Any) -> None:
    """Golden vectors, field cases, damage and broken payloads give what the prose says [HSL-FLT-002]."""
    checker(engine)


def test_cases_are_complete() -> None:
    """The cases name every opcode of the spec with its data, and every field width of its headers."""
    assert set(cases.USES) == set(OPCODES)
    for code, info in OPCODES.items():
        assert ("data" in cases.uses(code)) == info.data, info.name
        assert cases.is_class_b(code) == (VC_HEADER[info.vc] == "B"), info.name
    rows = (*layouts.A0_FIELDS, *layouts.A1_FIELDS, *layouts.B0_FIELDS)
    widths = {name: mask for name, _, mask in rows}
    for name, bits in cases.BITS.items():
        if name not in ("st", "x8"):  # ST: the reserved half is an error; x8 is a part of X
            assert widths[name] == (1 << bits) - 1, name
    codes = constants.ErrorCode
    assert {case.code for case in cases.BROKEN} == {codes.CREDIT_UNDERFLOW, codes.SOM, codes.MALFORMED}
    assert {case.som is None for case in cases.BROKEN} == {True, False}


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_messages_span_flits(engine: Engine, form: str, data: st.DataObject) -> None:
    """Any messages, packed into flits, are the third opinion's bytes and come back [HSL-FLT-009]."""
    sent = data.draw(st.lists(messages(), min_size=1, max_size=12))
    flits = cases.encode_stream(engine, sent, form)
    assert flits == cases.flits_of(sent, form)
    assert cases.decode_stream(engine, flits, form) == sent


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_pad_anywhere(engine: Engine, form: str, data: st.DataObject) -> None:
    """PAD at any message boundary is skipped [HSL-FLT-008]."""
    parts = data.draw(st.lists(st.one_of(messages(), st.none()), max_size=30))
    stream, starts = b"", []
    for part in parts:
        if part is None:
            stream += cases.PAD
        else:
            starts.append(len(stream) // 8)
            stream += cases.granules(part)
    granules = FORMATS[form].granules
    unpacker, found = engine.Unpacker(), []
    for at in range(0, len(stream) // 8, granules):
        som = sum(1 << start - at for start in starts if at <= start < at + granules)
        payload = stream[8 * at : 8 * (at + granules)].ljust(8 * granules, b"\0")
        got, error = unpacker.feed(payload, som if form == "B256" else None, lambda vc: True)
        assert error is None
        assert unpacker.som == som
        found += got
    assert found == [part for part in parts if part is not None]


def test_unfinished(engine: Engine) -> None:
    """A message is delivered with the flit that completes it; `unfinished` says that one is open."""
    message = cases.sample(0x40, len=3)
    queue = [message]
    packer, unpacker = engine.Packer(), engine.Unpacker()
    assert (packer.unfinished, unpacker.unfinished) == (False, False)
    first, _ = packer.fill(lambda: queue.pop() if queue else None, "L64")
    assert packer.unfinished
    assert unpacker.feed(first, None, lambda vc: True) == ([], None)
    assert unpacker.unfinished
    second, _ = packer.fill(lambda: None, "L64")
    assert unpacker.feed(second, None, lambda vc: True) == ([message], None)
    assert (packer.unfinished, unpacker.unfinished) == (False, False)


def test_packer_asks_only_at_boundaries(engine: Engine) -> None:
    """The next message is asked for at a boundary inside the flit, and no more once there is none."""
    read = cases.sample(0x20, len=3)
    asked: list[int] = []

    def one_then_none() -> Message | None:
        asked.append(len(asked))
        return read if len(asked) == 1 else None

    packer = engine.Packer()
    payload, som = packer.fill(one_then_none, "B256")
    assert (payload, som) == (cases.granules(read).ljust(240, b"\0"), 1)
    assert asked == [0, 1]
    full = engine.Packer()
    queue = [cases.sample(0x82) for _ in range(7)]
    full.fill(queue.pop, "L64")  # IndexError if it were asked an eighth time
    assert queue == []


def test_admit_is_called_once_per_message(engine: Engine) -> None:
    """The credit of a message is asked for at its first granule, not again in later flits [HSL-LNK-030]."""
    asked: list[int] = []

    def admit(vc: int) -> bool:
        asked.append(vc)
        return True

    sent = [cases.sample(op, len=3) for op in (0x40, 0xA0, 0x20, 0x61, 0xE1)]
    unpacker = engine.Unpacker()
    for data in cases.flits_of(sent, "L64"):
        unpacker.feed(data[4:60], None, admit)
    assert asked == [2, 5, 1, 3, 7]


def test_after_an_error_a_boundary(engine: Engine) -> None:
    """After an error the next payload starts at a message boundary."""
    unpacker = engine.Unpacker()
    unpacker.feed(cases.granules(cases.sample(0x40, len=3))[:56], None, lambda vc: True)
    _, error = unpacker.feed(bytes(240), 1, lambda vc: True)  # SOM inside the message
    assert error is not None
    assert not unpacker.unfinished
    assert unpacker.feed(cases.READ, None, lambda vc: True) == ([cases.READ_MESSAGE], None)


def test_ignored_bits(engine: Engine) -> None:
    """Bits of fields that an opcode does not use are ignored, and sent 0 [HSL-FLT-005]."""
    noise_a = {"poison": 1, "aop": 31, "dom": 0xFFF, "addr": (1 << 52) - 1, "x": 0xFFF}
    noise_b = {"htxn": 0xFFF, "st": 3, "err": 7, "len": 3, "poison": 1}
    for op in cases.USES:
        used = cases.uses(op)
        clean = cases.sample(op, **({"len": 3} if "len" in used else {}))
        noise = noise_b if cases.is_class_b(op) else noise_a | ({"x": 0xF00} if "x8" in used else {})
        unused: dict[str, Any] = {name: value for name, value in noise.items() if name not in used}
        dirty = clean._replace(**unused)
        raw = cases.granules(dirty)
        assert raw != cases.granules(clean) or noise.keys() <= used
        messages_found = []
        unpacker = engine.Unpacker()
        for at in range(0, len(raw), 56):
            found, error = unpacker.feed(raw[at : at + 56], None, lambda vc: True)
            assert error is None
            messages_found += found
        assert messages_found == [clean], hex(op)
        assert engine.encode_message(clean) == cases.granules(clean)


def test_ignored_bits_of_flits(engine: Engine) -> None:
    """Ignored are CVC, CCNT and H1 of NOP and CTL, the content of a NOP, and H1[31:30] [HSL-FLT-012]."""
    ctl = bytes(range(56))
    nop = bigint.l64(bigint.h0(ft=0, seq=3, ack=4, cvc=7, ccnt=31), b"\xff" * 56)
    assert engine.decode_flit(nop, "L64") == Flit("L64", 0, seq=3, ack=4, payload=bytes(56))
    assert engine.decode_flit(bigint.l64(bigint.h0(ft=2, cvc=1), ctl), "L64") == Flit("L64", 2, payload=ctl)
    wide = bigint.b256(bigint.h0(ft=2, ccnt=1), ctl, 0xFFFFFFFF)
    assert engine.decode_flit(wide, "B256") == Flit("B256", 2, payload=ctl + bytes(184))
    prot = bigint.b256(bigint.h0(ft=1), b"", 0xC0000000)
    assert engine.decode_flit(prot, "B256") == Flit("B256", 1, payload=bytes(240))


@pytest.mark.parametrize("form", FORMS)
def test_link_header(engine: Engine, form: str) -> None:
    """Every field of H0 and H1 at 0, at max, with each single bit is where 2.3 says [HSL-FLT-002]."""
    fields = {"ft": 3, "viral": 1, "seq": 10, "ack": 10, "cvc": 3, "ccnt": 5}
    for name, bits in fields.items():
        for value in cases.field_values(bits):
            given_fields = {"ft": 1} | {name: value}
            if name == "ft" and value in (0, 2):
                continue  # NOP and CTL: test_ignored_bits_of_flits
            head = bigint.h0(**given_fields)
            raw = bigint.l64(head, b"") if form == "L64" else bigint.b256(head, b"", 0)
            flit = Flit(form, payload=bytes(FORMATS[form].payload_bytes), **given_fields)
            assert engine.decode_flit(raw, form) == flit
            assert engine.encode_flit(flit) == raw
            assert engine.encode_flit(flit._replace(payload=b"")) == raw
    for som in cases.field_values(30):
        raw = bigint.b256(bigint.h0(ft=1), b"", som)
        assert engine.decode_flit(raw, "B256").som == som
        assert engine.encode_flit(Flit("B256", 1, som=som)) == raw


WRONG_FLITS = {
    "seq": Flit("L64", 1, seq=1024),
    "negative": Flit("L64", 1, ack=-1),
    "not a number": Flit("L64", 1, viral="x"),  # type: ignore[arg-type]
    "type": Flit("L64", 8),
    "long payload": Flit("L64", 1, payload=bytes(57)),
    "credit in NOP": Flit("L64", 0, cvc=1),
    "content in NOP": Flit("L64", 0, payload=b"\1"),
    "SOM on L64": Flit("L64", 1, som=1),
    "SOM in CTL": Flit("B256", 2, som=1),
    "wide SOM": Flit("B256", 1, som=1 << 30),
}


@pytest.mark.parametrize("name", WRONG_FLITS)
def test_flit_that_cannot_be_sent(engine: Engine, name: str) -> None:
    """A flit whose field does not fit, or is not 0 where it must be, is refused by its name."""
    error = cases.error_of(engine.encode_flit, WRONG_FLITS[name])
    assert error.code == constants.ErrorCode.MALFORMED
    assert "expected" in str(error)


WRONG_MESSAGES = {
    "VC 0": Message(0x1F),
    "wide opcode": Message(0x100),
    "no opcode": Message("Cmp"),  # type: ignore[arg-type]
    "src": Message(0x80, src=1024),
    "negative": Message(0x80, txn=-1),
    "HTXN in a request": Message(0x20, len=3, htxn=1),
    "ADDR in a completion": Message(0x80, addr=64),
    "BE in a completion": Message(0x80, be=0),
    "wide BE": Message(0x42, be=1 << 64, data=bytes(8)),
    "X in a read": Message(0x20, len=3, x=1),
    "perms in PageRsp": Message(0xE7, x=0x100, data=bytes(8)),
    "poison without data": Message(0x20, len=3, poison=1),
    "ST of CmpAck": Message(0x81, st=1),
    "LEN of Cmp": Message(0x80, len=3),
    "data in a read": Message(0x20, len=3, data=bytes(64)),
    "short data": Message(0x40, len=3, data=bytes(63)),
    "long data": Message(0xA0, len=0, data=bytes(16)),
    "unknown snoop": Message(0x63, len=3),
    "unknown RSP": Message(0x83),
    "snoop of LEN 0": Message(0x60),
    "snoop inside a line": Message(0x60, len=3, addr=8),
    "reserved ST": Message(0xA0, st=4, data=bytes(8)),
    "SnpRspData of LEN 0": Message(0xA1, data=bytes(8)),
}


@pytest.mark.parametrize("name", WRONG_MESSAGES)
def test_message_that_cannot_be_sent(engine: Engine, name: str) -> None:
    """A message that would not come back as given, or that its receiver must call malformed, is refused."""
    error = cases.error_of(engine.encode_message, WRONG_MESSAGES[name])
    assert error.code == constants.ErrorCode.MALFORMED
    assert error.requirement.startswith("HSL-")


def test_wrong_size_and_crc(engine: Engine) -> None:
    """Size comes before CRC; the offset is the end of the shorter, or the CRC [HSL-FLT-001]."""
    for raw, form, crc in ((cases.V2, "L64", "HSL-FLT-003"), (cases.V3, "B256", "HSL-FLT-004")):
        for size in (0, 1, len(raw) - 1, len(raw) + 1):
            error = cases.error_of(engine.decode_flit, (raw * 2)[:size], form)
            assert (error.requirement, error.offset) == ("HSL-FLT-001", min(size, len(raw)))
        error = cases.error_of(engine.decode_flit, bytes([raw[0] ^ 1]) + raw[1:], form)
        assert (error.requirement, error.offset) == (crc, {"L64": 60, "B256": 248}[form])
        assert f"{int.from_bytes(raw[error.offset :], 'little'):x}" in str(error)


def test_unknown_format(engine: Engine) -> None:
    """A format that is none is a ConfigError that names those that are."""
    with pytest.raises(ConfigError, match="L64 or B256"):
        engine.decode_flit(cases.V1, "L128")
    with pytest.raises(ConfigError, match="L64 or B256"):
        engine.encode_flit(Flit("", 0))


def test_reserved_types_are_returned(engine: Engine) -> None:
    """A good flit of a reserved type is decoded as it is: the link drops and counts it [HSL-FLT-007]."""
    for ft in (4, 5, 6, 7):
        raw = bigint.l64(bigint.h0(ft=ft, cvc=3), b"\xaa" * 56)
        assert engine.decode_flit(raw, "L64") == Flit("L64", ft, cvc=3, payload=b"\xaa" * 56)


@given(data=st.binary(max_size=300), form=st.sampled_from(FORMS))
def test_any_bytes(engine: Engine, data: bytes, form: str) -> None:
    """Any bytes of any length are a flit or a CodecError."""
    try:
        assert len(engine.decode_flit(data, form)) == len(Flit._fields)
    except CodecError as error:
        found = error
    else:
        return
    assert found.code == constants.ErrorCode.CRC
    assert 0 <= found.offset <= FORMATS[form].bytes


@given(data=st.data(), form=st.sampled_from(FORMS), credits=st.sets(st.integers(1, 7), min_size=5))
def test_any_payload(engine: Engine, data: st.DataObject, form: str, credits: set[int]) -> None:
    """Any granules are messages, which encode and come back the same, or a CodecError in the flit."""
    size = FORMATS[form].payload_bytes
    unpacker, codes = engine.Unpacker(), constants.ErrorCode
    for _ in range(3):
        payload = data.draw(st.one_of(likely_payloads(size), st.binary(min_size=size, max_size=size)))
        som = data.draw(st.integers(0, (1 << 30) - 1)) if form == "B256" else None
        found, error = unpacker.feed(payload, som, lambda vc: vc in credits)
        for message in found:
            raw = engine.encode_message(message)
            assert raw == cases.granules(message)
        assert cases.decode_stream(engine, cases.flits_of(found, form), form) == found
        if error is not None:
            assert error.code in (codes.CREDIT_UNDERFLOW, codes.SOM, codes.MALFORMED)
            start = FORMATS[form].payload_offset
            assert start <= error.offset < start + size
            assert (error.offset - start) % 8 == 0


SMALL = st.integers(-1, 1100)
FLITS = st.builds(
    Flit, st.just("L64"), st.integers(-1, 9), SMALL, SMALL, SMALL, SMALL, SMALL, st.binary(max_size=60)
)


@given(flit=FLITS)
def test_any_flit(engine: Engine, flit: Flit) -> None:
    """Any Flit is encoded and comes back the same, filled up, or is a CodecError."""
    try:
        raw = engine.encode_flit(flit)
    except CodecError:
        return
    assert engine.decode_flit(raw, "L64") == flit._replace(payload=flit.payload.ljust(56, b"\0"))


@pytest.mark.parametrize("ft", range(8))
def test_credit_return(engine: Engine, ft: int) -> None:
    """CVC and CCNT of PROT and PROT_S are both 0 or both not, else MALFORMED at their byte (3.5 F8)."""
    for cvc, ccnt in ((0, 0), (1, 1), (7, 31)):
        assert engine.credit_return_fault(Flit("L64", ft, cvc=cvc, ccnt=ccnt)) is None
    for cvc, ccnt in ((0, 1), (7, 0)):
        fault = engine.credit_return_fault(Flit("L64", ft, cvc=cvc, ccnt=ccnt))
        assert (fault is not None) == (ft in (1, 3))
        assert fault is None or (fault.code, fault.offset) == (8, 3)


def test_credit_return_of_unfitting_values(engine: Engine) -> None:
    """A Flit of values that no header holds is judged like any other, by either engine."""
    for ft, cvc, ccnt, fits in (
        (1, 256, 0, False),
        (1, 0, -1, False),
        (1, 256, 1 << 40, True),
        (1 << 9, 1, 0, True),
    ):
        assert (engine.credit_return_fault(Flit("L64", ft, cvc=cvc, ccnt=ccnt)) is None) == fits


def test_odd_payload(engine: Engine) -> None:
    """A payload that is not whole granules is an error, not silently cut."""
    messages_found, error = engine.Unpacker().feed(bytes(55), None, lambda vc: True)
    assert messages_found == []
    assert error is not None
    assert error.offset == 4 + 48


def test_random_damage_of_few_bits(engine: Engine) -> None:
    """2,000 drawn errors of 2 to 5 bits per format are all refused [HSL-FLT-006]."""
    seed = 2024
    rng = random.Random(seed)
    for raw, form in ((cases.V2, "L64"), (cases.V3, "B256")):
        word = int.from_bytes(raw, "little")
        for _ in range(2000):
            damage = sum(1 << bit for bit in rng.sample(range(8 * len(raw)), rng.randint(2, 5)))
            data = (word ^ damage).to_bytes(len(raw), "little")
            assert cases.error_of(engine.decode_flit, data, form).code == 1, f"seed {seed}"


# Planted bugs: the checkers above must notice each of them.


def engine_with(**changed: Any) -> Any:
    """The reference engine with some functions replaced."""
    return SimpleNamespace(**vars(reference) | changed)


def no_crc_check(data: bytes, format: str) -> Flit:
    form = FORMATS[format]
    body = data[: form.crc_offset]
    return reference.decode_flit(body + form.crc(body).to_bytes(form.crc_bytes, "little"), format)


def plant_no_crc(patch: pytest.MonkeyPatch) -> Any:
    return engine_with(decode_flit=no_crc_check)


def plant_wrong_crc_span(patch: pytest.MonkeyPatch) -> Any:
    form = FORMATS["L64"]
    patch.setitem(FORMATS, "L64", form._replace(crc=lambda data: form.crc(data[4:])))
    return reference


def plant_shifted_field(patch: pytest.MonkeyPatch) -> Any:
    rows = [(name, shift + (name == "htxn"), mask) for name, shift, mask in layouts.B0_FIELDS]
    patch.setattr(layouts.B0, "rows", tuple(rows))
    return reference


def plant_unchecked_length(patch: pytest.MonkeyPatch) -> Any:
    patch.setattr(reference, "malformed", lambda fields, info: checks.malformed(dict(fields, len=3), info))
    return reference


def plant_som_not_checked(patch: pytest.MonkeyPatch) -> Any:
    patch.setattr(reference, "_check_inside", lambda som, first, stop: None)
    return reference


def plant_credit_not_checked(patch: pytest.MonkeyPatch) -> Any:
    begin = reference._begin
    patch.setattr(
        reference, "_begin", lambda granule, som, at, admit: begin(granule, som, at, lambda vc: True)
    )
    return reference


PLANTED = {
    "CRC not checked": (plant_no_crc, cases.check_damage),
    "wrong CRC span": (plant_wrong_crc_span, cases.check_golden),
    "shifted field": (plant_shifted_field, cases.check_fields),
    "unchecked length": (plant_unchecked_length, cases.check_broken),
    "SOM not checked": (plant_som_not_checked, cases.check_broken),
    "credit not checked": (plant_credit_not_checked, cases.check_broken),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_planted_bugs_are_noticed(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each bug planted in the reference makes its checker fail."""
    plant, checker = PLANTED[bug]
    broken = plant(monkeypatch)
    with pytest.raises((AssertionError, CodecError)):
        checker(broken)
