"""Device memory between nodes: host-homed, device-homed, interleaved; star and mesh (HSL 5.1, 5.6)."""

from __future__ import annotations

from random import Random

import pytest

from hsl._generated.constants import LINE_BYTES, Aop, Err, Op
from hsl.agents.access import Access
from hsl.errors import ConfigError
from tests.engine.cluster import HOST, MESH, NIDS, SHARED, STAR, Cluster, homed, hosted

ONE = (1).to_bytes(8, "little")


@pytest.fixture
def pair() -> Cluster:
    return Cluster(1)


def test_host_homed_memory_of_a_device(pair: Cluster) -> None:
    """The CPU's home serves HDM-H from the device's target; the device asks the CPU for it. HSL 5.6 M6."""
    pair.store(0, hosted(0), b"from CPU")
    assert pair.load(1, hosted(0)) == b"from CPU"
    pair.store(1, hosted(0), b"from dev")
    assert pair.load(0, hosted(0)) == b"from dev"
    assert {"MemRd", "MemWr"} <= pair.sent(0).keys()
    assert pair.sent(1)["ReadShared"] == 1
    pair.do(0, Access("flush", hosted(0)))
    (target,) = pair.nodes[1].targets.values()
    assert target.memory.read(hosted(0), 8) == b"from dev"


def test_lost_content_is_told_by_the_device_and_lifted_by_register(pair: Cluster) -> None:
    """After CONTENT_LOST the range ends UNREACH until FENCE lifts it; only its device may say so. 5.6 M5."""
    services, device = pair.nodes[0]._services, pair.nodes[1]
    pair.store(0, hosted(0), b"from CPU")
    pair.do(0, Access("flush", hosted(0)))
    agent, target = next(iter(device.agents)), next(iter(device.targets))
    last = hosted(0) + 4095
    assert services.content_lost(999, hosted(0), last, 0) == Err.PROTO
    assert services.content_lost(agent, hosted(0), last, 0) == Err.OK
    assert pair.do(0, Access("load", hosted(0), 8)).err == Err.UNREACH
    assert services.lift(agent, 0) == Err.UNSUP
    assert services.lift(target, 0) == Err.OK
    assert pair.do(0, Access("load", hosted(0), 8)).err == Err.OK


def test_device_access_to_its_own_memory_causes_no_link_traffic(pair: Cluster) -> None:
    """A line of HDM-D that the CPU does not hold is in device bias with no mode bit. [HSL-COH-033]."""
    pair.quiesce()
    before = pair.sent(0), pair.sent(1)
    for index in range(20):
        addr = homed(0) + LINE_BYTES * index
        pair.store(1, addr, b"internal", index % 2)
        pair.do(1, Access("atomic_load", addr + 8, 8, ONE, aop=Aop.ADD), 1 - index % 2)
        assert pair.load(1, addr) == b"internal"
    assert (pair.sent(0), pair.sent(1)) == before


def test_bias_follows_the_directory(pair: Cluster) -> None:
    """Once the CPU holds a line the device snoops it, once; after that the line is the device's again."""
    pair.store(0, homed(0), b"from CPU")
    assert pair.load(1, homed(0)) == b"from CPU"
    assert pair.sent(1)["SnpShared"] == 1
    pair.store(1, homed(0), b"from dev")
    assert pair.sent(1)["SnpInv"] == 1
    pair.quiesce()
    before = pair.sent(0), pair.sent(1)
    pair.store(1, homed(0), b"local", 1)
    assert (pair.sent(0), pair.sent(1)) == before
    assert pair.load(0, homed(0)) == b"localdev"


def test_interleaved_homes(pair: Cluster) -> None:
    """Granules of an interleaved range alternate between a home of the CPU and one of the device. HSL 5.1."""
    size = 256
    for granule in range(4):
        pair.store(granule % 2, SHARED + size * granule, bytes([granule]) * 8)
    for granule in range(4):
        addr = SHARED + size * granule
        assert pair.load(1 - granule % 2, addr) == bytes([granule]) * 8
        home = NIDS - 1 + granule % 2
        for node in pair.nodes:
            for nid, each in node.homes.items():
                assert (each.directory_of(addr).dir != "I") == (nid == home)


