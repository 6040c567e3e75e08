"""Two nodes on a wire: coherent memory, MMIO and interrupts both ways, and a lost link (HSL 5, 6.2)."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from hsl._generated.constants import LINE_BYTES, Aop, Err, ErrorCode, LinkState, Op, Register, Role, Vc
from hsl.agents.access import Access, Ticket
from hsl.agents.home import HomeConfig
from hsl.agents.io import IoConfig
from hsl.agents.memory import Memory
from hsl.agents.request_config import RequestConfig
from hsl.engine.node import EVENT_LIMIT, Node, NodeConfig
from hsl.errors import ConfigError
from hsl.link.events import LinkDown, LinkUp
from tests.engine.wires import DEVICE, HOST, MAP, MMIO, PAGE, SIZE, Peer, Wire, node, port

ONE = (1).to_bytes(8, "little")


@pytest.fixture
def wire() -> Wire:
    wire = Wire(node(0), node(16))
    wire.connect()
    return wire


def ends(wire: Wire) -> tuple[Node, Node]:
    """Both nodes of a wire."""
    left, right = wire.nodes
    assert isinstance(left, Node)
    assert isinstance(right, Node)
    return left, right


def done(wire: Wire, *tickets: Ticket) -> list[bytes]:
    """Run until the accesses ended; their data."""
    wire.finish(*tickets)
    return [ticket.result() for ticket in tickets]


@pytest.mark.parametrize("base", [HOST, DEVICE])
def test_what_one_node_writes_the_other_reads(wire: Wire, base: int) -> None:
    """A store in any cache is seen by every other, at both homes."""
    left, right = ends(wire)
    writers = [(left, 2), (right, 18), (left, 3), (right, 19)]
    for value, (writer, nid) in enumerate(writers):
        data = bytes([value + 1]) * 8
        done(wire, writer.store(nid, base + 8, data, wire.now))
        for reader, other in writers:
            assert done(wire, reader.load(other, base + 8, 8, wire.now)) == [data]
    wire.quiesce()


def test_atomics_of_all_agents_add_up(wire: Wire) -> None:
    """Concurrent adds from four agents of two nodes at two homes give the exact sum. [HSL-COH-018]."""
    left, right = ends(wire)
    agents = [(left, 2), (left, 3), (right, 18), (right, 19)]
    tickets = [
        n.atomic(nid, Aop.ADD, at, 8, ONE, wire.now)
        for _ in range(9)
        for n, nid in agents
        for at in (HOST, DEVICE)
    ]
    olds = done(wire, *tickets)
    assert sorted(int.from_bytes(old, "little") for old in olds) == sorted([*range(36), *range(36)])
    assert done(wire, left.load(2, DEVICE, 8, wire.now)) == [(36).to_bytes(8, "little")]
    assert done(wire, right.load(18, HOST, 8, wire.now)) == [(36).to_bytes(8, "little")]


def test_flush_and_fence(wire: Wire) -> None:
    """A flush leaves memory current and no holder; a fence ends after it. [HSL-COH-019]."""
    left, right = ends(wire)
    done(wire, right.store(18, HOST + 64, b"flushed!", wire.now))
    done(wire, right.flush(18, HOST + 64, wire.now), right.fence(18, wire.now))
    assert left.home is not None
    assert left.home.memory.read(HOST + 64, 8) == b"flushed!"
    assert left.home.directory_of(HOST + 64).dir == "I"


def test_mmio_and_interrupts_both_ways(wire: Wire) -> None:
    """NcWrite rings the doorbell of the node that has the address, NcRead reads it, Intr interrupts."""
    left, right = ends(wire)
    for me, nid, peer, page, io in ((left, 2, right, MMIO + PAGE, 17), (right, 18, left, MMIO, 1)):
        assert peer.io is not None
        done(wire, me.ncwrite(nid, page + 8, b"ringring", wire.now), me.intr(nid, io, 3, 4, wire.now))
        bells = [(bell.addr, bell.data, bell.src) for bell in peer.io.doorbells()]
        assert bells == [(page + 8, b"ringring", nid)]
        assert [tuple(i) for i in peer.io.interrupts()] == [(3, 4, nid)]
        peer.io.write_register(page + 16, 99)
        assert done(wire, me.ncread(nid, page + 16, 8, wire.now)) == [(99).to_bytes(8, "little")]
        own = MMIO if me is left else MMIO + PAGE
        done(wire, me.ncwrite(nid, own, b"myown!!!", wire.now))  # an agent of the same node
        assert me.io is not None
        assert len(me.io.doorbells()) == 1
    wire.quiesce()


def test_doorbells_that_nobody_takes_stop_no_interrupt() -> None:
    """With all that ordinary NCR may use of the credits, and doorbells that wait, an Intr is completed.

    HSL 3.5 F2, 5.10 [HSL-NCR-005, HSL-NCR-007].
    """
    config = node(0, credits={Vc.NCR: 4}).config
    full = Node(replace(config, io=IoConfig(nid=1, address_map=MAP, doorbells=1)))
    wire = Wire(full, node(16))
    wire.connect()
    _, right = ends(wire)
    for stream in range(8):
        access = Access("ncwrite", MMIO, 8, b"ringring", dst=1, stream=stream)
        right.submit(18, access, wire.now)
    wire.run(lambda: right.ports[0].backlog(Vc.NCR) == 4)
    assert full.io is not None
    assert not full.io.idle
    for vector in range(8):
        done(wire, right.intr(19, 1, vector, 0, wire.now))
    assert right.ports[0].backlog(Vc.NCR) == 4
    assert len(full.io.interrupts()) == 8


def test_who_fills_its_credits_stops_nobody_else() -> None:
    """What waits at an agent is in the buffer of its credit, however many a port gives [HSL-LNK-032]."""
    most, given = 4096, {Vc.REQ: 4200, Vc.NCR: 1300}
    one, peer = node(0, credits=given, max_txn=most), Peer(max_txn=most, queue_cap=2 * most)
    wire = Wire(one, peer)
    wire.connect()
    peer.send(Op.ReadUnique, len=3, addr=HOST)  # and no CmpAck: the line stays busy
    for number in range(4100):
        peer.send(Op.ReadOnce, 19 + number // most, txn=number % most, len=3, addr=HOST)
    for number in range(1290):
        peer.send(Op.NcWrite, 21, dst=1, txn=number, addr=MMIO, data=bytes(8))
    wire.run(lambda: bool(peer.messages) and not peer.port.backlog(Vc.REQ) + peer.port.backlog(Vc.NCR))
    peer.messages.clear()
    peer.send(Op.ReadOnce, 22, txn=1, len=3, addr=HOST + LINE_BYTES)
    peer.send(Op.CfgRead, 22, dst=1, txn=2, addr=Register.ID)
    wire.run(lambda: {(message.dst, message.txn) for message in peer.messages} == {(22, 1), (22, 2)}, 1000)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_traffic_with_losses_agrees_with_a_reference(seed: int) -> None:
    """Random loads, stores and adds on few lines over a wire that loses flits: every value is as expected.

    Each of eight words has one writer, all agents read all words. [HSL-COH-031].
    """
    rng = Random(seed)
    wire = Wire(node(0), node(16))
    wire.connect()
    wire.drop = lambda side, flit: rng.random() < 0.02
    left, right = ends(wire)
    agents = [(left, 2), (left, 3), (right, 18), (right, 19)]
    written = dict.fromkeys(range(8), 0)
    for _ in range(150):
        word = rng.randrange(8)
        addr = (HOST, DEVICE)[word % 2] + LINE_BYTES * (word // 4) + 8 * word
        n, nid = agents[word % 4]
        written[word] += 1
        if rng.random() < 0.5:
            writing = n.store(nid, addr, written[word].to_bytes(8, "little"), wire.now)
        else:
            writing = n.atomic(nid, Aop.ADD, addr, 8, ONE, wire.now)
        reader, other = rng.choice(agents)
        reading = reader.load(other, addr, 8, wire.now)
        wire.finish(writing, reading)
        value = int.from_bytes(reading.result(), "little")
        assert written[word] - 1 <= value <= written[word], f"seed {seed}"
        (data,) = done(wire, reader.load(other, addr, 8, wire.now))
        assert int.from_bytes(data, "little") == written[word], f"seed {seed}"
    wire.quiesce()
    assert sum(p.links[0].counters.replays for n in ends(wire) for p in n.ports) > 0
    assert [entry.code for n in ends(wire) for entry in n.error_log.entries if entry.severity > 1] == []


def test_a_node_without_ports_works() -> None:
    """Agents of one node reach their home without any port; an address elsewhere does not exist for them."""
    alone = Node(
        NodeConfig(
            agents=[RequestConfig(nid=nid, address_map=MAP) for nid in (2, 3)],
            homes=[(HomeConfig(nid=0, address_map=MAP), Memory(HOST, SIZE))],
        )
    )
    tickets = [alone.atomic(nid, Aop.ADD, HOST, 8, ONE, 0) for nid in (2, 3, 2)]
    alone.advance(0)
    assert sorted(t.result()[0] for t in tickets) == [0, 1, 2]
    assert sorted(alone.completions(), key=id) == sorted(tickets, key=id)
    elsewhere = [alone.load(2, DEVICE, 8, 0), alone.ncread(2, MMIO, 8, 0)]
    alone.advance(0)
    assert [t.err for t in elsewhere] == [Err.DECODE] * 2
    assert alone.idle
    assert alone.quiesced


def test_accesses_before_the_first_session_end_unreach() -> None:
    """With no port up an access to another node ends with UNREACH; after LINK_UP it works."""
    wire = Wire(node(0), node(16))
    left, _ = ends(wire)
    ticket = left.load(2, DEVICE, 8, 0)
    left.advance(0)
    assert ticket.err == Err.UNREACH
    wire.connect()
    assert done(wire, left.load(2, DEVICE, 8, wire.now)) == [bytes(8)]


def test_link_down_and_up_again(wire: Wire) -> None:
    """LINK_DOWN: lines owned by the peer poisoned, accesses to it UNREACH, shared lines usable; it returns.

    HSL 6.2 [HSL-RAS-003, HSL-RAS-004, HSL-COH-037].
    """
    left, right = ends(wire)
    done(wire, right.store(18, HOST, b"unsaved!", wire.now), left.store(2, HOST + 64, b"shared!!", wire.now))
    done(wire, right.load(18, HOST + 64, 8, wire.now), left.store(2, DEVICE, b"mine....", wire.now))
    open_load = left.load(3, DEVICE + 128, 8, wire.now)
    right.stop(wire.now)
    wire.finish(open_load)
    wire.run(lambda: not left.ports[0].up)
    assert open_load.err == Err.UNREACH
    lost, shared = left.load(2, HOST, 8, wire.now), left.load(3, HOST + 64, 8, wire.now)
    remote = left.load(2, DEVICE, 8, wire.now)
    wire.finish(lost, shared, remote)
    assert (lost.poison, shared.result(), remote.err) == (True, b"shared!!", Err.UNREACH)
    assert left.agents[2].state_of(DEVICE) == "I"
    assert ErrorCode.DATA_LOST in left.error_log.counters
    right.start(wire.now)
    wire.run(wire.connected)
    mine = left.load(2, DEVICE, 8, wire.now)
    assert done(wire, left.load(2, DEVICE + 256, 8, wire.now)) == [bytes(8)]
    assert done(wire, right.load(18, HOST + 64, 8, wire.now)) == [b"shared!!"]
    assert mine.poison  # the other home lost this node too
    done(wire, right.store(18, HOST, bytes(8), wire.now))
    wire.quiesce()
    kinds = [type(event) for _, event in left.events()]
    assert [kind for kind in kinds if kind in (LinkUp, LinkDown)] == [LinkUp, LinkDown, LinkUp]


def test_requests_under_way_when_the_link_goes_down(wire: Wire) -> None:
    """Cut in the middle of traffic again and again: every access ends, nothing sticks, memory is coherent."""
    left, right = ends(wire)
    rng = Random(5)
    for round_ in range(6):
        tickets = [
            n.submit(
                nid, Access(kind, base + 64 * rng.randrange(6), 8, ONE if kind == "store" else b""), wire.now
            )
            for n, nid in ((left, 2), (left, 3), (right, 18), (right, 19))
            for kind in ("load", "store", "flush")
            for base in (HOST, DEVICE)
        ]
        for _ in range(rng.randrange(3)):
            wire.step()
        (left, right)[round_ % 2].ports[0].down(wire.now)
        wire.finish(*tickets)
        assert {ticket.err for ticket in tickets} <= {Err.OK, Err.UNREACH}
        wire.run(wire.connected)
        wire.quiesce()
    for line in range(6):
        for n, nid, base in ((right, 18, HOST), (left, 2, DEVICE)):
            done(wire, n.submit(nid, Access("store_line", base + 64 * line, 64, bytes(64)), wire.now))
    assert left.home is not None
    assert all(entry.code not in (ErrorCode.PROTO, ErrorCode.FENCED) for entry in left.error_log.entries)


def test_silent_holder_is_fenced_and_comes_back(wire: Wire) -> None:
    """A node that does not answer a snoop within T_SNP is fenced, told so, and admitted again.

    [HSL-RAS-002].
    """
    wire = Wire(node(0, timers={"T_SNP": 50_000}), node(16))
    wire.connect()
    left, right = ends(wire)
    done(wire, right.store(18, HOST, b"unsaved!", wire.now))
    answers = right.agents[18]
    right.agents.pop(18)  # it hears nothing any more
    ticket = left.load(2, HOST, 8, wire.now)
    real = right._handlers
    right._handlers = dict.fromkeys(real, lambda message, gate, now: right._release(message, gate))
    wire.finish(ticket)
    right._handlers = real
    assert (ticket.err, ticket.poison) == (Err.OK, True)
    assert {ErrorCode.TIMEOUT, ErrorCode.FENCED} <= set(left.error_log.counters)
    right.agents[18] = answers
    wire.run(wire.connected)
    assert left.home is not None
    assert not left.home.fenced(18)
    assert done(wire, right.load(19, HOST + 64, 8, wire.now)) == [bytes(8)]


def test_silent_local_agent_is_fenced_too() -> None:
    """A local agent that does not answer loses its copies and goes on with a clean cache. HSL 6.2 F4."""
    wire = Wire(node(0, timers={"T_SNP": 50_000}), node(16))
    wire.connect()
    left, _ = ends(wire)
    done(wire, left.store(3, HOST, b"unsaved!", wire.now))
    silent = left.agents[3].receive
    left.agents[3].receive = lambda message, now, viral=False: None  # type: ignore[method-assign]
    ticket = left.load(2, HOST, 8, wire.now)
    wire.finish(ticket)
    left.agents[3].receive = silent  # type: ignore[method-assign]
    assert ticket.poison
    assert left.agents[3].state_of(HOST) == "I"
    done(wire, left.store(3, HOST + 64, ONE, wire.now))


# ---- limits and configuration
def test_events_that_nobody_fetches_are_capped(wire: Wire) -> None:
    """Events keep the newest EVENT_LIMIT."""
    left, _ = ends(wire)
    for _ in range(EVENT_LIMIT):
        left.stop(wire.now)
        left.start(wire.now)
        left.advance(wire.now)
    assert len(left.events()) == EVENT_LIMIT
    assert left.events() == []


def test_small_port_queues_only_slow_the_traffic() -> None:
    """With room for one message per VC in the ports everything still gets through. HSL 5.2."""
    few: dict[str, Any] = {"queue_cap": 1, "credits": {1: 4, 2: 4, 3: 4, 4: 8, 5: 8, 6: 0, 7: 4}}
    wire = Wire(node(0, **few), node(16, **few))
    wire.connect()
    left, right = ends(wire)
    tickets = [
        n.atomic(nid, Aop.ADD, base + 64 * line, 8, ONE, wire.now)
        for line in range(6)
        for n, nid in ((left, 2), (left, 3), (right, 18), (right, 19))
        for base in (HOST, DEVICE)
    ]
    tickets += [right.store(19, HOST + 64 * line, ONE, wire.now) for line in range(6)]
    wire.finish(*tickets)
    wire.quiesce()


def test_unknown_agent_is_a_typed_error(wire: Wire) -> None:
    """An access of an agent that is not here is a ConfigError."""
    with pytest.raises(ConfigError, match="no request agent 99"):
        ends(wire)[0].load(99, HOST, 8, wire.now)


def test_bad_node_configurations() -> None:
    """Two agents with one NID, NIDs outside a port, wrong roles: ConfigError."""
    agent = RequestConfig(nid=2, address_map=MAP)
    with pytest.raises(ConfigError, match="its own"):
        NodeConfig(agents=[agent, agent])
    with pytest.raises(ConfigError, match="not in"):
        NodeConfig(agents=[agent], ports=[port(16, roles=Role.RA)])
    with pytest.raises(ConfigError, match="names"):
        NodeConfig(agents=[agent], ports=[port(0)])


def test_status_register_tells_of_the_log(wire: Wire) -> None:
    """STATUS bit 2 is set when the error log is not empty. HSL 5.14."""
    left, _ = ends(wire)
    assert left.io is not None
    assert left.io.registers.read(Register.STATUS, 8) == bytes(8)
    left.error_log.add(0, ErrorCode.PROTO, "x")
    assert left.io.registers.read(Register.STATUS, 8) == (4).to_bytes(8, "little")
    roles = left.io.registers.read(Register.ID, 8)[6]
    assert roles == Role.RA | Role.HA | Role.IOA


def test_message_counts_of_both_sides_agree(wire: Wire) -> None:
    """What one port sent the other received, per opcode."""
    left, right = ends(wire)
    done(wire, right.store(18, HOST, ONE, wire.now), left.load(2, DEVICE, 8, wire.now))
    wire.quiesce()
    assert +left.ports[0].messages_sent == +right.ports[0].messages_received
    assert right.ports[0].messages_sent[Op.ReadUnique] == 1
    assert left.ports[0].state(0) == LinkState.ACTIVE
