"""Emulators: CPU and GPU nodes, the programs that run on them, and the topology that joins them."""

from hsl.emulator.array_cpu import HOMES, ArrayCpuDevice
from hsl.emulator.array_kernels import ARRAY_KERNELS
from hsl.emulator.cpu import CpuDevice
from hsl.emulator.device import Core, Device
from hsl.emulator.gpu import GpuDevice
from hsl.emulator.host import Host
from hsl.emulator.idle_cpu import IdleCpuDevice
from hsl.emulator.kernels import KERNELS
from hsl.emulator.memory import MemoryDevice
from hsl.emulator.topology import Topology

__all__ = [
    "ARRAY_KERNELS",
    "HOMES",
    "KERNELS",
    "ArrayCpuDevice",
    "Core",
    "CpuDevice",
    "Device",
    "GpuDevice",
    "Host",
    "IdleCpuDevice",
    "MemoryDevice",
    "Topology",
]