def test_recall_takes_all_lines(pair: Cluster) -> None:
    """Recall brings each line of a range to memory and leaves nobody listed. HSL 5.4 T10."""
    lines = [hosted(0), hosted(0) + LINE_BYTES, HOST]
    for index, addr in enumerate(lines):
        pair.store(index % 2, addr, b"recalled")
    with pytest.raises(ConfigError, match="not quiesced"):
        pair.nodes[0].recall(hosted(0), hosted(0) + 4095, pair.loopback.now)
    amap = pair.nodes[0].homes[0].config.address_map
    for index, entry in enumerate(amap.entries):
        amap.put(index, entry and entry._replace(quiesced=True))
    recalls = pair.nodes[0].recall(hosted(0), hosted(0) + 4095, pair.loopback.now)
    pair.nodes[0].advance(pair.loopback.now)
    pair.loopback.call(pair.loopback.now, pair.loopback.wires[0].a, lambda: None)
    pair.run(lambda: all(recall.done for recall in recalls))
    home = pair.nodes[0].homes[0]
    assert [home.directory_of(addr).dir for addr in lines] == ["I", "I", "X"]
    (target,) = pair.nodes[1].targets.values()
    assert [target.memory.read(addr, 8) for addr in lines[:2]] == [b"recalled"] * 2


@pytest.mark.parametrize("devices", [1, 2, 3, 4])
def test_star(devices: int) -> None:
    """Each device reaches CPU-homed lines and its own; what is behind no port of it is DECODE. HSL 5.1."""
    star = Cluster(devices, STAR)
    mine = [(HOST, homed(k), hosted(k)) for k in range(devices)]
    for device, places in enumerate(mine):
        for addr in places:
            star.do(device + 1, Access("atomic_store", addr, 8, ONE, aop=Aop.ADD)).result()
            star.do(0, Access("atomic_store", addr, 8, ONE, aop=Aop.ADD)).result()
    assert int.from_bytes(star.load(0, HOST), "little") == 2 * devices
    for device in range(devices):
        for at in (homed, hosted):
            assert int.from_bytes(star.load(0, at(device)), "little") == 2
        for other in set(range(devices)) - {device}:
            assert star.do(device + 1, Access("load", homed(other), 8)).err == Err.DECODE
            assert star.load(device + 1, hosted(other)) == star.load(0, hosted(other))


@pytest.mark.parametrize("devices", [2, 3])
def test_mesh(devices: int) -> None:
    """With a port per pair every node reaches every line. HSL 5.1."""
    mesh = Cluster(devices, MESH)
    for addr in mesh.everywhere():
        for node in range(devices + 1):
            mesh.do(node, Access("atomic_load", addr, 8, ONE, aop=Aop.ADD), node % 2).result()
        assert int.from_bytes(mesh.load(0, addr), "little") == devices + 1


def test_random_accesses_of_all_agents_at_all_homes() -> None:
    """Adds of all agents, cached and at the home, to lines of every kind of memory give the exact sums."""
    rng = Random(5)
    mesh = Cluster(2, MESH)
    spots = mesh.everywhere()
    sums = dict.fromkeys(spots, 0)
    tickets = []
    for _ in range(300):
        addr, value = rng.choice(spots), rng.getrandbits(16)
        node, agent = rng.randrange(3), rng.randrange(2)
        if rng.random() < 0.3:
            tickets.append(mesh.submit(node, Access("load", addr, 64), agent))
        elif rng.random() < 0.2:
            tickets.append(mesh.submit(node, Access(rng.choice(["evict", "flush"]), addr), agent))
        data = value.to_bytes(8, "little")
        tickets.append(mesh.submit(node, Access("atomic_store", addr, 8, data, aop=Aop.ADD), agent))
        sums[addr] += value
        if len(tickets) > 40:
            mesh.run(lambda: all(ticket.done for ticket in tickets))
            assert {ticket.err for ticket in tickets} == {Err.OK}
            tickets.clear()
    mesh.run(lambda: all(ticket.done for ticket in tickets))
    assert {addr: int.from_bytes(mesh.load(0, addr), "little") for addr in spots} == sums
    mesh.quiesce()
    assert all(not log.entries for node in mesh.nodes for log in node.error_logs)


