"""The native codec: the functions and classes of `hsl.codec.reference`, done by the C library.

One flit or message at a time, so that it can stand where the reference stands; `hsl.codec.batch` is the way
to do many. What differs from the reference are the words of an error, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hsl._generated.constants import GRANULE_BYTES, LINE_BYTES, CtlOp, Err, ErrorCode, FlitType, Vc
from hsl._generated.layouts import (
    A0_FIELDS,
    A1_FIELDS,
    B0_FIELDS,
    CTL_BODY_BYTES,
    CTL_FIELDS,
    H0_FIELDS,
    H1_FIELDS,
)
from hsl.codec.checks import Negotiated
from hsl.codec.ctl import CTL_BYTES, Ctl
from hsl.codec.flit import FORMATS, Flit, FlitFormat, flit_format
from hsl.codec.message import Message
from hsl.errors import CodecError
from hsl.native import cpu_features, crc32c, crc32c_portable, crc64xz, crc64xz_portable, ffi, lib, version

__all__ = [
    "Packer",
    "Unpacker",
    "check_request",
    "cpu_features",
    "crc32c",
    "crc32c_portable",
    "crc64xz",
    "crc64xz_portable",
    "credit_return_fault",
    "decode_ctl",
    "decode_flit",
    "encode_ctl",
    "encode_flit",
    "encode_message",
    "fault_text",
    "format_of",
    "requirement_of",
    "version",
]

Struct = Any  # a struct of C, by pointer
FORMAT_OF: Final = {name: lib.hsl_format(form.bytes) for name, form in FORMATS.items()}
CRC_OF: Final = {"L64": crc32c, "B256": crc64xz}
# What a fault of received bytes says.
READ_TEXTS: Final = {
    "HSL-FLT-001": "wrong size",
    "HSL-FLT-003": "the CRC is not that of the bytes before it",
    "HSL-FLT-004": "the CRC is not that of the bytes before it",
    "HSL-FLT-005": "SNP, RSP or DAT of an invalid format",
    "HSL-FLT-007": "the flit type is reserved",
    "HSL-FLT-008": "a granule at a message boundary is neither PAD nor on a VC",
    "HSL-FLT-010": "the SOM bit of a granule differs from the messages",
    "HSL-LNK-030": "message without a credit",
    "HSL-LNK-031": "one of CVC and CCNT is 0; both must be 0, or neither",
    "HSL-LNK-034": "unknown opcode of SNP, RSP or DAT",
}
_WIDTHS: Final = {
    name.upper(): mask
    for rows in (H0_FIELDS, H1_FIELDS, A0_FIELDS, A1_FIELDS, B0_FIELDS)
    for name, _, mask in rows
}


def format_of(name: str) -> Struct:
    """The `hsl_format_t` of a format; ConfigError when there is none."""
    return FORMAT_OF[flit_format(name).name]


def fault_text(requirement: str) -> str:
    """Describe a fault of received bytes."""
    return READ_TEXTS[requirement]


def requirement_of(number: int) -> str:
    """The id of an `enum hsl_requirement`."""
    text = ffi.string(lib.hsl_requirement_name(number))
    assert isinstance(text, bytes)
    return text.decode()


def _read_error(fault: Struct, found: str = "") -> CodecError:
    """Return the error of bytes that were read; `found`: the value in them."""
    requirement = requirement_of(fault.requirement)
    text = f"{fault_text(requirement)}{found and ': '}{found}"
    return CodecError(text, code=ErrorCode(fault.code), requirement=requirement, offset=fault.offset)


def _sent_error(fault: Struct, value: object) -> CodecError:
    """The error of a Flit, Message or Ctl that cannot be sent."""
    requirement = requirement_of(fault.requirement)
    name = ffi.string(lib.hsl_field_name(fault.field))
    assert isinstance(name, bytes)
    field = name.decode()
    given = getattr(value, field.lower(), value)
    legal = f"0..{_WIDTHS[field]:#x}, 0 where it means nothing" if field in _WIDTHS else "what HSL 2 says"
    text = f"{field or type(value).__name__} = {given!r}; expected {legal}"
    return CodecError(text, code=ErrorCode(fault.code), requirement=requirement)


def _fitting(value: Any, most: int) -> int:
    """Return `value` if it is in 0..most, else `most`: all ones fit in no field, so C refuses them."""
    return int(value) if isinstance(value, int) and 0 <= value <= most else most


def _put(record: Struct, value: Flit | Message, most_of: tuple[tuple[str, int, int], ...]) -> None:
    """The fields of `value` into the struct; `most_of` has name, index in the tuple, and most."""
    for name, index, most in most_of:
        number = value[index]
        if type(number) is not int or not 0 <= number <= most:
            number = _fitting(number, most)
        if number:  # a new struct is all 0
            setattr(record, name, number)


# The most that the fields of hsl_flit_t hold.
_FLIT_MOST: Final = tuple(
    (name, Flit._fields.index(name), most)
    for name, most in (
        ("som", 0xFFFFFFFF),
        *((name, 0xFFFF) for name in ("seq", "ack")),
        *((name, 0xFF) for name in ("ft", "viral", "cvc", "ccnt")),
    )
)


def encode_flit(flit: Flit) -> bytes:
    """As `hsl.codec.reference.encode_flit`."""
    form = flit_format(flit.format)
    record, fault = ffi.new("hsl_flit_t *"), ffi.new("hsl_fault_t *")
    _put(record, flit, _FLIT_MOST)
    out = ffi.new("uint8_t[]", form.bytes)
    if not lib.hsl_flit_encode(FORMAT_OF[form.name], record, flit.payload, len(flit.payload), out, fault):
        raise _sent_error(fault, flit)
    return bytes(ffi.buffer(out))


def decode_flit(data: bytes, format: str) -> Flit:
    """As `hsl.codec.reference.decode_flit`."""
    form = flit_format(format)
    data = bytes(data)
    record = ffi.new("hsl_flit_t *")
    if not lib.hsl_flit_decode(FORMAT_OF[form.name], data, len(data), record):
        raise _read_error(record.fault, _size_or_crc(form, data))
    payload = data[form.payload_offset : form.crc_offset]
    if record.ft == FlitType.NOP:
        payload = bytes(len(payload))
    head = (record.ft, record.viral, record.seq, record.ack, record.cvc, record.ccnt)
    return Flit(form.name, *head, payload=payload, som=record.som)


def _size_or_crc(form: FlitFormat, data: bytes) -> str:
    """Describe the wrong size or CRC of a flit."""
    if len(data) != form.bytes:
        return f"{len(data)} bytes; {form.name} flits have {form.bytes}"
    stored = int.from_bytes(data[form.crc_offset :], "little")
    computed = CRC_OF[form.name](data[: form.crc_offset])
    digits = 2 * form.crc_bytes + 2
    return f"{stored:#0{digits}x}; expected {computed:#0{digits}x}"


def credit_return_fault(flit: Flit) -> CodecError | None:
    """As `hsl.codec.reference.credit_return_fault`."""
    record, fault = ffi.new("hsl_flit_t *"), ffi.new("hsl_fault_t *")
    _put(record, flit, _FLIT_MOST)
    return None if lib.hsl_check_credit_return(record, fault) else _read_error(fault)


# Fields of hsl_message_t that Message has alike, and the most that they hold.
_MESSAGE_MOST: Final = tuple(
    (name, Message._fields.index(name), most)
    for name, most in (
        ("addr", (1 << 64) - 1),
        *((name, 0xFFFF) for name in ("src", "dst", "txn", "htxn", "dom", "x")),
        *((name, 0xFF) for name in ("len", "poison", "qos", "trace", "aop", "st", "err")),
    )
)
_BE_MOST: Final = (1 << LINE_BYTES) - 1
_BE_TOO_WIDE: Final = 2  # C refuses a flag of more than 1
_NO_OPCODE: Final = 0  # on no VC


def _put_message(record: Struct, message: Message) -> None:
    """`message` as a hsl_message_t that C refuses wherever a field has no place in it."""
    _put(record, message, _MESSAGE_MOST)
    op = message.op
    record.op = op if isinstance(op, int) and 0 <= op <= 0xFF else _NO_OPCODE
    if message.be is not None:
        fits = 0 <= message.be <= _BE_MOST
        record.has_be, record.be = (1, message.be) if fits else (_BE_TOO_WIDE, 0)
    record.size = min(len(message.data), 0xFF)
    if record.size <= LINE_BYTES:
        ffi.memmove(record.data, message.data, record.size)


def _get_message(record: Struct) -> Message:
    """A hsl_message_t of the decoder as a Message."""
    r, data = record, bytes(ffi.buffer(record.data, record.size))
    return Message(
        r.op, r.src, r.dst, r.txn, r.len, r.addr, r.be if r.has_be else None, data, r.aop, r.dom, r.x, r.htxn,
        r.st, r.err, r.poison, r.qos, r.trace,
    )  # fmt: skip


def encode_message(message: Message) -> bytes:
    """As `hsl.codec.reference.encode_message`."""
    record, fault = ffi.new("hsl_message_t *"), ffi.new("hsl_fault_t *")
    _put_message(record, message)
    out = ffi.new("uint8_t[]", lib.HSL_MESSAGE_BYTES)
    size = lib.hsl_message_encode(record, out, fault)
    if not size:
        raise _sent_error(fault, message)
    return bytes(ffi.buffer(out, size))


def check_request(message: Message, negotiated: Negotiated) -> Err:
    """As `hsl.codec.checks.check_request`."""
    record, limits = ffi.new("hsl_message_t *"), ffi.new("hsl_negotiated_t *")
    _put_message(record, message)
    limits.atomics, limits.features = negotiated.atomics, negotiated.features
    return Err(lib.hsl_check_request(record, limits))


class Packer:
    """As `hsl.codec.reference.Packer`."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = ffi.new("hsl_packer_t *")

    @property
    def unfinished(self) -> bool:
        """True if a message has begun and not ended."""
        return bool(self._state.sent < self._state.size)

    def fill(self, next_message: Callable[[], Message | None], format: str) -> tuple[bytes, int]:
        """As `hsl.codec.reference.Packer.fill`."""
        form = flit_format(format)
        payload, filled = ffi.new("uint8_t[]", form.payload_bytes), ffi.new("size_t *")
        som, fault, record = ffi.new("uint32_t *"), ffi.new("hsl_fault_t *"), ffi.NULL
        message: Message | None = None
        while True:
            count = int(message is not None)
            lib.hsl_pack(self._state, record, count, payload, form.payload_bytes, filled, som, fault)
            if fault.code:
                raise _sent_error(fault, message)
            message = next_message() if filled[0] < form.payload_bytes else None
            if message is None:
                return bytes(ffi.buffer(payload)), som[0] if form.has_som else 0
            record = ffi.new("hsl_message_t *")
            _put_message(record, message)


