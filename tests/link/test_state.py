"""Every cell of the link table: 57 events in 8 states (HSL 3.2.3) [HSL-LNK-042]."""

from __future__ import annotations

from typing import Any

import pytest

from hsl._generated.constants import ACK_NONE, CtlOp, ErrorCode, FlitType, LinkState, Op
from hsl._generated.tables import LINK_ACTIONS, LINK_PRECEDENCE, LINK_ROWS, Cell, LinkRow
from hsl.codec.ctl import Ctl, encode_ctl
from hsl.codec.flit import Flit
from hsl.codec.reference import decode_flit, encode_flit
from hsl.link import actions
from hsl.link.classify import Input, classify
from hsl.link.config import negotiate
from hsl.link.link import Link
from tests.link.pair import TU, Pair, config, damage, message

ROWS = {row.event: row for row in LINK_ROWS}
HANDSHAKE = (LinkState.CONFIG, LinkState.INIT)
# Rows that no received flit can be on a port of one link that has not negotiated L1.
UNREACHABLE = {"merge_fatal", "PM_REQ_idle", "PM_ACK_open", "BOND_bonded"}
PEER_EPOCH = 2000  # of pair.b

# Where a cell leads elsewhere than its `>` on a port of one link, and why.
ELSEWHERE: dict[tuple[str, LinkState], LinkState] = {
    ("port_down", LinkState.DEAD): LinkState.DEAD,  # B?: not DEAD by bond loss
    ("PM_REQ_idle", LinkState.ACTIVE): LinkState.ACTIVE,  # P1: L1 is not negotiated, P4, stay
    ("DISABLE", LinkState.ACTIVE): LinkState.DETECT,  # L2 of the last link: L, N, >DETECT
    ("DISABLE", LinkState.RECOVERY): LinkState.DETECT,
    ("DISABLE", LinkState.L1): LinkState.DETECT,
    # V with HOLD = 1, which L has set: `>CONFIG` of row 34 is `>DETECT`
    ("HELLO_new_self", LinkState.ACTIVE): LinkState.DETECT,
    ("HELLO_new_self", LinkState.RECOVERY): LinkState.DETECT,
    ("HELLO_new_self", LinkState.L1): LinkState.DETECT,
}


NO_MEM = 0xBE  # a VC mask: credits of MEM are invalid also before the peer's CAPS has come
CREDITS = [32, 32, 32, 32, 32, 0, 32]


def in_state(state: LinkState, seen: bool = False) -> Pair:
    """A pair whose `a` is in `state`.

    What `b` sent on the way there is gone. `seen` is that of CONFIG and INIT.
    """
    pair = Pair(config(1, vc_mask=NO_MEM))
    if state is LinkState.DISABLED:
        pair.a.port.pal_up(0, 0)
        return pair
    if state is LinkState.DETECT:
        pair.a.port.enable(0)
        pair.a.port.pal_up(0, 0)
        pair.a.link.peer, pair.a.link.peer_guid = PEER_EPOCH, 2
    elif state in HANDSHAKE:
        pair.start()
        assert pair.run(10**5, until=lambda: pair.a.state() is state)
        assert pair.a.link.seen is False
        if seen:
            give(pair, "CAPS_unseen" if state is LinkState.CONFIG else "INITFC_unseen")
            assert pair.a.link.seen is True
    else:
        pair.up()
        if state is LinkState.RECOVERY:
            pair.a.port.retrain(pair.now)
        elif state is LinkState.L1:
            pair.a.link.enter(LinkState.L1, "test", pair.now)
        elif state is LinkState.DEAD:
            pair.a.port.fatal(ErrorCode.MALFORMED, pair.now)
            pair.a.port.link_down_done(pair.now)
    pair.a.line.clear()
    pair.b.line.clear()
    assert pair.a.state() is state
    return pair


def ctl(link: Link, op: int, body: dict[str, Any] | None = None, **changes: Any) -> bytes:
    """A CTL of the peer of `link`: the current pair, next numbers."""
    head: dict[str, Any] = {"seen": False, "epoch": link.peer, "peer": link.epoch}
    head.update({name: changes.pop(name) for name in tuple(changes) if name in head})
    ack = (link.tx.next - 1) % 1024
    payload = encode_ctl(Ctl(op, body=body or {}, **head))
    return encode_flit(Flit("L64", FlitType.CTL, 0, link.rx.exp, ack, payload=payload)._replace(**changes))


