"""The flits of a capture: the messages that end in each, and where each landed (HSL 2.5, 3.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from hsl._generated.constants import SEQ_MODULUS, FlitType
from hsl.capture.pcapng import Packet
from hsl.capture.trace import Lane, Reader
from hsl.codec.flit import FORMATS, Flit
from hsl.codec.message import Message
from hsl.codec.reference import Unpacker, decode_flit
from hsl.errors import CodecError

__all__ = ["Carried", "Landing", "carried"]

_FORM_OF_SIZE: Final = {form.bytes: name for name, form in FORMATS.items()}


class Landing(StrEnum):
    """The fate of one sending of a flit."""

    ACCEPTED = "accepted"
    LOST = "lost"  # a fault dropped it
    DAMAGED = "damaged"  # its CRC is wrong at the receiver
    AHEAD = "ahead"  # an earlier flit is missing: the receiver drops it
    AGAIN = "again"  # the receiver has it already


# Comments of `hsl.capture.recorder.fate`: those of a flit that is stopped, and what arrives of a changed one.
_STOPPED: Final = {
    "fault: dropped": Landing.LOST,
    "fault: arrives with err=1": Landing.DAMAGED,
}
_CHANGED: Final = re.compile(r"fault: .* arrives as ((?:[0-9a-f]{2})*)")


class Carried(NamedTuple):
    """One flit of a capture; `number` counts its packets from 0, `time` in ns of the capture's clock.

    `messages` end in this flit; `repeated`: the flit was sent before, with the same messages.
    """

    number: int
    time: int
    lane: Lane
    flit: Flit
    landing: Landing
    messages: tuple[Message, ...] = ()
    repeated: bool = False


def carried(reader: Reader) -> Iterator[Carried]:
    """Yield the flits of a capture of one session, in their order; frames that are no flit are left out.

    Each interface is read by itself: a message that spans flits is not found in a port of several links.
    Flits are taken to arrive in the order in which they were sent. Raises CaptureError as Reader does.
    """
    ways: dict[int, _Way] = {}
    for number, packet in enumerate(reader):
        try:
            flit = decode_flit(packet.data, _FORM_OF_SIZE.get(len(packet.data), "L64"))
        except CodecError:
            continue  # damaged on its way: what it carried comes again
        way = ways.setdefault(packet.interface, _Way())
        yield Carried(number, packet.time, reader.lanes[packet.interface], flit, *way.pass_on(flit, packet))


class _Way:
    """One direction of a link: what its sender has sent, and what its receiver expects next."""

    def __init__(self) -> None:
        self._unpacker = Unpacker()
        self._next = 0  # SEQ of the next new PROT
        self._expected = 0  # SEQ that the receiver accepts
        # Of the last SEQ_MODULUS flits, by SEQ; a window is smaller (HSL 3.4).
        self._sent: dict[int, tuple[Message, ...]] = {}

    def pass_on(self, flit: Flit, packet: Packet) -> tuple[Landing, tuple[Message, ...], bool]:
        """Return where the flit landed, its messages, and True if it is a repetition."""
        landing, seq = _arrival(flit, packet)
        if flit.ft != FlitType.PROT:
            return landing, (), False
        repeated = flit.seq != self._next
        if not repeated:
            self._next = (flit.seq + 1) % SEQ_MODULUS
            som = flit.som if FORMATS[flit.format].has_som else None
            self._sent[flit.seq] = tuple(self._unpacker.feed(flit.payload, som, lambda vc: True)[0])
        if landing == Landing.ACCEPTED:
            landing = self._receive(seq)
        return landing, self._sent.get(flit.seq, ()), repeated

    def _receive(self, seq: int) -> Landing:
        """Go-back-N: accept the expected flit and drop all others. HSL 3.4."""
        ahead = (seq - self._expected) % SEQ_MODULUS
        if ahead:
            return Landing.AHEAD if ahead < SEQ_MODULUS // 2 else Landing.AGAIN
        self._expected = (seq + 1) % SEQ_MODULUS
        return Landing.ACCEPTED


def _arrival(flit: Flit, packet: Packet) -> tuple[Landing, int]:
    """Return the landing that the comments of a packet tell, and the SEQ with which it arrives."""
    for comment in packet.comments:
        if landing := _STOPPED.get(comment):
            return landing, flit.seq
        if changed := _CHANGED.fullmatch(comment):
            try:
                return Landing.ACCEPTED, decode_flit(bytes.fromhex(changed[1]), flit.format).seq
            except CodecError:
                return Landing.DAMAGED, flit.seq
    return Landing.ACCEPTED, flit.seq
