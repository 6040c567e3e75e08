"""The CPU node without a program: it boots devices, serves them, and stays (HSL annex A.4)."""

from __future__ import annotations

from collections.abc import Callable

from hsl._generated.constants import Err, JobVector, PageRegister
from hsl.emulator.device import wait_for
from hsl.emulator.host import Host
from hsl.emulator.program import Condition, Pause, Program
from hsl.emulator.topology import Topology
from hsl.errors import TransactionError

__all__ = ["IdleCpuDevice"]


BYE_TU = 256  # what the devices get for their BYE, which nobody checks


class IdleCpuDevice(Host):
    """A CPU that answers the interrupt CALL of a device by a doorbell; it ends after `ns`, None for never."""

    def __init__(self, topology: Topology, epoch: Callable[[], int], ns: int | None = None) -> None:
        super().__init__(topology, epoch)
        self._ns = ns
        self.calls = 0  # answered
        self._called: dict[int, int] = {}  # by port: DATA of a CALL that is not answered

    def programs(self) -> None:
        """Wait for interrupts, and for the end."""
        self.scheduler.spawn("calls", self._collect())
        for port in range(len(self.node.ports)):
            self.scheduler.spawn(f"calls of port {port}", self._answer(port))
        if self._ns is not None:
            self.scheduler.spawn("end", self._end(self._ns))

    def _end(self, ns: int) -> Program[None]:
        yield Pause(ns)
        self.quiescing = True
        pages = [device.page for device in self.master.devices.values() if device.page is not None]
        yield [self.core.ncwrite(page + PageRegister.EXIT, 0) for page in pages]
        yield self.pause(BYE_TU)
        self.finished = True

    def _collect(self) -> Program[None]:
        """Keep the last CALL of each device; other interrupts are nothing to do for. HSL A.4."""
        while True:
            yield Condition(self.io.has_interrupt)
            for one in self.io.interrupts():
                port = self.master.port_of(one.src)
                device = None if port is None else self.master.devices.get(port)
                if device is not None and one.vector - device.vector == JobVector.CALL:
                    self._called[device.port] = one.data

    def _answer(self, port: int) -> Program[None]:
        """Answer the CALLs of the device at a port, one after the other: it holds up no other."""
        while True:
            yield Condition(lambda: port in self._called)
            data, device = self._called.pop(port), self.master.devices.get(port)
            if device is None or device.page is None:
                continue
            try:
                yield from wait_for(self.core.ncwrite(device.page + PageRegister.DOORBELL, data))
                self.calls += 1
            except TransactionError as error:
                if error.code != Err.UNREACH:
                    self.master.told(port, f"DOORBELL: {error}; expected OK (HSL A.4)")
