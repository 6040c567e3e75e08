"""A port: the links of one neighbour and what they share (HSL 3.5, 4.1): queues, credits, packing, LINK_UP.

The owner drives it: frames and PAL events in, flits out when the PAL can take one, messages both ways,
time as an argument. At one instant: `receive` first, then PAL events, `tick`, local calls, `transmit` (3.1).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Final

from hsl._generated.constants import TIMERS, ErrorCode, FlitType, LinkState, Vc
from hsl.codec.engines import engine
from hsl.codec.flit import FORMATS, Flit
from hsl.codec.message import Message
from hsl.codec.reference import Packer
from hsl.errors import ConfigError, LinkError
from hsl.link.classify import ENDED_STATES, SESSION_STATES, Input
from hsl.link.config import CapsResult, PortConfig
from hsl.link.credit import Arbiter, Credits
from hsl.link.events import Event, LinkDown, LinkUp
from hsl.link.link import Link
from hsl.link.timers import NEVER, TIMER_ORDER, TimerSet

__all__ = ["EVENT_CAP", "Port"]

# Events kept for an owner that does not fetch them: a peer can cause any number. LINK_UP and LINK_DOWN, of
# which there are at most two before the owner has to act, are kept beyond it.
EVENT_CAP: Final = 4096
_NOTHING: Final = (0,) * len(Vc)


class Port:
    """One port of one link. The module says in which order its owner calls."""

    def __init__(self, config: PortConfig) -> None:
        self.config = config
        self.codec = engine(config.codec)
        self.viral = False  # own VIRAL: sent in every flit. HSL 6.1
        self.hold = False  # LINK_DOWN was told and the owner has not finished its loss procedure. HSL 3.2.1
        self.up = False
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
        # Opcode and granules of each message that waits: it is encoded once.
        self._queues: dict[int, deque[tuple[int, bytes]]] = {int(vc): deque() for vc in Vc}
        self._timers = TimerSet()
        self.links = [Link(self, index, config) for index in range(config.links)]
        self._reset(up=False)

    # ------------------------------------------------------------------------------------- calls of the owner

    def enable(self, now: int) -> None:
        """sw_enable: a port reset, from DISABLED or DEAD."""
        self._all("sw_enable", now)

    def disable(self, now: int) -> None:
        """sw_disable; DISABLE is sent to the peer three times by the next `transmit`."""
        self._all("sw_disable", now)

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
        self._all("port_down", now)

    def link_down_done(self, now: int) -> None:
        """The loss procedure after LINK_DOWN is finished. HSL 6.2 F5 (2)."""
        self.hold = False
        self.link_active(now)

    def _all(self, event: str, now: int, code: ErrorCode | None = None) -> None:
        for link in self.links:
            link.handle(Input(event, code=code), now)

    def pal_up(self, link: int, now: int) -> None:
        """PAL_UP of a link."""
        self._link(link).set_pal(True, now)

    def pal_down(self, link: int, now: int) -> None:
        """PAL_DOWN of a link."""
        self._link(link).set_pal(False, now)

    def pal_retrain(self, link: int, now: int) -> None:
        """PAL_RETRAIN of a link: the PHY trains again."""
        self._link(link).handle(Input("PAL_RETRAIN"), now)

    def receive(self, link: int, data: bytes, now: int, error: bool = False) -> None:
        """One frame of the PAL, whatever its bytes are; while the PAL is down it is dropped."""
        target = self._link(link)
        if target.pal:
            target.receive(data, now, error)

    def _link(self, index: int) -> Link:
        if not 0 <= index < len(self.links):
            raise ConfigError(f"link {index} of a port of {len(self.links)}")
        return self.links[index]

    def state(self, link: int) -> LinkState:
        """The state of a link."""
        return self._link(link).state

    def events(self) -> list[Event]:
        """What has happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def tell(self, event: Event) -> None:
        """Add an event."""
        if len(self._events) < EVENT_CAP or isinstance(event, LinkUp | LinkDown):
            self._events.append(event)
        else:
            self.events_dropped += 1

    @property
    def result(self) -> CapsResult | None:
        """What was negotiated for the present session, or the last one; None before the first."""
        return self.links[0].result

    @property
    def peer_viral(self) -> bool:
        """Whether the peer has said VIRAL. HSL 6.1."""
        return any(link.viral_seen for link in self.links)

    # ------------------------------------------------------------------------------------------------- time

    def next_deadline(self) -> int | None:
        """When `tick` has something to do, None for never."""
        deadline = min(self._timers.next(), *(link.timers.next() for link in self.links))
        return None if deadline >= NEVER else deadline

    def tick(self, now: int) -> None:
        """Fire the timers whose time has come, in the order of 3.1."""
        deadline = self.next_deadline()
        if deadline is None or deadline > now:
            return
        for name in TIMER_ORDER:
            if TIMERS[name].scope == "port":
                if self._timers.expired(name, now):
                    self._credits.due = True  # T_CR in any state: the return is due after a wake too. F9 (c)
                    self.links[0].handle(Input(name), now)  # the link of the turn
                continue
            for link in self.links:
                if link.timers.expired(name, now):
                    link.handle(Input(name), now)

    # ------------------------------------------------------------------------------------------ the session

    def link_active(self, now: int) -> None:
        """A port of one link is up when the link becomes ACTIVE, and HOLD is 0. HSL 4.1, 3.2.1."""
        ready = all(link.state in SESSION_STATES for link in self.links)
        if ready and not self.up and not self.hold:
            self._reset(up=True)
            self._delivered = []
            self.tell(LinkUp(now=now))

    def _reset(self, up: bool) -> None:
        """Credits, arbiter, queues and granule streams of a session that begins, or of none."""
        self.up = up
        self._credits = Credits(self.advertised if up else _NOTHING, self.granted or _NOTHING)
        self._returning = False  # a credit became returnable: T_CR starts when the time is known
        self._arbiter = Arbiter()
        self._packer = Packer()
        self._unpacker = self.codec.Unpacker()
        self._timers = TimerSet()
        self._timers.tu = self.links[0].timers.tu
        for queue in self._queues.values():
            queue.clear()

    def session_over(
        self, link: Link, cause: str, now: int, others: str = "port_down", code: ErrorCode | None = None
    ) -> None:
        """Code L: the port goes down, once; the other links of the port get `others`. HSL 3.2.3."""
        if not self.up:
            return
        self.granted = None
        self._reset(up=False)
        self.hold = True
        self.tell(LinkDown(cause=cause, now=now))
        for other in self.links:
            if other is not link:
                other.handle(Input(others, code=code), now)

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
        if not self.up:
            raise LinkError("the port is down: no message can be sent")
        if not self.serves(message.vc):
            raise ConfigError(
                f"the peer serves no VC {message.vc}: opcode {message.op:#04x} cannot be sent to it"
            )
        if not self.room(message.vc):
            raise ConfigError(f"{self.config.queue_cap} messages wait on VC {message.vc}: the queue is full")
        granules = self.codec.encode_message(message)
        self.credit_waits[message.vc] += not self._credits.available[message.vc]
        self._queues[message.vc].append((message.op, granules))

    def backlog(self, vc: int) -> int:
        """Messages of `vc` that wait."""
        return len(self._queues[vc])

    def room(self, vc: int) -> bool:
        """Whether a message of `vc` can be queued; never while the port is down."""
        return self.up and len(self._queues[vc]) < self.config.queue_cap

    def serves(self, vc: int) -> bool:
        """Whether the peer has advertised credits for `vc`; TL ends other requests with UNSUP. HSL 3.5 F1."""
        return vc in self._queues and self._credits.granted[vc] > 0

    def messages(self) -> list[Message]:
        """Messages delivered since the last call, in order. Each holds a credit until it is released."""
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
        waiting = any(self._queues.values()) or self._packer.unfinished
        return not waiting and not any(self._credits.returnable)

    @property
    def idle(self) -> bool:
        """Idle as in 3.7, whether L1 was negotiated or not; a port that is down is idle."""
        return self.quiet and all(link.settled for link in self.links)

    @property
    def quiesced(self) -> bool:
        """Idle, no ACK due, and the peer has returned all credits; a port that is down is quiesced."""
        # An ACK that is due in L1 says nothing new: the peer had all its flits acknowledged. HSL 3.7
        acked = not any(link.ack_due or link.ack_now for link in self.links if link.state is not LinkState.L1)
        return not self.up or (self.idle and acked and self._credits.home)

    # ---------------------------------------------------------------------------------- content of PROT flits

    def transmit(self, now: int, ready: Callable[[int], bool]) -> Iterator[tuple[int, bytes]]:
        """Flits as long as `ready(link)` says that the PAL takes one; each is built when asked for.

        HSL 3.3.3.
        """
        self._settle(now)
        sending = True
        while sending:
            sending = False
            for link in self.links:
                if link.pal and ready(link.index) and (data := link.next_flit(now)) is not None:
                    sending = True
                    yield link.index, data

    def _settle(self, now: int) -> None:
        """What local calls, which bring no time, have made due."""
        if self._returning:
            self._returning = False
            if "T_CR" not in self._timers.running and not self._credits.due:
                self._timers.start("T_CR", now)
        for link in self.links:
            if link.state is LinkState.L1 and self._has_content():
                link.handle(Input("tx_work"), now)

    def _eligible(self, vc: int) -> bool:
        return bool(self._queues[vc]) and self._credits.available[vc] > 0

    def _has_content(self) -> bool:
        """F9: whether a new PROT is built."""
        return (
            self._packer.unfinished or any(map(self._eligible, self._queues)) or self._credits.must_return()
        )

    def next_content(self, form: str, now: int) -> tuple[int, int, bytes, int] | None:
        """CVC, CCNT, payload, SOM of the next new PROT, None if it would carry nothing; F9 [HSL-LNK-041]."""
        if not self._has_content():
            return None
        cvc, ccnt = self._credits.pick()
        if ccnt:
            self.credits_sent[cvc] += ccnt
            self._timers.stop("T_CR")
            if any(self._credits.returnable):
                self._timers.start("T_CR", now)
        payload, som = self._packer.fill_encoded(self._next_granules, form)
        return cvc, ccnt, payload, som

    def _next_granules(self) -> bytes:
        vc = self._arbiter.next(self._eligible)  # F10
        if not vc:
            return b""
        self._credits.available[vc] -= 1  # F2 [HSL-LNK-027]
        op, granules = self._queues[vc].popleft()
        self.messages_sent[op] += 1
        return granules

    def merge(self, flit: Flit) -> Input | None:
        """The content of an accepted PROT, checked as P7 says; the port-fatal fault, if one. HSL 2.5, 4.4."""
        if flit.ft == FlitType.PROT_S:
            return Input("merge_fatal", flit, code=ErrorCode.MAC, text="PROT_S without IDE")
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
