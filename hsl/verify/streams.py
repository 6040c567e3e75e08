"""Streams of NCR: a device sees doorbells and interrupts of one stream in order, each once (HSL 5.10)."""

from __future__ import annotations

from collections import defaultdict, deque

from hsl._generated.constants import GRANULE_BYTES
from hsl.agents.invariants import InvariantError
from hsl.agents.io import IoAgent
from hsl.verify.author import NUMBER_SHIFT
from hsl.verify.operation import Operation

__all__ = ["Streams", "interrupt_data"]

VECTORS = 256  # of a device of the stress test
Stream = tuple[int, int, int]  # SRC, DST, stream


def interrupt_data(number: int) -> bytes:
    """Vector and data of the interrupt of an operation: its number, modulo the vectors and whole."""
    return (number % VECTORS | number << 32).to_bytes(GRANULE_BYTES, "little")


def _shows(operation: Operation) -> bool:
    """True if a device sees the operation: an interrupt, or a write of eight bytes."""
    access = operation.access
    return access.kind == "intr" or (access.kind == "ncwrite" and access.size == GRANULE_BYTES)


class Streams:
    """The events that each device has yet to see, in order, by stream; bounded by open operations."""

    def __init__(self) -> None:
        self._expected: dict[Stream, deque[Operation]] = defaultdict(deque)
        self._open: dict[int, Operation] = {}  # by id

    def begun(self, operation: Operation) -> None:
        """An NCR operation begins."""
        if _shows(operation):
            access = operation.access
            self._open[operation.id] = operation
            self._expected[operation.agent, access.dst, access.stream].append(operation)

    def take(self, device: IoAgent) -> None:
        """Take the messages that arrived at a device. Raises InvariantError if they are not the next ones.

        A device with both cannot tell which of a doorbell and an interrupt came first.
        """
        if not (device.has_doorbell() or device.has_interrupt()):
            return
        bells = [
            (int.from_bytes(bell.data, "little") >> NUMBER_SHIFT, bell.src) for bell in device.doorbells()
        ]
        raised = [(each.data, each.src) for each in device.interrupts()]
        seen: dict[Stream, tuple[deque[Operation], deque[Operation]]] = defaultdict(
            lambda: (deque(), deque())
        )
        for kind, numbers in enumerate((bells, raised)):
            for number, src in numbers:
                operation = self._open.pop(number, None)
                if operation is None or (operation.agent, operation.access.dst) != (src, device.nid):
                    raise InvariantError(
                        f"device {device.nid} saw #{number} of node {src}, which it must not see"
                    )
                seen[src, device.nid, operation.access.stream][kind].append(operation)
        for stream, queues in seen.items():
            self._judge(stream, queues)

    def _judge(self, stream: Stream, queues: tuple[deque[Operation], ...]) -> None:
        """Check that a device saw the event of a stream that was sent next."""
        expected = self._expected[stream]
        while any(queues):
            first = expected.popleft()
            queue = next((queue for queue in queues if queue and queue[0] is first), None)
            if queue is None:
                early = next(queue[0] for queue in queues if queue)
                raise InvariantError(f"device {stream[1]} saw {early} before {first} of its stream (3.6 O4)")
            queue.popleft()

    def ended(self, operation: Operation) -> None:
        """An NCR operation is completed: the device must have seen it."""
        if operation.id in self._open:
            raise InvariantError(f"{operation} is completed, but its device has not seen it (5.10)")
