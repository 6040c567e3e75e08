"""One link: the data link layer of HSL chapter 3, without the port's credits and queues.

A frame becomes an event of the link table (`classify`) and runs its cell (`state`, `actions`). What goes out
is the first item of TRANSMIT_ORDER that is due when the PAL can take a flit. Time is an argument.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from hsl._generated.constants import (
    CTL_REPEATS,
    MAGIC,
    TIMERS,
    CtlOp,
    ErrorCode,
    FlitType,
    LinkState,
    Power,
    Severity,
)
from hsl._generated.tables import ERROR_SEVERITY, TRANSMIT_ORDER
from hsl.codec.ctl import Ctl, encode_ctl
from hsl.codec.flit import FORMATS, Flit
from hsl.errors import CodecError
from hsl.link.classify import (
    DEFAULT_TU_STATES,
    ENDED_STATES,
    SEQUENCED,
    SESSION_STATES,
    Input,
    classify,
)
from hsl.link.config import CapsResult, PortConfig
from hsl.link.events import ErrorLogged, FatalReceived, LinkCounters, StateChanged
from hsl.link.replay import ReplayReceiver, ReplaySender, distance
from hsl.link.state import dispatch
from hsl.link.timers import TimerSet

if TYPE_CHECKING:
    from hsl.link.port import Port

__all__ = ["Link"]

_FORMAT_OF_SIZE: Final = {form.bytes: form.name for form in FORMATS.values()}
_COMMON: Final = "L64"  # of every state but ACTIVE, ERR_FATAL and DISABLE. HSL 3.2.1 "Sizes"
_STATE_CTL: Final = {
    next(iter(item.states)): item.item
    for item in TRANSMIT_ORDER
    if item.item in ("HELLO", "CAPS", "INITFC", "RESYNC")
}
_HAND: Final = frozenset({LinkState.CONFIG, LinkState.INIT})  # states with SEEN and T_STATE
_PROT_COUNTER: Final = {
    "PROT_in_sequence": "prot_accepted",
    "PROT_duplicate": "prot_duplicate",
    "PROT_ahead": "prot_gap",
}
_PM_LEVEL: Final = int(Power.L1)
_LOG_BYTES: Final = 32  # of a flit in the error log. HSL 6.5


class Link:
    """The variables of HSL 3.2.1 and 3.4.1, the receiver and the transmitter of link `index` of `port`."""

    def __init__(self, port: Port, index: int, config: PortConfig) -> None:
        self.port = port
        self.index = index
        self.config = config
        self.codec = port.codec
        self.record = config.record()
        self.state = LinkState.DISABLED
        self.pal = False
        self.epoch = 0
        self.timers = TimerSet()
        self.counters = LinkCounters()
        self.coverage: Counter[tuple[str, LinkState]] = Counter()
        self.result: CapsResult | None = None  # of the present or the last session
        self.urgent: deque[bytes] = deque()  # ERR_FATAL or DISABLE, CTL_REPEATS times: rank 1 of 3.3.3
        self.due: dict[str, int] = {}  # item of TRANSMIT_ORDER -> RN or TAG that it answers; one slot each
        # EPOCH was chosen after the last LINK_DOWN (6.2 F4); the flit under way is not dropped (3.1).
        self.new_since_loss = self.taken = False
        self.reset()

    def reset(self) -> None:
        """All of 3.2.1 but EPOCH, codes N and D."""
        self.peer = 0
        self.peer_guid: int | None = None
        self.peer_port = 0  # PORT of the peer, as its HELLO says
        self.peer_links = 1  # of the peer's port, as its HELLO says
        self.lease_until: int | None = None  # of copies, since L1 was entered: T_STATE, in ns. HSL 3.7.5
        self.dropped = False  # DEAD by bond loss, or not in the bond: row 3 brings it back. HSL 4.1, 4.6
        self.seen = False
        self.rn = 0
        self.storm = self.storm_start = self.storm_window = 0
        self.viral_seen = False
        self.due.clear()  # row 34 leads from ACTIVE to CONFIG, and passes no state that ends a session
        self.urgent.clear()
        self._forget_peer()
        self.reset_numbers()

    def _forget_peer(self) -> None:
        """Forget the contents of the peer's CAPS and INITFC."""
        self.peer_record = b""
        self.form = _COMMON  # of PROT, and of all that ACTIVE sends: the negotiated one once CAPS has come
        self.port.forget(self)

    def reset_numbers(self) -> None:
        """Buffers, numbers, flags and counters of go-back-N and low power."""
        self.tx = ReplaySender()
        self.rx = ReplayReceiver()
        self.ack_due = self.ack_now = self.progress = False
        self.accepted = 0  # PROT accepted since the last flit sent. HSL 3.1 N_ACK
        self.rpc = self.rc = 0
        self.pm_open = False
        self.pm_sends = self.pm_quiet_until = self.tag = 0

    def new_epoch(self) -> None:
        """Take a new EPOCH. HSL 3.2.1."""
        self.epoch = self.config.incarnation(self.epoch)
        self.new_since_loss = True

    # ---------------------------------------------------------------------------------------------- states

    def handle(self, got: Input, now: int) -> None:
        """Run the cell of an event of the link table."""
        dispatch(self, got, now)

    def enter(self, state: LinkState, cause: str, now: int) -> None:
        """Go to `state`: timers stop and start, what is due changes. HSL 3.1, 3.2.1, 3.2.2."""
        old, self.state = self.state, state
        self.port.tell(StateChanged(link=self.index, old=old, new=state, cause=cause, now=now))
        self.timers.stop_all()
        for item in _STATE_CTL.values():
            self.due.pop(item, None)
        if old is LinkState.ACTIVE:
            self.due.pop("NAK", None)
        if state in ENDED_STATES:
            self.due.clear()
            self.viral_seen = self.viral_seen and state is not LinkState.DETECT
            self._forget_peer()
            self.port.bond.left(self)
        self.timers.scale(*self.exponents)
        if state is LinkState.ACTIVE:
            self._activate(old, now)
            return
        if state is LinkState.L1:
            self.lease_until = now + TIMERS["T_STATE"].tu * self.timers.slow
        if state in _HAND:
            self.seen = False
        if state in _HAND or state is LinkState.RECOVERY:
            self.timers.start("T_STATE", now)
        if state in _STATE_CTL and self.pal:
            self.state_ctl_due()
            self.timers.start("T_HS", now)

    @property
    def exponents(self) -> tuple[int, int]:
        """The exponents of both units in force: until CONFIG is left each side uses its own. HSL 3.1."""
        if self.result is None or self.state in DEFAULT_TU_STATES:
            return self.config.handshake_tu, self.config.handshake_slow
        return self.result.exponents

    def _activate(self, old: LinkState, now: int) -> None:
        self.ack_now = True
        self.lease_until = None
        self.timers.start("T_KA", now)
        self.timers.start("T_DEADKA", now)
        if self.tx.unacked:
            self.timers.start("T_REPLAY", now)
        if old is LinkState.INIT:
            self.storm = self.storm_window = 0
            self.storm_start = now
        self.port.bond.joined(self, now)

    def state_ctl_due(self) -> None:
        """The CTL of the state is due."""
        self.due[_STATE_CTL[self.state]] = 0

    def set_pal(self, up: bool, now: int) -> None:
        """PAL_UP or PAL_DOWN; rank 1 is discarded while the PAL is down. HSL 3.2.1."""
        self.pal = up
        if not up:
            self.urgent.clear()
        self.handle(Input("PAL_UP" if up else "PAL_DOWN"), now)

    def log(self, code: ErrorCode, text: str, now: int, data: bytes = b"") -> None:
        """Count an error of 3.8 and tell it."""
        self.counters.errors[code] += 1
        if code is ErrorCode.STALE:
            self.counters.stale += 1
        severity = Severity(ERROR_SEVERITY[code])
        self.port.tell(
            ErrorLogged(
                link=self.index, code=code, severity=severity, text=text, now=now, data=data[:_LOG_BYTES]
            )
        )

    # -------------------------------------------------------------------------------------------- receiver

    def receive(self, data: bytes, now: int, error: bool) -> None:
        """One frame of the PAL; `error` is its own verdict. HSL 3.4.2.

        NOP and CTL are taken in both sizes, PROT only in the negotiated one. HSL 3.2.1 "Sizes".
        """
        if error:  # HSL 3.9 B2
            self.log(ErrorCode.FRAMING, f"frame of {len(data)} bytes that the binding marks", now, data)
        flit = None if error else _decode(data, self.codec.decode_flit)
        if flit is None or (flit.ft in SEQUENCED and flit.format != self.form):
            self.counters.crc_errors += 1
            text = f"damaged flit of {len(data)} bytes"
            self.handle(Input("bad", code=ErrorCode.CRC, text=text, data=data), now)
            return
        self.counters.flits_received[flit.ft] += 1
        got = classify(self, flit, data)
        if flit.ft in SEQUENCED:
            self._count_prot(got.event)
        if not got.event:
            assert got.code is not None
            self.log(got.code, got.text, now, data)
            return
        if flit.viral:
            self._see_viral(got, now)
        if got.event.startswith("ERR_FATAL") and self.state not in ENDED_STATES:
            assert got.ctl is not None
            self.port.tell(FatalReceived(link=self.index, code=got.ctl.body["error"], now=now))
        self.taken = False
        self.handle(got, now)
        if self.taken and self.state is LinkState.ACTIVE:
            self.timers.start("T_DEADKA", now)
        if got.ctl is not None and got.event != "HELLO_own_or_zero":
            self.port.loss.see(self, got.ctl, now)

    def leased(self, now: int) -> bool:
        """True if this link shows that the peer may be reached: copies homed there may be used. HSL 3.7.5."""
        return self.state in SESSION_STATES and (self.lease_until is None or now < self.lease_until)

    def _count_prot(self, event: str) -> None:
        joins = self.state is LinkState.INIT and self.seen
        name = _PROT_COUNTER[event] if joins or self.state in SESSION_STATES else "prot_stray"
        setattr(self.counters, name, getattr(self.counters, name) + 1)

    def _see_viral(self, got: Input, now: int) -> None:
        """VIRAL of a flit of this session, before its content. HSL 2.3."""
        joins = self.state is LinkState.INIT and self.seen
        foreign = got.event == "CTL_stale" or got.event.startswith("HELLO")
        if not self.viral_seen and not foreign and (joins or self.state in SESSION_STATES):
            self.viral_seen = True
            self.port.viral_seen |= self.port.bond.alive != 0
            self.log(ErrorCode.VIRAL, "the peer is in viral containment", now, got.data)

    def progressed(self, now: int) -> None:
        """BASE has advanced. HSL 3.1, 3.4.3."""
        self.rpc = self.rc = 0
        if not self.tx.unacked:
            self.timers.stop("T_REPLAY")
        elif self.state is LinkState.ACTIVE:
            self.timers.start("T_REPLAY", now)

    def restart(self, now: int) -> None:
        """RP := BASE."""
        self.tx.restart()
        if self.tx.unacked and self.state is LinkState.ACTIVE:
            self.timers.start("T_REPLAY", now)

    def accepted_prot(self, now: int) -> None:
        """A PROT in sequence. HSL 3.4.2 [HSL-LNK-018]."""
        assert self.result is not None
        self.rx.accept()
        self.gap_closed()
        self.accepted += 1
        if self.accepted >= self.result.n_ack:
            self.ack_now = True
        if not self.ack_due:
            self.ack_due = True
            if self.state is LinkState.ACTIVE:
                self.timers.start("T_ACK", now)

    def gap(self) -> None:
        """Flits are missing. HSL 3.4.2 [HSL-LNK-012]."""
        if not self.rx.naked:
            self.rx.naked = True
            if self.state is LinkState.ACTIVE:
                self.due["NAK"] = 0

    def gap_closed(self) -> None:
        """NAKED = 0."""
        if self.rx.naked:
            self.rx.naked = False
            self.timers.stop("T_NAK")
            self.due.pop("NAK", None)

    # ----------------------------------------------------------------------------------- low power, HSL 3.7

    @property
    def settled(self) -> bool:
        """Nothing unacknowledged and no gap."""
        return not self.tx.unacked and not self.rx.naked

    @property
    def idle(self) -> bool:
        """Idle in the sense of 3.7, of which "L1 negotiated" is part."""
        return self.settled and self.port.idle_but(self) and self._l1

    @property
    def bond_width(self) -> int:
        """The number of links that both sides have; the links below it are configured. HSL 4.1."""
        most = self.config.bond_links if self.result is None else self.result.max_links
        return max(1, min(most, self.config.links, self.peer_links))

    @property
    def _l1(self) -> bool:
        return self.result is not None and bool(self.result.power & Power.L1)

    def idle_after(self, flit: Flit) -> bool:
        """True if the link will be idle after G has processed `flit`, as rows 43 to 46 need to know."""
        if not self._l1 or not self.port.idle_but(self):
            return False
        acked = distance(flit.ack + 1, self.tx.base) == self.tx.unacked or not self.tx.unacked
        naked = flit.seq != self.rx.exp and (self.rx.naked or self.rx.ahead(flit.seq))
        return acked and not naked

    def cancel_pm(self) -> None:
        """PM = none; a PM_REQ that is due goes too."""
        self.pm_open = False
        self.due.pop("PM_REQ", None)
        self.timers.stop("T_PM")

    # ------------------------------------------------------------------------------------------ transmitter

    @property
    def pending(self) -> bool:
        """True if `next_flit` may have a flit. Cheaper than a call of it, and never False if it has one."""
        slots = self.due or self.urgent or self.port.bond.due
        return bool(slots or self.ack_now or self.tx.replaying or self.port.has_content)

    def next_flit(self, now: int) -> bytes | None:
        """The first flit that is due in this state, None if none is. HSL 3.3.3 [HSL-LNK-040]."""
        slots = self.due or self.urgent or self.port.bond.due
        for item, send in (_ORDER if slots else _FLOW)[self.state]:
            data = send(self, item, now)
            if data is not None:
                return data
        return None

    def send_last(self, item: str, error: int) -> None:
        """Rank 1: three times, with the pair, SEQ and ACK of now, whatever state comes. HSL 3.2.1, 3.3.3."""
        if self.pal:
            body = {"error": error} if error else {}
            self.urgent.extend([self._encode_ctl(item, body, _COMMON)] * CTL_REPEATS)

    def _encode_ctl(self, item: str, body: dict[str, Any], form: str, seen: bool = False) -> bytes:
        ctl = Ctl(CtlOp[item], seen, self.epoch, self.peer, body)
        return self._encode(FlitType.CTL, encode_ctl(ctl), form)

    def _encode(self, ft: FlitType, payload: bytes, form: str) -> bytes:
        """A NOP or CTL: SEQ is RP, ACK is EXP - 1. HSL 3.4.2."""
        viral = int(self.port.viral)
        return self.codec.encode_flit(Flit(form, ft, viral, self.tx.rp, self.rx.ack, payload=payload))

    def _sent(self, ft: int, now: int) -> None:
        """Every flit carries the ACK and is a sign of life. HSL 3.3.3."""
        self.counters.flits_sent[ft] += 1
        self.ack_due = self.ack_now = False
        self.accepted = 0
        if self.state is LinkState.ACTIVE:
            self.timers.stop("T_ACK")
            self.timers.start("T_KA", now)

    def send_urgent(self, item: str, now: int) -> bytes | None:
        """Rank 1."""
        if not self.urgent:
            return None
        self._sent(FlitType.CTL, now)
        return self.urgent.popleft()

    def send_ctl(self, item: str, now: int) -> bytes | None:
        """A CTL that is due."""
        if item not in self.due:
            return None
        value = self.due.pop(item)
        body, seen = _BODIES[item](self, value)
        form = self.form if self.state is LinkState.ACTIVE else _COMMON
        data = self._encode_ctl(item, body, form, seen)
        if item == _STATE_CTL.get(self.state):
            self.timers.start("T_HS", now)
        elif item == "NAK":
            self.counters.naks_sent += 1
            self.timers.start("T_NAK", now)
        elif item == "PM_REQ":
            self.pm_sends += 1
            self.timers.start("T_PM", now)
        self._sent(FlitType.CTL, now)
        return data

    def send_bond(self, item: str, now: int) -> bytes | None:
        """A BOND flit that is due on this link of the port. HSL 4.6."""
        body = self.port.bond.message(item, self)
        if body is None:
            return None
        form = self.form if self.state is LinkState.ACTIVE else _COMMON
        data = self._encode_ctl(item, body, form)
        self.port.bond.sent(item, now)
        self._sent(FlitType.CTL, now)
        return data

    def send_replay(self, item: str, now: int) -> bytes | None:
        """The stored flit RP with the current ACK and VIRAL. HSL 3.4.2 [HSL-LNK-016]."""
        if not self.tx.replaying:
            return None
        flit = self.tx.replay()._replace(ack=self.rx.ack, viral=int(self.port.viral))
        self.counters.replays += 1
        return self._send_prot(flit, now)

    def send_new(self, item: str, now: int) -> bytes | None:
        """A new PROT as NEXT, which is RP when rank 8 is reached. HSL 3.4.2 [HSL-LNK-010] [HSL-LNK-011]."""
        if self.result is None or self.tx.unacked >= self.result.window or not self.port.turn(self):
            return None
        new = self.port.next_new(self.form, now)
        if new is None:
            return None
        bsn, content = new
        flit = content._replace(viral=int(self.port.viral), seq=self.tx.next, ack=self.rx.ack)
        if not self.tx.unacked:
            self.timers.start("T_REPLAY", now)
        self.tx.store(flit, bsn)
        self.cancel_pm()
        return self._send_prot(flit, now)

    def _send_prot(self, flit: Flit, now: int) -> bytes:
        self.counters.prot_sent += 1
        self._sent(flit.ft, now)
        return self.codec.encode_flit(flit)

    def send_nop(self, item: str, now: int) -> bytes | None:
        """Rank 10; T_KA sets ACK_NOW too."""
        if not self.ack_now:
            return None
        data = self._encode(FlitType.NOP, b"", self.form)
        self._sent(FlitType.NOP, now)
        return data


