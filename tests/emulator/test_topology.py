"""The nodes of a topology: who writes their registers, who may be behind their ports (HSL 5.14, 6.3)."""

from __future__ import annotations

import asyncio
import random
from itertools import count

import pytest

from hsl._generated.constants import Err, ErrorCode, LinkState, Op, Register
from hsl.agents.access import Access
from hsl.emulator import CpuDevice, GpuDevice
from hsl.emulator.topology import GPU_AGENT, Topology, gpu_nids
from hsl.engine.node import Node
from hsl.errors import HslError
from tests.engine.wires import Peer, Wire
from tests.support.sessions import Running, run, warnings_of

GPU = gpu_nids(0)
WORD = (1).to_bytes(8, "little")


def joined(topology: Topology) -> tuple[Node, Node, Wire]:
    """The CPU and the first GPU on a wire."""
    epochs = count(1)
    cpu, gpu = topology.cpu_node(lambda: next(epochs)), topology.gpu_node(lambda: next(epochs))
    wire = Wire(cpu, gpu)
    wire.connect()
    return cpu, gpu, wire


@pytest.mark.parametrize("register", [Register.FENCE, Register.RATE, Register.CFGMASTER])
def test_only_the_boot_cpu_writes_registers(register: Register) -> None:
    """A GPU that writes a register of the CPU ends with ACCESS; the first core writes its own and the GPU's.

    Else one GPU could fence another, slow it down or change the map. HSL 5.14, 6.3.
    """
    cpu, gpu, wire = joined(Topology(tu=6))
    theirs = gpu.submit(GPU.start + GPU_AGENT, Access("cfg_write", register, 8, WORD, dst=0), wire.now)
    wire.finish(theirs)
    assert theirs.err == Err.ACCESS
    for dst in (0, GPU.start):
        ours = cpu.submit(2, Access("cfg_write", Register.ERRDST, 8, WORD, dst=dst), wire.now)
        wire.finish(ours)
        assert ours.err == Err.OK


@pytest.mark.parametrize("base", [gpu_nids(1).start, gpu_nids(3).start])
def test_a_node_that_claims_the_numbers_of_another_is_refused(base: int) -> None:
    """Behind a port is who the topology puts there: another NID range ends with CFG, before it says a word.

    Else a GPU could come back as another one that is down, with its rights, and keep it out. HSL 6.3.
    """
    epochs = count(1)
    cpu = Topology(tu=6, gpus=2).cpu_node(lambda: next(epochs))
    peer = Peer(base)
    wire = Wire(cpu, peer)
    for each in wire.nodes:
        each.start(0)
        each.pal_up(0, 0, 0)
    for _ in range(60):
        wire.step()
    assert ErrorCode.CFG in [entry.code for entry in cpu.error_logs[0].entries]
    assert cpu.ports[0].state(0) is LinkState.DEAD
    assert not peer.took(Op.Cmp)


def test_a_listener_turns_a_stranger_away_and_serves_the_next(caplog: pytest.LogCaptureFixture) -> None:
    """Another GPU than that of the port is refused with one line, and does not end the node that listens."""

    async def body() -> None:
        rng, topology = random.Random(1), Topology()

        def epoch() -> int:
            return rng.getrandbits(32)

        cpu = CpuDevice(topology, epoch, b"some words to count")
        listener = await Running(cpu, "tcp://:0", listen=True).open()  # type: ignore[arg-type]
        other = await Running(GpuDevice(Topology(gpus=2), epoch, 1), listener.uri).open()  # type: ignore[arg-type]
        with pytest.raises(HslError):
            await other.end()
        right = await Running(GpuDevice(topology, epoch), listener.uri, passive=True).open()  # type: ignore[arg-type]
        await asyncio.gather(listener.end(), right.end())
        assert cpu.verified

    run(body())
    assert sum("at this port are range(16, 32)" in line for line in warnings_of(caplog)) == 1


def test_the_ports_of_each_node_know_their_neighbours() -> None:
    """Star and mesh: the neighbours of every port are the NIDs of the node at the other end of its wire."""
    for shape in ("star", "mesh"):
        topology = Topology(gpus=3, shape=shape, memory_nodes=1)
        nodes = [
            topology.cpu_node(lambda: 1),
            *(topology.gpu_node(lambda: 1, gpu) for gpu in range(3)),
            topology.memory_node(lambda: 1),
        ]
        for ends in topology.wires():
            for here, there in (ends, ends[::-1]):
                behind = nodes[here.device].config.neighbours[here.port]
                assert set(nodes[there.device].config.nids) <= set(behind), (shape, here)
