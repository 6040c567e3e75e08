"""A port: the links of one neighbour and what they share (HSL 3.5): queues, credits, packing, LINK_UP.

The owner drives it: frames and PAL events in, flits out when the PAL can take one, messages both ways,
time as an argument. At one instant: `receive` first, then PAL events, `tick`, local calls, `transmit` (3.1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from hsl._generated.constants import TIMERS, ErrorCode, FlitType, LinkState, Vc
from hsl.codec.engines import engine
from hsl.codec.flit import FORMATS, Flit
from hsl.codec.message import Message
from hsl.codec.reference import Packer
from hsl.errors import ConfigError, LinkError
from hsl.link.bond import Bond
from hsl.link.classify import ENDED_STATES, SESSION_STATES, Input
from hsl.link.config import CapsResult, PortConfig
from hsl.link.credit import Arbiter, Credits
from hsl.link.epoch import links_of
from hsl.link.events import Event, LinkDown, LinkUp, PeerGone
from hsl.link.lanes import Lanes, lane_of
from hsl.link.link import Link
from hsl.link.loss import Loss
from hsl.link.timers import NEVER, TIMER_ORDER, TimerSet

__all__ = ["EVENT_CAP", "Port"]

# Events kept for an owner that does not fetch them; what it must act on, a few at most, is kept beyond it.
EVENT_CAP: Final = 4096
_NOTHING: Final = (0,) * len(Vc)
MERGED_STATES: Final = SESSION_STATES | {LinkState.DEAD}  # where row 28 has a cell


class Port:
    """One port of 1 to 8 links. The module says in which order its owner calls."""

    def __init__(self, config: PortConfig) -> None:
        self.config = config
        self.codec = engine(config.codec)
        self.viral = False  # own VIRAL: sent in every flit. HSL 6.1
        self.hold = False  # LINK_DOWN was told and the owner has not finished its loss procedure. HSL 3.2.1
        self.unheard = False  # LINK_DOWN was told and the owner has not taken it
        self.up = False
        self.incarnation = 0  # PORT. HSL 3.2.1
        self.granted: tuple[int, ...] | None = None  # the peer's INITFC, the same on all links
        self.messages_sent: Counter[int] = Counter()
        self.messages_received: Counter[int] = Counter()
        self.credits_sent: Counter[int] = Counter()  # returned to the peer, by VC
        self.credits_received: Counter[int] = Counter()  # returned by the peer, by VC
        self.credit_waits: Counter[int] = Counter()  # messages that found no credit when they were queued
        self.events_dropped = 0
        self.links: list[Link] = []
        self._events: list[Event] = []
        self._delivered: list[Message] = []  # capped by the credits of the session
        self._lanes = Lanes(config.queue_cap)  # messages that wait; each is encoded once
        self.timers = TimerSet()
        self.loss = Loss(self)
        self.bond = Bond(self)
        self.links = [Link(self, index, config) for index in range(config.links)]
        self._reset(opened=False)

    # ------------------------------------------------------------------------------------- calls of the owner

    def enable(self, now: int) -> None:
        """sw_enable: a port reset, from DISABLED or DEAD."""
        if all(link.state in (LinkState.DISABLED, LinkState.DEAD) for link in self.links):
            self.incarnation = self.config.incarnation(self.incarnation)  # a new PORT [HSL-LNK-044]
        self._all("sw_enable", now)

    def disable(self, now: int) -> None:
        """sw_disable; DISABLE is sent to the peer three times by the next `transmit`."""
        self._all("sw_disable", now)
        self.loss.release()

    def retrain(self, now: int) -> None:
        """sw_retrain."""
        self._all("sw_retrain", now)

    def pm_idle(self, now: int) -> None:
        """TL permits L1. HSL 3.7."""
        self._all("pm_idle", now)

    def fatal(self, code: ErrorCode, now: int, reason: str = "found by the transaction layer") -> None:
        """Row 4 from TL: this side has found the port-fatal error `code`, because of `reason`. HSL 6.3."""
        self.links[0].log(code, reason, now)
        self._all("port_fatal", now, code)

    def down(self, now: int) -> None:
        """Row 3 from TL: make the peer know that it was declared lost. HSL 6.2 F4."""
        self.incarnation = self.config.incarnation(self.incarnation)  # a new PORT [HSL-LNK-044]
        self._all("port_down", now)

    def link_down_done(self, now: int) -> None:
        """The loss procedure after LINK_DOWN is finished. HSL 6.2 F5 (2)."""
        self.hold = self.unheard = self.loss.open = False
        self.bond.form(now)

    def disable_link(self, link: int, now: int) -> None:
        """sw_disable of one link: a port that has others alive goes on without it. HSL 4.6."""
        self._link(link).handle(Input("sw_disable"), now)
        self.loss.release()

    def _all(self, event: str, now: int, code: ErrorCode | None = None) -> None:
        for link in self.links:
            link.handle(Input(event, code=code), now)

    def pal_up(self, link: int, now: int) -> None:
        """PAL_UP of a link."""
        self._link(link).set_pal(True, now)

    def pal_down(self, link: int, now: int) -> None:
        """PAL_DOWN of a link."""
        self._link(link).set_pal(False, now)

    def framing_lost(self, link: int, now: int) -> None:
        """The binding has lost the border of its frames: code 18; PAL_DOWN follows. HSL 3.9 B2."""
        self._link(link).log(ErrorCode.FRAMING, "the border of the next frame is lost", now)

    def pal_retrain(self, link: int, now: int) -> None:
        """PAL_RETRAIN of a link: the PHY trains again."""
        self._link(link).handle(Input("PAL_RETRAIN"), now)

    def receive(self, link: int, data: bytes, now: int, error: bool = False) -> None:
        """One frame of the PAL, whatever its bytes are; while the PAL is down it is dropped."""
        target = self._link(link)
        self.loss.judge_stall(now)
        if target.pal:
            target.receive(data, now, error)

    def _link(self, index: int) -> Link:
        if not 0 <= index < len(self.links):
            raise ConfigError(f"link {index} of a port of {len(self.links)}")
        return self.links[index]

    def state(self, link: int) -> LinkState:
        """The state of a link."""
        return self._link(link).state

    def heard(self, link: int) -> bool:
        """True if a link knows the EPOCH of its peer: HELLO has come. HSL 3.2.1."""
        return bool(self._link(link).peer)

    def exponents(self, link: int) -> tuple[int, int]:
        """The exponents of TU and of the slow TU in force at a link. HSL 3.1."""
        return self._link(link).exponents

    @property
    def dead(self) -> bool:
        """Every link is DEAD: nothing brings the port up again but its owner."""
        return all(link.state is LinkState.DEAD for link in self.links)

    def events(self) -> list[Event]:
        """Return the events since the last call, in order; the caller acts on LINK_DOWN at once."""
        events, self._events = self._events, []
        self.unheard = False
        return events

    @property
    def told(self) -> bool:
        """Events or messages wait for the owner."""
        return bool(self._events or self._delivered)

    def tell(self, event: Event) -> None:
        """Add an event."""
        if len(self._events) < EVENT_CAP or isinstance(event, LinkUp | LinkDown | PeerGone):
            self._events.append(event)
        else:
            self.events_dropped += 1

    @property
    def result(self) -> CapsResult | None:
        """The result of negotiation of the present session, else of the last one; None before the first."""
        known = [link for link in self.links if link.result is not None]
        # A link in CONFIG may still have that of a session which a new EPOCH of the peer has ended.
        best = next((link for link in known if link.peer_record), None)
        return best.result if best is not None else known[0].result if known else None

    @property
    def alive(self) -> int:
        """The alive mask: bit i is link i; 0 while the port has none. HSL 4.1."""
        return self.bond.alive

    @property
    def peer_viral(self) -> bool:
        """True if the peer has sent VIRAL in this session, on any link. HSL 6.1 [HSL-RAS-014]."""
        return self.viral_seen or any(link.viral_seen for link in self.links)

    # ------------------------------------------------------------------------------------------------- time

    def next_deadline(self) -> int | None:
        """The time at which `tick` is due, in ns; None for never."""
        deadline = min(self.timers.next(), self.loss.deadline)
        for link in self.links:
            deadline = min(deadline, link.timers.next())
        return None if deadline >= NEVER else deadline

    def tick(self, now: int) -> None:
        """Fire the timers whose time has come, in the order of 3.1."""
        deadline = self.next_deadline()
        if deadline is None or deadline > now:
            return
        self.loss.judge_stall(now)
        for name in TIMER_ORDER:
            if TIMERS[name].scope == "port":
                if self.timers.expired(name, now):
                    _PORT_TIMERS[name](self, now)
                continue
            for link in self.links:
                if link.timers.expired(name, now):
                    link.handle(Input(name), now)
        self.loss.expire(now)

    def expire_port(self, now: int) -> None:
        """T_PORT. HSL 4.1."""
        self.bond.expire(now)

    def expire_bond(self, now: int) -> None:
        """T_BOND, row 15, goes to the lowest link of AM."""
        self.bond.repeat()
        if self.bond.lowest is not None:
            self.bond.lowest.handle(Input("T_BOND"), now)

    def expire_credit(self, now: int) -> None:
        """T_CR, row 19, goes to the link of the turn; after a wake the return is due too. F9 (c)."""
        self._credits.expire()
        self.links[self.bond.tx.turn].handle(Input("T_CR"), now)

    # ------------------------------------------------------------------------------------------ the session

    def open_session(self) -> None:
        """AM is set: credits, queues and streams begin. HSL 4.1."""
        self._reset(opened=True)
        self.viral_seen = any(link.viral_seen for link in self.links)
        self._delivered = []
        self.loss.begin()

    def link_up(self, now: int) -> None:
        """Both epochs are the alive mask: LINK_UP, the first time. HSL 4.1."""
        if not self.up:
            self.up = True
            self.tell(LinkUp(now=now))

    def _reset(self, opened: bool) -> None:
        """Credits, arbiter, queues and granule streams of a session that begins, or of none."""
        self.up = False
        self.viral_seen = False  # on a link of the session, which may have ended since
        self._credits = Credits(self.advertised if opened else _NOTHING, self.granted or _NOTHING)
        self._returning = False  # a credit became returnable: T_CR starts when the time is known
        self.woken = False  # the next `transmit` wakes the port from L1
        self._arbiter = Arbiter()
        self._packer = Packer()
        self._unpacker = self.codec.Unpacker()
        self.timers = TimerSet()
        self.timers.scale(*(self.result or self.links[0]).exponents)
        self._lanes.clear()

    def session_over(self, cause: str, now: int) -> bool:
        """Take the port down, if AM was set; emit LINK_DOWN if LINK_UP was. HSL 3.2.3, code L."""
        if not self.bond.alive:
            return False
        told, tu = self.up, max(link.timers.slow for link in self.members)
        self.granted = None
        self._reset(opened=False)
        self.bond.close()
        if told:
            self.hold = self.unheard = True
            self.tell(LinkDown(cause=cause, now=now))
            self.loss.end(tu, now)
        return True

    def tell_others(self, link: Link, event: str, now: int, code: ErrorCode | None = None) -> None:
        """Every other link of the port gets `event`: port_down or port_fatal."""
        for other in self.links:
            if other is not link:
                other.handle(Input(event, code=code), now)

    def forget(self, link: Link) -> None:
        """The session of `link` has ended; the peer's credits go with that of the last link. HSL 3.3.2."""
        if all(other.state in ENDED_STATES for other in self.links if other is not link):
            self.granted = None

    @property
    def advertised(self) -> tuple[int, ...]:
        """The credits of VC1..VC7 that this side gives; 0 outside the negotiated mask. HSL 3.5 F1."""
        mask = self.config.vc_mask if self.result is None else self.result.vc_mask
        return self.config.advertised(mask)

    # --------------------------------------------------------------------------------------------- messages

    def send(self, message: Message) -> None:
        """Queue a message.

        LinkError while the port is down; ConfigError for a full queue or a VC not served; CodecError for a
        message that cannot be encoded.
        """
        vc = message.vc
        if not self.up:
            raise LinkError("the port is down: no message can be sent")
        if not self.serves(vc):
            raise ConfigError(f"the peer serves no VC {vc}: opcode {message.op:#04x} cannot be sent to it")
        if not self.room(lane_of(message.op)):
            raise ConfigError(f"{self.config.queue_cap} messages wait on VC {vc}: the queue is full")
        granules = self.codec.encode_message(message)
        if not self._credits.available[vc]:
            self.credit_waits[vc] += 1
        self._lanes.put(message.op, granules)

    def backlog(self, vc: int) -> int:
        """Messages of `vc` that wait."""
        return self._lanes.backlog(vc)

    def room(self, lane: int) -> bool:
        """True if a message of a lane can be queued; never while the port is down."""
        return self.up and self._lanes.room(lane)

    def serves(self, vc: int) -> bool:
        """True if the peer has advertised credits for `vc`; TL ends other requests with UNSUP. HSL 3.5 F1."""
        return 0 < vc <= len(Vc) and self._credits.granted[vc] > 0

    def messages(self) -> list[Message]:
        """Messages delivered since the last call, in order. Each holds a credit until it is released.

        What comes before LINK_UP is held until then. HSL 3.2.3.
        """
        if self.bond.alive and not self.up:
            return []
        delivered, self._delivered = self._delivered, []
        return delivered

    def release(self, vc: int, count: int = 1) -> None:
        """Buffers of delivered messages are free, F3; nothing while the port is down: credits end with it."""
        if self.up:
            self._credits.release(vc, count)
            self._returning = True

    @property
    def quiet(self) -> bool:
        """No message waiting or unfinished, no credit returnable."""
        return not (self._lanes.waiting or self._packer.unfinished or self._credits.owed)

    @property
    def idle(self) -> bool:
        """Idle as in 3.7, whether L1 was negotiated or not; a port that is down is idle."""
        return self.quiet and (self.bond.idle or not self.up) and all(link.settled for link in self.members)

    @property
    def members(self) -> list[Link]:
        """The links of the alive mask; all before it is set."""
        return [self.links[index] for index in links_of(self.bond.alive)] or self.links

    def idle_but(self, link: Link) -> bool:
        """Idle but for what `link` has not acknowledged or received. HSL 3.7."""
        others = all(other.settled for other in self.members if other is not link)
        return self.quiet and self.bond.idle and others

    @property
    def quiesced(self) -> bool:
        """Idle, no ACK due, and the peer has returned all credits; a port that is down is quiesced."""
        awake = [link for link in self.members if link.state is not LinkState.L1]
        acked = not any(link.ack_due or link.ack_now for link in awake)
        return not self.up or (self.idle and acked and self._credits.home and not self.bond.rx.held)

    # ---------------------------------------------------------------------------------- content of PROT flits

    def transmit(self, now: int, ready: Callable[[int], bool]) -> Iterator[tuple[int, bytes]]:
        """Flits as long as `ready(link)` says that the PAL takes one; each is built when asked for.

        It is asked only where there may be a flit; when it says no, call again once it would say yes. HSL
        3.3.3. Nothing leaves before the owner has taken LINK_DOWN: the agents drop their copies first. HSL
        6.2 [HSL-RAS-011].
        """
        if self.unheard:
            return
        self._settle(now)
        sending = True
        while sending:
            sending = False
            for link in self.links:
                if not (link.pal and link.pending and ready(link.index)):
                    continue
                data = link.next_flit(now)
                if data is not None:
                    sending = True
                    yield link.index, data

    def _settle(self, now: int) -> None:
        """Start the work that local calls have made due, as these calls carry no time."""
        if self._returning:
            self._returning = False  # a PROT may have taken all since
            if self._credits.owed and "T_CR" not in self.timers.running and not self._credits.due:
                self.timers.start("T_CR", now)
        if self.bond.report is not None:
            self.bond.propose(now)
        turn = self.links[self.bond.tx.turn]
        if turn.state is LinkState.L1 and (self.woken or (self.turn(turn) and self.has_content)):
            turn.handle(Input("tx_work"), now)
        self.woken = False
        lowest = self.bond.lowest if self.bond.due else None
        if lowest is not None and lowest.state is LinkState.L1:
            lowest.handle(Input("tx_work"), now)

    def turn(self, link: Link) -> bool:
        """True if `link` sends the next new PROT. HSL 3.3.3 rank 8, 4.3 [HSL-BND-001]."""
        return self.up and self.bond.sending and self.bond.tx.turn == link.index

    @property
    def _eligible(self) -> list[int]:
        """The VCs on which a message waits that has a credit."""
        return self._lanes.eligible(self._credits.available, self._credits.granted)

    @property
    def has_content(self) -> bool:
        """F9: whether a new PROT is built."""
        waits = self._packer.unfinished or self._credits.must_return() or self.bond.tx.resend
        return bool(waits or self._eligible)

    def next_new(self, form: str, now: int) -> tuple[int, Flit] | None:
        """BSN and content of the next new PROT, None if it would carry nothing; F9 [HSL-LNK-041].

        A missing list leads: its flits keep their BSN and content. HSL 4.6 S5 [HSL-BND-005].
        """
        if not self.has_content:
            return None
        tx = self.bond.tx
        tx.pass_turn()
        if tx.resend:
            return tx.resend.popleft()
        return tx.label(), self._content(form, now)

    def _content(self, form: str, now: int) -> Flit:
        cvc, ccnt = self._credits.pick()
        if ccnt:
            self.credits_sent[cvc] += ccnt
            self.timers.stop("T_CR")
            if self._credits.owed:
                self.timers.start("T_CR", now)
        payload, som = self._packer.fill_encoded(self._next_granules, form)
        return Flit(form, FlitType.PROT, cvc=cvc, ccnt=ccnt, payload=payload, som=som)

    def _next_granules(self) -> bytes:
        vc = self._arbiter.next(self._eligible)  # F10
        if not vc:
            return b""
        op, granules = self._lanes.take(vc, self._credits.available[vc], self._credits.granted[vc])
        self._credits.available[vc] -= 1  # F2 [HSL-LNK-027]
        self.messages_sent[op] += 1
        return granules

    def take(self, link: Link, flit: Flit, data: bytes, now: int) -> bool:
        """An accepted PROT of `link`: deliver what is complete in BSN order; True when that was fatal.

        HSL 4.4, F11 [HSL-BND-002]. Row 28 concerns the link on which the fatal flit came.
        """
        assert link.result is not None
        rx = self.bond.rx
        if text := rx.accept(link.index, flit, data, link.result.window):
            link.handle(Input("merge_fatal", flit, code=ErrorCode.MALFORMED, text=text, data=data), now)
            return True
        while (held := rx.pop()) is not None:
            fault = self._merge(held.flit)
            if fault is not None:
                self._blamed(held.link, link).handle(fault._replace(data=held.data), now)
                return True
        return False

    def _blamed(self, index: int, link: Link) -> Link:
        """The link that gets row 28, which a link that was disabled since would ignore: then `link` does."""
        found = self.links[index]
        return found if found.state in MERGED_STATES else link

    def _merge(self, flit: Flit) -> Input | None:
        """The content of a flit, checked as P7 says; the port-fatal fault, if one. HSL 2.5, 4.4."""
        if flit.ft == FlitType.PROT_S:
            return Input("merge_fatal", flit, code=ErrorCode.MAC, text="PROT_S, which 1.0 does not have")
        fault = self._credits.take(flit.cvc, flit.ccnt)
        if fault is not None:
            text = f"return of {flit.ccnt} credits of VC {flit.cvc}"
            return Input("merge_fatal", flit, code=fault, text=text)
        if flit.ccnt:
            self.credits_received[flit.cvc] += flit.ccnt
        som = flit.som if FORMATS[flit.format].has_som else None  # [HSL-FLT-010]
        messages, error = self._unpacker.feed(flit.payload, som, self._credits.admit)
        for message in messages:
            self._credits.held[message.vc] += 1
            self.messages_received[message.op] += 1
        self._delivered += messages
        if error is None:
            return None
        return Input("merge_fatal", flit, code=ErrorCode(error.code), text=str(error))


_PORT_TIMERS: Final[Mapping[str, Callable[[Port, int], None]]] = {
    "T_PORT": Port.expire_port,
    "T_BOND": Port.expire_bond,
    "T_CR": Port.expire_credit,
}