def _decode(data: bytes, decode_flit: Callable[[bytes, str], Flit]) -> Flit | None:
    """The flit in the format of its size, None when it is damaged."""
    try:
        return decode_flit(data, _FORMAT_OF_SIZE.get(len(data), _COMMON))
    except CodecError:
        return None


# Item -> body and SEEN, read at the moment of sending. HSL 3.3.1.
_BODIES: Final[dict[str, Callable[[Link, int], tuple[dict[str, Any], bool]]]] = {
    "RESYNC_ACK": lambda link, rn: ({"exp": link.rx.exp, "rn": rn}, False),
    "PM_ACK": lambda link, tag: ({"level": _PM_LEVEL, "tag": tag}, False),
    "PM_NAK": lambda link, tag: ({"level": _PM_LEVEL, "tag": tag}, False),
    "RETRAIN_REQ": lambda link, _: ({}, False),
    "HELLO": lambda link, _: (_hello(link), link.peer != 0),
    "CAPS": lambda link, _: (_caps(link), link.seen),
    "INITFC": lambda link, _: ({"credits": list(link.port.advertised)}, link.seen),
    "RESYNC": lambda link, _: ({"exp": link.rx.exp, "rn": link.rn}, False),
    "NAK": lambda link, _: ({"exp": link.rx.exp}, False),
    "PM_REQ": lambda link, tag: ({"level": _PM_LEVEL, "tag": tag}, False),
}


