"""The nodes of a topology on the loopback; the caller submits the accesses and lets time pass."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any, Final

from hsl._generated.constants import Err
from hsl.agents.access import Access, Ticket
from hsl.capture import Clock, Recorder, Sink, both_ends, capture_info
from hsl.capture.recorder import described
from hsl.emulator.host import Host
from hsl.emulator.in_process import Tally, epochs, wires
from hsl.emulator.memory_range import memory_ranges
from hsl.emulator.report import by_name, summed, total
from hsl.emulator.topology import Topology
from hsl.errors import (
    CaptureError,
    ClosedError,
    ConfigError,
    LinkError,
    PeerUnreachable,
    TransactionError,
    TransportError,
)
from hsl.link.events import Event, LinkDown
from hsl.transport.base import Place
from hsl.transport.faults import Arrival, FaultPlan
from hsl.transport.loopback import Loopback
from hsl.transport.node_device import NodeDevice
from hsl.transport.time_units import HANDSHAKE_TU

__all__ = ["MAX_VIRTUAL_NS", "Machine"]

MIN_SWEEP: Final = 1 << 12  # open accesses of one agent
MAX_VIRTUAL_NS: Final = 1 << 60  # no run gets there: T_REQ ends an access that is never answered (5.11)


class _Host(Host):
    """A CPU that boots its devices when the machine says so: not before all links are up."""

    engaged = True

    def begin(self) -> None:
        """Wait for `Machine.bring_up`."""


class Machine:
    """All nodes of `topology`, and what happens between them; everything follows from `seed`.

    `nodes` in order: the CPU, the GPUs, the memory node; a device is an index of it. Accesses and captures
    raise ClosedError once it is closed.
    """

    def __init__(self, topology: Topology, seed: int, faults: FaultPlan) -> None:
        self.topology = topology
        self.seed = seed
        self.faults = faults
        self.memory_map = memory_ranges(topology)
        epoch = epochs(seed)
        self._host = _Host(topology, epoch)
        self.nodes = [
            self._host.node,
            *(topology.gpu_node(epoch, gpu) for gpu in range(topology.gpus)),
            *(topology.memory_node(epoch) for _ in range(topology.memory_nodes)),
        ]
        self.closed = False
        self._loss = ""  # the first link that went down
        self._devices: list[Host | NodeDevice] = [
            self._host,
            *(NodeDevice(node) for node in self.nodes[1:]),
        ]
        self._wires = wires(topology, faults)
        self._sent = Tally()
        self._recorders: list[Recorder] = []
        self._files: set[str] = set()  # that are captured to
        self._stack = ExitStack()
        self._open: set[Ticket] = set()  # tickets that had not ended when they were last looked at
        self._sweep = MIN_SWEEP  # size of `_open` at which ended tickets are dropped from it
        self._touched: set[int] = set()  # devices with accesses that their node has not been told to move
        tap = self._sent.tap(self._tap)
        self._loopback = Loopback(self._devices, self._wires, seed=seed, observe=self._observe, tap=tap)

    @property
    def now(self) -> int:
        """Virtual time in ns."""
        return self._loopback.now

    # ---- from the links' first flit to their last

    def bring_up(self) -> None:
        """Run until every device is booted. Raises LinkError when the faults keep a link down."""
        why = ""
        try:
            self._loopback.bring_up()
            self._boot()
        except PeerUnreachable as error:
            why = str(error)
        if not all(node.connected for node in self.nodes) or not self._host.master.complete:
            reason = self._loss or self._loopback.failure or why
            raise LinkError(f"the links do not come up with the faults {self.faults}: {reason}")

    def _boot(self) -> None:
        """Let the CPU boot the devices over links without faults: those are for the accesses of the user."""
        injectors = [lane.injector for lane in self._loopback.lanes.values()]
        for injector in injectors:
            injector.enabled = False
        self._host.master.begin()
        self._touched.add(0)
        self._advance(lambda: bool(self._host.master.complete or self._loss or self._loopback.failure))
        for injector in injectors:
            injector.enabled = True

    def settle(self) -> None:
        """Let the links come to rest without further faults."""
        for device in self._devices:
            device.quiescing = True
        if not self._loopback.failure:
            # A link that fails now has nothing left to carry; the report shows it.
            with suppress(LinkError, TransportError):
                self._loopback.run(max_time=self.now + (HANDSHAKE_TU << self.topology.tu))

    def close(self) -> None:
        """End the captures."""
        self.closed = True
        self._stack.close()

    def require_open(self) -> None:
        """Raise ClosedError after `close`."""
        if self.closed:
            raise ClosedError("the system is closed: use it inside its `with` block, or before close()")

    # ---- accesses and time

    def submit(self, device: int, nid: int, access: Access) -> Ticket:
        """Hand an access to an agent of a device, now. Raises ConfigError as `Node.submit`."""
        self.require_open()
        node = self.nodes[device]
        ticket = node.submit(nid, access, self.now)
        if ticket.done:
            node.completions()  # a long run of hits never lets the device drop them
        else:
            self._remember(ticket)
        self._touched.add(device)
        return ticket

    def wait(self, ticket: Ticket) -> None:
        """Let time pass until an access has ended."""
        if not ticket.done:
            if ticket not in self._open:  # it would never end here
                raise ConfigError(f"{ticket} is of another system")
            self._advance(lambda: ticket.done)
        self._open.discard(ticket)

    def _remember(self, ticket: Ticket) -> None:
        """Keep an open ticket, and drop those that ended without a `wait`."""
        if len(self._open) >= self._sweep:
            self._open = {each for each in self._open if not each.done}
            self._sweep = max(MIN_SWEEP, 2 * len(self._open))
        self._open.add(ticket)

    def run_until(self, at: int) -> None:
        """Let time pass until `at` ns."""
        self._loopback.call(at, Place(0), lambda: None)
        self._advance(lambda: self.now >= at)

    def _advance(self, until: Callable[[], bool]) -> None:
        self.require_open()
        for device in sorted(self._touched):
            self._loopback.call(self.now, Place(device), lambda: None)
        self._touched.clear()
        self._loopback.run(max_time=MAX_VIRTUAL_NS, until=until)

    def result(self, ticket: Ticket) -> bytes:
        """Return the data of an access that has ended. Raises as `Ticket.result`, with why a link is down."""
        try:
            return ticket.result()
        except TransactionError as error:
            if error.code != Err.UNREACH or not self._loss:
                raise
            raise TransactionError(f"{error}: {self._loss}", code=error.code) from None

    # ---- what is seen

    def record(self, file: str) -> None:
        """Capture every flit from now on. Raises CaptureError when the file cannot be written."""
        self.require_open()
        real = os.path.realpath(file)
        if real in self._files:
            raise CaptureError(f"capture {file}: this system writes it already")
        sink = Sink(file)
        self._files.add(real)
        self._stack.callback(sink.close)
        tapped = both_ends([node.name for node in self.nodes], [wire[:2] for wire in self._wires])
        info = capture_info(Clock.VIRTUAL, self.seed, self.nodes)
        self._recorders.append(self._stack.enter_context(Recorder(sink, info, tapped)))

    def _tap(self, now: int, place: Place, flit: bytes, arrivals: list[Arrival] | None) -> None:
        for recorder in self._recorders:
            recorder.flit(now, place, flit, arrivals)

    def _observe(self, place: Place, event: Event) -> None:
        if isinstance(event, LinkDown) and not self._loss:
            self._loss = f"{self.nodes[place.device].name}: {described(event)} at {event.now} ns"
        for recorder in self._recorders:
            recorder.event(place, event)

    def report(self) -> dict[str, Any]:
        """Return the counters of the run so far as plain data."""
        nodes = {node.name: self._node_report(device) for device, node in enumerate(self.nodes)}
        links = [link.counters.as_dict() for node in self.nodes for port in node.ports for link in port.links]
        injected: Counter[str] = Counter()
        for lane in self._loopback.lanes.values():
            injected.update({str(kind): hits.total() for kind, hits in lane.injector.counts.items() if hits})
        return {
            "now_ns": self.now,
            "seed": self.seed,
            "faults": str(self.faults),
            "flits": self._sent.flits.total(),
            "wire_bytes": self._sent.bytes.total(),
            "messages": sum(sum(node["messages_sent"].values()) for node in nodes.values()),
            "injected": dict(injected),
            "links": summed(links),
            "nodes": nodes,
        }

    def _node_report(self, device: int) -> dict[str, Any]:
        node = self.nodes[device]
        return {
            "messages_sent": total(by_name(port.messages_sent) for port in node.ports),
            "agents": {str(nid): agent.counters.as_dict() for nid, agent in node.agents.items()},
            "errors": total(
                {code.name: count for code, count in log.counters.items() if count} for log in node.error_logs
            ),
        }
