"""The last flits of a run, in words: which messages each carries, and what became of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from hsl._generated.constants import FlitType, Op
from hsl.codec.flit import FORMATS
from hsl.codec.reference import Unpacker, decode_flit
from hsl.transport.base import Place
from hsl.transport.faults import Arrival

__all__ = ["FlitLog"]

KEPT = 256  # flits that are kept: a small failure has far fewer
_FORM_OF_SIZE = {form.bytes: name for name, form in FORMATS.items()}


class FlitLog:
    """Give `see` to a loopback as its tap; the log is the strings of `lines`, numbered from 0."""

    def __init__(self, names: Sequence[str], ends: Iterable[tuple[Place, Place]]) -> None:
        self.lines: deque[str] = deque(maxlen=KEPT)
        self._count = 0
        self._way: dict[Place, str] = {}
        for a, b in ends:
            self._way[a] = f"{names[a.device]} -> {names[b.device]}"
            self._way[b] = f"{names[b.device]} -> {names[a.device]}"
        self._next = dict.fromkeys(self._way, 0)  # SEQ of the next new PROT
        self._unpackers = {place: Unpacker() for place in self._way}

    def see(self, now: int, place: Place, data: bytes, arrivals: list[Arrival] | None) -> None:
        """A flit that is sent; receptions are not logged."""
        if arrivals is None:
            return
        flit = decode_flit(data, _FORM_OF_SIZE[len(data)])
        fate = "" if [arrival.data for arrival in arrivals] == [data] else "  lost or damaged"
        what = FlitType(flit.ft).name
        if flit.ft == FlitType.PROT and flit.seq == self._next[place]:
            self._next[place] = (flit.seq + 1) % 1024
            som = flit.som if FORMATS[flit.format].has_som else None
            messages, _ = self._unpackers[place].feed(flit.payload, som, lambda vc: True)
            what += "".join(
                f" {Op(m.op).name} {m.src}->{m.dst} txn {m.txn}{f' {m.addr:#x}' if m.addr else ''}"
                for m in messages
            )
        elif flit.ft == FlitType.PROT:
            what += " replayed"
        self.lines.append(
            f"flit {self._count:>5} {now:>8} ns  {self._way[place]}  SEQ {flit.seq} {what}{fate}"
        )
        self._count += 1
