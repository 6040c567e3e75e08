"""A whole run of an array kernel on the loopback, and its traffic in each phase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from hsl.emulator.array_cpu import ArrayCpuDevice
from hsl.emulator.device import Device
from hsl.emulator.gpu import GpuDevice
from hsl.emulator.in_process import Tally, epochs, wires
from hsl.emulator.memory import MemoryDevice
from hsl.emulator.topology import Topology
from hsl.link.events import Event
from hsl.transport.base import Place, Tap
from hsl.transport.faults import FaultPlan
from hsl.transport.loopback import Loopback

__all__ = ["ARRAYS_SCHEMA", "ArrayRun"]

ARRAYS_SCHEMA = "hsl.arrays/1"
# Virtual time after which a run counts as hung: the greatest task takes less.
MAX_VIRTUAL_NS = 1 << 40
HOW = "the result in memory compared bit by bit with numpy's in the same order of rounding"


class ArrayRun:
    """CPU, GPUs and perhaps a memory node, joined by wires in virtual time; everything is from `seed`.

    ConfigError as ArrayCpuDevice.
    """

    def __init__(
        self,
        topology: Topology,
        kernel: str,
        *,
        home: str = "device",
        size: int | None = None,
        seed: int = 0,
        faults: FaultPlan | None = None,
    ) -> None:
        epoch = epochs(seed)
        self.topology = topology
        self.seed = seed
        self.cpu = ArrayCpuDevice(topology, epoch, kernel, home=home, size=size, seed=seed)
        self.gpus = [GpuDevice(topology, epoch, gpu) for gpu in range(topology.gpus)]
        memories = [MemoryDevice(topology, epoch) for _ in range(topology.memory_nodes)]
        self.devices: list[Device] = [self.cpu, *self.gpus, *memories]
        self.wires = wires(topology, faults or FaultPlan())
        self._sent = Tally()
        self.now = 0
        self._began: list[tuple[str, int, int, Counter[str]]] = []  # phase, ns, bytes, traffic before it
        self.cpu.phase = self._phase

    def run(
        self, observe: Callable[[Place, Event], None] | None = None, tap: Tap | None = None
    ) -> dict[str, Any]:
        """Run to the end; the report. LinkError and TransportError as Loopback.run."""
        self.loopback = Loopback(
            self.devices, self.wires, seed=self.seed, observe=observe, tap=self._sent.tap(tap)
        )
        self.loopback.bring_up()
        self.loopback.run(max_time=MAX_VIRTUAL_NS)
        return self.report()

    def doing(self) -> str:
        """Return the present phase and the accesses made so far; any thread may ask."""
        counters = [agent.counters for device in self.devices for agent in device.node.agents.values()]
        accesses = sum(count.hits + count.misses for count in counters)
        phase = f"{self._began[-1][0]} phase" if self._began else "links"
        return f"the {phase} of {self.cpu.kernel.name}: {accesses:,} accesses"

    @property
    def wire_bytes(self) -> int:
        """Bytes of all flits that were sent."""
        return self._sent.bytes.total()

    @property
    def flits(self) -> int:
        """Flits that were sent."""
        return self._sent.flits.total()

    def _phase(self, name: str) -> None:
        self._began.append((name, self.loopback.now, self.wire_bytes, self._traffic()))

    def _traffic(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for device in self.devices:
            total += device.traffic()
        return total

    def report(self) -> dict[str, Any]:
        """Return the report as plain data (schema hsl.arrays/1)."""
        phases = {}
        for (name, ns, sent, before), (_, end, sent_after, after) in zip(
            self._began, self._began[1:], strict=False
        ):
            moved = after - before
            phases[name] = {
                "ns": end - ns,
                "wire_bytes": sent_after - sent,
                "messages": moved["messages"],
                "snoops": moved["snoops"],
            }
        errors = sum(len(log.entries) for device in self.devices for log in device.node.error_logs)
        verified = self.cpu.verified and all(device.finished for device in self.devices)
        return {
            "schema": ARRAYS_SCHEMA,
            "verified": verified,
            "how": HOW,
            "kernel": self.cpu.kernel.name,
            "size": self.cpu.size,
            "home": self.cpu.home,
            "gpus": self.topology.gpus,
            "shape": self.topology.shape,
            "seed": self.seed,
            "checks": self.cpu.checks,
            "clock": "virtual",
            "elapsed_ns": self.loopback.now,
            "flits": self.flits,
            "wire_bytes": self.wire_bytes,
            **self.repairs(),
            "errors": errors,
            "phases": phases,
            "gpu_kernels": [gpu_report(gpu) for gpu in self.gpus],
        }

    def repairs(self) -> dict[str, Any]:
        """Return the faults that hit, by kind, and what all links did about them."""
        kinds: Counter[str] = Counter()
        for lane in self.loopback.lanes.values():
            kinds.update({str(kind): hits.total() for kind, hits in lane.injector.counts.items() if hits})
        links = [link.counters for each in self.devices for port in each.node.ports for link in port.links]
        return {
            "injected_kinds": dict(kinds),
            "crc_errors": sum(counters.crc_errors for counters in links),
            "replays": sum(counters.replays for counters in links),
        }


def gpu_report(gpu: GpuDevice) -> dict[str, Any]:
    """Report the accesses of a GPU's compute units, and the number of them that needed no link."""
    counts = gpu.kernel_traffic
    over = min(counts["link_accesses"], counts["accesses"])
    return {
        "node": gpu.node.name,
        "accesses": counts["accesses"],
        "hits": counts["hits"],
        "device_local": counts["accesses"] - over,
        "over_links": over,
        "messages_sent": counts["messages"],
        "snoops_sent": counts["snoops"],
    }