def hello(link: Link, **changes: Any) -> bytes:
    names = {"magic": b"HSL1", "guid": 2, "links": 1, "min_major": 1, "max_major": 1, "port": 7}
    body = names | {name: changes.pop(name) for name in tuple(changes) if name in names}
    return ctl(link, CtlOp.HELLO, body, seq=0, ack=ACK_NONE, **changes)


def prot(link: Link, ahead: int) -> bytes:
    ack = (link.tx.next - 1) % 1024
    return encode_flit(Flit("L64", FlitType.PROT, 0, (link.rx.exp + ahead) % 1024, ack))


def caps(link: Link, seen: bool, flip: int = 0) -> bytes:
    record = config(2).record()
    cfg_hash = negotiate(link.record, 1, record, 2).cfg_hash ^ flip if seen else 0
    return ctl(link, CtlOp.CAPS, {"record": record, "cfg_hash": cfg_hash}, seen=seen)


def acking(link: Link, op: CtlOp, **body: int) -> bytes:
    return ctl(link, op, {"exp": link.tx.next, **body})


# A received flit for each row: what makes it, from the link that gets it.
FLITS: dict[str, Any] = {
    "bad": lambda link: damage(prot(link, 0)),
    "reserved_FT": lambda link: encode_flit(Flit("L64", 6)),
    "NOP": lambda link: encode_flit(Flit("L64", FlitType.NOP, 0, link.rx.exp, (link.tx.next - 1) % 1024)),
    "PROT_duplicate": lambda link: prot(link, -1),
    "PROT_in_sequence": lambda link: prot(link, 0),
    "PROT_ahead": lambda link: prot(link, 3),
    "HELLO_own_or_zero": lambda link: hello(link, guid=1),
    "HELLO_mismatch": lambda link: hello(link, magic=b"XXXX", epoch=5),
    "HELLO_known_other": lambda link: hello(link, peer=99),
    "HELLO_known_self": lambda link: hello(link),
    "HELLO_new_other": lambda link: hello(link, epoch=5, peer=99),
    "HELLO_new_self": lambda link: hello(link, epoch=5),
    "CTL_stale": lambda link: ctl(link, CtlOp.NAK, epoch=5),
    "CAPS_unseen": lambda link: caps(link, seen=False),
    "CAPS_seen": lambda link: caps(link, seen=True),
    "CAPS_invalid": lambda link: caps(link, seen=True, flip=1),
    "INITFC_unseen": lambda link: ctl(link, CtlOp.INITFC, {"credits": CREDITS}),
    "INITFC_seen": lambda link: ctl(link, CtlOp.INITFC, {"credits": CREDITS}, seen=True),
    "INITFC_invalid": lambda link: ctl(link, CtlOp.INITFC, {"credits": [32] * 7}),
    "NAK": lambda link: acking(link, CtlOp.NAK),
    "PM_REQ_busy": lambda link: ctl(link, CtlOp.PM_REQ, {"level": 1, "tag": 3}),
    "PM_ACK_other": lambda link: ctl(link, CtlOp.PM_ACK, {"level": 1, "tag": 3}),
    "PM_NAK": lambda link: ctl(link, CtlOp.PM_NAK, {"level": 1, "tag": 3}),
    "RETRAIN_REQ": lambda link: ctl(link, CtlOp.RETRAIN_REQ),
    "RESYNC": lambda link: acking(link, CtlOp.RESYNC, rn=7),
    "RESYNC_ACK_own": lambda link: acking(link, CtlOp.RESYNC_ACK, rn=link.rn),
    "RESYNC_ACK_other": lambda link: acking(link, CtlOp.RESYNC_ACK, rn=link.rn + 1),
    "DISABLE": lambda link: ctl(link, CtlOp.DISABLE),
    "ERR_FATAL_port": lambda link: ctl(link, CtlOp.ERR_FATAL, {"error": ErrorCode.SOM}),
    "ERR_FATAL_link": lambda link: ctl(link, CtlOp.ERR_FATAL, {"error": 999}),
    "BOND_single": lambda link: ctl(link, CtlOp.BOND_RESUME, {"mask": 1}),
    "CTL_unknown": lambda link: ctl(link, 0x23),
}


def give(pair: Pair, event: str) -> None:
    pair.inject(pair.a, FLITS[event](pair.a.link))


def made_up(link: Link, event: str) -> Input:
    """An Input of any event, for cells that no received flit reaches in this state."""
    if event == "merge_fatal":
        return Input(event, code=ErrorCode.MALFORMED, text="made up")
    if event in ("PM_REQ_idle", "PM_ACK_open"):
        data = FLITS["PM_REQ_busy"](link)
    elif event == "BOND_bonded":
        data = FLITS["BOND_single"](link)
    elif event in FLITS:
        data = FLITS[event](link)
    else:
        return Input(event, code=ErrorCode.MALFORMED if event == "port_fatal" else None)
    if event == "bad":
        return Input(event, code=ErrorCode.CRC, data=data)
    link.peer = link.peer or PEER_EPOCH
    got = classify(link, decode_flit(data, "L64"), data)
    return got._replace(event=event)