def _hello(link: Link) -> dict[str, Any]:
    config = link.config
    low, high = config.min_version, config.max_version
    names = ("magic", "guid", "link", "links", "min_major", "min_minor", "max_major", "max_minor", "port")
    values = (MAGIC, config.guid, link.index, config.links, *low, *high, link.port.incarnation)
    return dict(zip(names, values, strict=True))


def _caps(link: Link) -> dict[str, Any]:
    """With the hash of the result once the peer's record is known."""
    known = link.seen and link.result is not None
    return {"record": link.record, "cfg_hash": link.result.cfg_hash if known and link.result else 0}


_SENDERS: Final[Mapping[str, Callable[[Link, str, int], bytes | None]]] = {
    "ERR_FATAL": Link.send_urgent,
    "DISABLE": Link.send_urgent,
    "BOND_RESUME_ACK": Link.send_bond,
    "BOND_FAIL": Link.send_bond,
    "BOND_RESUME": Link.send_bond,
    "REPLAY": Link.send_replay,
    "PROT": Link.send_new,
    "NOP": Link.send_nop,
} | dict.fromkeys(_BODIES, Link.send_ctl)
# By state: the items it may send, in order; and of these the ones that have no slot.
_ORDER: Final = {
    state: tuple((item.item, _SENDERS[item.item]) for item in TRANSMIT_ORDER if state in item.states)
    for state in LinkState
}
_FLOW: Final = {
    state: tuple(each for each in order if each[0] in ("REPLAY", "PROT", "NOP"))
    for state, order in _ORDER.items()
}