def test_lost_device(pair: Cluster) -> None:
    """A device is gone: its lines are poisoned or lost, its memory UNREACH, the rest works; then it is back.

    HSL 5.6 M4, M5, 6.2 [HSL-RAS-003, HSL-RAS-004].
    """
    pair.store(1, HOST, b"owned by device!")
    pair.load(1, HOST + LINE_BYTES)
    pair.load(0, HOST + LINE_BYTES)
    pair.store(1, hosted(0), b"owned by device!")
    pair.store(0, hosted(0) + LINE_BYTES, b"kept in a cache!")
    pair.load(0, homed(0))
    pair.quiesce()
    waiting = pair.submit(0, Access("load", hosted(0) + 2 * LINE_BYTES, 8))
    pair.loopback.set_wire(0, up=False)
    pair.run(lambda: waiting.done and not any(node.connected for node in pair.nodes))
    assert waiting.err == Err.UNREACH
    assert pair.do(0, Access("load", HOST, 8)).poison
    assert not pair.do(0, Access("load", HOST + LINE_BYTES, 8)).poison
    assert pair.load(0, hosted(0) + LINE_BYTES) == b"kept in "
    assert pair.do(0, Access("load", hosted(0) + 3 * LINE_BYTES, 8)).err == Err.UNREACH
    assert pair.do(0, Access("load", homed(0), 8)).err == Err.UNREACH
    assert pair.nodes[0].agents[2].state_of(homed(0)) == "I"
    assert pair.do(1, Access("load", HOST, 8)).err == Err.UNREACH
    assert pair.do(1, Access("load", homed(0), 8)).poison
    pair.store(1, homed(0) + LINE_BYTES, b"alone")
    pair.reconnect()
    pair.run(lambda: all(node.connected for node in pair.nodes))
    assert pair.do(0, Access("load", hosted(0), 8)).poison
    pair.do(1, Access("write_full", hosted(0), LINE_BYTES, bytes(LINE_BYTES))).result()
    assert pair.load(0, hosted(0)) == bytes(8)
    assert pair.load(0, homed(0) + LINE_BYTES)[:5] == b"alone"
    assert pair.load(1, hosted(0) + LINE_BYTES) == b"kept in "


def test_device_that_comes_back_without_its_content(pair: Cluster) -> None:
    """It tells the home before it serves; its lines are UNREACH until software lifts that. HSL 5.6 M5."""
    pair.do(0, Access("write_full", hosted(0), LINE_BYTES, b"kept" * 16)).result()
    pair.quiesce()
    pair.loopback.set_wire(0, up=False)
    pair.run(lambda: not any(node.connected for node in pair.nodes))
    (target,) = pair.nodes[1].targets.values()
    target.memory.write(hosted(0), bytes(LINE_BYTES))
    target.lose_content()
    pair.reconnect()
    pair.run(lambda: all(node.connected for node in pair.nodes))
    assert pair.do(0, Access("load", hosted(0), 8)).err == Err.UNREACH
    pair.run(lambda: not target.blank)
    served = target.counters[Op.MemRd.name]
    assert pair.do(1, Access("load", hosted(0), 8)).err == Err.UNREACH
    assert target.counters[Op.MemRd.name] == served
    assert pair.nodes[0].homes[0].lift(target.nid)
    assert pair.load(0, hosted(0)) == bytes(8)


def test_lost_content_of_a_range_that_is_mapped_later(pair: Cluster) -> None:
    """A node that is READY tells of it as soon as the entry stands in its map. HSL 5.6 M5, 5.15.3."""
    pair.quiesce()
    node = pair.nodes[1]
    (target,) = node.targets.values()
    target.lose_content()
    assert pair.do(0, Access("load", hosted(0), 8)).err == Err.UNREACH
    assert target.blank
    node._services.take(next(entry for entry in target.config.address_map if entry.mt == target.nid))
    assert [message.op for message in target.outbox] == [Op.MgmtMsg]
    pair.do(0, Access("load", HOST, 8))
    pair.run(lambda: not target.blank)
    assert pair.nodes[0].homes[0].blank() == [target.nid]


def test_lost_list_overflow_shows_on_the_wire() -> None:
    """A home that cannot mark a lost line loses the target, and STATUS says so; nobody is VIRAL.

    HSL 5.6 M3, 5.14 [HSL-COH-047].
    """
    pair = Cluster(1)
    pair.quiesce()
    home = pair.nodes[0].homes[0]
    home._leg._lost_limit = 0
    (target,) = pair.nodes[1].targets.values()
    target.memory.fail(hosted(0))
    write = Access("write_full", hosted(0), LINE_BYTES, bytes(LINE_BYTES))
    assert pair.do(0, write).err == Err.DATA
    assert pair.do(0, Access("load", hosted(0) + LINE_BYTES, 8)).err == Err.UNREACH
    assert not pair.nodes[1].ports[0].peer_viral
    services = pair.nodes[0]._services
    assert services.status() & 3 == 2
    services.lift(target.nid, 0)
    assert pair.do(0, Access("load", hosted(0) + LINE_BYTES, 8)).err == Err.OK
    assert services.status() & 3 == 0
