"""A peer that breaks the rules: the node drops, logs, refuses or ends the port; its agents go on (6.3)."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from hsl._generated.constants import (
    PROTO_LIMIT,
    PROTO_WINDOW_TU,
    TIMERS,
    Aop,
    Err,
    ErrorCode,
    LinkState,
    Op,
    Role,
    Vc,
)
from hsl._generated.tables import OPCODES
from hsl.agents.access import Access
from hsl.codec.checks import unused
from hsl.engine.node import Node
from tests.engine.wires import DEVICE, HOST, MMIO, TU_EXPONENT, Peer, Wire, node

ONE = (1).to_bytes(8, "little")
LINE = {"len": 3, "addr": HOST + 64}


class Meeting:
    """A node and a bare peer on a wire."""

    def __init__(self, timers: dict[str, int] | None = None, **changes: Any) -> None:
        self.node: Node = node(0, timers=timers)
        self.peer = Peer(**changes)
        self.wire = Wire(self.node, self.peer)
        self.wire.connect()

    def say(self, op: int, src: int = 18, dst: int = 0, **fields: Any) -> None:
        """The peer sends a message, and all comes to rest."""
        self.peer.send(op, src, dst, **fields)
        self.rest()

    def rest(self, steps: int = 30) -> None:
        """Let things happen."""
        for _ in range(steps):
            self.wire.step()

    @property
    def codes(self) -> list[ErrorCode]:
        """What the node logged."""
        return [entry.code for entry in self.node.error_log.entries]


@pytest.mark.parametrize(("src", "dst"), [(15, 0), (2, 0), (32, 0), (18, 5), (18, 19)])
def test_spoofed_or_misrouted_messages_are_dropped(src: int, dst: int) -> None:
    """SRC outside the peer's range or DST that is not here: dropped, logged SRC_SPOOF, credit returned.

    [HSL-SEC-001].
    """
    meeting = Meeting()
    for op in (Op.ReadShared, Op.CmpAck, Op.NcRead):
        meeting.say(op, src, dst, **(LINE if op == Op.ReadShared else {"addr": 0} if op == Op.NcRead else {}))
    assert meeting.codes == [ErrorCode.SRC_SPOOF] * 3
    assert meeting.peer.messages == []
    meeting.wire.run(lambda: meeting.peer.quiesced)


@pytest.mark.parametrize(
    ("fields", "viral"),
    [
        ({"addr": MMIO}, False),
        ({"be": 1}, False),
        ({"aop": 31}, False),
        ({"txn": 4095}, False),
        ({}, True),
        ({"addr": MMIO, "be": 1, "aop": 31, "txn": 4095}, True),
    ],
)
def test_a_foreign_src_is_the_first_fault(fields: dict[str, Any], viral: bool) -> None:
    """A request with a SRC that is not of the peer is dropped whatever else is wrong with it. HSL 5.4 T15."""
    meeting = Meeting()
    meeting.peer.port.viral = viral
    request: dict[str, Any] = {"x": 1, "data": ONE, "addr": HOST + 64}
    meeting.say(Op.AtomicStore, 40, **(request | fields))
    assert not meeting.peer.took(Op.Cmp), "5.4 T15: SRC is checked first, and such a request has no answer"
    assert [code for code in meeting.codes if code != ErrorCode.VIRAL] == [ErrorCode.SRC_SPOOF]


def test_requests_to_agents_that_do_not_serve_them() -> None:
    """REQ to an agent that is no home ends with DECODE, MEM with UNSUP, a snoop of no cache gets SnpRsp(I).

    HSL 5.4.
    """
    meeting = Meeting()
    meeting.say(Op.ReadShared, dst=2, txn=1, **LINE)
    meeting.say(Op.WriteFull, dst=1, txn=2, data=bytes(64), **LINE)
    ends = [(m.src, m.txn, Err(m.err).name) for m in meeting.peer.took(Op.Cmp)]
    assert ends == [(2, 1, "DECODE"), (1, 2, "DECODE")]
    meeting.say(Op.SnpInv, src=16, dst=1, txn=3, addr=DEVICE, len=3)
    (answer,) = meeting.peer.took(Op.SnpRsp)
    assert (answer.src, answer.dst, answer.txn, answer.st) == (1, 16, 3, 0)
    assert meeting.codes == [ErrorCode.PROTO]
    meeting.wire.run(lambda: meeting.peer.quiesced)


def test_unexpected_answers_are_logged_and_dropped() -> None:
    """Completions, snoop answers and acknowledgements that nobody asked for are PROTO. [HSL-SEC-003]."""
    meeting = Meeting()
    for op, dst in ((Op.Cmp, 2), (Op.CmpAck, 0), (Op.SnpRsp, 0), (Op.CmpAck, 2), (Op.Cmp, 1), (Op.SnpRsp, 1)):
        meeting.say(op, dst=dst)
    meeting.say(Op.SnpRspData, len=3, data=bytes(64))
    meeting.say(Op.CmpData, dst=3, len=3, data=bytes(64))
    meeting.say(Op.CmpData, dst=0, len=3, data=bytes(64))
    assert meeting.codes == [ErrorCode.PROTO] * 9
    assert meeting.node.ports[0].up


def test_acknowledgement_at_the_wrong_agent_frees_nothing() -> None:
    """A CmpAck with the right HTXN to another agent than the home leaves the line busy. HSL 5.4 T3."""
    meeting = Meeting()
    meeting.say(Op.ReadUnique, txn=1, **LINE)
    (grant,) = meeting.peer.took(Op.CmpData)
    for dst in (1, 2):
        meeting.say(Op.CmpAck, dst=dst, txn=grant.htxn)
    assert meeting.node.home is not None
    assert meeting.node.home.state_of(HOST + 64) == "ACK"
    assert meeting.codes == [ErrorCode.PROTO] * 2


def test_a_storm_of_proto_ends_the_port() -> None:
    """The 17th PROTO within one window takes the port down with MALFORMED; 16 do not, and a window forgets.

    HSL 6.3.
    """
    meeting = Meeting()
    for _ in range(PROTO_LIMIT - 1):
        meeting.say(Op.CmpAck)
    assert meeting.node.ports[0].up
    meeting.node._gates[0]._since -= PROTO_WINDOW_TU << TU_EXPONENT  # the next window
    for _ in range(PROTO_LIMIT - 1):
        meeting.say(Op.CmpAck)
    assert meeting.node.ports[0].up
    meeting.say(Op.CmpAck)
    assert meeting.node.ports[0].state(0) is LinkState.DEAD
    assert ErrorCode.MALFORMED in meeting.codes
    local = meeting.node.load(2, HOST, 8, meeting.wire.now)
    meeting.rest()
    assert local.result() == bytes(8)


def test_errors_of_the_last_session_do_not_count_in_the_next() -> None:
    """A new session begins with no PROTO on its account: two times a few do not end the port. HSL 6.3."""
    meeting = Meeting()
    few = PROTO_LIMIT * 2 // 3
    for session in range(3):
        for _ in range(few):
            assert meeting.node.ports[0].up, f"6.3: {few} PROTO in session {session} are below {PROTO_LIMIT}"
            meeting.say(Op.CmpAck)
        meeting.peer.ports[0].down(meeting.wire.now)
        meeting.wire.run(lambda: not meeting.node.ports[0].up)
        meeting.wire.run(meeting.wire.connected)
    assert ErrorCode.MALFORMED not in meeting.codes
    for _ in range(PROTO_LIMIT):
        meeting.say(Op.CmpAck)
    assert ErrorCode.MALFORMED in meeting.codes, f"6.3: {PROTO_LIMIT} PROTO in one session end the port"


def test_unserved_channels_end_with_unsup() -> None:
    """A peer without home and I/O agent has no REQ and NCR credits: requests to it end with UNSUP.

    HSL 3.5 F1.
    """
    meeting = Meeting(roles=Role.RA)
    tickets = [
        meeting.node.load(2, DEVICE, 8, 0),
        meeting.node.atomic(2, Aop.ADD, DEVICE + 64, 8, ONE, 0),
        meeting.node.intr(3, 17, 1, 1, 0),
    ]
    meeting.rest()
    assert [ticket.err for ticket in tickets] == [Err.UNSUP] * 3
    assert meeting.node.idle


def test_owner_that_cannot_be_snooped_is_fenced() -> None:
    """A peer without SNP credits that owns a line costs T_SNP once: the snoop cannot be sent. HSL 5.11."""
    meeting = Meeting(timers={"T_SNP": 20_000}, roles=Role.HA | Role.IOA)
    meeting.say(Op.ReadUnique, txn=1, **LINE)
    (grant,) = meeting.peer.took(Op.CmpData)
    meeting.say(Op.CmpAck, txn=grant.htxn)
    ticket = meeting.node.load(2, HOST + 64, 8, meeting.wire.now)
    meeting.wire.finish(ticket)
    assert ticket.poison
    assert ErrorCode.FENCED in meeting.codes


@pytest.mark.parametrize("base", [0, 8])
def test_peer_that_claims_our_nids_is_refused(base: int) -> None:
    """A peer whose NID range overlaps the node's own agents is ended with CFG: it could speak in their name.

    HSL 6.3.
    """
    meeting = Meeting.__new__(Meeting)
    meeting.node, meeting.peer = node(0), Peer(base, guid=999, nid_base=base, nid_count=16)
    if base == 8:
        meeting.node, meeting.peer = node(16), Peer(base, guid=999, nid_base=base, nid_count=16)
    meeting.wire = Wire(meeting.node, meeting.peer)
    for each in meeting.wire.nodes:
        each.start(0)
        each.pal_up(0, 0, 0)
    meeting.rest(60)
    assert ErrorCode.CFG in meeting.codes
    assert meeting.node.ports[0].state(0) is LinkState.DEAD


def test_requests_are_let_in_only_while_their_answers_have_room() -> None:
    """A peer that never returns RSP credits is held back at its own port; the node's agents go on.

    [HSL-TXN-006].
    """
    meeting = Meeting(queue_cap=1 << 12)
    meeting.peer.releases = False
    cap = meeting.node.ports[0].config.queue_cap
    sent = 0
    for _ in range(3 * cap):
        if not meeting.peer.port.room(Vc.REQ):
            break
        meeting.peer.send(Op.Evict, txn=sent % 256, **LINE)
        sent += 1
    meeting.rest(1200)
    waiting = meeting.node.ports[0].backlog(Vc.RSP)
    inside = sum(len(queue) for queue in meeting.node._gates[0]._inbound.values())
    outside = sum(len(queue) for queue in meeting.node._gates[0]._outbound.values())
    advertised = sum(meeting.node.ports[0].advertised)
    assert waiting == cap
    assert inside <= advertised
    assert outside <= advertised
    assert meeting.peer.port.backlog(Vc.REQ) > 0
    local = meeting.node.store(2, HOST + 128, ONE, meeting.wire.now)
    meeting.rest(2)
    assert local.done
    meeting.peer.releases = True
    meeting.wire.run(lambda: meeting.peer.quiesced and not meeting.peer.port.backlog(Vc.REQ))
    assert len(meeting.peer.took(Op.Cmp)) == sent


def test_snoops_are_answered_while_requests_have_no_credit() -> None:
    """With REQ, RWD and NCR credits used up, a snoop is answered within T_SNP/4. HSL 5.2 D3 [HSL-COH-028]."""
    meeting = Meeting(credits={Vc.REQ: 4, Vc.RWD: 4, Vc.NCR: 4})
    node = meeting.node
    store = node.store(2, DEVICE, ONE, meeting.wire.now)
    meeting.rest()
    (request,) = meeting.peer.took(Op.ReadUnique)
    meeting.say(Op.CmpData, src=16, dst=2, txn=request.txn, st=2, len=3, data=bytes(64))
    assert store.done
    meeting.peer.releases = False
    for i in range(1, 9):
        node.load(2, DEVICE + 64 * i, 8, meeting.wire.now)
        node.atomic(3, Aop.ADD, DEVICE + 64 * (i + 16), 8, ONE, meeting.wire.now)
        node.agents[3].submit(Access("ncwrite", MMIO, 8, ONE, dst=17), meeting.wire.now)
    meeting.rest(60)
    assert all(node.ports[0].backlog(vc) > 0 for vc in (Vc.REQ, Vc.RWD, Vc.NCR))
    began = meeting.wire.now
    meeting.peer.send(Op.SnpInv, 16, 2, txn=1, len=3, addr=DEVICE)
    meeting.wire.run(lambda: any(m.op == Op.SnpRspData for m in meeting.peer.messages))
    assert meeting.wire.now - began <= (TIMERS["T_SNP"].tu << TU_EXPONENT) // 4


def test_viral_peer_gets_no_new_requests_done() -> None:
    """Requests of a VIRAL peer end with DATA, its writebacks are taken poisoned. [HSL-RAS-005]."""
    meeting = Meeting()
    meeting.say(Op.ReadUnique, txn=1, **LINE)
    (grant,) = meeting.peer.took(Op.CmpData)
    meeting.say(Op.CmpAck, txn=grant.htxn)
    meeting.peer.port.viral = True
    meeting.say(Op.ReadShared, txn=2, len=3, addr=HOST)
    meeting.say(Op.NcWrite, dst=1, txn=3, addr=MMIO, data=bytes(8))
    meeting.say(Op.WbFull, txn=4, data=bytes(64), **LINE)
    assert [Err(m.err).name for m in meeting.peer.took(Op.Cmp)] == ["DATA", "DATA", "OK"]
    assert meeting.node.home is not None
    assert meeting.node.home.memory.poisoned(HOST + 64)


def random_message(rng: Random) -> tuple[int, dict[str, Any]]:
    """An opcode and fields of a legal length; the rest is anything."""
    op = rng.choice([op for op in OPCODES if op >> 5 != Vc.MEM])
    info = OPCODES[op]
    fields: dict[str, Any] = {"txn": rng.choice([0, 1, 2, rng.randrange(4096)])}
    if info.vc in (Vc.RSP, Vc.DAT):
        fields |= {
            "st": rng.randrange(4),
            "err": rng.choice([0, 0, 0, rng.randrange(8)]),
            "htxn": rng.randrange(4),
        }
    else:
        fields |= {
            "addr": rng.choice([HOST, HOST + 64, DEVICE, MMIO, rng.randrange(1 << 40)]),
            "aop": rng.randrange(32),
        }
        fields |= {"x": rng.randrange(4), "be": rng.getrandbits(8) if rng.random() < 0.3 else None}
    if info.vc == Vc.SNP:
        fields |= {"be": None, "addr": fields["addr"] & ~63}
    fields["len"] = info.len[rng.randrange(len(info.len))]
    if info.data:
        fields["data"] = rng.randbytes(8 << fields["len"])
    for name, bits in unused(op).items():
        if fields.get(name):
            fields[name] &= bits
    return op, fields


@pytest.mark.parametrize("seed", range(6))
def test_random_messages_of_valid_format(seed: int) -> None:
    """Any mix of legal messages, hundreds of them: no exception, bounded queues, local memory stays exact.

    The port may end (PROTO storm); the session then begins anew and the attack goes on. HSL 6.3.
    """
    rng = Random(seed)
    meeting = Meeting(timers={"T_SNP": 5_000, "T_CACK": 5_000})
    home = meeting.node.home
    assert home is not None
    private, total = HOST + 0x8000, 0
    for _ in range(250):
        if meeting.peer.port.up and meeting.node.ports[0].up:
            op, fields = random_message(rng)
            if meeting.peer.port.serves(op >> 5):
                meeting.peer.send(op, rng.randrange(16, 32), rng.choice([0, 1, 2, 3]), **fields)
        else:
            for each in meeting.wire.nodes:
                each.start(meeting.wire.now)
        total += 1
        ticket = meeting.node.atomic(2 + total % 2, Aop.ADD, private, 8, ONE, meeting.wire.now)
        meeting.wire.finish(ticket)
        assert ticket.err == Err.OK, f"seed {seed}"
        meeting.node.completions()
        if meeting.node.io is not None:
            meeting.node.io.doorbells()
            meeting.node.io.interrupts()
        assert len(home._busy) <= home.config.tshrs
        assert len(meeting.node.error_log) <= 64
    result = meeting.node.load(3, private, 8, meeting.wire.now)
    meeting.wire.finish(result)
    assert int.from_bytes(result.result(), "little") == total, f"seed {seed}"
    contested = meeting.node.store(2, HOST + 64, ONE, meeting.wire.now)
    meeting.wire.finish(contested)  # at the latest when the timers have fenced the peer
