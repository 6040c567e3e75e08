"""The reference codec: bytes to flits to messages and back, in the words of HSL chapter 2.

One property holds all of it together: what encodes decodes to the same value, and what decodes encodes; bits
that the profile ignores on receipt come back as 0. A request that breaks 5.12 or 5.14 is therefore no error
here (its completion says so, `hsl.codec.checks.check_request`); what has no completion is MALFORMED.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from hsl._generated.constants import GRANULE_BYTES, ErrorCode, FlitType, Vc
from hsl._generated.layouts import (
    A0,
    A0_FIELDS,
    A1,
    A1_FIELDS,
    B0,
    B0_FIELDS,
    H0,
    H0_FIELDS,
    H1,
    H1_FIELDS,
    Rows,
)
from hsl._generated.tables import OPCODES, UNANSWERED, VC_HEADER
from hsl.codec.checks import carries_data, data_bytes, malformed, unused
from hsl.codec.flit import FORMATS, Flit, FlitFormat, flit_format
from hsl.codec.message import Message
from hsl.errors import CodecError

__all__ = ["Packer", "Unpacker", "credit_return_fault", "decode_flit", "encode_flit", "encode_message"]

SEQUENCED: Final = frozenset({FlitType.PROT, FlitType.PROT_S})
# H1, CVC and CCNT mean nothing in these: sent 0, ignored. HSL 2.2, 2.3 [HSL-FLT-012].
UNSEQUENCED: Final = frozenset({FlitType.NOP, FlitType.CTL})
H0_BYTES: Final = H0.sizeof()
CVC_OFFSET: Final = next(shift // 8 for name, shift, _ in H0_FIELDS if name == "cvc")
BE_BITS: Final = 8 * GRANULE_BYTES
HEADER_GRANULES: Final = {"A": 2, "B": 1}
PAD: Final = bytes(GRANULE_BYTES)


def encode_flit(flit: Flit) -> bytes:
    """Return the bytes of `flit` with its CRC; zeros fill up the payload. HSL 2.1 to 2.4 [HSL-FLT-002].

    CodecError (MALFORMED) when a field does not fit, or is not 0 although the flit type does not use it;
    ConfigError when there is no such format.
    """
    form = flit_format(flit.format)
    body = flit.payload.ljust(form.payload_bytes, b"\0")
    if len(body) > form.payload_bytes:
        raise _refused(f"payload of {len(body)} bytes in {form.name}; expected at most {form.payload_bytes}")
    if flit.ft in UNSEQUENCED and (flit.cvc or flit.ccnt or flit.som):
        raise _refused("CVC, CCNT or SOM in a NOP or CTL; expected 0", "HSL-FLT-012")
    if flit.ft == FlitType.NOP and any(body):
        raise _refused("payload in a NOP; expected 0")
    if flit.som and not form.has_som:
        raise _refused(f"SOM = {flit.som:#x} in {form.name}, which has none; expected 0")
    head = _build(H0, H0_FIELDS, flit._asdict())
    if form.has_som:
        head += _build(H1, H1_FIELDS, {"som": flit.som})
    head += body
    return head + form.crc(head).to_bytes(form.crc_bytes, "little")


def decode_flit(data: bytes, format: str) -> Flit:
    """Return the flit in `data`; a reserved type is returned as it is. HSL 2.1 to 2.4.

    CodecError (CRC) when the size or the CRC is wrong; ConfigError when there is no such format.
    """
    form = flit_format(format)
    data = bytes(data)
    if len(data) != form.bytes:
        raise CodecError(
            f"{len(data)} bytes; {form.name} flits have {form.bytes}",
            code=ErrorCode.CRC,
            requirement="HSL-FLT-001",
            offset=min(len(data), form.bytes),
        )
    found = int.from_bytes(data[form.crc_offset :], "little")
    crc = form.crc(data[: form.crc_offset])
    if crc != found:
        digits = 2 * form.crc_bytes
        raise CodecError(
            f"CRC {found:#0{digits + 2}x}; that of the bytes before it is {crc:#0{digits + 2}x}",
            code=ErrorCode.CRC,
            requirement=form.crc_requirement,
            offset=form.crc_offset,
        )
    return _flit(form, data)


def _flit(form: FlitFormat, data: bytes) -> Flit:
    """The fields of a flit whose CRC is good."""
    head = H0.parse(data[:H0_BYTES])
    payload = data[form.payload_offset : form.crc_offset]
    if head["ft"] == FlitType.NOP:
        payload = bytes(len(payload))  # HSL 2.3: no content
    if head["ft"] in UNSEQUENCED:
        return Flit(form.name, head["ft"], head["viral"], head["seq"], head["ack"], payload=payload)
    som = H1.parse(data[H0_BYTES : form.payload_offset])["som"] if form.has_som else 0
    return Flit(form.name, **head, payload=payload, som=som)


def credit_return_fault(flit: Flit) -> CodecError | None:
    """Return the error of CVC and CCNT of a sequenced flit, which precedes its granules. HSL 2.5 P7, 3.5 F8.

    The port also knows which VCs it has granted credits on; that check is its own.
    """
    if flit.ft not in SEQUENCED or bool(flit.cvc) == bool(flit.ccnt):
        return None
    text = f"CVC = {flit.cvc} with CCNT = {flit.ccnt}; both must be 0, or neither"
    return CodecError(text, code=ErrorCode.MALFORMED, requirement="HSL-LNK-031", offset=CVC_OFFSET)


def encode_message(message: Message) -> bytes:
    """Return the granules of `message`: header, byte enables, data. HSL 2.6.

    CodecError (MALFORMED) when a field does not fit, is not 0 although its opcode does not use it, or is one
    that a receiver must refuse as malformed. A request that would be completed with an error is encoded all
    the same.
    """
    op = message.op
    header = VC_HEADER.get(op >> 5) if isinstance(op, int) else None
    if header is None:
        raise _refused(f"opcode {op!r}; expected {min(VC_HEADER) << 5:#x}..0xff", "HSL-FLT-008")
    fields = message._asdict()
    fields["be"] = int(message.be is not None)
    if header == "A":
        granules = _build(A0, A0_FIELDS, fields) + _build(A1, A1_FIELDS, fields)
    else:
        granules = _build(B0, B0_FIELDS, fields)
    _check_sent(message, fields, _ABSENT[header])
    if message.be is not None:
        granules += message.be.to_bytes(GRANULE_BYTES, "little")
    return granules + message.data


# Fields of Message that the other class of header has.
_IN_A: Final = {name for name, _, _ in (*A0_FIELDS, *A1_FIELDS)}
_IN_B: Final = {name for name, _, _ in B0_FIELDS}
_ABSENT: Final = {"A": sorted(_IN_B - _IN_A), "B": sorted(_IN_A - _IN_B)}


def _check_sent(message: Message, fields: dict[str, Any], absent: list[str]) -> None:
    """Refuse what would not come back as it was given, or what the receiver must refuse."""
    info = OPCODES.get(message.op)
    name = f"opcode {message.op:#04x}" if info is None else info.name
    for field in absent:
        if fields[field]:
            raise _refused(f"{field.upper()} in {name}, whose header has none", "HSL-FLT-002")
    for field, bits in unused(message.op).items():
        if fields[field] & ~bits:
            raise _refused(f"{field.upper()} = {fields[field]:#x} in {name}; expected only bits of {bits:#x}")
    if message.be is not None and not 0 <= message.be < 1 << BE_BITS:
        raise _refused(f"BE = {message.be:#x} in {name}; expected {BE_BITS} bits", "HSL-FLT-002")
    expected = data_bytes(message.len) if carries_data(message.op) else 0
    if len(message.data) != expected:
        raise _refused(f"{len(message.data)} data bytes in {name} of LEN {message.len}; expected {expected}")
    if message.vc in UNANSWERED:
        if info is None:
            raise _refused(f"{name} is unknown on its VC", "HSL-LNK-034")
        if fault := malformed(fields, info):
            raise _refused(fault)


def _build(word: Any, rows: Rows, fields: dict[str, Any]) -> bytes:
    """`fields` as the little-endian word of `rows`."""
    for name, _, mask in rows:
        value = fields.get(name, 0)
        if not isinstance(value, int) or not 0 <= value <= mask:
            raise _refused(f"{name.upper()} = {value!r}; expected 0..{mask:#x}", "HSL-FLT-002")
    built: bytes = word.build(fields)
    return built


def _refused(text: str, requirement: str = "HSL-FLT-005") -> CodecError:
    return CodecError(text, code=ErrorCode.MALFORMED, requirement=requirement)


Admit = Callable[[int], bool]


def _begin(granule: bytes, som: int | None, at: int, admit: Admit) -> tuple[int, dict[str, int]]:
    """The granules of the message that begins with `granule`, 0 for PAD, and the fields of this first one.

    The checks of a granule at a message boundary, in the order of HSL 2.5 P7; `at` is its place in the flit.
    """
    op = granule[0]
    header = VC_HEADER.get(op >> 5)
    if som is not None and som >> at & 1 != (header is not None):  # a granule of no VC begins no message
        text = f"SOM bit {at} = {som >> at & 1} at opcode {op:#04x}"
        raise _broken(ErrorCode.SOM, "HSL-FLT-010", at, text)
    if header is None:
        if granule == PAD:
            return 0, {}
        text = f"opcode {op:#04x} is not of any VC" if op else "OP 0 with other bits set; expected PAD, all 0"
        raise _broken(ErrorCode.MALFORMED, "HSL-FLT-008", at, text)
    vc = Vc(op >> 5)
    if not admit(vc):
        raise _broken(ErrorCode.CREDIT_UNDERFLOW, "HSL-LNK-030", at, f"message on {vc.name} without a credit")
    info = OPCODES.get(op)
    if info is None and vc in UNANSWERED:
        raise _broken(ErrorCode.MALFORMED, "HSL-LNK-034", at, f"opcode {op:#04x} is unknown on {vc.name}")
    fields: dict[str, int] = (B0 if header == "B" else A0).parse(granule)
    if header == "B" and info and (fault := malformed(fields, info)):
        raise _broken(ErrorCode.MALFORMED, "HSL-FLT-005", at, fault)
    # A byte-enable granule in a SNP is malformed as soon as its header is complete.
    enables = fields.get("be", 0) if vc != Vc.SNP else 0
    data = data_bytes(fields["len"]) // GRANULE_BYTES if carries_data(op) else 0
    return HEADER_GRANULES[header] + enables + data, fields


def _check_inside(som: int | None, first: int, stop: int) -> None:
    """SOM is 0 for the granules `first` to `stop` - 1, inside a message. HSL 2.5 P3 [HSL-FLT-010]."""
    stray = 0 if som is None else som >> first & (1 << max(0, stop - first)) - 1
    if stray:
        at = first + (stray & -stray).bit_length() - 1
        raise _broken(ErrorCode.SOM, "HSL-FLT-010", at, f"SOM bit {at} = 1 inside a message")


def _message(fields: dict[str, int], raw: bytes, last: int) -> Message:
    """The whole message `raw`; `fields` are in its first granule, `last` is the number of its last."""
    op = raw[0]
    at = HEADER_GRANULES[VC_HEADER[op >> 5]] * GRANULE_BYTES
    if at > GRANULE_BYTES:
        fields.update(A1.parse(raw[GRANULE_BYTES:at]))
        if op >> 5 == Vc.SNP and (fault := malformed(fields, OPCODES[op])):
            raise _broken(ErrorCode.MALFORMED, "HSL-FLT-005", last, fault)
    mask = None
    if fields.pop("be", 0):
        mask = int.from_bytes(raw[at : at + GRANULE_BYTES], "little")
        at += GRANULE_BYTES
    for name, bits in unused(op).items():
        fields[name] &= bits
    return Message(**fields, be=mask, data=raw[at:])


def _broken(code: ErrorCode, requirement: str, granule: int, text: str) -> CodecError:
    """An error at a granule; `Unpacker.feed` makes a byte offset of it."""
    return CodecError(text, code=code, requirement=requirement, offset=granule)


class Packer:
    """The granule stream of a port, sending side: messages to payloads (2.5, 3.5 F9)."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    @property
    def unfinished(self) -> bool:
        """True if a message has begun and not ended."""
        return bool(self._rest)

    def fill(self, next_message: Callable[[], Message | None], format: str) -> tuple[bytes, int]:
        """Return the payload of the next PROT and its SOM map (0 for a format without one).

        `next_message` is asked at each message boundary until it gives None; the rest is PAD. HSL 3.5 F9, 2.5
        P3, P6. CodecError as `encode_message`: the message asked for is lost, and so is this payload; check
        before queueing. ConfigError when there is no such format.
        """

        def next_granules() -> bytes:
            message = next_message()
            return b"" if message is None else encode_message(message)

        return self.fill_encoded(next_granules, format)

    def fill_encoded(self, next_granules: Callable[[], bytes], format: str) -> tuple[bytes, int]:
        """As `fill`, of messages that `encode_message` has made granules of; b"" is the end."""
        form = flit_format(format)
        size = form.payload_bytes
        payload, self._rest = self._rest[:size], self._rest[size:]
        som = 0
        while len(payload) < size:
            granules = next_granules()
            if not granules:
                payload = payload.ljust(size, b"\0")
                break
            som |= 1 << len(payload) // GRANULE_BYTES
            payload += granules
        if len(payload) > size:
            payload, self._rest = payload[:size], payload[size:]
        return payload, som if form.has_som else 0


