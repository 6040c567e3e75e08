"""Flits of 256 bytes: negotiated, in ACTIVE only, with SOM (HSL 2.2, 2.5 P3, 3.2.1 "Sizes")."""

from __future__ import annotations

import random

import pytest

from hsl._generated.constants import CTL_REPEATS, CtlOp, ErrorCode, FlitSize, FlitType, LinkState, Op
from hsl.codec.crc import crc64xz
from hsl.codec.flit import Flit
from hsl.codec.reference import decode_flit, encode_flit, encode_message
from hsl.link import PortConfig, StateChanged
from tests.link.pair import (
    OF_VC,
    TU,
    Faults,
    Pair,
    Side,
    burst,
    config,
    ctl_from,
    decode,
    flit_from,
    is_ctl,
    is_type,
    message,
)

BOTH = FlitSize.L64 | FlitSize.B256


def wide(guid: int) -> PortConfig:
    return config(guid, flit_sizes=BOTH)


def wide_pair() -> Pair:
    return Pair(wide(1), wide(2)).up()


def sizes(side: Side, state: LinkState) -> set[int]:
    """The sizes of the flits that `side` sent in `state`; a state is left at the end of its instant."""
    changes = [(e.now, e.new) for e in side.events if isinstance(e, StateChanged)]
    found = set()
    for now, data in side.sent:
        current = [new for at, new in changes if at <= now][-1:]
        if current == [state]:
            found.add(len(data))
    return found


def test_active_sends_the_negotiated_size_and_other_states_l64() -> None:
    """PROT, NOP and CTL of ACTIVE have 256 bytes; bring-up and RECOVERY send 64 [HSL-FLT-001]."""
    pair = wide_pair()
    pair.a.hook = Faults(is_type(FlitType.PROT))  # a NAK comes back
    burst(pair, 40)
    pair.settle()
    pair.run(100 * TU)  # NOP by T_KA
    pair.a.port.retrain(pair.now)
    pair.settle()
    for side, _ in pair.sides:
        for state in LinkState:
            found = sizes(side, state)
            assert found <= ({256} if state is LinkState.ACTIVE else {64}), state
        assert {flit.ft for _, flit in side.of_type(FlitType.NOP)} == {FlitType.NOP}
    assert sizes(pair.a, LinkState.RECOVERY) == {64}
    assert {len(data) for _, data in pair.b.sent if is_ctl(CtlOp.NAK)(data)} == {256}
    assert len(pair.b.got) == 40


@pytest.mark.parametrize("end", ["disable", "fatal"])
def test_last_words_are_l64(end: str) -> None:
    """DISABLE and ERR_FATAL go out after ACTIVE was left, so they have 64 bytes."""
    pair = wide_pair()
    if end == "disable":
        pair.a.port.disable(pair.now)
    else:
        pair.a.port.fatal(ErrorCode.MALFORMED, pair.now)
    start = len(pair.a.sent)
    pair.run(3 * TU)
    op = CtlOp.DISABLE if end == "disable" else CtlOp.ERR_FATAL
    last = [data for _, data in pair.a.sent[start:] if is_ctl(op)(data)]
    assert [len(data) for data in last] == [64] * CTL_REPEATS
    assert pair.b.downs()


def test_one_side_without_b256_keeps_both_at_l64() -> None:
    """One side offers only L64: both use it, in ACTIVE too [HSL-LNK-005]."""
    for pair in (Pair(config(1), wide(2)).up(), Pair(wide(1), config(2)).up()):
        burst(pair, 10)
        pair.settle()
        assert len(pair.b.got) == 10
        for side, _ in pair.sides:
            assert side.port.result is not None
            assert side.port.result.flit_size == FlitSize.L64
            assert {len(data) for _, data in side.sent} == {64}


def test_prot_only_in_the_negotiated_size() -> None:
    """PROT of the other size is a damaged flit, code 1 and a NAK, in ACTIVE and RECOVERY."""
    for pair, other in ((wide_pair(), "L64"), (Pair().up(), "B256")):
        pair.inject(pair.b, flit_from(pair.a, FlitType.PROT, format=other))
        assert pair.b.counters.errors[ErrorCode.CRC] == 1
        assert pair.b.counters.prot_accepted == 0
        assert "NAK" in pair.b.link.due
        pair.b.port.retrain(pair.now)
        pair.inject(pair.b, flit_from(pair.a, FlitType.PROT, format=other))
        assert pair.b.counters.errors[ErrorCode.CRC] == 2
        assert pair.b.state() is LinkState.RECOVERY


@pytest.mark.parametrize("negotiated", ["L64", "B256"])
@pytest.mark.parametrize("form", ["L64", "B256"])
def test_nop_and_ctl_in_both_sizes_in_every_state(negotiated: str, form: str) -> None:
    """NOP and CTL count in either size: a NOP shows a lost tail, a CTL is answered."""
    pair = wide_pair() if negotiated == "B256" else Pair().up()
    pair.inject(pair.b, flit_from(pair.a, FlitType.NOP, format=form, seq=1))
    assert pair.b.link.rx.naked
    pair.inject(pair.b, flit_from(pair.a, FlitType.NOP, format=form))
    assert not pair.b.link.rx.naked
    for state in (LinkState.ACTIVE, LinkState.RECOVERY):
        if state is LinkState.RECOVERY:
            pair.b.port.retrain(pair.now)
        pair.inject(pair.b, ctl_from(pair.a, CtlOp.RESYNC, {"exp": 0, "rn": 9}, format=form))
        assert pair.b.state() is state
        assert pair.b.link.due.pop("RESYNC_ACK") == 9
    assert pair.b.counters.crc_errors == 0