def _granule(form: FlitFormat, payload: bytes, offset: int) -> str:
    """The granule of `payload` that is at `offset` of its flit, in words."""
    at = offset - form.payload_offset
    return f"granule {at // GRANULE_BYTES} is {payload[at : at + GRANULE_BYTES].hex()}"


class Unpacker:
    """As `hsl.codec.reference.Unpacker`."""

    __slots__ = ("_began", "_credits", "_fault", "_records", "_state", "som")

    def __init__(self) -> None:
        self.som = 0  # bit i: a message began at granule i of the last payload, by this parse
        self._state = ffi.new("hsl_unpacker_t *")
        # No credits: C stops at each first granule, where `admit` is asked.
        self._credits = ffi.new("uint32_t[]", lib.HSL_CREDIT_VCS)
        self._records = ffi.new("hsl_message_t[]", max(form.granules for form in FORMATS.values()))
        self._fault, self._began = ffi.new("hsl_fault_t *"), ffi.new("uint32_t *")

    @property
    def unfinished(self) -> bool:
        """True if a message has begun and not ended."""
        return bool(self._state.have)

    def feed(
        self, payload: bytes, som: int | None, admit: Callable[[int], bool]
    ) -> tuple[list[Message], CodecError | None]:
        """As `hsl.codec.reference.Unpacker.feed`; a payload longer than that of the format is MALFORMED."""
        form = FORMATS["L64" if som is None else "B256"]
        fault, began = self._fault, self._began
        began[0] = 0
        found: list[Message] = []
        granule = 0
        while True:
            count = lib.hsl_unpack(
                FORMAT_OF[form.name], self._state, payload, len(payload), granule, (som or 0) & 0xFFFFFFFF,
                self._credits, self._records, 0, began, fault,
            )  # fmt: skip
            found += (_get_message(self._records[i]) for i in range(count))
            if fault.code == ErrorCode.CREDIT_UNDERFLOW:
                granule = (fault.offset - form.payload_offset) // GRANULE_BYTES
                vc = Vc(payload[granule * GRANULE_BYTES] >> 5)
                if admit(vc):
                    self._credits[vc] = 1
                    continue
            self.som = began[0]
            return found, _read_error(fault, _granule(form, payload, fault.offset)) if fault.code else None


