"""Emulators: CPU and GPU nodes, the programs that run on them, and the topology that joins them."""

from hsl.emulator.cpu import CpuDevice
from hsl.emulator.device import Core, Device
from hsl.emulator.gpu import GpuDevice
from hsl.emulator.kernels import KERNELS
from hsl.emulator.topology import Topology

__all__ = ["KERNELS", "Core", "CpuDevice", "Device", "GpuDevice", "Topology"]