class Unpacker:
    """The granule stream of a port, receiving side: payloads to messages, in the precedence of 2.5 P7."""

    __slots__ = ("_fields", "_missing", "_part", "som")

    def __init__(self) -> None:
        self.som = 0  # bit i: a message began at granule i of the last payload, by this parse
        self._part = b""  # the granules so far of the message that has begun
        self._missing = 0  # granules that it still needs
        self._fields: dict[str, int] = {}  # of its first granule

    @property
    def unfinished(self) -> bool:
        """True if a message has begun and not ended."""
        return self._missing > 0

    def feed(self, payload: bytes, som: int | None, admit: Admit) -> tuple[list[Message], CodecError | None]:
        """Return the messages that end in `payload`, and the error that ended it, or None.

        HSL 2.5 P1 to P4, P7. `payload` is whole granules; `som` is the SOM map, None on L64. `admit` gets the
        VC at each first granule and says whether a credit was outstanding (3.5 F5). The error's `offset` is
        that of the granule whose check failed, from the start of the flit; after an error the next payload
        starts at a message boundary.
        """
        messages: list[Message] = []
        self.som = 0
        try:
            for message in self._walk(payload, som, admit):
                messages.append(message)  # noqa: PERF402 - those before an error count
        except CodecError as error:
            form = FORMATS["L64" if som is None else "B256"]
            error.offset = form.payload_offset + GRANULE_BYTES * error.offset
            self._missing = 0
            return messages, error
        return messages, None

    def _walk(self, payload: bytes, som: int | None, admit: Admit) -> Iterator[Message]:
        """The messages that end in `payload`; the offset of an error is its granule."""
        at, end = 0, len(payload) // GRANULE_BYTES
        if len(payload) % GRANULE_BYTES:
            text = f"payload of {len(payload)} bytes; expected whole granules"
            raise _broken(ErrorCode.MALFORMED, "HSL-FLT-001", end, text)
        while at < end:
            inside = at
            if not self._missing:
                granule = payload[at * GRANULE_BYTES : (at + 1) * GRANULE_BYTES]
                self._missing, self._fields = _begin(granule, som, at, admit)
                self._part = b""
                inside += 1
                if not self._missing:
                    at = inside
                    continue
                self.som |= 1 << at
            stop = min(at + self._missing, end)
            _check_inside(som, inside, stop)
            self._part += payload[at * GRANULE_BYTES : stop * GRANULE_BYTES]
            self._missing -= stop - at
            at = stop
            if not self._missing:
                yield _message(self._fields, self._part, at - 1)