# CTL_OP -> the member of hsl_ctl_body_t.
_BODY_OF: Final = {op: CtlOp(op).name.lower() for op in CTL_FIELDS}


def encode_ctl(ctl: Ctl, size: int = CTL_BYTES) -> bytes:
    """As `hsl.codec.ctl.encode_ctl`."""
    record, fault = ffi.new("hsl_ctl_t *"), ffi.new("hsl_fault_t *")
    payload = ffi.new("uint8_t[]", CTL_BYTES)
    try:
        record.op, record.seen, record.epoch, record.peer = ctl.op, bool(ctl.seen), ctl.epoch, ctl.peer
        _put_body(record, ctl)
    except (OverflowError, TypeError, ValueError) as error:
        raise _ctl_error(f"{error} in {ctl!r}; expected what HSL 3.3.1 says") from error
    if not lib.hsl_ctl_encode(record, payload, fault):
        raise _ctl_error(f"SEEN or record in {ctl!r}; expected 0 where it has no meaning")
    return bytes(ffi.buffer(payload)).ljust(size, b"\0")


def _put_body(record: Struct, ctl: Ctl) -> None:
    """The fields of a body; an exception of cffi or ValueError when one does not fit."""
    fields: tuple[str, ...] = CTL_FIELDS.get(ctl.op, ("raw",))
    body = getattr(record.body, _BODY_OF[ctl.op]) if ctl.op in _BODY_OF else record.body
    for name, value in ctl.body.items():
        if name not in fields:
            raise ValueError(f"field {name!r}")
        place = getattr(body, name)
        if isinstance(place, int):
            setattr(body, name, value)
            continue
        is_bytes = ffi.typeof(place).item is ffi.typeof("uint8_t")
        if len(value) != len(place) or isinstance(value, bytes) != is_bytes:
            raise ValueError(f"{name} = {value!r}")
        place[0 : len(place)] = value


def decode_ctl(payload: bytes) -> Ctl:
    """As `hsl.codec.ctl.decode_ctl`."""
    record, fault = ffi.new("hsl_ctl_t *"), ffi.new("hsl_fault_t *")
    if not lib.hsl_ctl_decode(payload, len(payload), record, fault):
        raise _ctl_error(f"CTL payload of {len(payload)} bytes; expected {CTL_BYTES} and more")
    if record.op not in _BODY_OF:
        body: dict[str, Any] = {"raw": bytes(ffi.buffer(record.body.raw))}
        assert len(body["raw"]) == CTL_BODY_BYTES
    else:
        fields = getattr(record.body, _BODY_OF[record.op])
        body = {name: _number_or_array(getattr(fields, name)) for name in CTL_FIELDS[record.op]}
    return Ctl(record.op, bool(record.seen), record.epoch, record.peer, body)


def _number_or_array(value: Any) -> int | bytes | list[int]:
    if isinstance(value, int):
        return value
    return bytes(ffi.buffer(value)) if ffi.typeof(value).item is ffi.typeof("uint8_t") else list(value)


def _ctl_error(text: str) -> CodecError:
    return CodecError(text, code=ErrorCode.MALFORMED, requirement="HSL-FLT-002")
