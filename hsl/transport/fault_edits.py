"""Fields of a flit changed behind the back of its sender, and the flit sealed again with a good CRC.

What stands where comes from the generated layouts. Each edit gives the new flit, or None for a flit that has
nothing to change.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

from hsl._generated.constants import GRANULE_BYTES, SEQ_HALF, SEQ_MODULUS, CtlOp, FlitType, Vc
from hsl._generated.layouts import A0, B0, CTL_BODY_OFFSET, CTL_HEADER, H0, H0_FIELDS, H1
from hsl._generated.tables import VC_HEADER
from hsl.codec.checks import carries_data
from hsl.codec.flit import FORMATS, FlitFormat
from hsl.codec.reference import Unpacker
from hsl.transport.fault_kinds import FaultKind

__all__ = ["EDITS", "Starts"]

Edit = Callable[[bytes, random.Random, "Starts"], bytes | None]
FORMAT_OF_SIZE: Final = {form.bytes: form for form in FORMATS.values()}
WORD: Final = H0.sizeof()
MOST_CREDITS: Final = next(mask for name, _, mask in H0_FIELDS if name == "ccnt")
UNKNOWN_OPS: Final = tuple(sorted(set(range(1, 256)) - set(CtlOp)))
EPOCHS: Final = 1 << 32
HEADERS: Final = {"A": A0, "B": B0}


def sealed(form: FlitFormat, body: bytes) -> bytes:
    """`body`, the bytes before the CRC, with its CRC."""
    return body + form.crc(body).to_bytes(form.crc_bytes, "little")


def spliced(data: bytes, at: int, new: bytes) -> bytes:
    """The flit with `new` at byte `at`, sealed."""
    form = FORMAT_OF_SIZE[len(data)]
    body = data[:at] + new + data[at + len(new) :]
    return sealed(form, body[: form.crc_offset])


def with_h0(data: bytes, change: Callable[[dict[str, int]], dict[str, int]]) -> bytes:
    """The flit with the fields of H0 that `change` gives for the present ones."""
    fields = H0.parse(data[:WORD])
    return spliced(data, 0, H0.build(fields | change(fields)))


def seq(data: bytes, rng: random.Random, starts: Starts) -> bytes:
    """SEQ elsewhere. HSL 3.4.2: a window below 511 has nothing there, so that no wrong flit is accepted."""
    move = rng.choice((SEQ_HALF - 1, SEQ_HALF + 1))
    return with_h0(data, lambda fields: {"seq": (fields["seq"] + move) % SEQ_MODULUS})


def ack(data: bytes, rng: random.Random, starts: Starts) -> bytes:
    """ACK of a flit that was never sent."""
    return with_h0(data, lambda fields: {"ack": (fields["ack"] + SEQ_HALF) % SEQ_MODULUS})


def credit(data: bytes, rng: random.Random, starts: Starts) -> bytes:
    """More credits than were taken, if the flit names no VC on RSP: every role but a memory receives that."""
    return with_h0(data, lambda fields: {"cvc": fields["cvc"] or Vc.RSP, "ccnt": MOST_CREDITS})


def with_ctl(data: bytes, change: Callable[[dict[str, Any]], dict[str, Any]]) -> bytes | None:
    """The CTL with other fields in its header; None for HELLO, which opens a session and has no pair yet."""
    at = FORMAT_OF_SIZE[len(data)].payload_offset
    fields = dict(CTL_HEADER.parse(data[at : at + CTL_BODY_OFFSET]))
    if fields["ctl_op"] == CtlOp.HELLO:
        return None
    return spliced(data, at, CTL_HEADER.build(fields | change(fields)))


def epoch(data: bytes, rng: random.Random, starts: Starts) -> bytes | None:
    """EPOCH of another session: any value but the present one and 0."""
    move = rng.randrange(1, EPOCHS - 1)
    return with_ctl(data, lambda fields: {"epoch": (fields["epoch"] - 1 + move) % (EPOCHS - 1) + 1})


def ctl_op(data: bytes, rng: random.Random, starts: Starts) -> bytes | None:
    """A CTL_OP that nobody knows."""
    return with_ctl(data, lambda fields: {"ctl_op": rng.choice(UNKNOWN_OPS)})


def poison(data: bytes, rng: random.Random, starts: Starts) -> bytes | None:
    """POISON in the header of one of the messages with data that begin in this flit."""
    form = FORMAT_OF_SIZE[len(data)]
    som, found = starts.of(data), []
    for granule in range(form.granules):
        at = form.payload_offset + granule * GRANULE_BYTES
        if som >> granule & 1 and carries_data(data[at]):
            layout = HEADERS[VC_HEADER[data[at] >> 5]]
            fields = layout.parse(data[at : at + GRANULE_BYTES])
            if not fields["poison"]:
                found.append((at, layout.build(fields | {"poison": 1})))
    return spliced(data, *rng.choice(found)) if found else None


EDITS: Final[dict[FaultKind, Edit]] = {
    FaultKind.SEQ: seq,
    FaultKind.ACK: ack,
    FaultKind.CREDIT: credit,
    FaultKind.POISON: poison,
    FaultKind.EPOCH: epoch,
    FaultKind.CTL_OP: ctl_op,
}


class Starts:
    """Starts of messages in the PROT flits of a direction, given in B256 and parsed from SEQ 0 on in L64.

    `see` is shown every flit as it leaves. Of a port of several links a direction has only some of the flits:
    `whole` is false, and no message of L64 is found.
    """

    def __init__(self, whole: bool = True) -> None:
        self.whole = whole
        self._reset()

    def _reset(self) -> None:
        self._unpacker = Unpacker()
        self._next: int | None = 0
        self._som = [0] * SEQ_MODULUS  # of the last flit with each SEQ: a replay has its own again

    def see(self, data: bytes) -> None:
        """Follow the granule stream; HELLO begins a new one."""
        form = FORMAT_OF_SIZE[len(data)]
        fields = H0.parse(data[:WORD])
        if fields["ft"] == FlitType.CTL and data[form.payload_offset] == CtlOp.HELLO:
            self._reset()
        elif (
            fields["ft"] == FlitType.PROT and fields["seq"] == self._next and not form.has_som and self.whole
        ):
            payload = data[form.payload_offset : form.crc_offset]
            _, error = self._unpacker.feed(payload, None, lambda vc: True)
            self._som[fields["seq"]] = 0 if error else self._unpacker.som
            self._next = None if error else (fields["seq"] + 1) % SEQ_MODULUS

    def of(self, data: bytes) -> int:
        """Bit i: a message begins at granule i of this PROT."""
        if FORMAT_OF_SIZE[len(data)].has_som:
            som: int = H1.parse(data[WORD : WORD + H1.sizeof()])["som"]
            return som
        return self._som[H0.parse(data[:WORD])["seq"]] if self.whole else 0
