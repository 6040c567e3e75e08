"""A session: one device on real sockets and in real time (HSL 3.9)."""

from __future__ import annotations

import asyncio
import errno
import logging
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hsl._generated.constants import PAL_FRAME_TIMEOUT_TU, TIMERS, ErrorCode, LinkState, Severity
from hsl.errors import ConfigError, LinkError, PeerLost, PeerUnreachable, reason
from hsl.link.events import ErrorLogged, Event, FatalReceived, LinkDown, LinkUp, StateChanged
from hsl.log_limit import LogLimit
from hsl.transport.base import INTERNET, SCHEMES, Address, Device, Place, Tap, parse_uri
from hsl.transport.faults import FaultInjector, FaultPlan
from hsl.transport.stream import Connector, Listener, StreamLink
from hsl.transport.time_units import HANDSHAKE_TU, LOSS_TU
from hsl.transport.udp import UdpLink

__all__ = ["Attachment", "Session", "TimeLimit"]

log = logging.getLogger(__name__)

NS_PER_S = 1_000_000_000
SOCKETS = [text for scheme, text in SCHEMES.items() if scheme != "loopback"]
# Frames of one link that are handled before timers and the other links get their turn.
FRAMES_PER_TURN = 2
# The side that ends keeps quiet for so long first: no replay that was not needed is still under way then.
SETTLE_TU = 2 * TIMERS["T_REPLAY"].tu
# How long the peer may take to close after we did: a socket closed on unread data is reset, and DISABLE lost.
LINGER_SECONDS = 1.0
NUMBER = re.compile(r"\b(0x[0-9a-f]+|\d+)\b")  # what differs between events of one kind
# Why the system may not let us accept a connection; callers wait in its queue meanwhile.
NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# Rows of 3.2.3 by which a peer says that it refuses.
REFUSALS = frozenset({"ERR_FATAL_port", "ERR_FATAL_link"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """The address of a link of a session, and its faults. HSL 3.9.

    Attributes:
        uri: address: tcp://host:port, unix:///path or udp://host:port; port 0 is chosen by the system
        listen: True to listen at it, False to connect to it
        port: number of the port of the device
        link: number of the link of that port
        wait: seconds for which a connecting side tries at first
        faults: faults to inject into what it sends; each end has a generator of its own, the same as on the
            loopback, so a seed hits the flits of the same numbers on every transport
        device: number of this node in the system, which chooses that generator
        incarnation_file: file that keeps the last incarnation of a udp link, where the clock can go back

    """

    uri: str
    listen: bool = False
    device: int = 0
    port: int = 0
    link: int = 0
    wait: float = 0.0
    faults: FaultPlan = field(default_factory=FaultPlan)
    incarnation_file: Path | None = None


class TimeLimit(NamedTuple):
    """The time limit of a session; `awaited()` describes what a peer whose link has come up is to do."""

    seconds: float
    awaited: Callable[[], str] = lambda: "end the session"
    until_met: bool = False  # a device whose link has come up ends by itself


def make_link(
    attachment: Attachment,
    address: Address,
    injector: FaultInjector,
    wake: Callable[[], None],
    above: Callable[[], tuple[LinkState, int]],
) -> StreamLink:
    """The link of an attachment, as the scheme of its address demands; `above` as in UdpLink."""
    if address.scheme == "udp":
        return UdpLink(
            address,
            injector,
            wake,
            attachment.wait,
            listen=attachment.listen,
            link=attachment.link,
            incarnation_file=attachment.incarnation_file,
            above=above,
        )
    if attachment.listen:
        return Listener(address, injector, wake)
    return Connector(address, injector, wake, attachment.wait)


class End:
    """One attached link, and what is known of its present connection."""

    def __init__(
        self,
        attachment: Attachment,
        seed: int,
        wake: Callable[[], None],
        above: Callable[[], tuple[LinkState, int]],
        lines: LogLimit,
        bonded: bool = False,
    ) -> None:
        self.listens = attachment.listen
        self.place = (attachment.port, attachment.link)
        address = parse_uri(attachment.uri)
        if address.scheme == "loopback":
            raise ConfigError(f"loopback: has no sockets: a session needs {', '.join(SOCKETS)}")
        if not attachment.listen and address.scheme in INTERNET and address.port == 0:
            raise ConfigError(f"{address}: port 0 can only be listened at")
        rng = random.Random(f"{seed} {(attachment.device, *self.place)}")
        injector = FaultInjector(attachment.faults, rng, whole=not bonded)
        self.link = make_link(attachment, address, injector, wake, above)
        self.refused = ""  # why the link went to DEAD or was refused, until it is enabled again
        self.fatal: ErrorLogged | None = None  # the last error that ended it
        self.told = ""  # the error with which the peer has ended it
        self.called_at: int | None = None  # when the first connection was made
        self.came_up = False  # the link was ACTIVE over the present connection
        self.errors: Counter[ErrorCode] = Counter()  # of the present connection
        self.lines = lines

    @property
    def name(self) -> str:
        """For logs and errors."""
        return f"port {self.place[0]} link {self.place[1]} ({self.link.address})"

    def connected(self, now: int) -> None:
        """A new connection begins."""
        self.called_at = now if self.called_at is None else self.called_at
        self.came_up = False
        self.fatal, self.told = None, ""
        self.errors.clear()

    def warn(self, what: str, text: str, now: int, detail: str = "") -> None:
        """Log an event; those of one kind differ in the numbers of their text, and in details."""
        kind = f"{self.name}: {what}: {NUMBER.sub('', text)}"
        self.lines.event(kind, f"{self.name}: {what}: {text}", now, detail)

    def disconnected(self, reason: str, peer: str, now: int) -> None:
        """The present connection is over: a warning, unless it carried a link."""
        found = ", ".join(f"{count} x {code.name}" for code, count in sorted(self.errors.items()))
        detail = f" (with {peer}){found and f'; errors: {found}'}"
        if self.came_up:
            log.info("%s: connection ended: %s%s", self.name, reason, detail)
        else:
            self.warn("connection ended", reason, now, detail)

    def logged(self, event: ErrorLogged) -> None:
        """Count an error; the first of its code in a connection is a line, unless the link repairs it."""
        if not self.errors[event.code] and event.severity is Severity.non_fatal:
            self.warn(event.code.name, event.text, event.now)
        if event.severity > Severity.non_fatal:
            self.fatal = event
        self.errors[event.code] += 1

    def moved(self, event: StateChanged) -> None:
        """Take note of a state that decides how the connection ends."""
        self.came_up |= event.new is LinkState.ACTIVE
        if event.new is LinkState.DEAD or event.cause in REFUSALS:
            self.refused = event.cause

    def reason(self, cause: str) -> str:
        """`cause` with the fatal error behind it, if one was logged, or what the peer has told."""
        if self.fatal:
            return f"{cause} ({self.fatal.code.name}: {self.fatal.text})"
        return f"{cause} ({self.told}: its log says why)" if self.told else cause


class Session:
    """Drives `device` over sockets until its programs have ended, the peer is lost, or the link is refused.

    A session that is not `passive` ends the link itself as soon as the device has finished and all is quiet;
    a passive one waits for the peer to do so. One that `stays` outlives its peers until the device has
    finished: it waits for the next one at the same port, or calls again. `observe(port, event)` is called
    with every event of the ports, `tap` with every flit (its places have device 0). `clock` gives ns that
    never go back; `began`: its value at time 0 of the session, from which `limit` counts. Raises ConfigError
    for unusable attachments.
    """

    def __init__(
        self,
        device: Device,
        attachments: Sequence[Attachment],
        *,
        seed: int = 0,
        passive: bool = False,
        stays: bool = False,
        observe: Callable[[int, Event], None] | None = None,
        tap: Tap | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        limit: TimeLimit | None = None,
    ) -> None:
        self.device = device
        self.limit = limit
        self.passive = passive
        self.stays = stays
        self._awake = asyncio.Event()
        self._observe = observe
        self._tap = tap
        self._clock = clock
        self.began = clock()
        self._lines = LogLimit(lambda line: log.warning("%s", line))  # strangers cannot fill the log
        self._over = False
        self._stopped = False
        self._met = False  # a link has been up
        self._calm_since: int | None = None
        self._down: dict[int, str] = {}  # port -> cause of a LINK_DOWN of this turn
        self.ends = {end.place: end for end in self._ends(attachments, seed)}
        if len(self.ends) < len(attachments):
            raise ConfigError("two attachments of one link of one port")
        if bad := [end.name for end in self.ends.values() if end.place[0] >= len(device.node.ports)]:
            raise ConfigError(f"{bad[0]}: the device has {len(device.node.ports)} ports")

    def _ends(self, attachments: Sequence[Attachment], seed: int) -> Iterator[End]:
        links = Counter(one.port for one in attachments)
        for one in attachments:
            above = partial(self._above, one.port, one.link)
            yield End(one, seed, self._awake.set, above, self._lines, bonded=links[one.port] > 1)

    def _above(self, port: int, link: int) -> tuple[LinkState, int]:
        """The state of a link, and the slow TU that is in force there, in ns. HSL 3.1."""
        owner = self.device.node.ports[port]
        return owner.state(link), 1 << owner.exponents(link)[1]

    @property
    def now(self) -> int:
        """Time of this session in ns."""
        return self._clock() - self.began

    @property
    def addresses(self) -> list[Address]:
        """The addresses of the attachments; a port 0 is replaced once the session is open."""
        return [end.link.address for end in self.ends.values()]

    def wake(self) -> None:
        """Run a turn soon, because the device has more to do. Call it in the thread of the event loop."""
        self._awake.set()

    def run_blocking(self, announce: Callable[[list[Address]], None] | None = None) -> None:
        """As `run`, on an event loop of its own."""
        asyncio.run(self.run(announce))

    async def run(self, announce: Callable[[list[Address]], None] | None = None) -> None:
        """Open, tell `announce` the addresses, and run to the end.

        Raises ConfigError (an address that cannot be used), PeerUnreachable (nobody answers, or not as a link
        does), LinkError (refused), PeerLost (it was there and is gone), and what the device raises.
        """
        loop = asyncio.get_running_loop()
        handler = loop.get_exception_handler()
        try:
            for end in self.ends.values():
                await end.link.open()
            if announce is not None:
                announce(self.addresses)
            self.device.node.start(self.now)
            loop.set_exception_handler(self._complain)
            while not self._over:
                busy = self._turn(self.now)
                await self._rest(busy)
        finally:
            self._stop(self.now)
            self._lines.flush()
            await self._close()
            if loop.get_exception_handler() == self._complain:  # not that of a session that began later
                loop.set_exception_handler(handler)

    async def _close(self) -> None:
        """Close all links, also when the session is cancelled meanwhile."""
        closing = asyncio.gather(*(end.link.close(LINGER_SECONDS) for end in self.ends.values()))
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await closing
            raise

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Turn an exception that asyncio has caught into a line, if it is about accept() and descriptors.

        After a failed accept() asyncio tries again each second.
        """
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in NO_DESCRIPTORS:
            self._lines.event(str(error.errno), f"no connection can be accepted: {reason(error)}", self.now)
            self._awake.set()
        else:
            loop.default_exception_handler(context)

    async def _rest(self, busy: bool) -> None:
        """Let the sockets be served; sleep until they or a timer have something, if nothing is left to do."""
        if busy or self._over:
            await asyncio.sleep(0)
            return
        deadline = self._deadline()
        timer = None
        if deadline is not None:
            delay = max(0, deadline - self.now) / NS_PER_S
            timer = asyncio.get_running_loop().call_later(delay, self._awake.set)
        await self._awake.wait()
        self._awake.clear()
        if timer is not None:
            timer.cancel()

    def _deadline(self) -> int | None:
        times = [self.device.next_deadline()]
        times += [end.link.deadline(PAL_FRAME_TIMEOUT_TU * self._tu(end)) for end in self.ends.values()]
        times += [self._patience(end) for end in self.ends.values()]
        times += [self._lines.deadline(), self._limit_ns]
        if self._calm_since is not None:
            times.append(self._calm_since + self._settle_ns)
        return min((time for time in times if time is not None), default=None)

    def _tu(self, end: End) -> int:
        return 1 << self.device.node.ports[end.place[0]].exponents(end.place[1])[0]

    @property
    def _settle_ns(self) -> int:
        return SETTLE_TU * max((self._tu(end) for end in self.ends.values()), default=0)

    def _patience(self, end: End) -> int | None:
        """Return the time at which a connecting side that never was up gives up, in ns."""
        if end.listens or end.called_at is None or self.device.started:
            return None
        wait = int(end.link.wait * NS_PER_S) if isinstance(end.link, UdpLink) else 0  # it refuses no one
        given = HANDSHAKE_TU + LOSS_TU * self.heard(end)
        return end.called_at + max(wait, given * self._above(*end.place)[1])

    def heard(self, end: End) -> bool:
        """True if a HELLO of the peer has been taken."""
        return self.device.node.ports[end.place[0]].heard(end.place[1])

    # ---- one turn, in the order of HSL 3.1

    def _turn(self, now: int) -> bool:
        """Feed, tick, advance, transmit, judge; True when frames are left over for the next turn."""
        busy = False
        for end in self.ends.values():
            more = self._feed(end, now)
            busy |= more
            self._pal(end, now, more)
        self.device.node.tick(now)
        self.device.advance(now)
        self._transmit(now)
        for port, event in self.device.node.events():
            self._hear(port, event)
        for end in self.ends.values():
            self._judge(end, now)
        self._down.clear()
        self._lines.tick(now)
        self._check_limit(now)
        self._finish(now)
        return busy

    def _feed(self, end: End, now: int) -> bool:
        link = end.link
        if link.connection is None or link.replaced:
            return False  # what a replaced connection brought is thrown away: HSL 3.9 [HSL-PAL-003]
        port, index = end.place
        count = 0
        for flit in link.connection.frames(FRAMES_PER_TURN, now):
            if self._tap is not None and flit:
                self._tap(now, Place(0, port, index), flit, None)
            self.device.node.receive(port, index, flit, now, not flit)
            count += 1
            if self.device.finished and not self.device.node.ports[port].up:
                return False  # the peer has said good-bye: the repeats of its DISABLE are not waited for
        link.check(now, PAL_FRAME_TIMEOUT_TU * self._tu(end))
        return count == FRAMES_PER_TURN

    def _pal(self, end: End, now: int, more: bool) -> None:
        """PAL_DOWN when the connection is gone or replaced, PAL_UP for a new one."""
        link, node = end.link, self.device.node
        connection = link.connection
        if connection is not None and (link.replaced or (connection.ended and not more)):
            end.disconnected(connection.ended or "replaced by a new one", connection.peer, now)
            before = link.framing_errors
            link.drop()
            if link.framing_errors > before:
                node.ports[end.place[0]].framing_lost(end.place[1], now)
            node.pal_down(*end.place, now)
        if link.adopt(now):
            if end.refused and not node.ports[end.place[0]].alive:  # a port that lives takes no link again
                end.refused = ""
                node.ports[end.place[0]].enable(now)
            end.connected(now)
            node.pal_up(*end.place, now)

    def _transmit(self, now: int) -> None:
        quiet = self.device.quiescing or self.device.finished
        for end in self.ends.values():
            end.link.injector.enabled = not quiet

        def ready(port: int, link: int) -> bool:
            end = self.ends.get((port, link))
            return end is not None and end.link.ready()

        for port, link, flit in self.device.node.transmit(now, ready):
            arrivals = self.ends[port, link].link.send(flit, now)
            if self._tap is not None:
                self._tap(now, Place(0, port, link), flit, arrivals)
        for end in self.ends.values():
            end.link.flush(now)

    # ---- what the ports tell

    def _hear(self, port: int, event: Event) -> None:
        if self._observe is not None:
            self._observe(port, event)
        match event:
            case LinkUp():
                self._met = True
            case LinkDown(cause=cause):
                self._down[port] = cause
            case ErrorLogged(link=link) if (port, link) in self.ends:
                self.ends[port, link].logged(event)
            case FatalReceived(link=link, code=code) if (port, link) in self.ends:
                self.ends[
                    port, link
                ].told = f"code {int(code)}, {getattr(code, 'name', 'unknown')}, of the peer"
            case StateChanged(link=link) if (port, link) in self.ends:
                self.ends[port, link].moved(event)

    def _judge(self, end: End, now: int) -> None:
        """End the session if this link has ended it; a listener whose programs have not begun goes on."""
        if self.device.node.ports[end.place[0]].alive:
            return  # other links of the bond carry the session
        if failure := end.link.failure():
            raise failure
        cause = self._down.get(end.place[0])
        code = end.fatal.code if end.fatal else ErrorCode.LOST
        if cause is not None and self.device.finished:
            self._over = True
        elif cause is not None and self.device.started and not self.stays:
            raise PeerLost(f"{end.name}: the peer is lost: {end.reason(cause)}", code=code)
        elif end.refused and not end.listens and not (self.stays and self.device.started):
            raise LinkError(f"{end.name}: no link: {end.reason(end.refused)}", code=code)
        elif cause is not None or end.refused:
            self._part(end, cause, now)
        patience = self._patience(end)
        if patience is not None and now >= patience:
            raise PeerUnreachable(f"{end.name}: connected, but nobody there brings the link up")

    def _part(self, end: End, cause: str | None, now: int) -> None:
        """Close the connection of a peer that is lost or refused; the next one is welcome."""
        if cause is not None:  # it was up, so the end of the connection is no warning
            refused = end.fatal is not None and end.fatal.code is ErrorCode.CFG
            what = "turned away" if refused else "the peer is lost"
            end.warn(what, end.reason(cause), now, "; waiting for the next one")
        if end.refused and end.link.connection is not None:
            end.link.connection.finish(end.reason(end.refused))

    @property
    def _limit_ns(self) -> int | None:
        over = self.limit is None or (self.limit.until_met and self._met)
        return None if self.limit is None or over else int(self.limit.seconds * NS_PER_S)

    def _check_limit(self, now: int) -> None:
        """Give up at the time limit, and say what is missing."""
        end = self._limit_ns
        if self.limit is None or end is None or now < end:
            return
        ends = self.ends.values()
        if self._met:
            missing = f"the peer did not {self.limit.awaited()}"
        elif any(end.called_at is not None for end in ends):
            missing = "the peer did not bring the link up"
        else:
            missing = "no peer has connected"
        place = ", ".join(str(end.link.address) for end in ends)
        raise PeerLost(f"{place}: {missing} within the time limit of {self.limit.seconds:g} s")

    def _finish(self, now: int) -> None:
        """Stop once the device has finished and all has been quiet for a while."""
        if self.passive or not (self.device.finished and self.device.node.quiesced):
            self._calm_since = None
        elif self._calm_since is None:
            self._calm_since = now
        elif now >= self._calm_since + self._settle_ns:
            self._over = True

    def _stop(self, now: int) -> None:
        """Switch the ports off; DISABLE goes out with what is sent last (3.3.3 rank 1)."""
        self.device.node.stop(now)
        self._transmit(now)
