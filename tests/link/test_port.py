"""The port: queues, credits on the wire, packing, transmission order, caps, hostile input (HSL 3.5)."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hsl._generated.constants import (
    CREDIT_RETURN_TU,
    MAX_CCNT,
    TIMERS,
    CtlOp,
    ErrorCode,
    FlitType,
    LinkState,
    Op,
    Role,
    Vc,
)
from hsl._generated.tables import ARBITER_WHEEL, TRANSMIT_ORDER
from hsl.codec.message import Message
from hsl.codec.reference import decode_flit, encode_flit, encode_message
from hsl.errors import CodecError, ConfigError, LinkError
from hsl.link import Port
from hsl.link.port import EVENT_CAP
from tests.link.pair import (
    OF_VC,
    TU,
    Lossy,
    Pair,
    Side,
    config,
    ctl_from,
    epochs,
    flit_from,
    message,
)

T_CR = TIMERS["T_CR"].tu * TU
MINIMA = {1: 4, 2: 4, 3: 4, 4: 8, 5: 8, 6: 4, 7: 4}
USED = MINIMA | {Vc.NCR: 3}  # ordinary NCR leave one credit [HSL-NCR-005]


def credits_of(side: Side) -> tuple[list[int], list[int], list[int], list[int]]:
    pool = side.port._credits
    return pool.available, pool.outstanding, pool.held, pool.returnable


# ------------------------------------------------------------------------------------------------ credits


@pytest.mark.parametrize("blocked", sorted(OF_VC))
def test_blocked_vc_does_not_stop_the_others(blocked: int) -> None:
    """A VC whose credits are used up and not returned leaves all others running.

    [HSL-LNK-032] [HSL-LNK-027]
    """
    pair = Pair(config(1), config(2, credits=MINIMA)).up()
    pair.b.releasing = False
    for txn in range(20):
        pair.a.waiting.append(message(OF_VC[blocked], txn))
    pair.run(200 * TU)
    assert len(pair.b.got) == USED[blocked]
    assert pair.a.port.backlog(blocked) == 20 - USED[blocked]
    for vc, op in OF_VC.items():
        if vc != blocked:
            pair.a.waiting.append(message(op))
    pair.run(200 * TU)
    assert {m.vc for m in pair.b.got} == set(OF_VC)
    pair.b.port.release(blocked, USED[blocked])
    pair.b.releasing = True
    pair.run(200 * TU)
    assert [m.txn for m in pair.b.got if m.vc == blocked] == list(range(20))


def test_credits_are_conserved() -> None:
    """After traffic on all VCs both ways each credit is home, and at every instant none is doubled.

    [HSL-LNK-028]
    """
    pair = Pair(config(1, credits=MINIMA), config(2, credits=MINIMA)).up()
    for side, _ in pair.sides:
        side.waiting.extend(message(op, txn) for txn in range(30) for op in OF_VC.values())

    def conserved() -> bool:
        for side, other in pair.sides:
            available = other.port._credits.available
            _, outstanding, held, returnable = credits_of(side)
            for vc in Vc:
                assert available[vc] <= outstanding[vc]
                assert outstanding[vc] + held[vc] + returnable[vc] <= MINIMA[vc]
        return pair.quiesced()

    assert pair.run(10**7, until=conserved)
    for side, _ in pair.sides:
        available, outstanding, held, returnable = credits_of(side)
        assert available == outstanding == [0, *MINIMA.values()]
        assert not any(held)
        assert not any(returnable)
        assert len(side.got) == 210


def test_credit_return_waits_for_t_cr() -> None:
    """A free buffer below the threshold is returned by a credit-only PROT after T_CR, within 64 TU.

    [HSL-LNK-028]
    """
    pair = Pair().up()
    pair.b.releasing = False
    pair.a.waiting.append(message(Op.NcWrite))
    pair.run(20 * TU)
    start = pair.now
    pair.b.port.release(Vc.NCR)
    pair.run(CREDIT_RETURN_TU * TU)
    returns = [(now, flit) for now, flit in pair.b.of_type(FlitType.PROT) if flit.ccnt]
    assert [(now, flit.cvc, flit.ccnt, any(flit.payload)) for now, flit in returns] == [
        (start + T_CR, Vc.NCR, 1, False)
    ]


def free_while_sending(pair: Pair) -> None:
    """`b` frees its one held buffer in the instant in which it sends a PROT: that flit takes the credit."""
    transmit, ready = pair.b.port.transmit, list[int]()

    def sending(now: int, free: Any) -> Any:
        def asked(link: int) -> bool:
            if not ready:
                ready.append(link)
                pair.b.port.release(Vc.NCR)
            return bool(free(link))

        return transmit(now, asked)

    pair.b.port.transmit = sending  # type: ignore[assignment,method-assign]
    pair.b.port.send(message(Op.NcWrite, 7))
    pair.run(1)


def free_of_nothing(pair: Pair) -> None:
    """A buffer is said to be free and is lost: a planted bug of the owner's port."""
    pair.b.port._credits.held[Vc.NCR] = 0
    pair.b.port._returning = True


