"""The captures of both ends of links as one: each flit once, as its sender saw it, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from heapq import merge as merge_sorted
from typing import Any, BinaryIO

from hsl.capture.pcapng import Packet
from hsl.capture.sink import Sink
from hsl.capture.trace import Lane, Reader, Writer
from hsl.errors import CaptureTruncated

__all__ = ["merge"]


class _Part:
    """One of the captures, a packet in hand; one that is cut off ends with its last whole packet."""

    def __init__(self, stream: BinaryIO) -> None:
        self.reader = Reader(stream)
        self._packets = iter(self.reader)
        self._head = self._next()

    @property
    def lanes(self) -> list[int]:
        """Return the lanes of the flits that this end sent."""
        view = self.reader.info.view if self.reader.info else ""
        return [index for index, lane in enumerate(self.reader.lanes) if lane.source == view]

    def _next(self) -> Packet | None:
        try:
            return next(self._packets, None)
        except CaptureTruncated:
            return None

    def packets(self, offset: int) -> Iterator[Packet]:
        """The flits that this end sent; its lanes are numbered from `offset`."""
        order = {index: offset + place for place, index in enumerate(self.lanes)}
        while self._head is not None:
            if self._head.interface in order:
                yield self._head._replace(interface=order[self._head.interface])
            self._head = self._next()

    def comments(self, offset: int) -> dict[int, Sequence[str]]:
        """Last words of its lanes; known when all packets are read."""
        found = self.reader.statistics
        return {offset + place: found[i].comments for place, i in enumerate(self.lanes) if i in found}


def merge(streams: Sequence[BinaryIO], sink: Sink) -> int:
    """Merge captures of one file each, made by one clock; the number of packets.

    `streams` are in the order of their nodes; the first node's view is taken. Captures that were cut off give
    what they have; if all have nothing, there is no file. Raises CaptureError for one that is none, or a sink
    that cannot be written.
    """
    parts = [_Part(stream) for stream in streams]
    infos = [part.reader.info for part in parts if part.reader.info is not None]
    if not infos:
        sink.close()
        return 0
    lanes: list[Lane] = []
    offsets = []
    nodes: dict[str, Any] = {}
    for part in parts:
        offsets.append(len(lanes))
        lanes += [part.reader.lanes[index] for index in part.lanes]
    for info in infos:
        nodes |= info.nodes
    writer = Writer(sink, replace(infos[0], nodes=nodes), lanes)
    flows = [part.packets(offset) for part, offset in zip(parts, offsets, strict=True)]
    for packet in merge_sorted(*flows, key=lambda packet: packet.time):
        writer.packet(packet._replace(direction=writer.directions[packet.interface]))
    last_words: dict[int, Sequence[str]] = {}
    for part, offset in zip(parts, offsets, strict=True):
        last_words |= part.comments(offset)
    writer.close(last_words)
    return writer.packets
