"""From DISABLED to ACTIVE and back: HELLO, CAPS, INITFC, EPOCH (HSL 3.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hsl._generated import layouts
from hsl._generated.constants import (
    ACK_NONE,
    CTL_REPEATS,
    TIMERS,
    AtomicClass,
    CtlOp,
    ErrorCode,
    FlitSize,
    FlitType,
    LinkState,
    Op,
    Power,
    Vc,
)
from hsl.codec.crc import crc32c
from hsl.codec.reference import encode_message
from hsl.errors import LinkError
from hsl.link import FatalReceived
from hsl.link.config import parse_caps
from tests.link.pair import TU, Faults, Pair, Side, always, config, ctl_from, flit_from, is_ctl, message

T_STATE = TIMERS["T_STATE"].tu * TU
T_HS = TIMERS["T_HS"].tu * TU


def test_both_sides_come_up_through_the_states_in_order() -> None:
    """Enabled with the PAL up, both sides go DETECT, CONFIG, INIT, ACTIVE and tell LINK_UP once.

    [HSL-LNK-003]
    """
    pair = Pair().up()
    for side, _ in pair.sides:
        assert side.states() == [LinkState.DETECT, LinkState.CONFIG, LinkState.INIT, LinkState.ACTIVE]
        assert side.ups() == 1
        assert side.errors() == []


def test_first_numbers() -> None:
    """The first PROT has SEQ 0; ACK is 1023 until one is accepted; no PROT before ACTIVE.

    [HSL-LNK-008] [HSL-LNK-009]
    """
    pair = Pair().start()
    pair.a.waiting.append(message(Op.Cmp))
    pair.run(40 * TU)
    prots = pair.a.of_type(FlitType.PROT)
    assert [flit.seq for _, flit in prots] == [0]
    assert prots[0][1].ack == ACK_NONE
    assert all(flit.ack == ACK_NONE and flit.seq == 0 for _, flit in pair.a.of_type(FlitType.CTL))
    arrived = prots[0][0]
    assert all((flit.ack == ACK_NONE) == (now <= arrived + 100) for now, flit in pair.b.of_type(FlitType.NOP))
    assert pair.b.got == [message(Op.Cmp)]


def test_hello_every_t_hs_with_one_epoch() -> None:
    """Without an answer HELLO goes out at once and every T_HS, with the same EPOCH [HSL-LNK-001]."""
    pair = Pair()
    pair.a.port.enable(0)
    pair.a.port.pal_up(0, 0)
    pair.run(10 * T_HS)
    hellos = pair.a.ctl(CtlOp.HELLO)
    assert [now for now, _ in hellos] == [n * T_HS for n in range(11)]
    assert len({ctl.epoch for _, ctl in hellos}) == 1
    assert {ctl.seen for _, ctl in hellos} == {False}


def test_hello_waits_for_the_pal() -> None:
    """Enabled without PAL nothing is sent and no timer runs; PAL_UP makes HELLO due."""
    pair = Pair()
    pair.a.port.enable(0)
    assert pair.a.port.next_deadline() is None
    pair.run(T_HS)
    assert pair.a.sent == []
    pair.a.port.pal_up(0, pair.now)
    pair.run(1)
    assert len(pair.a.ctl(CtlOp.HELLO)) == 1


def test_each_ctl_is_repeated_when_it_is_lost() -> None:
    """Bring-up ends ACTIVE although the first two of every CTL of each side are lost."""
    for op in (CtlOp.HELLO, CtlOp.CAPS, CtlOp.INITFC):
        pair = Pair()
        for side, _ in pair.sides:
            side.hook = Faults(is_ctl(op), count=2)
        pair.start().run(10 * T_HS)
        assert pair.a.port.up, op.name
        assert pair.b.port.up, op.name


def test_init_is_left_by_any_flit_of_a_later_state() -> None:
    """INITFC with SEEN lost: a NOP or PROT of the peer ends INIT and is processed [HSL-LNK-042]."""
    pair = Pair()
    pair.a.hook = Faults(lambda data: is_ctl(CtlOp.INITFC)(data) and data[5] == 1, count=99)
    pair.a.waiting.append(message())
    pair.start().run(40 * TU)
    assert pair.b.port.up
    assert pair.b.got == [message()]


def test_negotiates_down_against_a_peer_that_offers_more() -> None:
    """B256, L1, 8 links, unknown features: the result has what both have, and the link comes up.

    [HSL-LNK-005] [HSL-LNK-007]
    """
    pair = Pair(config(1), config(2))
    rich = parse_caps(pair.b.port.config.record()) | {
        "flit_sizes": FlitSize.L64 | FlitSize.B256,
        "power": int(Power.L1),
        "max_links": 8,
        "features": 0xFFFFFFFF,
        "atomics": 0x1F,
        "window": 511,
        "tu_exp": 8,
    }
    pair.b.link.record = layouts.CAPS_RECORD.build(rich)
    pair.up()
    for side, _ in pair.sides:
        result = side.port.result
        assert result is not None
        assert result.flit_size == FlitSize.L64
        assert result.power == 0
        assert result.max_links == 1
        assert result.features == 0
        assert result.atomics == AtomicClass.INT
        assert result.window == 64
        assert result.tu == 256
        assert result.cfg_hash == crc32c(result.record)
    assert pair.a.port.result is not None
    assert pair.b.port.result is not None
    assert pair.a.port.result.record == pair.b.port.result.record
    assert pair.a.port.result.peer_nids == range(16, 32) == pair.b.port.result.nids


def _refused(pair: Pair, code: ErrorCode, side: Side) -> None:
    assert side.state() is LinkState.DEAD
    assert side.errors()[-1] == code
    fatal = [ctl.body["error"] for _, ctl in side.ctl(CtlOp.ERR_FATAL)]
    assert fatal == [code] * CTL_REPEATS
    assert side.ups() == 0


@pytest.mark.parametrize(
    "change",
    [
        {"magic": b"XSL1"},
        {"magic": b"HSLO", "port": 0},  # the first edition, which knows no PORT
        {"min_major": 2, "max_major": 2},
        {"min_major": 1, "min_minor": 1, "max_major": 1, "max_minor": 3},
        {"min_major": 0, "max_major": 0, "max_minor": 9},
    ],
)
def test_no_common_version_or_magic(change: dict[str, Any]) -> None:
    """Another magic, or no common version: DEAD with code 9 and ERR_FATAL three times.

    [HSL-LNK-004] [HSL-LNK-045]
    """
    pair = Pair()
    pair.a.port.enable(0)
    pair.a.port.pal_up(0, 0)
    body = {"magic": b"HSL1", "guid": 2, "links": 1, "min_major": 1, "max_major": 1, "port": 7} | change
    pair.inject(pair.a, ctl_from(pair.b, CtlOp.HELLO, body, epoch=7))
    pair.run(T_HS)
    _refused(pair, ErrorCode.VERSION, pair.a)


@pytest.mark.parametrize("change", [{"link": 1}])
def test_wrong_link_index(change: dict[str, Any]) -> None:
    """A HELLO of another link index: DEAD with code 10."""
    pair = Pair()
    pair.a.port.enable(0)
    pair.a.port.pal_up(0, 0)
    body = {"magic": b"HSL1", "guid": 2, "links": 2, "min_major": 1, "max_major": 1, "port": 7} | change
    pair.inject(pair.a, ctl_from(pair.b, CtlOp.HELLO, body, epoch=7))
    pair.run(T_HS)
    _refused(pair, ErrorCode.CFG, pair.a)


@pytest.mark.parametrize("change", [{"guid": 1}, {"epoch": 0}, {"port": 0}])
def test_own_hello_is_dropped(change: dict[str, Any]) -> None:
    """A HELLO with the own GUID (a loop in the cable), EPOCH 0 or PORT 0 is dropped and counted."""
    pair = Pair()
    pair.a.port.enable(0)
    pair.a.port.pal_up(0, 0)
    body = {"magic": b"HSL1", "guid": 2, "links": 1, "min_major": 1, "max_major": 1, "port": 7} | change
    pair.inject(pair.a, ctl_from(pair.b, CtlOp.HELLO, body, epoch=body.pop("epoch", 7)))
    assert pair.a.state() is LinkState.DETECT
    assert pair.a.link.peer == 0
    assert pair.a.counters.stale == 1


def test_different_cfg_hash() -> None:
    """A peer that computes another result is refused: DEAD with code 10; the peer is told [HSL-LNK-006]."""
    pair = Pair()

    def wrong(data: bytes) -> list[tuple[bytes, bool]]:
        if is_ctl(CtlOp.CAPS)(data) and data[5] == 1:
            link = pair.b.link
            body = {"record": link.record, "cfg_hash": link.result.cfg_hash ^ 1}
            return [(ctl_from(pair.b, CtlOp.CAPS, body, seen=True), False)]
        return [(data, False)]

    pair.b.hook = wrong
    pair.start().run(40 * TU)
    _refused(pair, ErrorCode.CFG, pair.a)
    assert LinkState.DETECT in pair.b.states()[1:]
    assert [event.code for event in pair.b.events if isinstance(event, FatalReceived)] == [ErrorCode.CFG]


def test_initfc_must_stay_the_same() -> None:
    """A second INITFC with other values, before ACTIVE, is a configuration error."""
    pair = Pair()
    pair.b.hook = Faults(always, count=0)
    pair.start()
    pair.run(10**6, until=lambda: pair.a.state() is LinkState.INIT)
    first, second = [32] * 7, [33] * 7
    pair.inject(
        pair.a,
        ctl_from(pair.b, CtlOp.INITFC, {"credits": first}, epoch=pair.a.link.peer, peer=pair.a.link.epoch),
    )
    assert pair.a.state() is LinkState.INIT
    pair.inject(
        pair.a,
        ctl_from(pair.b, CtlOp.INITFC, {"credits": second}, epoch=pair.a.link.peer, peer=pair.a.link.epoch),
    )
    assert pair.a.state() is LinkState.DEAD


def test_credits_of_a_dead_session_do_not_bind_the_next() -> None:
    """INIT is left by a HELLO of a new EPOCH straight into CONFIG; the new peer may advertise other credits.

    By the letter of 3.3.2 (the port's credits are forgotten when all links are DETECT, DISABLED or DEAD)
    the old values would stay and refuse the new ones: no such state is passed on this way.
    """
    pair = Pair()
    pair.start()
    pair.run(10**6, until=lambda: pair.a.state() is LinkState.INIT)
    old = {"epoch": pair.a.link.peer, "peer": pair.a.link.epoch}
    pair.inject(pair.a, ctl_from(pair.b, CtlOp.INITFC, {"credits": [32] * 7}, **old))
    assert pair.a.port.granted is not None
    pair.b.sent.clear()
    pair.b.line.clear()
    pair.a.line.clear()
    pair.b.port = type(pair.b.port)(replace(pair.b.port.config, credits=dict.fromkeys(range(1, 8), 40)))
    pair.b.port.enable(pair.now)
    pair.b.port.pal_up(0, pair.now)
    body = {"magic": b"HSL1", "guid": 2, "links": 1, "min_major": 1, "max_major": 1, "port": 8}
    hello = ctl_from(
        pair.b, CtlOp.HELLO, body, epoch=pair.b.link.epoch, peer=pair.a.link.epoch, seq=0, ack=ACK_NONE
    )
    pair.inject(pair.a, hello)
    assert pair.a.state() is LinkState.CONFIG
    assert pair.a.link.port.granted is None
    pair.b.link.peer, pair.b.link.peer_guid = pair.a.link.epoch, 1
    pair.run(100 * TU)
    assert pair.a.port.up
    assert pair.a.port.granted == (40,) * 7


def test_restart_of_one_side() -> None:
    """A side that comes back with a new EPOCH ends the session of the other, once, and both come up.

    [HSL-LNK-023]
    """
    pair = Pair().up()
    epochs = pair.a.link.epoch, pair.b.link.epoch
    pair.a.waiting.extend(message(txn=n) for n in range(5))
    pair.run(1)
    pair.restart(pair.b)
    pair.run(40 * TU)
    assert pair.a.downs() == ["HELLO_new_other"]
    assert pair.a.port.up
    assert pair.b.port.up
    assert pair.a.link.epoch == epochs[0]  # caused by HELLO: kept [HSL-LNK-002]
    assert pair.b.link.epoch != epochs[1]
    pair.a.waiting.append(message(txn=9))
    pair.settle()
    assert pair.b.got[-1] == message(txn=9)


def test_restart_of_both_sides() -> None:
    """Both sides restart with flits of the old session under way: both come up in a new one."""
    pair = Pair().up()
    pair.a.waiting.extend(message(txn=n) for n in range(20))
    pair.run(200)
    line = list(pair.a.line)
    pair.restart(pair.a)
    pair.restart(pair.b)
    pair.a.line.extend(line)
    pair.run(60 * TU)
    assert pair.a.port.up
    assert pair.b.port.up
    assert pair.b.counters.prot_stray > 0
    assert pair.b.counters.prot_accepted == 0


def test_stale_ctl_is_dropped_whole() -> None:
    """A CTL with another pair is counted and has no effect, not even its ACK [HSL-LNK-036]."""
    pair = Pair().up()
    before = (pair.a.link.tx.base, pair.a.link.rx.naked, pair.a.state())
    changes: list[dict[str, Any]] = [{"epoch": 7}, {"peer": 7}, {"epoch": 0, "peer": 0}]
    for change in changes:
        pair.inject(pair.a, ctl_from(pair.b, CtlOp.DISABLE, ack=5, seq=9, **change))
    assert (pair.a.link.tx.base, pair.a.link.rx.naked, pair.a.state()) == before
    assert pair.a.counters.stale == 3
    assert pair.a.counters.errors[ErrorCode.STALE] == 3


def test_hold_keeps_the_peer_out_until_the_owner_has_finished() -> None:
    """After LINK_DOWN no PEER is taken before link_down_done; then the port comes up again [HSL-LNK-002]."""
    pair = Pair().up()
    pair.a.finishing = False
    pair.restart(pair.b)
    pair.run(100 * TU)
    assert pair.a.state() is LinkState.DETECT
    assert pair.b.state() is LinkState.DETECT
    assert all(ctl.peer == 0 for _, ctl in pair.a.ctl(CtlOp.HELLO)[-3:])
    pair.a.port.link_down_done(pair.now)
    pair.run(100 * TU)
    assert pair.a.port.up
    assert pair.b.port.up
    assert pair.a.ups() == 2


def test_disable_and_enable() -> None:
    """DISABLE goes out three times; the peer goes to DETECT, sends no PROT, and comes up again.

    [HSL-LNK-035]
    """
    pair = Pair().up()
    pair.a.port.disable(pair.now)
    pair.b.waiting.append(message())
    start = pair.now
    pair.run(20 * TU)
    assert pair.a.state() is LinkState.DISABLED
    assert len(pair.a.ctl(CtlOp.DISABLE)) == CTL_REPEATS
    assert pair.a.downs() == ["sw_disable"]
    assert pair.b.downs() == ["DISABLE"]
    assert pair.b.state() is LinkState.DETECT
    assert all(now <= start + 110 for now, _ in pair.b.of_type(FlitType.PROT))
    pair.b.waiting.clear()
    pair.a.port.enable(pair.now)
    pair.run(40 * TU)
    assert pair.a.port.up
    assert pair.b.port.up


def test_farewell_is_dropped_by_a_new_session_and_without_pal() -> None:
    """DISABLE or ERR_FATAL not yet sent are dropped by enable and by PAL_DOWN; HSL 3.2.1."""
    pair = Pair().up()
    pair.a.port.disable(pair.now)
    pair.a.port.enable(pair.now)
    pair.b.port.fatal(ErrorCode.MALFORMED, pair.now)
    pair.b.port.pal_down(0, pair.now)
    pair.b.port.pal_up(0, pair.now)
    pair.run(20 * TU)
    assert pair.a.ctl(CtlOp.DISABLE) == []
    assert pair.b.ctl(CtlOp.ERR_FATAL) == []


def test_nothing_of_a_session_is_left_for_the_next() -> None:
    """Messages that wait or were not fetched when the port goes down are gone when it comes up again."""
    pair = Pair().up()
    pair.inject(pair.a, flit_from(pair.b, FlitType.PROT, payload=encode_message(message(Op.Cmp))))
    pair.a.port.send(message(Op.Cmp))
    for side, _ in pair.sides:
        side.port.down(pair.now)
        side.port.link_down_done(pair.now)
    for _ in range(10):  # without the owner
        for side, other in pair.sides:
            for _, data in list(side.port.transmit(pair.now, lambda _: True)):
                other.port.receive(0, data, pair.now)
    assert pair.a.port.up
    assert pair.a.port.messages() == []
    assert pair.a.port.backlog(Vc.RSP) == 0
    pair.settle()
    assert pair.b.got == []


def test_err_fatal_ends_the_session() -> None:
    """A port-fatal ERR_FATAL and one of a link both lead to DEAD without an answer; the reason is told."""
    for code, cause in ((ErrorCode.MALFORMED, "ERR_FATAL_port"), (ErrorCode.LOST, "ERR_FATAL_link")):
        pair = Pair().up()
        pair.b.port.fatal(code, pair.now)
        pair.run(20 * TU)
        assert pair.b.state() is LinkState.DEAD
        assert len(pair.b.ctl(CtlOp.ERR_FATAL)) == CTL_REPEATS
        assert pair.a.state() is LinkState.DEAD
        assert pair.a.downs() == [cause]
        assert pair.a.ctl(CtlOp.ERR_FATAL) == []
        assert [event.code for event in pair.a.events if isinstance(event, FatalReceived)] == [code]
        prots = len(pair.a.of_type(FlitType.PROT))
        pair.run(100 * TU)
        assert len(pair.a.of_type(FlitType.PROT)) == prots
        with pytest.raises(LinkError):
            pair.a.port.send(message())
        pair.a.port.enable(pair.now)
        pair.b.port.enable(pair.now)
        pair.run(40 * TU)
        assert pair.a.port.up


def test_port_down_makes_the_peer_know() -> None:
    """`down` takes the port to DETECT with a new EPOCH; the peer hears of it by HELLO; HSL 6.2 F4."""
    pair = Pair().up()
    epoch = pair.a.link.epoch
    pair.a.port.down(pair.now)
    pair.run(60 * TU)
    assert pair.a.downs() == ["port_down"]
    assert pair.b.downs() == ["HELLO_new_other"]
    assert pair.a.link.epoch != epoch
    assert pair.a.port.up
    assert pair.b.port.up


def test_silence_in_config_returns_to_detect() -> None:
    """A peer that falls silent in CONFIG or INIT: after T_STATE a new EPOCH and DETECT [HSL-LNK-002]."""
    for op in (CtlOp.CAPS, CtlOp.INITFC):
        pair = Pair()
        pair.b.hook = Faults(is_ctl(op), count=10**6)
        pair.start().run(T_STATE + 40 * TU)
        assert LinkState.DETECT in pair.a.states()[1:], op.name
        assert pair.a.link.epoch > 1000


def test_negotiated_tu_holds_after_config() -> None:
    """The handshake runs with its own TU, the session with the larger of both offers; HSL 3.3.2."""
    pair = Pair(config(1, tu_exp=6, handshake_tu_exp=8), config(2, tu_exp=7, handshake_tu_exp=8))
    pair.a.port.enable(0)
    pair.a.port.pal_up(0, 0)
    pair.run(3 * 16 * 256)
    times = [now for now, _ in pair.a.ctl(CtlOp.HELLO)]
    assert times == [0, 16 * 256, 32 * 256, 48 * 256]
    pair.b.port.enable(pair.now)
    pair.plug()
    pair.run(10**5)
    assert pair.a.port.up
    assert pair.a.link.timers.tu == 128 == pair.b.link.timers.tu


def test_nop_before_active_is_dropped() -> None:
    """NOP and PROT in DETECT and CONFIG are dropped and counted as stray [HSL-LNK-003]."""
    pair = Pair()
    pair.a.port.enable(0)
    pair.a.port.pal_up(0, 0)
    pair.inject(pair.a, flit_from(pair.b, FlitType.NOP))
    pair.inject(pair.a, flit_from(pair.b, FlitType.PROT))
    assert pair.a.state() is LinkState.DETECT
    assert pair.a.counters.prot_stray == 1
    assert pair.a.counters.stale == 2
