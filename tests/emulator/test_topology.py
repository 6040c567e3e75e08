"""The nodes of a topology: who writes their registers, who may be behind their ports (HSL 5.14, 6.3)."""

from __future__ import annotations

import asyncio
import random
from itertools import count

import pytest

import hsl
from hsl._generated.constants import Err, ErrorCode, LinkState, Op, Register
from hsl.agents.access import Access
from hsl.emulator import CpuDevice, GpuDevice
from hsl.emulator.machine import Machine
from hsl.emulator.topology import Topology
from hsl.transport.faults import FaultPlan
from tests.engine.wires import Peer, Wire
from tests.support.sessions import Running, run, warnings_of

WORD = (1).to_bytes(8, "little")


@pytest.mark.parametrize("register", [Register.FENCE, Register.RATE, Register.CFGMASTER])
def test_only_the_boot_master_writes_registers(register: Register) -> None:
    """A GPU that writes a register of the CPU ends with ACCESS; the first core writes its own and the GPU's.

    Else one GPU could fence another, slow it down or change the map. HSL 5.14, 6.3.
    """
    topology = Topology(tu=6)
    machine = Machine(topology, 1, FaultPlan())
    machine.bring_up()
    agent = topology.gpu_agents(0)[0]
    theirs = machine.submit(1, agent, Access("cfg_write", register, 8, WORD, dst=0))
    machine.wait(theirs)
    assert theirs.err == Err.ACCESS
    for dst in (0, agent):
        ours = machine.submit(0, 2, Access("cfg_write", Register.ERRDST, 8, WORD, dst=dst))
        machine.wait(ours)
        assert ours.err == Err.OK


@pytest.mark.parametrize(("base", "count_"), [(0, 16), (7, 8), (15, 16)])
def test_a_node_that_claims_the_numbers_of_the_cpu_is_refused(base: int, count_: int) -> None:
    """A device that claims NIDs of the CPU, of agents or not, ends with CFG before it says a word.

    HSL 6.3, 5.15.5.
    """
    epochs = count(1)
    cpu = Topology(tu=6, gpus=2).cpu_node(lambda: next(epochs))
    peer = Peer(base, nid_count=count_)
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
    """A node that cannot be booted is refused with one line, and does not end the node that listens."""

    async def body() -> None:
        rng, topology = random.Random(1), Topology()

        def epoch() -> int:
            return rng.getrandbits(32)

        cpu = CpuDevice(topology, epoch, b"some words to count")
        listener = await Running(cpu, "tcp://:0", listen=True, stays=True).open()  # type: ignore[arg-type]
        port = hsl.PortConfig(guid=7, roles=hsl.Role.RA, nid_base=16, nid_count=16, epoch=epoch)
        agent = hsl.RequestConfig(nid=16, address_map=hsl.AddressMap([]))
        stranger = hsl.NodeDevice(hsl.Node(hsl.NodeConfig(ports=[port], agents=[agent])))
        other = await Running(stranger, listener.uri).open()  # type: ignore[arg-type]
        await other.end()
        right = await Running(GpuDevice(topology, epoch), listener.uri, passive=True).open()  # type: ignore[arg-type]
        await asyncio.gather(listener.end(), right.end())
        assert cpu.verified

    run(body())
    assert sum("CfgRead of 0x0 ended with UNSUP" in line for line in warnings_of(caplog)) == 1
