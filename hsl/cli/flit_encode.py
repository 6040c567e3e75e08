"""Flits of the document of `hsl.cli.flit_json`, for `hsl codec encode`.

Fields that decode adds for the reader may be missing: `type` or `ft` is enough, and so is `op` or `opcode`. A
message without `offset` begins as early as it can so that it ends in its flit. Fields not given are 0.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from hsl._generated.constants import GRANULE_BYTES, CtlOp, FlitType, Op
from hsl.cli.flit_json import CTL_BYTES_FIELDS, DOCUMENT, ENUMS, HEADER, Json
from hsl.codec.ctl import CAPS, CAPS_OF, Ctl
from hsl.codec.engines import Engine, engine
from hsl.codec.flit import FORMATS, Flit, FlitFormat, flit_format
from hsl.codec.message import Message
from hsl.errors import CodecError, ConfigError
from hsl.nearest import expected
from hsl.shown import shown

__all__ = ["encode_document"]

FLIT_KEYS: Final = frozenset(
    {"format", "ft", "type", *HEADER, "som", "messages", "ctl", "payload", "unfinished", "error", "raw"}
)
WITHOUT_PAYLOAD: Final = frozenset({FlitType.NOP, FlitType.PROT, FlitType.CTL})  # theirs has names
PLACE_KEYS: Final = frozenset({"opcode", "flit", "offset"})


def encode_document(document: Any, codec: str = "reference") -> list[bytes]:
    """Return the flits of `document`, encoded by the engine `codec`.

    Raises ConfigError that names the invalid part and its place, or an engine that is not there.
    """
    by = engine(codec)
    if not isinstance(document, dict) or document.get("schema") != DOCUMENT:
        raise ConfigError(f'{shown(document)}; expected an object with "schema": "{DOCUMENT}" and "flits"')
    flits = document.get("flits")
    if not isinstance(flits, list) or not all(isinstance(flit, dict) for flit in flits):
        raise ConfigError(f"flits: {shown(flits)}; expected an array of objects")
    for index, flit in enumerate(flits):
        if not isinstance(flit.get("format"), str):
            wrong = f"{shown(flit['format'])}" if "format" in flit else "missing"
            raise ConfigError(f"flit {index}, format: {wrong}; {expected(FORMATS)}")
    formats = {flit["format"] for flit in flits}
    if len(formats) > 1:
        raise ConfigError(f"formats {', '.join(sorted(formats))} in one document; a link has one")
    return Encoder(flit_format(formats.pop()), flits, by).encode() if flits else []


class Encoder:
    """One document on its way to flits."""

    def __init__(self, form: FlitFormat, flits: list[Json], codec: Engine) -> None:
        self.form = form
        self._codec = codec
        self.flits = flits
        self.types = [self._type(index, flit) for index, flit in enumerate(flits)]
        # PROT flit -> its place among them: their payloads are one stream of granules. HSL 2.5 P1
        prots = [index for index, ft in enumerate(self.types) if ft == FlitType.PROT]
        self.slots = {index: slot for slot, index in enumerate(prots)}
        self.stream = bytearray(len(prots) * form.payload_bytes)
        self.starts: set[int] = set()
        self.free = 0  # the first granule of the stream behind what was placed

    def encode(self) -> list[bytes]:
        """The flits."""
        for index, flit in enumerate(self.flits):
            for number, message in enumerate(items(flit, "messages", index)):
                where = f"flit {index}, message {number}"
                self._place(index, granules_of(message, where, self._codec), message, where)
            if "unfinished" in flit:
                self._place_unfinished(index, hex_bytes(flit["unfinished"], f"flit {index}, unfinished"))
        return [self._flit(index, flit) for index, flit in enumerate(self.flits)]

    def _type(self, index: int, flit: Json) -> int | None:
        """FT of a flit, None for bytes whose CRC was wrong."""
        only(flit, FLIT_KEYS, f"flit {index}")
        if "raw" in flit and "ft" not in flit and "type" not in flit:
            return None
        return either(FlitType, flit.get("type"), flit.get("ft"), f"flit {index}, type")

    def _place(self, index: int, granules: bytes, message: Json, where: str) -> None:
        """Put a message into the stream so that it ends in flit `index`."""
        if index not in self.slots:
            raise ConfigError(f"{where}: only a PROT flit has messages")
        per, size = self.form.granules, len(granules) // GRANULE_BYTES
        first = self.slots[index] * per
        if "offset" in message:
            begin = self.slots.get(number(message.get("flit", index), f"{where}, flit"))
            granule = number(message["offset"], f"{where}, offset") - self.form.payload_offset
            if begin is None or granule % GRANULE_BYTES or not 0 <= granule < self.form.payload_bytes:
                raise ConfigError(f"{where}: flit and offset are not those of a granule in a PROT flit")
            begins = [begin * per + granule // GRANULE_BYTES]
        else:
            begins = [self.free, *range(-(-self.free // per) * per, first + 1, per)]
        fits = (at for at in begins if at >= self.free and first < at + size <= first + per)
        at = next(fits, None)
        if at is None:
            raise ConfigError(
                f"{where}: its {size} granules do not fit so that it ends there, behind the one before"
            )
        self.stream[at * GRANULE_BYTES : (at + size) * GRANULE_BYTES] = granules
        self.starts.add(at)
        self.free = at + size

    def _place_unfinished(self, index: int, granules: bytes) -> None:
        """The granules of a message that does not end go up to the end of their flit."""
        end = (self.slots.get(index, -1) + 1) * self.form.granules
        begin = end - len(granules) // GRANULE_BYTES
        if len(granules) % GRANULE_BYTES or begin < max(self.free, end - self.form.granules):
            raise ConfigError(
                f"flit {index}: {len(granules)} unfinished bytes do not fit behind its messages"
            )
        self.stream[begin * GRANULE_BYTES : end * GRANULE_BYTES] = granules
        self.free = end

    def _flit(self, index: int, flit: Json) -> bytes:
        """The bytes of a flit whose messages are in the stream."""
        where = f"flit {index}"
        if "raw" in flit:
            return hex_bytes(flit["raw"], f"{where}, raw")
        ft = self.types[index]
        assert ft is not None
        fields = {name: number(flit.get(name, 0), f"{where}, {name}") for name in HEADER}
        som = number(flit["som"], f"{where}, som") if "som" in flit else self._som(index)
        try:
            payload = self._payload(index, ft, flit)
            return self._codec.encode_flit(Flit(self.form.name, ft, **fields, payload=payload, som=som))
        except CodecError as error:
            raise ConfigError(f"{where}: {error}") from error

    def _payload(self, index: int, ft: int, flit: Json) -> bytes:
        if "payload" in flit and ft in WITHOUT_PAYLOAD:
            raise ConfigError(f"flit {index}: only a PROT_S flit has payload")
        if ft == FlitType.CTL:
            ctl = ctl_of(flit.get("ctl"), f"flit {index}, ctl")
            return self._codec.encode_ctl(ctl, self.form.payload_bytes)
        if "ctl" in flit:
            raise ConfigError(f"flit {index}: only a CTL flit has ctl")
        if index in self.slots:
            begin = self.slots[index] * self.form.payload_bytes
            return bytes(self.stream[begin : begin + self.form.payload_bytes])
        return hex_bytes(flit.get("payload", ""), f"flit {index}, payload")

    def _som(self, index: int) -> int:
        """The SOM map of the messages placed. HSL 2.5 P3."""
        if index not in self.slots or not self.form.has_som:
            return 0
        first = self.slots[index] * self.form.granules
        return sum(1 << at for at in range(self.form.granules) if first + at in self.starts)


def granules_of(message: Json, where: str, codec: Engine) -> bytes:
    """The granules of a message object."""
    only(message, frozenset(Message._fields) | PLACE_KEYS, where)
    fields: Json = {"op": either(Op, message.get("op"), message.get("opcode"), f"{where}, op")}
    for name in message.keys() - PLACE_KEYS - {"op", "data"}:
        value = message[name]
        if name in ENUMS:
            fields[name] = either(ENUMS[name], value, None, f"{where}, {name}")
        else:
            fields[name] = number(value, f"{where}, {name}")
    data = hex_bytes(message.get("data", ""), f"{where}, data")
    try:
        return codec.encode_message(Message(**fields, data=data))
    except CodecError as error:
        raise ConfigError(f"{where}: {error}") from error


def ctl_of(ctl: Any, where: str) -> Ctl:
    """The CTL of a `ctl` object."""
    if not isinstance(ctl, dict):
        raise ConfigError(f"{where}: {shown(ctl)}; expected an object")
    body = {
        name: value for name, value in ctl.items() if name not in ("op", "opcode", "seen", "epoch", "peer")
    }
    for name, value in body.items():
        place = f"{where}, {name}"
        if name in CTL_BYTES_FIELDS:
            body[name] = hex_bytes(value, place)
        elif isinstance(value, dict):
            body[name] = CAPS.encode(numbers(value, place)) if name == CAPS_OF else number(value, place)
        else:
            body[name] = (
                [number(item, place) for item in value] if isinstance(value, list) else number(value, place)
            )
    op = either(CtlOp, ctl.get("op"), ctl.get("opcode"), f"{where}, op")
    seen = ctl.get("seen", False)
    if not isinstance(seen, bool):
        raise ConfigError(f"{where}, seen: {shown(seen)} is neither true nor false")
    head = numbers({name: ctl.get(name, 0) for name in ("epoch", "peer")}, where)
    return Ctl(op, seen, head["epoch"], head["peer"], body)


def numbers(found: Json, where: str) -> dict[str, int]:
    """An object of integers."""
    return {name: number(value, f"{where}, {name}") for name, value in found.items()}


def only(found: Json, legal: frozenset[str], where: str) -> None:
    """Refuse unknown keys."""
    if unknown := sorted(found.keys() - legal):
        raise ConfigError(
            f"{where}: unknown {', '.join(map(shown, unknown))}; {expected(sorted(legal), unknown[0])}"
        )


def items(flit: Json, name: str, index: int) -> list[Json]:
    """A list of objects, empty when it is missing."""
    found = flit.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ConfigError(f"flit {index}, {name}: {shown(found)}; expected an array of objects")
    return found


def number(value: Any, where: str) -> int:
    """An integer; whether it fits its field is for the codec to say."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"{where}: {shown(value)}; expected an integer")
    return value


def hex_bytes(value: Any, where: str) -> bytes:
    """Bytes of a hex string."""
    try:
        return bytes.fromhex(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{where}: {shown(value)}; expected a string of hex bytes") from None


def either(enum: type[IntEnum], name: Any, code: Any, where: str) -> int:
    """A value given as a name of `enum`, or as a number, or as both when they agree."""
    if name is None and code is None:
        raise ConfigError(f"{where}: missing; {expected(enum.__members__)}")
    if isinstance(name, str) and name not in enum.__members__:
        raise ConfigError(f"{where}: unknown {shown(name)}; {expected(enum.__members__, name)}")
    values = [int(enum[name]) if isinstance(name, str) else number(name, where)] if name is not None else []
    values += [number(code, where)] if code is not None else []
    if len(set(values)) > 1:
        raise ConfigError(f"{where}: {name!r} is not number {code}")
    return values[0]
