"""What no schedule foresees: hostile bytes, losses, cuts and restarts at random (HSL 3.2 to 3.5)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsl._generated.constants import CtlOp, FlitSize, FlitType, LinkState, Op, Vc
from hsl._generated.tables import CREDIT_MINIMA
from hsl.codec.flit import Flit
from hsl.codec.reference import encode_flit
from tests.link.pair import OF_VC, TU, Faults, Lossy, Pair, always, config, message


@pytest.mark.parametrize("state", list(LinkState))
@settings(max_examples=20)
@given(data=st.binary(max_size=300))
def test_random_bytes_raise_nothing(state: LinkState, data: bytes) -> None:
    """Any bytes in any state are a damaged flit, or nothing: no exception, no message."""
    pair = Pair().up()
    if state is not pair.a.state():
        pair.a.link.enter(state, "test", pair.now)
    pair.inject(pair.a, data)
    assert pair.a.port.messages() == []


flits = st.builds(
    Flit,
    st.sampled_from(["L64", "B256"]),
    st.integers(0, 7),
    st.integers(0, 1),
    st.one_of(st.integers(0, 1023), st.sampled_from([0, 1])),
    st.sampled_from([0, 5, 1023]),
    st.integers(0, 7),
    st.sampled_from([0, 1, 31]),
    st.binary(max_size=56),
    st.just(0),
)


@pytest.mark.parametrize("state", list(LinkState))
@settings(max_examples=25)
@given(flit=st.lists(flits, max_size=4), fix=st.booleans(), op=st.sampled_from([*CtlOp, 0, 0x23, 0xFF]))
def test_garbage_with_good_crc_raises_nothing(state: LinkState, flit: list[Flit], fix: bool, op: int) -> None:
    """Flits of any content with good CRC, CTL of the current pair with any body: no exception.

    Time goes on.
    """
    pair = Pair().up()
    pair.a.waiting.extend(message(Op.NcWrite, txn) for txn in range(3))
    pair.run(1)
    link = pair.a.link
    if state is not link.state:
        link.enter(state, "test", pair.now)
    for each in flit:
        if each.ft in (FlitType.NOP, FlitType.CTL):
            each = each._replace(cvc=0, ccnt=0, payload=b"" if each.ft == FlitType.NOP else each.payload)
        if fix and each.ft == FlitType.CTL:
            head = bytes([op, each.payload[0] if each.payload else 0, 0, 0])
            pair_bytes = link.peer.to_bytes(4, "little") + link.epoch.to_bytes(4, "little")
            each = each._replace(payload=(head + pair_bytes + each.payload)[:56])
        pair.inject(pair.a, encode_flit(each))
        pair.run(20)
    pair.run(200 * TU)


def lossy_run(seed: int, rate: float, window: int, sizes: int = FlitSize.L64) -> None:
    """Traffic both ways under losses, retrains and cuts of the line; all promises of the link are checked."""
    rng = random.Random(seed)
    changes = {"window": window, "flit_sizes": FlitSize(sizes)}
    pair = Pair(config(1, credits=CREDIT_MINIMA, **changes), config(2, **changes)).up()
    hooks = [Lossy(rng, rate), Lossy(rng, rate)]
    for (side, _), hook in zip(pair.sides, hooks, strict=True):
        side.hook = hook
        side.waiting.extend(message(rng.choice(list(OF_VC.values())), txn) for txn in range(40))
    wanted = [list(side.waiting) for side, _ in pair.sides]
    disturbances, cut = rng.randrange(4), False
    for _ in range(disturbances):
        pair.run(rng.randrange(1000))
        if rng.random() < 0.5:
            rng.choice((pair.a, pair.b)).port.retrain(pair.now)
        else:
            cut = True
            pair.unplug()
            pair.run(rng.randrange(2000))
            pair.plug()
    pair.run(3 * 10**5, until=pair.quiesced)
    for hook in hooks:
        hook.on = False
    pair.run(10**7, until=lambda: pair.quiesced() or bool(pair.a.downs() + pair.b.downs()))
    if pair.a.downs() or pair.b.downs():
        # N_RECOV recoveries in a row without progress: not on a line that is good and left alone.
        assert rate == 0.3 or disturbances, (seed, pair.a.downs(), pair.b.downs())
        return
    for (side, other), sent in zip(pair.sides, wanted, strict=True):
        for vc in Vc:
            assert [m for m in other.got if m.vc == vc] == [m for m in sent if m.vc == vc], seed
        assert side.port._credits.home, seed
    for (side, other), hook in zip(pair.sides, hooks, strict=True):
        mine, theirs = side.counters, other.counters
        taken = theirs.prot_accepted + theirs.prot_duplicate + theirs.prot_gap + theirs.prot_stray
        if not cut:  # else some went with the line
            assert mine.prot_sent == taken + hook.lost + hook.damaged, seed
            assert theirs.crc_errors == hook.all_damaged, seed


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    rate=st.sampled_from([0.0, 0.01, 0.1, 0.3]),
    window=st.sampled_from([1, 4, 64, 511]),
    sizes=st.sampled_from([FlitSize.L64, FlitSize.L64 | FlitSize.B256]),
)
def test_random_loss(seed: int, rate: float, window: int, sizes: int) -> None:
    """Whatever is lost or damaged: delivered = sent, in order per VC, none doubled; credits and counters fit.

    [HSL-LNK-015] [HSL-LNK-022]
    """
    lossy_run(seed, rate, window, sizes)


def _crc_not_checked(data: bytes, decode: object) -> Flit:
    head = int.from_bytes(data[:4].ljust(4, b"\0"), "little")
    fields = (head & 7, 0, head >> 4 & 1023, head >> 14 & 1023, head >> 24 & 7, head >> 27)
    return Flit("L64", *fields, payload=data[4:60].ljust(56, b"\0"))


BUGS = {
    "crc not checked": ("hsl.link.link._decode", _crc_not_checked),
    "credits returned twice": (
        "hsl.link.credit.Credits.release",
        lambda self, vc, count: self.returnable.__setitem__(vc, self.returnable[vc] + 2 * count),
    ),
    "credits never returned": ("hsl.link.port.Port.release", lambda self, vc, count=1: None),
    "exp not counted": ("hsl.link.replay.ReplayReceiver.accept", lambda self: None),
    "gap not seen": ("hsl.link.link.Link.gap", lambda self: setattr(self.rx, "exp", self.rx.exp + 1)),
}


def lossy_runs(count: int) -> None:
    for seed in range(count):
        lossy_run(seed, 0.05, 64)


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_caught(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks of `lossy_run` fail when the link is wrong."""
    monkeypatch.setattr(*BUGS[bug])
    with pytest.raises(AssertionError):
        lossy_runs(20)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_restarts(seed: int) -> None:
    """After any run of restarts, cable cuts, disables and losses both sides come up in one session.

    [HSL-LNK-003] [HSL-LNK-023] [HSL-LNK-036]
    """
    rng = random.Random(seed)
    pair = Pair().start()
    hooks = [Lossy(rng, 0.1), Lossy(rng, 0.1)]
    for (side, _), hook in zip(pair.sides, hooks, strict=True):
        side.hook = hook
    for _ in range(12):
        side = rng.choice((pair.a, pair.b))
        side.waiting.extend(message(op) for op in OF_VC.values())
        match rng.randrange(5):
            case 0:
                line = list(side.line)
                pair.restart(side)
                side.line.extend(line)  # what is under way arrives
            case 1:
                pair.unplug()
                pair.run(rng.randrange(5000))
                pair.plug()
            case 2:
                side.port.disable(pair.now)
                pair.run(rng.randrange(5000))
                side.port.enable(pair.now)
            case 3:
                side.port.down(pair.now)
            case 4:
                side.port.retrain(pair.now)
        pair.run(rng.choice((0, 100, 1000, 10000, 10**6)))
    for (side, _), hook in zip(pair.sides, hooks, strict=True):
        hook.on = False
        if side.state() is LinkState.DEAD:
            side.port.enable(pair.now)
    assert pair.run(10**7, until=lambda: pair.a.port.up and pair.b.port.up and pair.quiesced()), seed
    assert (pair.a.link.epoch, pair.a.link.peer) == (pair.b.link.peer, pair.b.link.epoch), seed
    for side, _ in pair.sides:
        side.got.clear()
        side.waiting.extend(message(Op.NcWrite, txn) for txn in range(50))
    pair.settle()
    for side, _ in pair.sides:
        assert [m.txn for m in side.got] == list(range(50)), seed


def test_silence_on_both_lines_ends_without_a_hang() -> None:
    """A line that lets nothing through any more ends in DEAD on both sides, with LINK_DOWN told once."""
    pair = Pair().up()
    for side, _ in pair.sides:
        side.hook = Faults(always, count=10**9)
        side.waiting.append(message())
    pair.run(14000 * TU)
    for side, _ in pair.sides:
        assert side.state() is LinkState.DEAD
        assert len(side.downs()) == 1
