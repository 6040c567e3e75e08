"""Map received flits to events of the link table (HSL 3.2.3): the checks of 3.4.2, then the first row.

Of the rows that match, LINK_PRECEDENCE names the first: 29, 30, 31-34; 35; 38, 36, 37; 41, 39, 40. The
functions below ask in that order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hsl._generated.constants import (
    MAGIC,
    SEQ_HALF,
    SEQ_MODULUS,
    CtlOp,
    ErrorCode,
    FlitType,
    LinkState,
    Severity,
)
from hsl._generated.tables import ERROR_SEVERITY
from hsl.codec.ctl import CTL_BYTES, Ctl, decode_ctl
from hsl.codec.flit import Flit
from hsl.link.config import CapsResult, below_minima, invalid_caps, negotiate
from hsl.link.replay import distance

if TYPE_CHECKING:
    from hsl.link.link import Link

__all__ = ["ACKING", "DEFAULT_TU_STATES", "ENDED_STATES", "SEQUENCED", "SESSION_STATES", "Input", "classify"]

# Where SEQ, ACK and VIRAL mean something and PROT is accepted. HSL 3.2.2.
SESSION_STATES: Final = frozenset({LinkState.ACTIVE, LinkState.RECOVERY, LinkState.L1})
# Where no session is or begins: entry cancels what is due. HSL 3.2.1.
ENDED_STATES: Final = frozenset({LinkState.DISABLED, LinkState.DETECT, LinkState.DEAD})
# Where the TU of the handshake is in force, not the negotiated one. HSL 3.3.2.
DEFAULT_TU_STATES: Final = ENDED_STATES | {LinkState.CONFIG}
SEQUENCED: Final = frozenset({FlitType.PROT, FlitType.PROT_S})
# CTL whose body repeats EXP = ACK + 1; one with a bad ACK is dropped whole. HSL 3.3.1, 3.4.2.
ACKING: Final = frozenset({CtlOp.NAK, CtlOp.RESYNC, CtlOp.RESYNC_ACK})
_DEAF: Final = frozenset({LinkState.DISABLED, LinkState.DEAD})


class Input(NamedTuple):
    """One event of the table and what it brought. `code` and `text` say what is wrong, if anything is."""

    event: str
    flit: Flit | None = None
    ctl: Ctl | None = None
    code: ErrorCode | None = None
    text: str = ""
    result: CapsResult | None = None
    data: bytes = b""


def classify(link: Link, flit: Flit, data: bytes) -> Input:
    """The event that a flit with good CRC is; `event` is "" for one that its own body makes void (code 4)."""
    if flit.ft in SEQUENCED:
        ahead = distance(flit.seq, link.rx.exp)
        event = "PROT_in_sequence" if ahead == 0 else "PROT_ahead" if ahead < SEQ_HALF else "PROT_duplicate"
        return Input(event, flit, data=data)
    if flit.ft == FlitType.NOP:
        return Input("NOP", flit, data=data)
    if flit.ft == FlitType.CTL:
        return _ctl(link, flit)._replace(flit=flit, data=data)
    text = f"reserved flit type {flit.ft}"
    return Input("reserved_FT", flit, code=ErrorCode.RESERVED_FT, text=text, data=data)


def _ctl(link: Link, flit: Flit) -> Input:
    ctl = decode_ctl(flit.payload[:CTL_BYTES])
    if ctl.op == CtlOp.HELLO:
        return _hello(link, ctl)._replace(ctl=ctl)
    if not link.peer or (ctl.epoch, ctl.peer) != (link.peer, link.epoch):  # HSL 3.2.1 [HSL-LNK-036]
        pair = f"{ctl.epoch:#x}, {ctl.peer:#x}"
        text = f"CTL {ctl.op:#04x} of pair {pair}; current is {link.peer:#x}, {link.epoch:#x}"
        return Input("CTL_stale", ctl=ctl, text=text)
    if ctl.op in ACKING and ctl.body["exp"] != (flit.ack + 1) % SEQ_MODULUS and link.state not in _DEAF:
        text = f"EXP {ctl.body['exp']} in {CtlOp(ctl.op).name} with ACK {flit.ack}; expected ACK + 1"
        return Input("", ctl=ctl, code=ErrorCode.ACK_RANGE, text=text)
    return _CTL.get(ctl.op, _unknown)(link, flit, ctl)._replace(ctl=ctl)


def _hello(link: Link, ctl: Ctl) -> Input:
    """Rows 29 to 34."""
    body = ctl.body
    no_port = body["magic"] == MAGIC and not body["port"]  # a first edition has none: row 30 refuses it
    if body["guid"] == link.config.guid or ctl.epoch == 0 or no_port:
        return Input("HELLO_own_or_zero", text="HELLO with the own GUID, EPOCH 0 or PORT 0")
    if wrong := _mismatch(link, body):
        code, text = wrong
        return Input("HELLO_mismatch", code=code, text=text)
    epoch = "known" if ctl.epoch == link.peer else "new"
    peer = "self" if ctl.peer == link.epoch else "other"
    return Input(f"HELLO_{epoch}_{peer}", text="HELLO that is not expected here")


def _mismatch(link: Link, body: dict[str, Any]) -> tuple[ErrorCode, str] | None:
    """Row 30 [HSL-LNK-004]."""
    if body["magic"] != MAGIC:
        return ErrorCode.VERSION, f"magic {body['magic']!r}; expected {MAGIC!r}"
    low, high = (body["min_major"], body["min_minor"]), (body["max_major"], body["max_minor"])
    own_low, own_high = link.config.min_version, link.config.max_version
    if min(high, own_high) < max(low, own_low):
        return (
            ErrorCode.VERSION,
            f"the peer speaks versions {low} to {high}, this side {own_low} to {own_high}",
        )
    if body["link"] != link.index:
        return ErrorCode.CFG, f"link {body['link']} of the peer is connected to link {link.index}"
    if any(other.peer_guid not in (None, body["guid"]) for other in link.port.links if other is not link):
        return ErrorCode.CFG, f"GUID {body['guid']:#x} is not that of the port's other links"
    return None


def _caps(link: Link, flit: Flit, ctl: Ctl) -> Input:
    """Rows 38, 36, 37."""
    record = ctl.body["record"]
    result = negotiate(link.record, link.config.guid, record, link.peer_guid or 0)
    text = invalid_caps(record, result, link.config.tu_limit)
    if not text and any(
        other.peer_record not in (b"", record) for other in link.port.links if other is not link
    ):
        text = "its record is not that of the port's other links"
    if not text and ctl.seen and ctl.body["cfg_hash"] != result.cfg_hash:  # [HSL-LNK-006]
        text = f"CFG_HASH is {ctl.body['cfg_hash']:#010x}; this side computes {result.cfg_hash:#010x}"
    if text:
        return Input("CAPS_invalid", code=ErrorCode.CFG, text=f"CAPS of the peer: {text}")
    return Input("CAPS_seen" if ctl.seen else "CAPS_unseen", result=result)


def _initfc(link: Link, flit: Flit, ctl: Ctl) -> Input:
    """Rows 41, 39, 40.

    What needs the peer's CAPS (its roles, the common mask) is not checked before they have come.
    """
    values = tuple(ctl.body["credits"])
    roles, mask = (0, link.config.vc_mask)
    if link.result is not None and link.peer_record:
        roles, mask = link.result.peer_roles, link.result.vc_mask
    legal = not below_minima(values, roles, mask)
    if not legal or link.port.granted not in (None, values):
        return Input("INITFC_invalid", code=ErrorCode.CFG, text=f"INITFC of the peer: credits {values}")
    return Input("INITFC_seen" if ctl.seen else "INITFC_unseen")


def _pm_req(link: Link, flit: Flit, ctl: Ctl) -> Input:
    return Input("PM_REQ_idle" if link.idle_after(flit) else "PM_REQ_busy")


def _pm_ack(link: Link, flit: Flit, ctl: Ctl) -> Input:
    open_request = link.pm_open and ctl.body["tag"] == link.tag
    return Input("PM_ACK_open" if open_request and link.idle_after(flit) else "PM_ACK_other")


def _resync_ack(link: Link, flit: Flit, ctl: Ctl) -> Input:
    return Input("RESYNC_ACK_own" if ctl.body["rn"] == link.rn else "RESYNC_ACK_other")  # [HSL-LNK-038]


def _err_fatal(link: Link, flit: Flit, ctl: Ctl) -> Input:
    of_port = ERROR_SEVERITY.get(ctl.body["error"]) == Severity.port_fatal
    return Input("ERR_FATAL_port" if of_port else "ERR_FATAL_link")


def _bond(link: Link, flit: Flit, ctl: Ctl) -> Input:
    return Input("BOND_bonded" if link.bond_width > 1 else "BOND_single", text="BOND on a port of one link")


def _unknown(link: Link, flit: Flit, ctl: Ctl) -> Input:
    return Input("CTL_unknown", text=f"unknown CTL_OP {ctl.op:#04x}")  # [HSL-LNK-007]


_CTL: Final[dict[int, Callable[[Link, Flit, Ctl], Input]]] = {
    CtlOp.CAPS: _caps,
    CtlOp.INITFC: _initfc,
    CtlOp.NAK: lambda link, flit, ctl: Input("NAK"),
    CtlOp.PM_REQ: _pm_req,
    CtlOp.PM_ACK: _pm_ack,
    CtlOp.PM_NAK: lambda link, flit, ctl: Input("PM_NAK"),
    CtlOp.RETRAIN_REQ: lambda link, flit, ctl: Input("RETRAIN_REQ"),
    CtlOp.RESYNC: lambda link, flit, ctl: Input("RESYNC"),
    CtlOp.RESYNC_ACK: _resync_ack,
    CtlOp.DISABLE: lambda link, flit, ctl: Input("DISABLE"),
    CtlOp.ERR_FATAL: _err_fatal,
    CtlOp.BOND_FAIL: _bond,
    CtlOp.BOND_RESUME: _bond,
    CtlOp.BOND_RESUME_ACK: _bond,
}
