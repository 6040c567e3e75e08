"""Go-back-N between two ports: NAK, replay, windows, ladders, RECOVERY (HSL 3.4)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hsl._generated.constants import (
    SEQ_MODULUS,
    TIMERS,
    CtlOp,
    ErrorCode,
    FlitType,
    LinkState,
    Op,
)
from hsl.codec.flit import Flit
from hsl.codec.reference import decode_flit, encode_flit
from hsl.link.replay import ReplaySender
from tests.link.pair import (
    LATENCY,
    TU,
    Faults,
    Pair,
    always,
    burst,
    config,
    ctl_from,
    damage,
    flit_from,
    is_ctl,
    is_type,
    message,
)

LENGTH = {name: timer.tu * TU for name, timer in TIMERS.items()}
PROT, NOP = is_type(FlitType.PROT), is_type(FlitType.NOP)


def balanced(pair: Pair, lost: int = 0, damaged: int = 0) -> None:
    """The equation of LinkCounters, a to b."""
    a, b = pair.a.counters, pair.b.counters
    assert a.prot_sent == b.prot_accepted + b.prot_duplicate + b.prot_gap + b.prot_stray + lost + damaged
    assert b.crc_errors == damaged


def test_damaged_prot_is_replayed() -> None:
    """A CRC error: one NAK with EXP at once; the replay starts there, identical but for ACK and CRC.

    [HSL-LNK-012]

    [HSL-LNK-016]
    """
    pair = Pair().up()
    pair.a.hook = faults = Faults(PROT, "damage")
    burst(pair, 30)
    start = pair.now
    pair.settle()
    assert pair.b.got == [message(Op.NcWrite, txn) for txn in range(30)]
    assert [ctl.body["exp"] for _, ctl in pair.b.ctl(CtlOp.NAK)] == [0]
    assert pair.b.ctl(CtlOp.NAK)[0][0] == start + LATENCY
    flits = [flit for _, flit in pair.a.of_type(FlitType.PROT)]
    first: dict[int, Flit] = {}
    for flit in flits:
        kept = flit._replace(ack=0)
        assert first.setdefault(flit.seq, kept) == kept
    sequence = [flit.seq for flit in flits]
    back = sequence.index(0, 1)
    assert sequence[:back] == list(range(back))
    assert sequence[back : 2 * back] == list(range(back))
    assert pair.a.counters.replays == back
    assert pair.b.counters.prot_gap == back - 1
    assert len(faults.hit) == 1
    balanced(pair, damaged=1)


def test_replay_carries_the_current_ack() -> None:
    """A replayed flit acknowledges what has come since it was first sent [HSL-LNK-016]."""
    pair = Pair().up()
    pair.a.hook = Faults(PROT)
    burst(pair, 2)
    pair.b.waiting.append(message(Op.NcWrite))
    pair.settle()
    first, *_, replayed = [flit for _, flit in pair.a.of_type(FlitType.PROT) if flit.seq == 0]
    assert (first.ack, replayed.ack) == (1023, 0)


def test_pal_error_counts_as_damage() -> None:
    """A flit that the PAL marks is a damaged one, whatever its CRC says, and counts code 18 [HSL-LNK-012]."""
    pair = Pair().up()
    marks = Faults(PROT, count=1)
    pair.a.hook = lambda data: [(data, True)] if not marks(data) else [(data, False)]
    burst(pair, 3)
    pair.settle()
    assert pair.b.counters.crc_errors == pair.b.counters.errors[ErrorCode.FRAMING] == 1
    assert len(pair.b.got) == 3


def test_wrong_size_is_damage() -> None:
    """A truncated flit, an empty one and one of 256 bytes of PROT are damaged flits."""
    pair = Pair().up()
    for data in (b"", bytes(63), encode_flit(Flit("B256", FlitType.PROT))):
        pair.inject(pair.a, data)
    assert pair.a.counters.crc_errors == 3
    assert pair.a.counters.errors[ErrorCode.CRC] == 3
    assert pair.a.counters.prot_accepted == 0


def test_nop_in_the_other_size_is_taken() -> None:
    """NOP and CTL are taken in both sizes in every state; HSL 3.2.1."""
    pair = Pair().up()
    pair.inject(pair.a, encode_flit(Flit("B256", FlitType.NOP, seq=1, ack=pair.a.link.tx.next - 1 & 1023)))
    assert pair.a.counters.crc_errors == 0
    assert pair.a.link.rx.naked


def test_gap_is_naked_once() -> None:
    """A lost PROT: the next is dropped and NAKed with EXP, those after it are dropped without.

    [HSL-LNK-013]
    """
    pair = Pair().up()
    pair.a.hook = Faults(PROT)
    burst(pair, 12)
    pair.settle()
    assert [ctl.body["exp"] for _, ctl in pair.b.ctl(CtlOp.NAK)] == [0]
    assert pair.b.counters.prot_gap > 1
    assert len(pair.b.got) == 12
    balanced(pair, lost=1)


def test_tail_loss_is_seen_by_a_nop() -> None:
    """The last PROT lost: the SEQ of the next NOP shows it, without T_REPLAY [HSL-LNK-014]."""
    pair = Pair().up()
    pair.a.hook = Faults(PROT)
    burst(pair, 1)
    pair.run(4 * TU)
    pair.inject(pair.a, flit_from(pair.b, FlitType.PROT))  # makes a send an ACK soon
    pair.b.link.tx.store(Flit("L64", FlitType.PROT))
    pair.run(20 * TU)
    assert [ctl.body["exp"] for _, ctl in pair.b.ctl(CtlOp.NAK)] == [0]
    assert pair.a.counters.replay_timeouts == 0
    assert len(pair.b.got) == 1


def test_nak_is_repeated() -> None:
    """While the gap is open NAK goes out every T_NAK, and stops when it closes [HSL-LNK-021]."""
    pair = Pair().up()
    pair.b.hook = Faults(is_ctl(CtlOp.NAK), count=2)
    pair.a.hook = Faults(PROT)
    burst(pair, 2)
    pair.settle()
    times = [now for now, _ in pair.b.ctl(CtlOp.NAK)]
    assert [later - sooner for sooner, later in pairwise(times)] == [LENGTH["T_NAK"]] * (len(times) - 1)
    assert 2 <= len(times) <= 3
    assert len(pair.b.got) == 2


def test_duplicate_is_dropped_and_acknowledged() -> None:
    """A PROT that comes twice is dropped, ACKed at once, not delivered and its credits not counted twice.

    [HSL-LNK-015]
    """
    pair = Pair().up()
    burst(pair, 1)
    pair.settle()
    copy = pair.a.of_type(FlitType.PROT)[0][1]
    credit = pair.b.of_type(FlitType.PROT)[0][1]
    assert credit.ccnt == 1
    nops = len(pair.b.of_type(FlitType.NOP))
    pair.inject(pair.b, encode_flit(copy._replace(ack=0)))
    pair.inject(pair.a, encode_flit(credit))
    pair.run(1)
    assert len(pair.b.got) == 1
    assert pair.b.counters.prot_duplicate == 1
    assert pair.a.state() is LinkState.ACTIVE  # else: CREDIT_OVERFLOW
    assert len(pair.b.of_type(FlitType.NOP)) == nops + 1


def test_ack_frees_the_buffer() -> None:
    """An ACK inside the window frees the flits up to it; one outside is ignored and logged [HSL-LNK-017]."""
    pair = Pair().up()
    pair.a.hook = Faults(PROT, count=10**6)
    burst(pair, 5)
    pair.run(60)
    assert pair.a.link.tx.unacked == 5
    for ack in (5, 511, 1022):
        pair.inject(pair.a, flit_from(pair.b, FlitType.NOP, ack=ack))
    assert pair.a.counters.errors[ErrorCode.ACK_RANGE] == 3
    assert pair.a.link.tx.unacked == 5
    pair.inject(pair.a, flit_from(pair.b, FlitType.NOP, ack=2))
    assert (pair.a.link.tx.base, pair.a.link.tx.unacked) == (3, 2)
    pair.inject(pair.a, ctl_from(pair.b, CtlOp.NAK, {"exp": 9}, ack=8))
    assert pair.a.counters.errors[ErrorCode.ACK_RANGE] == 4
    assert not pair.a.link.tx.replaying


def test_body_that_contradicts_the_ack_is_dropped() -> None:
    """EXP of NAK, RESYNC and RESYNC_ACK is ACK + 1; a flit where it is not is dropped with code 4."""
    pair = Pair().up()
    for op in (CtlOp.NAK, CtlOp.RESYNC, CtlOp.RESYNC_ACK):
        pair.inject(pair.a, ctl_from(pair.b, op, {"exp": 7}))
    assert pair.a.counters.errors[ErrorCode.ACK_RANGE] == 3
    assert pair.a.state() is LinkState.ACTIVE
    assert not pair.a.link.due


def test_ack_comes_within_t_ack() -> None:
    """A single PROT is ACKed after T_ACK [HSL-LNK-018]."""
    pair = Pair().up()
    pair.b.releasing = False
    burst(pair, 1)
    start = pair.now
    pair.run(20 * TU)
    acks = [now for now, flit in pair.b.of_type(FlitType.NOP) if now > start and flit.ack == 0]
    assert acks[0] == start + LATENCY + LENGTH["T_ACK"]


def test_ack_comes_after_n_ack_flits() -> None:
    """After N_ACK accepted PROT an ACK is due at once [HSL-LNK-018]."""
    pair = Pair(config(1, tu_exp=10), config(2, tu_exp=10, n_ack=3))
    pair.start().run(10**5)
    pair.b.releasing = False
    burst(pair, 3)
    start = pair.now
    pair.run(LATENCY + 50)
    arrived = [now + LATENCY for now, _ in pair.a.of_type(FlitType.PROT)]
    acks = [now for now, flit in pair.b.of_type(FlitType.NOP) if now > start]
    assert acks == [arrived[2]]


def test_n_ack_counts_since_the_last_flit_sent() -> None:
    """Any flit sent carries the ACK and starts the count of N_ACK again [HSL-LNK-018]."""
    pair = Pair(config(1, tu_exp=10), config(2, tu_exp=10, n_ack=3))
    pair.start().run(10**5)
    pair.b.releasing = False
    burst(pair, 2)
    pair.run(LATENCY + 50)
    pair.b.port.send(message(Op.Cmp))
    pair.run(50)
    burst(pair, 2)
    pair.run(LATENCY + 50)
    start = pair.now
    pair.run(1)
    assert pair.b.link.rx.exp == 4
    assert max(now for now, _ in pair.b.of_type(FlitType.NOP)) < start - LATENCY - 100


def test_missing_ack_leads_to_replay() -> None:
    """Without ACK for T_REPLAY the replay starts with BASE [HSL-LNK-019]."""
    pair = Pair().up()
    pair.b.hook = Faults(always, count=10**6)
    burst(pair, 1)
    start = pair.now
    pair.run(LENGTH["T_REPLAY"] + 1)
    times = [now for now, _ in pair.a.of_type(FlitType.PROT)]
    assert times == [start, start + LENGTH["T_REPLAY"]]
    assert pair.a.errors() == [ErrorCode.REPLAY_TO]
    assert pair.a.counters.replay_timeouts == 1


def test_t_replay_runs_from_the_oldest_prot() -> None:
    """A PROT sent while others are unacked does not start T_REPLAY again [HSL-LNK-019]."""
    pair = Pair().up()
    pair.b.hook = Faults(always, count=10**6)
    burst(pair, 1)
    start = pair.now
    pair.run(LENGTH["T_REPLAY"] // 2)
    burst(pair, 1)
    pair.run(LENGTH["T_REPLAY"] // 2 + 1)
    assert [now for now, flit in pair.a.of_type(FlitType.PROT) if not flit.seq] == [
        start,
        start + LENGTH["T_REPLAY"],
    ]


def test_sequence_wraps() -> None:
    """SEQ rises by 1 modulo 1024 over the wrap, with losses at the wrap too [HSL-LNK-010]."""
    pair = Pair().up()
    faults = Faults(
        lambda data: PROT(data) and len(pair.b.got) > 900 and not decode_flit(data, "L64").seq, count=4
    )
    pair.a.hook = faults
    burst(pair, 4096)
    pair.settle()
    assert [m.txn for m in pair.b.got] == list(range(4096))
    assert pair.b.counters.prot_accepted > SEQ_MODULUS
    new, seen = [], -1
    for _, flit in pair.a.of_type(FlitType.PROT):
        if (flit.seq - seen) % SEQ_MODULUS == 1:
            new.append(flit.seq)
            seen = flit.seq
    assert new == [n % SEQ_MODULUS for n in range(len(new))]
    assert len(faults.hit) == 4
    assert pair.a.errors() == pair.b.errors() == []  # each NAK was good: no T_REPLAY was needed
    balanced(pair, lost=4)


@pytest.mark.parametrize("window", [1, 2, 64, 511])
def test_window(window: int) -> None:
    """At most `window` flits are unacknowledged, and the replay buffer holds no more [HSL-LNK-011]."""
    pool = dict.fromkeys(range(1, 8), 1023)
    pair = Pair(config(1, window=511, tu_exp=8), config(2, window=window, credits=pool, tu_exp=8)).up()
    pair.b.hook = Faults(always, count=10**6)
    burst(pair, 1000)
    pair.run(8000)
    assert pair.a.link.tx.unacked == window
    assert len(pair.a.link.tx.buffer) == window
    numbers = {flit.seq for _, flit in pair.a.of_type(FlitType.PROT)}
    assert numbers == set(range(window))


@pytest.mark.parametrize("window", [1, 3, 511])
def test_every_window_delivers_all(window: int) -> None:
    """Any window carries all messages in order, with one in ten flits lost [HSL-LNK-011]."""
    pair = Pair(config(1, window=window), config(2, window=window)).up()
    counter = iter(range(10**9))
    for side, _ in pair.sides:
        side.hook = lambda data: [] if next(counter) % 10 == 9 else [(data, False)]
    burst(pair, 100)
    pair.b.waiting.extend(message(Op.CmpData, txn) for txn in range(100))
    pair.settle()
    assert [m.txn for m in pair.b.got] == list(range(100))
    assert [m.txn for m in pair.a.got] == list(range(100))


def test_replay_sender_clamps_rp() -> None:
    """An ACK beyond RP moves RP to the new BASE; the flits in between are not sent again; HSL 3.4.2."""
    tx = ReplaySender()
    for seq in range(5):
        tx.store(Flit("L64", FlitType.PROT, seq=seq))
    tx.restart()
    tx.replay()
    assert tx.acknowledge(2) == 3
    assert (tx.base, tx.rp, tx.next) == (3, 3, 5)
    assert tx.replay().seq == 3
    assert tx.acknowledge(2) == 0
    assert tx.acknowledge(1) is None
    assert tx.acknowledge(5) is None


def test_damage_helper_is_damage() -> None:
    """The harness damages what the CRC sees: a flit that is hit is never taken for good."""
    pair = Pair().up()
    pair.inject(pair.a, damage(flit_from(pair.b, FlitType.NOP)))
    assert pair.a.counters.crc_errors == 1