@pytest.mark.parametrize("free", [free_while_sending, free_of_nothing])
def test_no_empty_prot(free: Any) -> None:
    """T_CR sends a PROT only when there is a credit to return: a port with nothing to say sends none."""
    pair = Pair().up()
    pair.b.releasing = False
    pair.a.waiting.append(message(Op.NcWrite))
    pair.run(20 * TU)
    free(pair)
    pair.run(3 * T_CR)
    prot = [flit for _, flit in pair.b.of_type(FlitType.PROT)]
    assert [flit for flit in prot if not flit.ccnt and not any(flit.payload)] == []
    assert len(prot) == (1 if free is free_while_sending else 0)
    assert sum(pair.b.port.credits_sent.values()) == len(prot)


def test_half_an_advertisement_is_returned_at_once() -> None:
    """When half of an advertisement is free, it goes back without waiting; HSL 3.5 F9 (c)."""
    pair = Pair(b=config(2, credits=MINIMA)).up()
    pair.b.releasing = False
    pair.a.waiting.extend(message(Op.NcWrite, txn) for txn in range(4))
    pair.run(20 * TU)
    pair.b.port.release(Vc.NCR)
    pair.run(2)
    assert not any(flit.ccnt for _, flit in pair.b.of_type(FlitType.PROT))
    pair.b.port.release(Vc.NCR)
    start = pair.now
    pair.run(2)
    returns = [(now, flit.cvc, flit.ccnt) for now, flit in pair.b.of_type(FlitType.PROT) if flit.ccnt]
    assert returns == [(start, Vc.NCR, 2)]


def test_returns_go_round_the_vcs() -> None:
    """CVC is searched from the VC after the last one used; each within 64 TU; at most 31 at once.

    [HSL-LNK-028]
    """
    pool = dict.fromkeys(range(1, 8), 200)
    pair = Pair(b=config(2, credits=pool)).up()
    pair.b.releasing = False
    for vc, op in OF_VC.items():
        pair.a.waiting.extend(message(op, txn) for txn in range(90 if vc == Vc.DAT else 3))
    pair.run(200 * TU)
    start = pair.now
    for vc in OF_VC:
        pair.b.port.release(vc, pair.b.port._credits.held[vc])
    pair.run(CREDIT_RETURN_TU * TU + 1)
    returns = [flit for now, flit in pair.b.of_type(FlitType.PROT) if flit.ccnt and now >= start]
    assert [flit.cvc for flit in returns][:7] == [1, 2, 3, 4, 5, 6, 7]
    assert all(flit.ccnt <= MAX_CCNT for flit in returns)
    assert pair.b.port._credits.returnable[Vc.REQ] == 0
    pair.run(CREDIT_RETURN_TU * TU)
    assert sum(flit.ccnt for _, flit in pair.b.of_type(FlitType.PROT) if flit.cvc == Vc.DAT) == 90


def prot_of(side: Side, payload: bytes = b"", **changes: int) -> bytes:
    return flit_from(side, FlitType.PROT, payload=payload, **changes)