def cell_of(event: str, state: LinkState) -> Cell:
    return ROWS[event].cells[state]


def expected(event: str, state: LinkState, seen: bool) -> LinkState:
    """The next state that the table gives."""
    cell = cell_of(event, state)
    if cell.actions[:1] == ("J",):
        return expected(event, LinkState.ACTIVE, seen) if seen else state
    if cell.actions[:1] == ("I?",) and not seen:
        return state
    return ELSEWHERE.get((event, state), state if cell.next is None else cell.next)


def snapshot(link: Link) -> tuple[Any, ...]:
    return (
        *(
            getattr(link, name)
            for name in ("state", "epoch", "peer", "seen", "rn", "rpc", "rc", "ack_now", "ack_due")
        ),
        (link.tx.base, link.tx.rp, link.tx.next, link.rx.exp, link.rx.naked),
        dict(link.due),
        list(link.urgent),
        dict(link.timers.running),
        dict(link.counters.errors),
        link.port.up,
        link.port.hold,
    )


CELLS = [
    (row, state, seen)
    for row in LINK_ROWS
    for state in LinkState
    for seen in (False, True)
    if not seen or state in HANDSHAKE
]


@pytest.mark.parametrize(
    ("row", "state", "seen"), CELLS, ids=[f"{r.number}-{s.name}-{int(n)}" for r, s, n in CELLS]
)
def test_cell(row: LinkRow, state: LinkState, seen: bool) -> None:
    """Each event in each state leads where the table says.

    `i` and `-` change nothing, `c` counts and changes nothing.
    """
    pair = in_state(state, seen)
    link: Link = pair.a.link
    before = snapshot(link)
    cell = row.cells[state]
    link.handle(made_up(link, row.event), pair.now)
    assert link.coverage[row.event, state] >= 1
    assert link.state is expected(row.event, state, seen)
    if cell.actions in (("i",), ("-",)):
        assert snapshot(link)[3:] == before[3:]
    dropped = cell.actions == ("c",) or (
        cell.actions[0] in ("J", "I?") and not seen if cell.actions else False
    )
    if dropped:
        after = snapshot(link)
        assert after[3:-3] == before[3:-3]
        assert sum(link.counters.errors.values()) == sum(before[-3].values()) + 1
    pair.run(100)  # what became due can be sent, and the owner can be told


@pytest.mark.parametrize("event", sorted(FLITS))
def test_received_flits_are_the_events_of_their_rows(event: str) -> None:
    """In each state but DISABLED the flit of a row arrives as that event, by the precedence of 3.2.3."""
    for state in LinkState:
        if state is LinkState.DISABLED:
            continue  # there is no pair yet
        for seen in (False, True) if state in HANDSHAKE else (False,):
            pair = in_state(state, seen)
            count = pair.a.link.coverage[event, state]
            give(pair, event)
            assert pair.a.link.coverage[event, state] == count + 1, state.name
            assert pair.a.state() is expected(event, state, seen)


def test_all_events_are_tried() -> None:
    """The events above are those of the table: none is missing, none is made up."""
    received = {row.event for row in LINK_ROWS if row.group in ("flit", "hello", "ctl")}
    assert set(FLITS) == received - UNREACHABLE


def test_precedence() -> None:
    """The functions that classify ask in the order that the generated LINK_PRECEDENCE has."""
    asked = [
        "HELLO_own_or_zero",
        "HELLO_mismatch",
        "HELLO_known_other",
        "HELLO_known_self",
        "HELLO_new_other",
        "HELLO_new_self",
        "CTL_stale",
        "CAPS_invalid",
        "CAPS_unseen",
        "CAPS_seen",
        "INITFC_invalid",
        "INITFC_unseen",
        "INITFC_seen",
    ]
    assert tuple(ROWS[event].number for event in asked) == LINK_PRECEDENCE


def test_every_action_code_has_a_function() -> None:
    """Each code of LINK_ACTIONS is a function of hsl.link.actions with a docstring that names the code."""
    for code, name in LINK_ACTIONS.items():
        assert f"`{code}`" in (getattr(actions, name).__doc__ or ""), code


