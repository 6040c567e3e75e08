"""Many flits and messages in one call of the C library: its arrays as numpy structured arrays.

A call costs about as much as twenty flits, so this is the way to decode a capture or to feed a model. The
columns are the members of `hsl_message_t` and `hsl_flit_t` (native/include/hsl/message.h, flit.h), numbers in
the byte order of the host. Arrays that come out are copies; nothing in C keeps or reuses them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, cast, overload

import numpy as np
from numpy.typing import NDArray

from hsl._generated.constants import LINE_BYTES, SEQ_MODULUS, ErrorCode, FlitType
from hsl.codec.flit import flit_format
from hsl.codec.message import Message
from hsl.codec.native import fault_text, format_of, requirement_of
from hsl.errors import CodecError, ConfigError
from hsl.native import ffi, lib

__all__ = [
    "FLIT",
    "MESSAGE",
    "UNLIMITED",
    "BatchDecoder",
    "BatchEncoder",
    "Decoded",
    "MessageBatch",
    "prot_flits",
]

Buffer = bytes | bytearray | memoryview | NDArray[np.uint8]
Array = NDArray[np.void]  # a structured array

UNLIMITED: Final = 0xFFFFFFFF  # credits without limit
AS_MANY_AS_FIT: Final = 0xFFFF  # of column `messages` of a flit to encode
# Room for the messages of one call, 2 MB: it stays in the cache, and is more than any flit has.
MESSAGE_ROOM: Final = 16384
FLIT_ROOM: Final = 4096  # and for its flits


def _dtype(struct: Any) -> np.dtype[np.void]:
    """The dtype of a struct of the library, member by member."""
    members = [(name, _member(field.type), field.offset) for name, field in struct.fields]
    names, formats, offsets = zip(*members, strict=True)
    layout = {"names": names, "formats": formats, "offsets": offsets, "itemsize": ffi.sizeof(struct)}
    return cast("np.dtype[np.void]", np.dtype(cast("Any", layout)))


def _member(member: Any) -> Any:
    if member.kind == "struct":
        return _dtype(member)
    if member.kind == "array":
        return (_member(member.item), (member.length,))
    return f"u{ffi.sizeof(member)}"


MESSAGE: Final = _dtype(ffi.typeof("hsl_message_t"))
"""A message. Columns, all unsigned: addr, be (u8); flit (u4): number of the flit in which it ends, counted
from the first one that the decoder took; src, dst, txn, htxn, dom, x (u2); op, len, has_be, poison, qos,
trace, aop, st, err, size (u1); data (u1, (64,)): 0 from `size` on. What the opcode does not use is 0."""

FLIT: Final = _dtype(ffi.typeof("hsl_flit_t"))
"""A flit. Columns, all unsigned: som (u4); seq, ack (u2); ft, viral, cvc, ccnt (u1); message (u4), messages
(u2): its messages are rows message .. message + messages - 1; fault: requirement, offset (u2), code, field
(u1), with code 0 for a good flit and else an ErrorCode, offset in bytes from the start of the flit."""

# Columns that Message has alike.
_SAME: Final = tuple(name for name in Message._fields if name not in ("be", "data"))


def _unfitting(name: str, why: object) -> CodecError:
    text = f"{name.upper()} of a message does not fit into its column: {why}"
    return CodecError(text, code=ErrorCode.MALFORMED, requirement="HSL-FLT-002")


class MessageBatch:
    """Messages as one structured array, `array`: (n,) of dtype MESSAGE.

    `batch["addr"]` is a column, (n,) or (n, 64) for data; `batch[3]` a Message; `batch[2:9]` and
    `batch[batch["op"] == Op.CmpData]` are batches. Message objects are made only when asked for.
    """

    __slots__ = ("array",)

    def __init__(self, array: Array) -> None:
        self.array = array

    @classmethod
    def of(cls, messages: Iterable[Message]) -> MessageBatch:
        """The batch of `messages`; CodecError (MALFORMED) when a field does not fit into its column."""
        rows = list(messages)
        columns = {name: [getattr(row, name) for row in rows] for name in _SAME}
        columns["has_be"] = [int(row.be is not None) for row in rows]
        columns["be"] = [row.be or 0 for row in rows]
        columns["size"] = [len(row.data) for row in rows]
        array = np.zeros(len(rows), MESSAGE)
        for name, column in columns.items():
            try:
                array[name] = column
            except (OverflowError, TypeError, ValueError) as error:
                raise _unfitting(name, error) from error
            if array[name].tolist() != column:  # older numpy wraps around
                raise _unfitting(name, "out of range")
        if any(size > LINE_BYTES for size in columns["size"]):
            raise _unfitting("data", f"more than {LINE_BYTES} bytes")
        data = b"".join(row.data.ljust(LINE_BYTES, b"\0") for row in rows)
        array["data"] = np.frombuffer(data, np.uint8).reshape(len(rows), LINE_BYTES)
        return cls(array)

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, key: str) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, key: int) -> Message: ...
    @overload
    def __getitem__(self, key: slice | NDArray[Any]) -> MessageBatch: ...
    def __getitem__(self, key: str | int | slice | NDArray[Any]) -> NDArray[Any] | Message | MessageBatch:
        if isinstance(key, str):
            column: NDArray[Any] = self.array[key]
            return column
        if isinstance(key, int):
            return next(iter(MessageBatch(self.array[[key]])))
        return MessageBatch(self.array[key])

    def __iter__(self) -> Iterator[Message]:
        columns: dict[str, list[Any]] = {name: self.array[name].tolist() for name in _SAME}
        enables = zip(self.array["has_be"].tolist(), self.array["be"].tolist(), strict=True)
        columns["be"] = [mask if there else None for there, mask in enables]
        data, sizes = self.array["data"].tobytes(), self.array["size"].tolist()
        starts = range(0, len(data), LINE_BYTES)
        columns["data"] = [data[at : at + size] for at, size in zip(starts, sizes, strict=True)]
        return map(Message, *(columns[name] for name in Message._fields))


class Decoded(NamedTuple):
    """The result of a call: flits, (n,) of dtype FLIT, and the messages that ended in them, in that order."""

    flits: Array
    messages: MessageBatch

    def error(self, index: int) -> CodecError | None:
        """Return the error of flit `index`, or None."""
        fault = self.flits[index]["fault"]
        if not fault["code"]:
            return None
        requirement = requirement_of(int(fault["requirement"]))
        text, code = fault_text(requirement), ErrorCode(int(fault["code"]))
        return CodecError(text, code=code, requirement=requirement, offset=int(fault["offset"]))


class BatchDecoder:
    """Flits of one direction of a link to arrays; a message may go on from one call to the next."""

    def __init__(
        self, format: str, credits: Mapping[int, int] | None = None, *, portable: bool = False
    ) -> None:
        """`credits`: VC -> messages that may come on it, 0 for one that is not named; None: no limit.

        `portable` takes the code for every CPU, which gives the same: for tests. Raises ConfigError for an
        unknown format, for a key of `credits` that is not a VC, and for a count outside 0 to 2^32-1.
        """
        self._decode = lib.hsl_decode_portable if portable else lib.hsl_decode
        self._form = flit_format(format)
        self._format = format_of(format)
        self._unpacker = ffi.new("hsl_unpacker_t *")
        self._number = 0
        # What C writes to; decode() gives away copies.
        self._flits, self._messages = np.zeros(FLIT_ROOM, FLIT), np.zeros(MESSAGE_ROOM, MESSAGE)
        self._credits = ffi.NULL
        if credits is not None:
            self._credits = ffi.new("uint32_t[]", lib.HSL_CREDIT_VCS)
            for vc, count in credits.items():
                fits = isinstance(count, int | np.integer) and 0 <= count <= UNLIMITED
                if vc not in range(lib.HSL_CREDIT_VCS) or not fits:
                    raise ConfigError(
                        f"credits: {count!r} of VC {vc!r}; "
                        f"expected 0..{UNLIMITED} of VC 0..{lib.HSL_CREDIT_VCS - 1}"
                    )
                self._credits[vc] = count

    @property
    def unfinished(self) -> bool:
        """True if a message has begun and not ended."""
        return bool(self._unpacker.have)

    def decode(self, data: Buffer) -> Decoded:
        """All flits of `data`, one behind the other; a shorter rest is a flit of wrong size.

        A flit at fault ends nothing: its row of `flits` says what is wrong, and decoding goes on with the
        next one. The rules are those of hsl_decode() in native/include/hsl/codec.h. No bytes raise an error.
        """
        view = ffi.from_buffer("uint8_t[]", data)
        flits, messages = self._flits, self._messages
        flits_at = ffi.from_buffer("hsl_flit_t[]", flits)
        messages_at = ffi.from_buffer("hsl_message_t[]", messages)
        count = ffi.new("size_t *")
        flit_parts: list[Array] = []
        message_parts: list[Array] = []
        at = found = 0
        while at < len(view):
            taken = self._decode(
                self._format, view + at, len(view) - at, self._unpacker, self._credits, flits_at, FLIT_ROOM,
                messages_at, MESSAGE_ROOM, self._number, count,
            )  # fmt: skip
            flits["message"][:taken] += np.uint32(found)
            flit_parts.append(_copy(flits[:taken]))
            message_parts.append(_copy(messages[: count[0]]))
            at += taken * self._form.bytes
            self._number += taken
            found += count[0]
        return Decoded(_joined(flit_parts, FLIT), MessageBatch(_joined(message_parts, MESSAGE)))


def _copy(rows: Array) -> Array:
    """A copy of the rows as they are; numpy would copy a structured array member by member."""
    return rows.view(f"V{rows.itemsize}").copy().view(rows.dtype)


def _joined(parts: list[Array], dtype: np.dtype[np.void]) -> Array:
    """The rows of all parts."""
    if len(parts) == 1:
        return parts[0]
    raw = np.dtype(f"V{dtype.itemsize}")
    return np.concatenate([np.zeros(0, raw), *(part.view(raw) for part in parts)]).view(dtype)


def prot_flits(count: int, seq: int = 0) -> Array:
    """`count` PROT flits to encode, (count,) of dtype FLIT: SEQ counts from `seq`, all other fields are 0.

    Column `messages` is the most that may begin in a flit: as many as fit.
    """
    flits = np.zeros(count, FLIT)
    flits["ft"] = FlitType.PROT
    flits["seq"] = (np.arange(count) + seq) % SEQ_MODULUS
    flits["messages"] = AS_MANY_AS_FIT
    return flits


class BatchEncoder:
    """Messages to flits; a message may go on from one call to the next."""

    def __init__(self, format: str) -> None:
        self._form = flit_format(format)
        self._format = format_of(format)
        self._packer = ffi.new("hsl_packer_t *")

    @property
    def unfinished(self) -> bool:
        """True if a message has begun and not ended."""
        return bool(self._packer.sent < self._packer.size)

    def encode(
        self, flits: Array, messages: MessageBatch, payloads: NDArray[np.uint8] | None = None
    ) -> tuple[NDArray[np.uint8], int]:
        """The bytes of `flits`, (n, bytes of a flit), and how many of `messages` began in them.

        `flits` are link headers, dtype FLIT; PROT among them are filled with messages in order, then with
        PAD, and their SOM is computed. `payloads`, (n, bytes of a payload), is for the others, None means
        zeros. CodecError (MALFORMED), as of one flit and one message, for the first that cannot be sent.
        """
        form = self._form
        records = _copy(np.ascontiguousarray(flits, FLIT))
        rows = np.ascontiguousarray(messages.array, MESSAGE)
        out = np.zeros((len(records), form.bytes), np.uint8)
        if payloads is not None:
            out[:, form.payload_offset : form.crc_offset] = payloads
        taken = ffi.new("size_t *")
        done = lib.hsl_encode(
            self._format, ffi.from_buffer("hsl_flit_t[]", records), len(records), self._packer,
            ffi.from_buffer("hsl_message_t[]", rows), len(rows), ffi.from_buffer("uint8_t[]", out), taken,
        )  # fmt: skip
        if done < len(records):
            fault = records[done]["fault"]
            text = f"flit {done} or message {taken[0] - 1} has a field that cannot be sent"
            raise CodecError(
                text,
                code=ErrorCode(int(fault["code"])),
                requirement=requirement_of(int(fault["requirement"])),
            )
        return out, int(taken[0])
