"""`loopback:`, the binding `mem`: virtual time, no threads, the same bytes from the same seed (HSL 3.9)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import partial
from heapq import heappop, heappush
from math import ceil
from typing import NamedTuple

from hsl._generated.constants import TIMERS, Severity
from hsl.codec.flit import FORMATS
from hsl.errors import ConfigError, LinkError, PeerUnreachable, TransportError
from hsl.link.events import ErrorLogged, Event, LinkDown, StateChanged
from hsl.transport.base import Device, Place, Tap
from hsl.transport.faults import Arrival, FaultInjector, FaultPlan
from hsl.transport.time_units import HANDSHAKE_TU

__all__ = ["LATENCY_NS", "PS_PER_BYTE", "Lane", "Loopback", "Wire"]

PS_PER_NS = 1000
LATENCY_NS = 100  # one way: half of the round trip that 3.4.2 reckons with
PS_PER_BYTE = 15  # 64 GB/s
# Times that a device may ask to run again at one instant; more is a deadline that never passes.
MAX_ROUNDS = 1000
SIZES = frozenset(form.bytes for form in FORMATS.values())
NO_FAULTS = FaultPlan()


class Wire(NamedTuple):
    """A link between two places; `faults[0]` hits what `a` sends, `faults[1]` what `b` sends.

    A wire with a grain delivers at multiples of `grain_ns` and takes all flits that start in the present
    grain at once, so that a simulation has fewer instants; the throughput of the line stays the same.
    """

    a: Place
    b: Place
    latency_ns: int = LATENCY_NS
    ps_per_byte: float = PS_PER_BYTE  # each flit takes a whole number of ps, rounded up
    faults: tuple[FaultPlan, FaultPlan] = (NO_FAULTS, NO_FAULTS)
    grain_ns: int = 1


class Step(IntEnum):
    """The order of what happens at one instant (HSL 3.1)."""

    RECEIVE = 0
    PAL = 1
    LOCAL = 2  # after the timers
    TRANSMIT = 3


class Lane:
    """One direction of a wire: when the line is free, and what is done to its flits."""

    def __init__(self, source: Place, target: Place, wire: Wire, injector: FaultInjector) -> None:
        self.source = source
        self.target = target
        self.wire = wire
        self.injector = injector
        self.up = False
        self.cuts = 0  # flits under way when the wire is cut are lost
        self.free_ps = 0
        self.wake = 0  # when the device is to be asked again that found the line busy
        self.last_delivery = 0
        self.last_arrival = 0  # as last_delivery, but with what was overtaken

    def ready(self, now: int) -> bool:
        """True if the line is free before this grain ends: several short flits may share one."""
        grain = self.wire.grain_ns
        return self.up and self.free_ps < (now // grain + 1) * grain * PS_PER_NS

    def occupy(self, size: int, now: int) -> int:
        """Put `size` bytes on the line; return the time of delivery, rounded up to the next grain."""
        self.free_ps = max(now * PS_PER_NS, self.free_ps) + ceil(size * self.wire.ps_per_byte)
        at = -(-self.free_ps // PS_PER_NS) + self.wire.latency_ns
        return at + -at % self.wire.grain_ns

    def wake_at(self) -> int:
        """Return the start of the grain, in ns, in which a busy line is free."""
        free = self.free_ps // PS_PER_NS
        return free - free % self.wire.grain_ns


class Loopback:
    """Several devices and the wires between them, on one event queue in virtual time (ns, from 0).

    `observe(place, event)` is called with every event of every port; `tap` with every flit that is sent
    and its fate. Raises ConfigError when a place has two wires or no device, and for a latency, a time or
    a grain of a wire that is too small.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        wires: Sequence[Wire],
        *,
        seed: int = 0,
        observe: Callable[[Place, Event], None] | None = None,
        tap: Tap | None = None,
    ) -> None:
        self.devices = list(devices)
        self.wires = list(wires)
        self.now = 0
        self.lanes: dict[Place, Lane] = {}
        self.failure: str = ""  # the first link that went down or was refused
        self._fatal = ""  # the last error that ended a link
        self._observe = observe
        self._tap = tap
        # Bounded by the flits that fit on the lines: a lane takes a flit only when it is free.
        self._queue: list[tuple[int, Step, Place, int, Callable[[], None]]] = []
        self._order = 0
        self._deadlines: list[int | None] = [None] * len(self.devices)
        self._started = False
        self._calm_from: int | None = None
        self._cut_until = [0] * len(self.wires)
        self._wire_of: dict[Place, int] = {}
        for index, wire in enumerate(self.wires):
            self._add(index, wire, seed)

    def _add(self, index: int, wire: Wire, seed: int) -> None:
        if wire.latency_ns < 1 or wire.ps_per_byte < 0 or wire.grain_ns < 1:
            raise ConfigError(
                f"latency {wire.latency_ns} ns, {wire.ps_per_byte} ps a byte, grain {wire.grain_ns} ns: "
                "expected at least 1, 0 and 1"
            )
        bonded = any(other.a[:2] == wire.a[:2] for other in self.wires if other is not wire)
        ends = ((wire.a, wire.b, wire.faults[0], "a"), (wire.b, wire.a, wire.faults[1], "b"))
        for source, target, plan, end in ends:
            if source in self.lanes:
                raise ConfigError(f"two wires end in {source}")
            if not 0 <= source.device < len(self.devices):
                raise ConfigError(f"{source}: there are {len(self.devices)} devices")
            rng = random.Random(f"{seed} {tuple(source)}")
            injector = FaultInjector(plan.part(end, source.link), rng, whole=not bonded)
            self._wire_of[source] = index
            self.lanes[source] = Lane(source, target, wire, injector)

    # ---- what is to come

    def call(self, at: int, place: Place, action: Callable[[], None]) -> None:
        """Make a local request of the device of `place` at time `at`, after the timers of that instant."""
        self._push(at, Step.LOCAL, place, action)

    def set_wire(self, index: int, *, up: bool, at: int | None = None) -> None:
        """PAL_UP or PAL_DOWN at both ends of a wire, now or at time `at`; a cut loses what is under way."""
        wire = self.wires[index]
        for place in (wire.a, wire.b):
            self._push(self.now if at is None else at, Step.PAL, place, partial(self._pal, place, up))

    def _push(self, at: int, step: Step, place: Place, action: Callable[[], None]) -> None:
        self._order += 1
        heappush(self._queue, (at, step, place, self._order, action))

    def _pal(self, place: Place, up: bool) -> None:
        lane = self.lanes[place]
        lane.up = up
        lane.cuts += not up
        node = self.devices[place.device].node
        (node.pal_up if up else node.pal_down)(place.port, place.link, self.now)

    # ---- one instant

    def step(self) -> bool:
        """Move to the next instant and do all of it; False when nothing is to come."""
        at = self._next()
        if at is None:
            return False
        self.now = max(self.now, at)
        for _ in range(MAX_ROUNDS):
            self._round()
            at = self._next()
            if at is None or at > self.now:
                return True
        raise TransportError(f"no progress: the timers of a device never pass {self.now} ns")

    def _next(self) -> int | None:
        """The first instant at which something happens."""
        first = self._queue[0][0] if self._queue else None
        for at in self._deadlines:
            if at is not None and (first is None or at < first):
                first = at
        return first

    def _round(self) -> None:
        now = self.now
        touched = {index for index, at in enumerate(self._deadlines) if at is not None and at <= now}
        late = sorted(touched)  # nothing that comes in makes a timer due at once
        self._take(Step.PAL, touched)
        for index in late:
            self.devices[index].node.tick(now)
        self._take(Step.LOCAL, touched)
        for index in sorted(touched):
            self.devices[index].advance(now)
        self._take(Step.TRANSMIT, touched)
        for index in sorted(touched):
            self._transmit(index)
            self._tell(index)
            self._deadlines[index] = self.devices[index].next_deadline()

    def _take(self, last: Step, touched: set[int]) -> None:
        """Do the queued events of this instant up to the step `last`, and add the devices that they touch."""
        queue, now = self._queue, self.now
        while queue and (queue[0][0] < now or (queue[0][0] == now and queue[0][1] <= last)):
            _, _, place, _, action = heappop(queue)
            action()
            touched.add(place.device)

    def _transmit(self, index: int) -> None:
        node = self.devices[index].node
        for port, link, flit in node.transmit(self.now, partial(self._ready, index)):
            self._send(self.lanes[index, port, link], flit)  # type: ignore[index]

    def _ready(self, index: int, port: int, link: int) -> bool:
        """True if a line takes a flit; when a busy one is free, the device is asked again."""
        lane = self.lanes.get((index, port, link))  # type: ignore[call-overload]
        if lane is None or lane.ready(self.now):
            return lane is not None
        free = lane.wake_at()
        if lane.up and lane.wake != free:
            lane.wake = free
            self._push(free, Step.TRANSMIT, lane.source, lambda: None)
        return False

    def _send(self, lane: Lane, flit: bytes) -> None:
        at = lane.occupy(len(flit), self.now)
        arrivals = lane.injector.apply(flit)
        for arrival in arrivals:
            due = max(lane.last_delivery, at + arrival.delay_ns)
            if not arrival.overtaken:  # a delay holds up all later flits too: the order is kept (B1)
                lane.last_delivery = due
            lane.last_arrival = max(lane.last_arrival, due)
            self._push(
                due, Step.RECEIVE, lane.target, partial(self._deliver, lane, arrival, lane.cuts, self.now)
            )
        if self._tap is not None:
            self._tap(self.now, lane.source, flit, arrivals)
        cut_ns = lane.injector.take_cut()
        if cut_ns is not None:
            self._cut(self._wire_of[lane.source], cut_ns)

    def _cut(self, index: int, ns: int) -> None:
        """A fault cuts a wire; of several cuts at a time the longest decides when it is joined."""
        self._cut_until[index] = max(self._cut_until[index], self.now + ns)
        self.set_wire(index, up=False)
        wire = self.wires[index]
        for place in (wire.a, wire.b):
            self._push(self.now + ns, Step.PAL, place, partial(self._join, index, place))

    def _join(self, index: int, place: Place) -> None:
        if self.now >= self._cut_until[index] and not self.lanes[place].up:
            self._pal(place, True)

    def _deliver(self, lane: Lane, arrival: Arrival, cuts: int, sent: int) -> None:
        if lane.cuts != cuts or self._too_late(lane, self.now - sent):
            lane.injector.cut_off(arrival)
            return
        device, port, link = lane.target
        error = arrival.error or len(arrival.data) not in SIZES  # HSL 3.9 [HSL-PAL-001]
        self.devices[device].node.receive(port, link, arrival.data, self.now, error)

    def _too_late(self, lane: Lane, age: int) -> bool:
        """True if a flit has been under way for T_STATE: nobody may hear it. HSL 6.2 [HSL-RAS-012]."""
        if age < TIMERS["T_STATE"].tu:
            return False
        device, port, link = lane.target
        _, slow = self.devices[device].node.ports[port].exponents(link)
        return age >= TIMERS["T_STATE"].tu << slow

    def _tell(self, index: int) -> None:
        node = self.devices[index].node
        for port, event in node.events():
            if self._observe is not None:
                self._observe(Place(index, port), event)
            if isinstance(event, ErrorLogged) and event.severity > Severity.non_fatal:
                self._fatal = f" ({event.code.name}: {event.text})"
            refused = isinstance(event, StateChanged) and node.ports[port].dead
            if not self.failure and (refused or isinstance(event, LinkDown)):
                self.failure = f"device {index} port {port}: {event}{self._fatal}"

    # ---- a whole run

    def start(self) -> None:
        """Enable every port, and connect every wire, at the present instant."""
        self._started = True
        for index, device in enumerate(self.devices):
            device.node.start(self.now)
            self._deadlines[index] = self.now
        for index in range(len(self.wires)):
            self.set_wire(index, up=True)

    def bring_up(self) -> None:
        """Run until every device has started or a link has failed, which `run` then raises.

        Raises PeerUnreachable when that takes longer than the handshake may, as a session on sockets does.
        """
        if not self._started:
            self.start()
        tu = max(1 << port.config.handshake_slow for device in self.devices for port in device.node.ports)
        end = self.now + HANDSHAKE_TU * tu
        while not (self.failure or all(device.started for device in self.devices)):
            if self.now > end or not self.step():
                raise PeerUnreachable(f"the link never came up: nothing after {self.now} ns of virtual time")

    def run(self, *, max_time: int, until: Callable[[], bool] | None = None) -> None:
        """Run until `until()`, or without it until every device has finished and nothing more is under way.

        Nothing more is done to the flits of a device that is `quiescing`, so that counts can be compared.
        Raises TransportError when virtual time passes `max_time` ns or nothing is to come; without `until`
        LinkError when a link goes down or is refused.
        """
        if not self._started:
            self.start()
        done = until or self._settled
        while not done():
            if until is None and self.failure:
                raise LinkError(self.failure)
            if self.now > max_time:
                raise TransportError(f"not done at {max_time} ns of virtual time")
            if not self.step():
                raise TransportError(f"no progress: nothing is to come after {self.now} ns")

    def _settled(self) -> bool:
        for lane in self.lanes.values():
            if self.devices[lane.source.device].quiescing:
                lane.injector.enabled = False
        if not all(device.finished and device.node.quiesced for device in self.devices):
            self._calm_from = None
            return False
        if self._calm_from is None:
            # A replay that was not needed may still be under way, and would be counted by one side only.
            self._calm_from = max((lane.last_arrival for lane in self.lanes.values()), default=0)
        return self.now >= self._calm_from