def test_own_guid_wins_over_bad_magic() -> None:
    """Row 29 goes before row 30: a HELLO with the own GUID and bad magic is dropped, not fatal."""
    pair = in_state(LinkState.DETECT)
    pair.inject(pair.a, hello(pair.a.link, guid=1, magic=b"XXXX"))
    assert pair.a.state() is LinkState.DETECT


def test_stale_wins_over_invalid() -> None:
    """Row 35 goes before row 38: an invalid CAPS of another pair is dropped."""
    pair = in_state(LinkState.CONFIG)
    pair.inject(pair.a, ctl(pair.a.link, CtlOp.CAPS, {"record": bytes(40)}, epoch=5))
    assert pair.a.state() is LinkState.CONFIG


def test_low_power_is_refused() -> None:
    """L1 is not negotiated: PM_REQ is answered by PM_NAK with its TAG, and pm_idle asks for nothing.

    [HSL-LNK-033]
    """
    pair = in_state(LinkState.ACTIVE)
    pair.a.port.pm_idle(pair.now)
    give(pair, "PM_REQ_busy")
    pair.run(1)
    answers = pair.a.ctl(CtlOp.PM_NAK)
    assert [(ctl.body["level"], ctl.body["tag"]) for _, ctl in answers] == [(1, 3)]
    assert pair.a.ctl(CtlOp.PM_REQ) == pair.a.ctl(CtlOp.PM_ACK) == []
    assert pair.a.state() is LinkState.ACTIVE


def test_bond_flits_are_dropped() -> None:
    """On a port of one link BOND flits are dropped and counted (row 56)."""
    pair = in_state(LinkState.ACTIVE)
    for op in (CtlOp.BOND_FAIL, CtlOp.BOND_RESUME, CtlOp.BOND_RESUME_ACK):
        pair.inject(pair.a, ctl(pair.a.link, op, {"mask": 1}))
    assert pair.a.counters.stale == 3
    assert not pair.a.link.due


@pytest.mark.parametrize("op", [0x00, 0x23, 0x53, 0xFF])
def test_unknown_ctl_is_ignored_and_counted(op: int) -> None:
    """An unknown CTL_OP, 0x23 too, has no effect in ACTIVE but that of its ACK and SEQ [HSL-LNK-007]."""
    pair = in_state(LinkState.ACTIVE)
    pair.a.waiting.append(message(Op.NcWrite))
    pair.run(1)
    pair.inject(pair.a, ctl(pair.a.link, op, seq=1))
    assert pair.a.link.tx.unacked == 0
    assert pair.a.link.rx.naked
    assert pair.a.counters.stale == 1
    assert pair.a.state() is LinkState.ACTIVE


def test_recovery_as_a_last_resort() -> None:
    """Each code Y, with RC at its limit, ends in DEAD where its cell says RECOVERY [HSL-LNK-024]."""
    for event in ("sw_retrain", "PAL_DOWN", "PAL_RETRAIN", "T_DEADKA", "RETRAIN_REQ"):
        pair = in_state(LinkState.ACTIVE)
        pair.a.link.rc = 3
        pair.a.link.handle(made_up(pair.a.link, event), pair.now)
        assert pair.a.state() is LinkState.DEAD, event
        assert pair.a.port.hold


def test_viral_is_told_once_and_kept() -> None:
    """VIRAL in a good flit of the session is logged before its content, and kept until the next DETECT.

    HSL 2.3.
    """
    pair = in_state(LinkState.ACTIVE)
    nop = decode_flit(FLITS["NOP"](pair.a.link), "L64")
    stale = decode_flit(FLITS["CTL_stale"](pair.a.link), "L64")
    pair.inject(pair.a, encode_flit(stale._replace(viral=1)))
    assert pair.a.counters.errors[ErrorCode.VIRAL] == 0
    kept = []
    for _ in range(2):
        pair.inject(pair.a, encode_flit(nop._replace(viral=1)))
        kept.append(pair.a.port.peer_viral)
    assert pair.a.counters.errors[ErrorCode.VIRAL] == 1
    pair.a.port.down(pair.now)
    assert [*kept, pair.a.port.peer_viral] == [True, True, False]
    pair.run(100 * TU)
    assert pair.a.port.up


def test_own_viral_is_in_every_flit() -> None:
    """With own VIRAL set every flit carries it, replayed ones too; HSL 2.3, 3.4.2."""
    pair = in_state(LinkState.ACTIVE)
    pair.a.port.viral = True
    start = len(pair.a.sent)
    pair.run(200 * TU)
    sent = [decode_flit(data, "L64") for _, data in pair.a.sent[start:]]
    assert sent
    assert all(flit.viral for flit in sent)
    assert pair.b.port.peer_viral
