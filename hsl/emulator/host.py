"""The CPU node: it boots its devices, and the programs of its cores begin when all of them are there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hsl._generated.constants import PageRegister
from hsl.agents.mmio import Interrupt
from hsl.emulator.boot import BootMaster
from hsl.emulator.booted import BootedDevice
from hsl.emulator.device import Core, Device, wait_for
from hsl.emulator.program import Condition, Program
from hsl.emulator.topology import Topology
from hsl.errors import ConfigError, HslError, PeerLost, TransactionError

__all__ = ["DeviceLost", "Host"]


T = TypeVar("T")


class DeviceLost(HslError):
    """A program waits for a device whose port is down."""


class Host(Device):
    """A CPU that boots what is at its ports, and does nothing else by itself; `programs` adds more.

    `unfit` is told why the devices that are admitted are not those that its program needs; the program then
    waits for others. Without it the program ends with ConfigError, or PeerLost when a device refuses its job.
    """

    admission = "bring a device that is admitted (HSL 5.15)"

    def __init__(self, topology: Topology, epoch: Callable[[], int]) -> None:
        super().__init__(topology.cpu_node(epoch), topology)
        io = self.node.io
        assert io is not None  # the topology gives the node one
        self.io = io
        self.cores = [Core(self, nid) for nid in topology.cpu_cores]
        self.master = BootMaster(self.cores[0], len(self.node.ports), topology.device_bytes)
        self.unfit: Callable[[str], None] | None = None
        self._attempt: tuple[int, ...] = ()  # the sessions in which a program began

    @property
    def engaged(self) -> bool:
        """A device is admitted."""
        return bool(self.master.devices)

    def missing(self) -> str:
        """Acts of the devices that are waited for now."""
        return self.awaited if self.master.complete else self.admission

    @property
    def core(self) -> Core:
        """The core that boots the devices and rings their doorbells."""
        return self.cores[0]

    def begin(self) -> None:
        """Boot the devices, and start the programs."""
        self.master.begin()
        self.programs()

    def programs(self) -> None:
        """Start the programs of the cores; none here."""

    # ---- devices that may be lost (HSL A.7)

    def sessions(self) -> tuple[int, ...]:
        """The session of each port; it changes when a device is lost."""
        return tuple(self.node.session(port) for port in range(len(self.node.ports)))

    def attempt(
        self, program: Callable[[list[BootedDevice]], Program[None]], *, wait: bool = True
    ) -> Program[bool]:
        """Run a program for all devices, once they are admitted; False if one of them was lost meanwhile.

        Without `wait` it does not run at all where one of them is not there.
        """
        if not wait and not self.master.complete:
            return False
        yield Condition(lambda: self.master.complete)
        self._attempt = self.sessions()
        self.left_over(self.io.interrupts())
        try:
            yield from program([self.master.devices[port] for port in range(len(self._attempt))])
        except (TransactionError, DeviceLost):
            if not self.lost:
                raise
            return False
        except (ConfigError, PeerLost) as error:
            if self.lost:
                return False
            if self.unfit is None:
                raise
            self.unfit(f"{error}; waiting for another device")
            yield Condition(lambda: self.lost)
            return False
        return True

    @property
    def lost(self) -> bool:
        """A device was lost since the program began."""
        return self.sessions() != self._attempt

    def left_over(self, interrupts: list[Interrupt]) -> None:
        """Take the interrupts of an attempt that was given up: of devices that are lost, or that go on."""

    def taken(self, register: PageRegister, access: Program[T]) -> Program[T]:
        """Do an access of a register page. Raises PeerLost where the device refuses it. HSL A.4."""
        try:
            return (yield from access)
        except TransactionError as error:
            raise PeerLost(
                f"{register.name}: {error}; expected OK: the device can run no job (HSL A.4)"
            ) from error

    def write_exit(self, page: int) -> Program[bool]:
        """Write EXIT of a device; False if it does not take it: the result stays what it is. HSL A.4, A.7."""
        try:
            yield from wait_for(self.core.ncwrite(page + PageRegister.EXIT, 0))
        except TransactionError:
            return False
        return True

    def interrupt(self) -> Program[None]:
        """Wait until an interrupt is pending. Raises DeviceLost when none is, and a device was lost."""
        yield Condition(lambda: self.io.has_interrupt() or self.lost)
        if not self.io.has_interrupt():
            raise DeviceLost("a device was lost")
