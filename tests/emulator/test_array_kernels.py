"""Array kernels: their exact results do not depend on the number of GPUs; topologies and places."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from hsl._generated.constants import DEVICE_VECTORS, LINE_BYTES, WINDOW_BITS, JobVector, SamType
from hsl.agents.mmio import Interrupt
from hsl.emulator import ArrayCpuDevice, Topology
from hsl.emulator.array_kernels import ARRAY_KERNELS, BLOCK, ArrayJob, ArrayKernel
from hsl.emulator.array_run import ArrayRun
from hsl.emulator.gpu import GpuDevice
from hsl.errors import ConfigError
from hsl.transport.base import Place
from hsl.transport.loopback import Loopback, Wire

SIZES = {"saxpy": 4 * BLOCK, "reduction": 4 * BLOCK, "matmul": 64}


@pytest.mark.parametrize("kernel", ARRAY_KERNELS.values(), ids=ARRAY_KERNELS)
def test_shares_make_the_whole(kernel: ArrayKernel) -> None:
    """What the shares give, combined, is what the whole gives, to the bit, for 1, 2 and 4 GPUs."""
    whole = kernel.make(np.random.default_rng(1), SIZES[kernel.name])
    expected = kernel.expected(whole)
    assert expected.dtype == np.float32
    for gpus in (1, 2, 4):
        shares = kernel.shares(whole, gpus)
        assert sum(share.out_bytes for share in shares) == whole.out_bytes
        if kernel.name != "reduction":  # its shares give sums of blocks, not a result
            parts = [kernel.expected(share).tobytes() for share in shares]
            assert kernel.combine(parts).tobytes() == expected.tobytes()
    with pytest.raises(ConfigError, match="expected a multiple"):
        kernel.shares(whole, 3)


def test_results_are_close_to_those_in_double_precision() -> None:
    """The defined order of rounding computes what its name says."""
    for kernel in ARRAY_KERNELS.values():
        task = kernel.make(np.random.default_rng(2), SIZES[kernel.name])
        a, b = task.a.astype(np.float64), task.b.astype(np.float64)
        exact = a @ b if a.ndim > 1 else a.sum() if not b.size else task.scalar * a + b
        assert np.allclose(kernel.expected(task), exact.ravel(), rtol=1e-3, atol=1e-3)


def test_order_of_summation_shows() -> None:
    """The reduction is not numpy's own sum: the order that is demanded is the one that is computed."""
    values = np.zeros(BLOCK, np.float32)
    values[[0, 1, BLOCK // 2]] = 1e8, 1.0, -1e8
    task = ARRAY_KERNELS["reduction"].make(np.random.default_rng(0), BLOCK)._replace(a=values)
    assert ARRAY_KERNELS["reduction"].expected(task)[0] == 1.0


def test_descriptor_is_one_line() -> None:
    """A descriptor fills one line and comes back as it was."""
    job = ArrayJob(16, 1, 2, 3, 1, 5, 6, 7)
    assert len(job.encode()) == LINE_BYTES
    assert ArrayJob.decode(job.encode()) == job


def test_wires_of_star_and_mesh() -> None:
    """A star has a wire to each node, a mesh one per pair of GPUs too; no place has two wires."""
    star = Topology(gpus=4, memory_nodes=1).wires()
    assert star == [(Place(0, k), Place(k + 1)) for k in range(5)]
    mesh = Topology(gpus=4, shape="mesh").wires()
    assert len(mesh) == 4 + 6
    assert len({place for wire in mesh for place in wire}) == 2 * len(mesh)


def test_memory_of_a_topology() -> None:
    """Each GPU has memory of both kinds, the interleaved range two homes with numbers side by side."""
    topology = Topology(gpus=2, memory_nodes=1)
    regions = topology.regions()
    assert list(regions) == ["hostmem", "device0", "host0", "device1", "host1", "interleaved", "memory"]
    assert regions["host1"].type == regions["memory"].type == SamType.HDM_H
    assert set(regions["interleaved"].homes) == {15, regions["device0"].home}
    assert regions["memory"].base == 3 << WINDOW_BITS
    nodes = [topology.cpu_node(lambda: 1), topology.gpu_node(lambda: 1, 1), topology.memory_node(lambda: 1)]
    assert [len(node.ports) for node in nodes] == [3, 1, 1]
    with pytest.raises(ConfigError, match="memory_nodes"):
        Topology().memory_node(lambda: 1)


@pytest.mark.parametrize(
    ("kernel", "options", "text"),
    [
        ("none", {}, "unknown array kernel 'none'; expected saxpy, "),
        ("saxpy", {"home": "moon"}, "unknown home 'moon'; expected hostmem, "),
        ("saxpy", {"size": 0}, "expected a multiple of 1024"),
    ],
)
def test_bad_runs(kernel: str, options: dict[str, object], text: str) -> None:
    """What cannot be run is a ConfigError that says what can."""
    with pytest.raises(ConfigError, match=text):
        ArrayCpuDevice(Topology(), lambda: 1, kernel, **options)  # type: ignore[arg-type]


def test_bad_shapes() -> None:
    """A shape that is none, too many GPUs: ConfigError."""
    for values in ({"shape": "ring"}, {"gpus": 9}, {"memory_nodes": 2}, {"device_bytes": (1 << 16) + 1}):
        with pytest.raises(ConfigError, match=next(iter(values))):
            Topology.of(values)


def test_one_gpu_does_not_speak_for_another() -> None:
    """The CPU waits for an interrupt of each GPU; two of one are a failed check, and not the other's."""
    topology, seeds = Topology(gpus=2, tu=6), count(1)
    cpu = ArrayCpuDevice(topology, lambda: next(seeds), "saxpy")
    gpus = [GpuDevice(topology, lambda: next(seeds), gpu) for gpu in range(2)]
    loopback = Loopback([cpu, *gpus], [Wire(*ends) for ends in topology.wires()])
    loopback.run(max_time=1 << 40, until=lambda: cpu.master.complete)
    workers = cpu.workers([cpu.master.devices[port] for port in range(2)])
    waiting = cpu.interrupts(workers, JobVector.DONE)
    next(waiting)
    first, second = (gpu.caches[0].nid for gpu in gpus)
    for vector in (JobVector.DONE, DEVICE_VECTORS + JobVector.DONE):
        cpu.io.mmio.interrupt(Interrupt(vector, 0, first))
    waiting.send(None)
    cpu.io.mmio.interrupt(Interrupt(DEVICE_VECTORS + JobVector.DONE, 0, second))
    with pytest.raises(StopIteration):
        waiting.send(None)
    assert cpu.checks == {"interrupts_done": False}


def test_every_link_of_a_bond_is_joined() -> None:
    """The runs of array kernels join every link of a port: with two links both carry flits. HSL 4."""
    run = ArrayRun(Topology(tu=6, links=2), "saxpy", home="host", size=BLOCK, seed=1)
    assert run.run()["verified"]
    for link in run.cpu.node.ports[0].links:
        assert link.counters.prot_sent
