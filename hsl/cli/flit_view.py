"""The document of `hsl.cli.flit_json` as a person reads it: offset, field, value and meaning of each field.

A rich table on a terminal, the same rows as plain lines in a pipe.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum, IntFlag
from typing import Any, Final, NamedTuple

import click
from rich.console import Console
from rich.table import Table

from hsl._generated.constants import (
    ACK_NONE,
    GRANULE_BYTES,
    Aop,
    AtomicClass,
    CtlFlag,
    ErrorCode,
    Feature,
    FlitSize,
    FlitType,
    Power,
    Role,
    Security,
    Vc,
)
from hsl._generated.layouts import (
    A0_FIELDS,
    A1_FIELDS,
    B0_FIELDS,
    CAPS_RECORD,
    CTL_BODIES,
    CTL_BODY_OFFSET,
    CTL_HEADER,
    H0,
    H0_FIELDS,
    H1_FIELDS,
    Rows,
)
from hsl._generated.tables import OPCODES, VC_HEADER
from hsl.cli.flit_json import Json
from hsl.cli.tables import console_width
from hsl.codec.checks import data_bytes, unused
from hsl.codec.ctl import CAPS_OF
from hsl.codec.flit import FORMATS, FlitFormat

__all__ = ["flit_rows", "prots_of", "show_document"]

COLUMNS: Final = ("offset", "field", "value", "meaning")


class Row(NamedTuple):
    """One field: byte in the flit (FLIT:BYTE when in an earlier one), name and bits, value, meaning."""

    offset: str
    field: str
    value: str
    meaning: str


def show_document(flits: list[Json]) -> None:
    """Print the flits."""
    console = Console(highlight=False, markup=False, width=console_width())
    prots = prots_of(flits)
    for index, flit in enumerate(flits):
        title = f"flit {index}: {flit['format']} {flit.get('type', '')}".rstrip()
        rows = list(flit_rows(flits, index, prots))
        if console.is_terminal:
            table = Table(*COLUMNS, title=title, title_justify="left", box=None, pad_edge=False)
            for row in rows:
                table.add_row(*row, style="bold red" if row.field == "error" else None)
            console.print(table)
        else:
            click.echo(title)
            for row in rows:
                click.echo(f"{row.offset:>8}  {row.field:<18} {row.value:<20} {row.meaning}".rstrip())


def prots_of(flits: list[Json]) -> list[int]:
    """The indices of the PROT, ascending: their payloads are one stream. HSL 2.5 P1."""
    return [index for index, flit in enumerate(flits) if flit.get("ft") == FlitType.PROT]


def flit_rows(flits: list[Json], index: int, prots: list[int]) -> Iterator[Row]:
    """The rows of one flit: header, content, error; `prots` are `prots_of(flits)`."""
    flit = flits[index]
    form = FORMATS[flit["format"]]
    if "ft" in flit:
        yield from word_rows(H0_FIELDS, flit, str, H0_MEANING)
    if "som" in flit:
        yield from word_rows(H1_FIELDS, flit, lambda byte: str(H0.sizeof() + byte), {})
    if "ctl" in flit:
        yield from ctl_rows(flit["ctl"], form.payload_offset)
    for message in flit.get("messages", []):
        yield from message_rows(message, Places(prots, index, message, form))
    for name in ("payload", "unfinished"):
        if name in flit:
            size = len(flit[name]) // 2
            yield Row(str(form.crc_offset - size), name, f"{size} bytes", flit[name])
    if "error" in flit:
        error = flit["error"]
        kind = f"{error['code']} {error['name']}"
        yield Row(str(error["offset"]), "error", kind, f"{error['text']} [{error['requirement']}]")
    else:
        yield Row(str(form.crc_offset), "CRC", "good", "")


def word_rows(rows: Rows, values: Json, place: Callable[[int], str], meanings: Meanings) -> Iterator[Row]:
    """The fields of one word that `values` has; `place` says where byte n of the word is."""
    for name, shift, mask in rows:
        if name in values:
            high = shift + mask.bit_length() - 1
            bits = f"{high}:{shift}" if high > shift else f"{shift}"
            meaning = meanings[name](values[name]) if name in meanings else ""
            yield Row(place(shift // 8), f"{name.upper()} [{bits}]", shown(values[name]), meaning)


class Places:
    """Places of the bytes of a message, which may have begun in an earlier flit than its last one."""

    def __init__(self, prots: list[int], index: int, message: Json, form: FlitFormat) -> None:
        self.index = index
        self.form = form
        self.first: int = message["offset"]
        self.prots = prots
        self.slot = bisect_left(prots, message["flit"])

    def __call__(self, byte: int) -> str:
        """Byte n of the message as BYTE of its last flit, or as FLIT:BYTE of an earlier one."""
        slots, rest = divmod(self.first - self.form.payload_offset + byte, self.form.payload_bytes)
        flit = self.prots[self.slot + slots]
        at = self.form.payload_offset + rest
        return str(at) if flit == self.index else f"{flit}:{at}"

    def behind(self, begin: int) -> Callable[[int], str]:
        """The same, counted from byte `begin` of the message."""
        return lambda byte: self(begin + byte)


def message_rows(message: Json, places: Places) -> Iterator[Row]:
    """Header, byte enables and data of a message; fields that its opcode does not use are left out."""
    op = message["opcode"]
    idle = {name for name, bits in unused(op).items() if not bits}
    values = {name: value for name, value in message.items() if name not in idle}
    values["be"] = int("be" in message)
    meanings = dict(MESSAGE_MEANING)
    meanings["op"] = lambda name: f"opcode {op:#04x} on {Vc(op >> 5).name}"
    if op in OPCODES and OPCODES[op].aop in AOP_MEANING:
        meanings["aop"] = AOP_MEANING[OPCODES[op].aop]
    words = (A0_FIELDS, A1_FIELDS) if VC_HEADER[op >> 5] == "A" else (B0_FIELDS,)
    at = 0
    for rows in words:
        yield from word_rows(rows, values, places.behind(at), meanings)
        at += GRANULE_BYTES
    if "be" in message:
        yield Row(places(at), "byte enables", f"{message['be']:#x}", f"{message['be'].bit_count()} bytes")
        at += GRANULE_BYTES
    data = message.get("data", "")
    for begin in range(0, len(data) // 2, GRANULE_BYTES):
        granule = data[2 * begin : 2 * (begin + GRANULE_BYTES)]
        yield Row(places(at + begin), "data", granule, f"bytes {begin}..{begin + GRANULE_BYTES - 1}")


def ctl_rows(ctl: Json, offset: int) -> Iterator[Row]:
    """Header and body of a CTL."""
    head = ctl | {"ctl_op": ctl["op"], "flags": int(ctl["seen"])}
    yield from layout_rows(CTL_HEADER, head, offset)
    offset += CTL_BODY_OFFSET
    if ctl["opcode"] not in CTL_BODIES:
        yield Row(str(offset), "body", f"{len(ctl['raw']) // 2} bytes", ctl["raw"])
    elif CAPS_OF in ctl:
        yield from layout_rows(CAPS_RECORD, ctl[CAPS_OF], offset)
        yield from layout_rows(CTL_BODIES[ctl["opcode"]], {"cfg_hash": ctl["cfg_hash"]}, offset)
    else:
        yield from layout_rows(CTL_BODIES[ctl["opcode"]], ctl, offset)


def layout_rows(layout: Any, values: Json, offset: int) -> Iterator[Row]:
    """The fields of a layout of whole bytes that `values` has."""
    for part in layout.subcons:
        if part.name in values:
            value = values[part.name]
            meaning = CTL_MEANING[part.name](value) if part.name in CTL_MEANING else ""
            text = " ".join(map(str, value)) if isinstance(value, list) else shown(value)
            yield Row(str(offset), part.name.upper(), text, meaning)
        offset += part.sizeof()


def shown(value: Any) -> str:
    """A number as decimal and, when it has two digits, as hex."""
    return f"{value} = {value:#x}" if isinstance(value, int) and value > DIGITS else str(value)


def one_of(enum: type[IntEnum]) -> Callable[[int], str]:
    """Value -> its name in `enum`."""
    found = {int(member): member.name for member in enum}
    return lambda value: found.get(value, "reserved")


def bits_of(enum: type[IntFlag]) -> Callable[[int], str]:
    """Mask -> the names of its bits."""
    return lambda value: " ".join(str(bit.name) for bit in enum if bit & value)


DIGITS: Final = 9
Meanings = Mapping[str, Callable[[Any], str]]
H0_MEANING: Final[Meanings] = {
    "ft": one_of(FlitType),
    "viral": lambda value: "sender is in viral containment" if value else "",
    "ack": lambda value: "no PROT accepted yet" if value == ACK_NONE else "",
    "cvc": lambda value: one_of(Vc)(value) if value else "no credits",
}
MESSAGE_MEANING: Final[Meanings] = {
    "len": lambda value: f"{data_bytes(value)} bytes",
    "be": lambda value: "byte enables follow the header" if value else "",
    "poison": lambda value: "the data are poisoned" if value else "",
}
AOP_MEANING: Final[Meanings] = {"atomic": one_of(Aop), "stream": lambda value: "stream"}
CTL_MEANING: Final[Meanings] = {
    "flags": bits_of(CtlFlag),
    "magic": lambda value: ascii(bytes.fromhex(value).decode("latin-1")),
    "credits": lambda value: "VC1 to VC7",
    "error": one_of(ErrorCode),
    "flit_sizes": bits_of(FlitSize),
    "roles": bits_of(Role),
    "peer_roles": bits_of(Role),
    "tu_exp": lambda value: f"TU = 2^{value} ns",
    "slow_exp": lambda value: f"slow TU = 2^{value} ns" if value else "as TU_EXP",
    "atomics": bits_of(AtomicClass),
    "vc_mask": lambda value: " ".join(vc.name for vc in Vc if value >> vc & 1),
    "security": bits_of(Security),
    "power": bits_of(Power),
    "features": bits_of(Feature),
}