def test_handshake_is_taken_in_256_bytes() -> None:
    """Bring-up flits that come in 256 bytes are taken like those of 64."""
    pair = Pair(wide(1), wide(2))

    def widened(data: bytes) -> list[tuple[bytes, bool]]:
        flit = decode(data)
        return [(encode_flit(flit._replace(format="B256", payload=flit.payload[:56])), False)]

    pair.a.hook = lambda data: widened(data) if is_type(FlitType.CTL)(data) else [(data, False)]
    pair.up()
    assert pair.b.counters.crc_errors == 0


def test_h1_of_nop_is_not_evaluated() -> None:
    """H1 of NOP and CTL is sent 0 and ignored on receipt (HSL 2.2) [HSL-FLT-012]."""
    pair = wide_pair()
    assert all(data[4:8] == bytes(4) for _, data in pair.a.sent if len(data) == 256)
    body = bytearray(flit_from(pair.a, FlitType.NOP, format="B256")[:248])
    body[4:8] = b"\xff\xff\xff\x3f"
    pair.inject(pair.b, bytes(body) + crc64xz(bytes(body)).to_bytes(8, "little"))
    assert pair.b.state() is LinkState.ACTIVE
    assert pair.b.counters.crc_errors == 0


def test_som_marks_the_first_granules() -> None:
    """SOM bit i is 1 exactly where a message begins, also behind one that goes on from the flit before."""
    pair = wide_pair()
    pair.a.waiting.extend(message(Op.CmpData, txn) for txn in range(5))  # 9 granules each
    pair.settle()
    first, second = (flit for _, flit in pair.a.of_type(FlitType.PROT))
    assert first.som == sum(1 << 9 * number for number in range(4))
    assert second.som == 1 << 6  # behind the last 6 of the fourth message
    assert [m.txn for m in pair.b.got] == list(range(5))


@pytest.mark.parametrize("som", [0b10, 0b11, 0, 1 << 29])
def test_wrong_som_is_port_fatal(som: int) -> None:
    """SOM that differs from the own parse: code 7, both ports go DEAD [HSL-FLT-010]."""
    pair = wide_pair()
    payload = encode_message(message(Op.CmpData))
    pair.inject(pair.b, flit_from(pair.a, FlitType.PROT, format="B256", payload=payload, som=som))
    assert pair.b.state() is LinkState.DEAD
    pair.run(10 * TU)
    assert ErrorCode.SOM in pair.b.errors()
    assert [c.body["error"] for _, c in pair.b.ctl(CtlOp.ERR_FATAL)] == [ErrorCode.SOM] * CTL_REPEATS
    assert pair.a.state() is LinkState.DEAD


def test_messages_before_the_wrong_granule_are_delivered() -> None:
    """P7: what was complete before the failing granule is delivered."""
    pair = wide_pair()
    payload = encode_message(message(Op.Cmp, 3)) + encode_message(message(Op.Cmp, 4))
    pair.inject(pair.b, flit_from(pair.a, FlitType.PROT, format="B256", payload=payload, som=1))
    assert [m.txn for m in pair.b.port.messages()] == [3]
    assert pair.b.state() is LinkState.DEAD


def test_replay_changes_ack_viral_and_crc_only() -> None:
    """A replayed B256 has the bits of the first transmission but for ACK, VIRAL and CRC [HSL-LNK-016]."""
    pair = wide_pair()
    pair.a.hook = Faults(is_type(FlitType.PROT), count=3)
    burst(pair, 60)
    pair.b.waiting.extend(message(op) for op in OF_VC.values())
    pair.run(TU)
    pair.a.port.viral = True
    pair.settle()
    stored: dict[int, Flit] = {}
    again = 0
    for _, flit in pair.a.of_type(FlitType.PROT):
        bare = flit._replace(ack=0, viral=0)
        again += flit.seq in stored
        assert stored.setdefault(flit.seq, bare) == bare
    assert again >= 3
    assert [m.txn for m in pair.b.got] == list(range(60))


def test_a_new_session_may_have_another_size() -> None:
    """After a session in B256 a peer that now offers only L64 gets L64."""
    pair = wide_pair()
    port = type(pair.b.port)
    pair.b.port = port(config(2, epoch=pair.b.port.config.epoch))
    pair.b.port.enable(pair.now)
    pair.b.port.pal_up(0, pair.now)
    pair.run(100 * TU)
    assert pair.a.port.up
    assert pair.b.port.up
    start = len(pair.a.sent)
    burst(pair, 20)
    pair.settle()
    assert {len(data) for _, data in pair.a.sent[start:]} == {64}
    assert len(pair.b.got) == 20


def test_random_damage_of_both_sizes() -> None:
    """A B256 cut to 64 bytes, or an L64 padded to 256, is a damaged flit and nothing is lost by it."""
    rng = random.Random(7)
    pair = wide_pair()

    def resized(data: bytes) -> list[tuple[bytes, bool]]:
        if rng.random() < 0.1:
            return [(data[:64] if len(data) == 256 else data.ljust(256, b"\0"), False)]
        return [(data, False)]

    for side, _ in pair.sides:
        side.hook = resized
        side.waiting.extend(message(rng.choice(list(OF_VC.values())), txn) for txn in range(200))
    wanted = [sorted(m.txn for m in side.waiting) for side, _ in pair.sides]
    pair.settle()
    for (_, other), sent in zip(pair.sides, wanted, strict=True):
        assert sorted(m.txn for m in other.got) == sent
    assert pair.a.counters.crc_errors
    assert decode_flit(pair.a.sent[-1][1], "B256")
