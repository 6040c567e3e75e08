"""The action codes of the link table; see the code table below HSL 3.2.3.

All have the same form: the link, the event with what it brought, the time. The result is None, or the state
in which the cell ends at once instead of the one it names (`hsl.link.state`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hsl._generated.constants import (
    N_PM,
    N_RECOV,
    N_REPLAY,
    PM_IDLE_HOLDOFF_TU,
    STORM_LIMIT,
    STORM_WINDOW_TU,
    ErrorCode,
    FlitType,
    LinkState,
)
from hsl.link.classify import ACKING, SEQUENCED, SESSION_STATES, Input
from hsl.link.events import RetrainAsked

if TYPE_CHECKING:
    from hsl.link.link import Link

End = LinkState | None

# What a `c` counts, when it is not STALE ("pair not current, or unexpected CTL"). HSL 3.8.
_DROP_CODE: Final = {"bad": ErrorCode.CRC, "reserved_FT": ErrorCode.RESERVED_FT}
_RN_MASK: Final = 0xFFFF
_TAG_MASK: Final = 0xFF


def drop(link: Link, got: Input, now: int) -> End:
    """`c`: drop, count."""
    code = _DROP_CODE.get(got.event, ErrorCode.STALE)
    link.log(code, got.text or f"{got.event} in {link.state.name}", now, got.data)
    return None


# ------------------------------------------------------------------------------------------------- session


def new_session(link: Link, got: Input, now: int) -> End:
    """`N` [HSL-LNK-002]. HELLO becomes due with the entry into DETECT."""
    if link.state in SESSION_STATES:
        link.port.session_over(got.event, now)
    link.reset()
    link.new_epoch()
    return None


def reset_allowed(link: Link, got: Input, now: int) -> End:
    """`N?`: a link of a port that is up stays DEAD [HSL-BND-013]."""
    return LinkState.DEAD if link.port.bond.alive else None


def drop_session(link: Link, got: Input, now: int) -> End:
    """`D`: as N, but EPOCH is kept and `L` has told."""
    link.reset()
    return None


def take_peer(link: Link, got: Input, now: int) -> End:
    """`V`: PEER.

    Not while the owner has not finished the loss of the last session (HOLD, 6.2 F5), nor beside a session:
    the peer would take its own EPOCH in our HELLO as a sign that the session is over [HSL-LNK-059].
    """
    assert got.ctl is not None
    if link.port.hold or link.port.bond.alive:
        return LinkState.DETECT
    body = got.ctl.body
    link.peer, link.peer_guid = got.ctl.epoch, body["guid"]
    link.peer_links, link.peer_port = body["links"], body["port"]
    link.due["HELLO"] = 0
    return None


def link_down(link: Link, got: Input, now: int) -> End:
    """`L` [HSL-LNK-023]."""
    if link.port.session_over(got.event, now):
        link.port.tell_others(link, "port_down", now)
    return None


def peer_disabled(link: Link, got: Input, now: int) -> End:
    """`L2`: the loss of one link of several; of the last one L, N, >DETECT [HSL-LNK-035]."""
    if link.port.bond.survives(link):
        link.port.bond.lose(link, got.event, now)
        return LinkState.DEAD
    link_down(link, got, now)
    new_session(link, got, now)
    return LinkState.DETECT


def peer_fatal(link: Link, got: Input, now: int) -> End:
    """`L3`."""
    if link.port.session_over(got.event, now):
        link.port.tell_others(link, "port_fatal", now)
    return None


def disable(link: Link, got: Input, now: int) -> End:
    """`Q`."""
    if link.state is not LinkState.DETECT:
        link.send_last("DISABLE", 0)
    link.port.bond.lose(link, got.event, now)
    link.reset_numbers()
    return None


def stop(link: Link, got: Input, now: int) -> End:
    """`X` of rows 4, 5 and 54; rows 13 and the ladders come here through `lost`."""
    if got.event == "bond_drop":
        link.dropped = True
        return _stop(link, got.event, ErrorCode.LOST, now)
    return _stop(link, got.event, got.code, now)


def _stop(link: Link, cause: str, code: ErrorCode | None, now: int) -> End:
    if code is not None:
        link.send_last("ERR_FATAL", code)
    link.port.bond.lose(link, cause, now)
    return None


def stop_alone(link: Link, got: Input, now: int) -> End:
    """`X?`: the peer has begun this link anew, not its port: the loss of one link [HSL-BND-011]."""
    assert got.ctl is not None
    bond = link.port.bond
    if got.ctl.body["port"] != link.peer_port or not bond.holds(link) or not bond.survives(link):
        return None
    _stop(link, got.event, None, now)
    return LinkState.DEAD


def revive(link: Link, got: Input, now: int) -> End:
    """`B?`: the only link of a port is never DEAD by bond loss, so it stays DEAD."""
    return None if link.dropped else LinkState.DEAD


def refuse(link: Link, got: Input, now: int) -> End:
    """`F`: VERSION for magic and version, CFG for all else [HSL-LNK-004] [HSL-LNK-006]."""
    code = got.code or ErrorCode.CFG
    link.log(code, got.text, now, got.data)
    link.send_last("ERR_FATAL", code)
    return None


def lost(link: Link, got: Input, now: int) -> End:
    """`F2`: log, as X."""
    return _lost(link, got.event, ErrorCode.LOST, now)


def _lost(link: Link, cause: str, code: ErrorCode, now: int) -> End:
    link.log(code, f"{cause} in {link.state.name}", now)
    _stop(link, cause, code, now)
    return LinkState.DEAD


def fatal(link: Link, got: Input, now: int) -> End:
    """`E` [HSL-LNK-030] [HSL-LNK-031] [HSL-LNK-034]."""
    assert got.code is not None
    link.log(got.code, got.text, now, got.data)
    if link.state is not LinkState.DEAD:
        link.send_last("ERR_FATAL", got.code)
    link.port.session_over(got.event, now)
    link.port.tell_others(link, "port_fatal", now, got.code)
    return None


# ------------------------------------------------------------------------------------------ bring-up, PAL


def state_ctl_due(link: Link, got: Input, now: int) -> End:
    """`H` [HSL-LNK-001]."""
    link.state_ctl_due()
    if got.event == "PAL_UP":
        link.timers.start("T_HS", now)
    return None


def pal_lost(link: Link, got: Input, now: int) -> End:
    """`S`: the port sends nothing on a link whose PAL is down; T_STATE goes on."""
    link.timers.stop("T_HS")
    return None


def take_caps(link: Link, got: Input, now: int) -> End:
    """`C`."""
    assert got.ctl is not None
    assert got.result is not None
    if link.state is LinkState.DETECT:
        link.enter(LinkState.CONFIG, got.event, now)
    link.peer_record, link.result = got.ctl.body["record"], got.result
    link.form = got.result.form
    link.seen = True
    link.due["CAPS"] = 0
    return None


def take_credits(link: Link, got: Input, now: int) -> End:
    """`I`."""
    assert got.ctl is not None
    link.port.granted = tuple(got.ctl.body["credits"])
    link.seen = True
    link.due["INITFC"] = 0
    return None


def take_credits_if_seen(link: Link, got: Input, now: int) -> End:
    """`I?`."""
    if not link.seen:
        drop(link, got, now)
        return link.state
    link.enter(LinkState.INIT, got.event, now)
    return None


def join(link: Link, got: Input, now: int) -> End:
    """`J`."""
    if not link.seen:
        drop(link, got, now)
        return link.state
    link.enter(LinkState.ACTIVE, got.event, now)
    link.handle(got, now)
    return link.state


# ------------------------------------------------------------------------------------------------ recovery


def retrain_req_due(link: Link, got: Input, now: int) -> End:
    """`T`."""
    link.due["RETRAIN_REQ"] = 0
    return None


def retrain_pal(link: Link, got: Input, now: int) -> End:
    """`Z`."""
    link.port.tell(RetrainAsked(link=link.index, now=now))
    return _storm(link, got, now)


def _storm(link: Link, got: Input, now: int) -> End:
    """STORM: so many in one window, counted from the entry into ACTIVE out of INIT, end the link. HSL 6.3.

    The window counts in TU: a wire with noise damages so many NOPs in a slow TU. [HSL-LNK-054]
    """
    window = (now - link.storm_start) // (STORM_WINDOW_TU * link.timers.tu)
    if window != link.storm_window:
        link.storm_window, link.storm = window, 0
    link.storm += 1
    return _lost(link, got.event, ErrorCode.STORM, now) if link.storm >= STORM_LIMIT else None


def recover(link: Link, got: Input, now: int) -> End:
    """`Y` [HSL-LNK-024] [HSL-LNK-039]."""
    if link.rc == N_RECOV:
        return lost(link, got, now)
    link.rc += 1
    link.counters.recoveries += 1
    link.log(ErrorCode.RETRAIN, f"recovery {link.rc} by {got.event}", now)
    return resync(link, got, now)


def resync(link: Link, got: Input, now: int) -> End:
    """`W`: RESYNC becomes due with the entry into RECOVERY [HSL-LNK-022]."""
    link.rn = (link.rn + 1) & _RN_MASK
    link.rpc = 0
    link.cancel_pm()
    return None


def recovered(link: Link, got: Input, now: int) -> End:
    """`O`; T_REPLAY starts with the entry into ACTIVE, and ACK_NOW is set there."""
    link.tx.restart()
    link.rpc = 0
    if link.rx.naked:
        link.due["NAK"] = 0
    return None


def resync_ack_due(link: Link, got: Input, now: int) -> End:
    """`M` [HSL-LNK-037]."""
    assert got.ctl is not None
    link.due["RESYNC_ACK"] = got.ctl.body["rn"]
    return None


# ------------------------------------------------------------------------------------ go-back-N (HSL 3.4)


def transmit(link: Link, got: Input, now: int) -> End:
    """`U`: what has become due is sent by the transmission that ends the instant."""
    return None


def ack_now(link: Link, got: Input, now: int) -> End:
    """`A` [HSL-LNK-018] [HSL-LNK-025]."""
    link.ack_now = True
    return None


def nak_due(link: Link, got: Input, now: int) -> End:
    """`K` [HSL-LNK-021]."""
    link.due["NAK"] = 0
    return None


def accept(link: Link, got: Input, now: int) -> End:
    """`G`: ACK, then SEQ, then the content. HSL 3.4.2."""
    flit = got.flit
    assert flit is not None
    advanced = link.tx.acknowledge(flit.ack)
    link.progress = bool(advanced)
    link.taken = True
    if advanced is None:
        text = f"ACK {flit.ack}; expected {link.tx.base - 1} to {link.tx.next - 1} modulo 1024"
        link.log(ErrorCode.ACK_RANGE, text, now, got.data)
        if got.ctl is not None and got.ctl.op in ACKING:
            link.taken = False
            return link.state  # the whole flit is dropped
    elif advanced:
        link.progressed(now)
    if flit.ft not in SEQUENCED:
        _see_next(link, flit.seq)
    elif got.event == "PROT_in_sequence":
        link.accepted_prot(now)
        if link.port.take(link, flit, got.data, now):
            return link.state
    elif got.event == "PROT_duplicate":
        link.ack_now = True  # [HSL-LNK-015]
    else:
        link.gap()  # [HSL-LNK-013]
    if flit.ft != FlitType.CTL and link.state is LinkState.ACTIVE and not link.tx.unacked:
        link.rc = 0  # HSL 3.4.3: the link works
    return None


def _see_next(link: Link, seq: int) -> None:
    """SEQ of a NOP or CTL: the number that its sender transmits next [HSL-LNK-014]."""
    if seq == link.rx.exp:
        link.gap_closed()
    elif link.rx.ahead(seq):
        link.gap()


def damaged(link: Link, got: Input, now: int) -> End:
    """`GB` [HSL-LNK-012]."""
    link.log(ErrorCode.CRC, got.text, now, got.data)
    link.gap()
    return None


def damaged_quiet(link: Link, got: Input, now: int) -> End:
    """`GN`."""
    link.log(ErrorCode.CRC, got.text, now, got.data)
    link.rx.naked = True
    return None


def accept_in_l1(link: Link, got: Input, now: int) -> End:
    """`GL` [HSL-LNK-047]."""
    accept(link, got, now)
    if link.rx.naked:
        resync(link, got, now)
        return LinkState.RECOVERY
    return None


def replay_trigger(link: Link, got: Input, now: int) -> End:
    """`R` [HSL-LNK-019] [HSL-LNK-020]."""
    if got.event == "T_REPLAY":
        link.counters.replay_timeouts += 1
        link.log(ErrorCode.REPLAY_TO, f"no ACK of PROT {link.tx.base}", now)
    if link.rpc == N_REPLAY:
        return recover(link, got, now) or LinkState.RECOVERY
    link.rpc += 1
    link.restart(now)
    return None


def nak(link: Link, got: Input, now: int) -> End:
    """`R0` [HSL-LNK-016]."""
    if not link.tx.unacked:
        link.ack_now = True
        return None if link.progress else _storm(link, got, now)
    if not link.progress:
        return replay_trigger(link, got, now)
    link.restart(now)
    return None


def resync_replay(link: Link, got: Input, now: int) -> End:
    """`R1`: T_REPLAY runs on unless `G` has made progress [HSL-LNK-053]."""
    link.tx.restart()
    return None


# ------------------------------------------------------------------------------------- low power (HSL 3.7)


def pm_ask(link: Link, got: Input, now: int) -> End:
    """`P0`."""
    if link.idle and not link.pm_open and now >= link.pm_quiet_until:
        link.tag = (link.tag + 1) & _TAG_MASK
        link.pm_open, link.pm_sends = True, 0
        link.due["PM_REQ"] = link.tag
    return None


def pm_grant(link: Link, got: Input, now: int) -> End:
    """`P1`: the request and idle are checked by the row, that the configuration allows L1 is part of idle."""
    if not link.idle:
        return pm_refuse(link, got, now) or link.state
    link.cancel_pm()
    return pm_again(link, got, now)


def pm_again(link: Link, got: Input, now: int) -> End:
    """`P2`."""
    assert got.ctl is not None
    link.due["PM_ACK"] = got.ctl.body["tag"]
    return None


def pm_refused(link: Link, got: Input, now: int) -> End:
    """`P3`."""
    assert got.ctl is not None
    if link.pm_open and got.ctl.body["tag"] == link.tag:
        link.cancel_pm()
        link.pm_quiet_until = now + PM_IDLE_HOLDOFF_TU * link.timers.tu
    return None


def pm_refuse(link: Link, got: Input, now: int) -> End:
    """`P4` [HSL-LNK-033]."""
    assert got.ctl is not None
    link.due["PM_NAK"] = got.ctl.body["tag"]
    return None


def pm_repeat(link: Link, got: Input, now: int) -> End:
    """`P5`."""
    if link.pm_sends >= N_PM:
        link.cancel_pm()
    else:
        link.due["PM_REQ"] = link.tag
    return None


def pm_enter(link: Link, got: Input, now: int) -> End:
    """`P6`."""
    link.cancel_pm()
    return None


def bond(link: Link, got: Input, now: int) -> End:
    """`BB`: the cell ends where the flit has ended the link."""
    assert got.ctl is not None
    state = link.state
    fault = link.port.bond.receive(link, got.ctl, now)
    if fault is not None:
        link.handle(fault._replace(flit=got.flit, data=got.data), now)
    return None if link.state is state else link.state