@pytest.mark.parametrize(
    ("payload", "changes", "code"),
    [
        (encode_message(message(Op.ReadShared)) * 3, {}, ErrorCode.CREDIT_UNDERFLOW),  # [HSL-LNK-030]
        (b"", {"cvc": 4, "ccnt": 1}, ErrorCode.CREDIT_OVERFLOW),  # [HSL-LNK-031]
        (b"", {"cvc": 0, "ccnt": 1}, ErrorCode.MALFORMED),  # F8
        (b"", {"cvc": 4, "ccnt": 0}, ErrorCode.MALFORMED),
        (b"", {"cvc": 6, "ccnt": 1}, ErrorCode.MALFORMED),  # not served by the peer
        (bytes([0x10]) + bytes(7), {}, ErrorCode.MALFORMED),  # VC 0
        (bytes(1) + b"x" + bytes(6), {}, ErrorCode.MALFORMED),  # PAD with other bits
        (bytes([0x9F]) + bytes(7), {}, ErrorCode.MALFORMED),  # unknown OP of RSP [HSL-LNK-034]
        (bytes([0x7F]) + bytes(7), {}, ErrorCode.MALFORMED),  # of SNP
        (bytes([0xBF]) + bytes(7), {}, ErrorCode.MALFORMED),  # of DAT
        (b"", {"ft": FlitType.PROT_S}, ErrorCode.MAC),  # reserved for 1.1
    ],
)
def test_port_fatal_content(payload: bytes, changes: dict[str, Any], code: ErrorCode) -> None:
    """A flit whose content is port-fatal (P7).

    DEAD, ERR_FATAL with the code three times, LINK_DOWN, no more PROT.
    """
    pair = Pair(config(1, credits={1: 4}), config(2, roles=Role.RA | Role.HA | Role.IOA)).up()
    pair.a.port._credits.outstanding[Vc.REQ] = 2
    data = encode_flit(decode_flit(prot_of(pair.b, payload), "L64")._replace(**changes))
    pair.inject(pair.a, data)
    pair.run(20 * TU)
    assert pair.a.state() is LinkState.DEAD
    assert pair.a.errors() == [code]
    assert [ctl.body["error"] for _, ctl in pair.a.ctl(CtlOp.ERR_FATAL)] == [code] * 3
    assert pair.a.downs() == ["merge_fatal"]
    assert pair.b.downs() == ["ERR_FATAL_port"]
    complete = 2 if code is ErrorCode.CREDIT_UNDERFLOW else 0
    assert len(pair.a.got) == complete  # messages before the failing granule are delivered


def test_unknown_request_is_delivered() -> None:
    """An unknown opcode of REQ, RWD, MEM or NCR is no matter of the link: TL ends it with UNSUP.

    [HSL-LNK-034]
    """
    pair = Pair().up()
    pair.inject(pair.a, prot_of(pair.b, bytes([0x3F]) + bytes(15)))
    pair.run(1)
    assert [m.op for m in pair.a.got] == [0x3F]
    assert pair.a.state() is LinkState.ACTIVE


# -------------------------------------------------------------------------------------- packing, arbiter


def test_arbiter_follows_the_wheel() -> None:
    """With messages waiting on all VCs the order of messages is that of the wheel of 15 places.

    [HSL-LNK-041]
    """
    pair = Pair(config(1, tu_exp=10), config(2, tu_exp=10))
    pair.start().run(10**5)
    for vc, op in OF_VC.items():
        for txn in range(12):
            pair.a.port.send(message(op, vc * 100 + txn))
    pair.run(10**5)
    assert tuple(m.vc for m in pair.b.got[:30]) == ARBITER_WHEEL * 2
    for vc in OF_VC:
        assert [m.txn for m in pair.b.got if m.vc == vc] == [vc * 100 + txn for txn in range(12)]


