"""Captures of flits in pcapng, for our own tools and everybody else's."""

from hsl.capture.merge import merge
from hsl.capture.pcapng import Direction, Interface, Packet, PacketError, Section, Statistics
from hsl.capture.recorder import Recorder, Tapped, both_ends, capture_info, one_end, wall_offset
from hsl.capture.sink import Sink
from hsl.capture.trace import CaptureInfo, Clock, Lane, Reader, Writer

__all__ = [
    "CaptureInfo",
    "Clock",
    "Direction",
    "Interface",
    "Lane",
    "Packet",
    "PacketError",
    "Reader",
    "Recorder",
    "Section",
    "Sink",
    "Statistics",
    "Tapped",
    "Writer",
    "both_ends",
    "capture_info",
    "merge",
    "one_end",
    "wall_offset",
]
