"""A CPU and its devices on the loopback, for tests of the boot."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from hsl._generated.constants import Err, ErrorCode, LinkState, Op, SystemNid
from hsl.codec.message import Message
from hsl.emulator import GpuDevice, Host, MemoryDevice, Topology
from hsl.emulator.booted import BootedDevice
from hsl.emulator.device import Device
from hsl.errors import TransportError
from hsl.transport.base import Place
from hsl.transport.loopback import Loopback, Wire

LIMIT = 1 << 24  # ns: many times what a boot takes, or T_STATE


class System:
    """A CPU, and the devices of a topology, on the loopback."""

    def __init__(self, topology: Topology | None = None, tap: Any = None, **settings: Any) -> None:
        numbers = count(1)
        self.topology = topology or Topology(**{"tu": 6, "device_bytes": 1 << 20} | settings)
        epoch: Callable[[], int] = lambda: next(numbers)  # noqa: E731
        self.host = Host(self.topology, epoch)
        self.devices: list[Device] = [
            *(GpuDevice(self.topology, epoch, gpu) for gpu in range(self.topology.gpus)),
            *(MemoryDevice(self.topology, epoch) for _ in range(self.topology.memory_nodes)),
        ]
        wires = [Wire(*ends) for ends in self.topology.wires()]
        self.told: list[tuple[int, str]] = []
        self.host.master.told = lambda port, text: self.told.append((port, text))
        self.loopback = Loopback([self.host, *self.devices], wires, tap=tap)

    def run(self, until: Callable[[], bool]) -> None:
        """Run until something is so, for at most LIMIT ns."""
        try:
            self.loopback.run(max_time=self.loopback.now + LIMIT, until=until)
        except TransportError as error:
            raise AssertionError("it never came to that") from error

    def boot(self) -> dict[int, BootedDevice]:
        """Run until all devices are admitted."""
        self.run(lambda: self.host.master.complete)
        return dict(self.host.master.devices)

    def load(self, addr: int) -> tuple[Err | None, bytes]:
        """Load 8 bytes with the first core of the CPU."""
        now = self.loopback.now
        ticket = self.host.node.load(SystemNid.MASTER, addr, 8, now)
        self.loopback.call(now, Place(0), lambda: None)
        self.run(lambda: ticket.done)
        return ticket.err, ticket.data

    def refused(self, port: int = 0) -> str:
        """Run until the device at a port is turned away; the reason in the error log."""
        log = self.host.node.error_logs[port]
        self.run(lambda: bool(log.counters.get(ErrorCode.CFG)))
        assert self.host.node.ports[port].state(0) is LinkState.DEAD
        return next(entry.text for entry in log.entries if entry.code == ErrorCode.CFG)

    def registers(self, port: int = 0) -> Any:
        """The register file of the device at a port, to be made to lie."""
        agent = self.devices[port].node.io
        assert agent is not None
        return agent.registers

    def lose(self, other: Device | None = None, port: int = 0) -> None:
        """Cut the wire of a device until both sides give it up; join it, or another one, again."""
        self.loopback.set_wire(port, up=False)
        host, node = self.host.node, self.devices[port].node
        self.run(lambda: host.session(port) == node.session(0) == 0)
        if other is not None:
            self.devices[port] = self.loopback.devices[1 + port] = other
            node = other.node
        host.ports[port].enable(self.loopback.now)  # as a session on sockets does with the next connection
        node.ports[0].enable(self.loopback.now)
        self.loopback.set_wire(port, up=True)

    def answer(self, chosen: Callable[[Message], bool], err: Err, times: int = 1, port: int = 0) -> None:
        """Let the device at a port end the next `times` messages that are `chosen` with an error."""
        agent, left = self.devices[port].node.io, [times]
        assert agent is not None
        take, outbox = agent.receive, agent.outbox

        def receive(message: Message, now: int, viral: bool = False) -> None:
            if left[0] and chosen(message):
                left[0] -= 1
                outbox.append(Message(Op.Cmp, message.dst, message.src, message.txn, err=err))
            else:
                take(message, now, viral)

        agent.receive = receive  # type: ignore[method-assign]