def test_messages_fill_flits_and_continue() -> None:
    """A payload has no PAD before the last message ends, and a message continues at G0 of the next flit.

    [HSL-LNK-041, HSL-FLT-011]
    """
    pair = Pair().up()
    sent = [message(Op.CmpData, 1), message(Op.Cmp, 2), message(Op.CmpData, 3)]
    for each in sent:
        pair.a.port.send(each)
    pair.run(20 * TU)
    stream = b"".join(flit.payload for _, flit in pair.a.of_type(FlitType.PROT))
    wheel = [sent[1], sent[0], sent[2]]  # RSP has the first place
    expected = b"".join(encode_message(each) for each in wheel)
    assert stream == expected.ljust(len(stream), b"\0")
    assert len(stream) == -(-len(expected) // 56) * 56
    assert pair.b.got == wheel


def test_a_partial_flit_is_sent_at_once() -> None:
    """A single short message leaves in the instant in which it is queued, PAD to the end [HSL-FLT-013]."""
    pair = Pair().up()
    pair.a.port.send(message(Op.Cmp))
    start = pair.now
    pair.run(1)
    assert [(now, flit.payload[8:]) for now, flit in pair.a.of_type(FlitType.PROT)] == [(start, bytes(48))]


# ------------------------------------------------------------------------------------- transmission order


def test_transmission_order() -> None:
    """Everything due at once leaves in the order of 3.3.3 [HSL-LNK-040]."""
    pair = Pair().up()
    link = pair.a.link
    pair.a.port.send(message(Op.Cmp, 1))
    pair.run(1)
    link.restart(pair.now)
    pair.a.port.send(message(Op.Cmp, 2))
    link.due.update({"NAK": 0, "RETRAIN_REQ": 0, "PM_NAK": 4, "PM_ACK": 5, "RESYNC_ACK": 6})
    link.ack_now = True
    pair.a.sent.clear()
    pair.b.line.clear()
    flits = [decode_flit(data, "L64") for _, data in pair.a.port.transmit(pair.now, lambda _: True)]
    names = [CtlOp(f.payload[0]).name if f.ft == FlitType.CTL else FlitType(f.ft).name for f in flits]
    assert names == ["RESYNC_ACK", "PM_ACK", "PM_NAK", "RETRAIN_REQ", "NAK", "PROT", "PROT"]
    assert [f.seq for f in flits[-2:]] == [0, 1]
    ranks = {item.item: item.rank for item in TRANSMIT_ORDER}
    assert [ranks[name] for name in names[:-2]] == sorted(ranks[name] for name in names[:-2])


def test_a_new_answer_replaces_an_unsent_one() -> None:
    """Answers have one slot each: of two RESYNCs before the line is free only the later is answered.

    [HSL-LNK-037]
    """
    pair = Pair().up()
    for rn in (3, 4):
        pair.inject(pair.a, ctl_from(pair.b, CtlOp.RESYNC, {"exp": 0, "rn": rn}))
    pair.run(1)
    assert [ctl.body["rn"] for _, ctl in pair.a.ctl(CtlOp.RESYNC_ACK)] == [4]


def test_transmit_stops_when_the_pal_is_not_ready() -> None:
    """Flits are built when they are asked for: not one more than the PAL takes; HSL 3.9 B3."""
    pair = Pair().up()
    for txn in range(30):
        pair.a.port.send(message(Op.NcWrite, txn))
    room = 3

    def ready(link: int) -> bool:
        return room > 0

    for _ in pair.a.port.transmit(pair.now, ready):
        room -= 1
    assert pair.a.link.tx.unacked == 3
    assert pair.a.port.backlog(Vc.NCR) == 27
    assert list(pair.a.port.transmit(pair.now, lambda link: False)) == []


def test_two_runs_send_identical_bytes() -> None:
    """With equal inputs two ports send identical bytes at identical times; HSL 3.3.3."""

    def run() -> list[tuple[int, bytes]]:
        pair = Pair()
        for side, start in ((pair.a, 1000), (pair.b, 2000)):
            side.port = Port(config(start // 1000, epoch=epochs(start)))
            side.hook = Lossy(random.Random(5), 0.05)
        pair.up()
        rng = random.Random(1)
        for side, _ in pair.sides:
            side.waiting.extend(message(rng.choice(list(OF_VC.values())), txn) for txn in range(200))
        pair.settle()
        return pair.a.sent + pair.b.sent

    assert run() == run()


# --------------------------------------------------------------------------------------- queues and caps


def test_send_needs_a_port_that_is_up() -> None:
    """Before LINK_UP `send` is a LinkError, and nothing is served."""
    port = Port(config(1))
    with pytest.raises(LinkError):
        port.send(message())
    assert not any(port.serves(vc) or port.room(vc) for vc in Vc)
    assert port.idle
    assert port.quiesced
    assert port.result is None


def test_queue_cap() -> None:
    """A VC queue holds queue_cap messages; one more is a ConfigError, and other VCs have their own room."""
    pair = Pair(config(1, queue_cap=5)).up()
    for txn in range(5):
        assert pair.a.port.room(Vc.NCR)
        pair.a.port.send(message(Op.NcWrite, txn))
    assert not pair.a.port.room(Vc.NCR)
    assert pair.a.port.backlog(Vc.NCR) == 5
    with pytest.raises(ConfigError):
        pair.a.port.send(message(Op.NcWrite))
    pair.a.port.send(message(Op.Cmp))
    pair.settle()
    assert len(pair.b.got) == 6


def test_vc_that_is_not_served() -> None:
    """A message for a VC that the peer does not serve is refused; TL ends it with UNSUP; HSL 3.5 F1."""
    pair = Pair(b=config(2, roles=Role.RA)).up()
    assert not pair.a.port.serves(Vc.MEM)
    with pytest.raises(ConfigError):
        pair.a.port.send(message(Op.MemWr))


def test_message_that_cannot_be_encoded() -> None:
    """A message with a field that does not fit is refused when it is sent, not when its flit is built."""
    pair = Pair().up()
    with pytest.raises(CodecError):
        pair.a.port.send(Message(Op.Cmp, src=1024))
    with pytest.raises((CodecError, ConfigError)):
        pair.a.port.send(Message(0))
    assert pair.a.port.idle


def test_release_of_what_is_not_held() -> None:
    """More credits than delivered messages cannot be released.

    After LINK_DOWN there is nothing to release.
    """
    pair = Pair().up()
    pair.b.releasing = False
    pair.a.waiting.append(message(Op.Cmp))
    pair.run(20 * TU)
    with pytest.raises(ConfigError):
        pair.b.port.release(Vc.RSP, 2)
    pair.b.port.release(Vc.RSP)
    with pytest.raises(ConfigError):
        pair.b.port.release(Vc.RSP)
    pair.b.port.disable(pair.now)
    pair.b.port.release(Vc.RSP)


def test_event_list_cap() -> None:
    """An owner that does not fetch events keeps EVENT_CAP of them, and LINK_DOWN however many there were."""
    pair = Pair().up()
    for _ in range(EVENT_CAP + 10):
        pair.inject(pair.a, b"noise")
    pair.a.port.disable(pair.now)
    assert pair.a.port.events_dropped >= 10
    events = pair.a.port.events()
    assert len(events) == EVENT_CAP + 1
    assert type(events[-1]).__name__ == "LinkDown"
    assert pair.a.counters.errors[ErrorCode.CRC] == EVENT_CAP + 10


def test_link_index_is_checked() -> None:
    """A link that the port does not have is a ConfigError."""
    port = Port(config(1))
    for call in (lambda: port.state(1), lambda: port.pal_up(-1, 0), lambda: port.receive(8, b"", 0)):
        with pytest.raises(ConfigError):
            call()


def test_quiesced() -> None:
    """Quiesced means: nothing waiting or unacked, all credits home, no ACK due."""
    pair = Pair().up()
    pair.settle()
    pair.a.waiting.append(message(Op.NcWrite))
    pair.run(1)
    port = pair.a.port
    assert (port.idle, port.quiesced) == (False, False)
    pair.run(10 * TU)
    assert (port.idle, port.quiesced) == (True, False)  # the credit is not home: T_CR of b runs
    pair.settle()
    assert (port.idle, port.quiesced) == (True, True)
    assert pair.a.counters.prot_sent == 1


def test_counters_of_messages() -> None:
    """messages_sent of one side are messages_received of the other, by opcode."""
    pair = Pair().up()
    pair.a.waiting.extend(message(op) for op in OF_VC.values() for _ in range(3))
    pair.settle()
    assert pair.a.port.messages_sent == pair.b.port.messages_received == dict.fromkeys(OF_VC.values(), 3)
    assert pair.a.counters.as_dict()["flits_sent"]["PROT"] == pair.a.counters.prot_sent
