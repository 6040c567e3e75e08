"""Rests of a soak: both ends have nothing to send, permit L1, sleep, and are woken (HSL 3.7).

Some rests last until both ends are in L1, and are judged there: nothing is under way, no credit is owed, and
nothing is sent until an end has work. Some end at a time that a seed draws, and some soon after the first
link is in L1, so that work comes before, amid and after the requests for L1. What must hold of each link is
judged at its changes of state.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any, Final

from hsl._generated.constants import N_RECOV, TU_EXPONENT_HARDWARE, ErrorCode, LinkState
from hsl.link.events import Event, StateChanged
from hsl.transport.base import Place
from hsl.transport.loopback import Loopback
from hsl.verify.endpoint import Endpoint

__all__ = ["Rests"]

TU: Final = 1 << TU_EXPONENT_HARDWARE
# Virtual time in which both ends must be in L1: holdoffs after PM_NAK, also where half of the flits are lost.
LIMIT_TU: Final = 15 << 10  # below the time after which the soak misses flits
SHORT_TU: Final = 256  # a rest that need not sleep: longer than it takes to return the credits of all VCs
RACE_TU: Final = 40  # after the first entry into L1: a few T_PM
APART_TU: Final = 2  # between the work of one end and of the other
SLEEP_TU: Final = 512  # a sleep: longer than T_DEADKA
TOLD: Final = 16  # failures that are told: a link that goes wrong does so in every rest
TIMED, RACE, SLEEP = KINDS = ("", "race", "sleep")
SESSION: Final = (LinkState.ACTIVE, LinkState.RECOVERY, LinkState.L1)


class Rests:
    """The rests of a run: one after every `every` flits that were delivered, none if that is 0.

    The owner calls `see` for each event, `step` after each instant and `check` at the end; `failures` says
    what was wrong.
    """

    def __init__(self, every: int, rng: Random, ends: Sequence[Endpoint], loopback: Loopback) -> None:
        self.every = every
        self.count = 0
        self.slept = 0  # rests in which both ends were in L1 at once
        self.entered: Counter[Place] = Counter()  # into L1, by link
        self.left: Counter[Place] = Counter()
        self.recovered: Counter[Place] = Counter()  # from ACTIVE to RECOVERY
        self._bases: dict[Place, deque[int]] = {}  # BASE at the last recoveries that began in ACTIVE, by link
        self._rng = rng
        self._ends = ends
        self._loopback = loopback
        self.failures: list[str] = []  # at most TOLD
        self._next = every
        self._began = 0
        self._waits = ""  # what ends the present rest: SLEEP, RACE, or nothing but the time
        self._silent: list[int] | None = None  # flits that both ends had sent when they were seen asleep

    @property
    def resting(self) -> bool:
        """True if an end has been told to send nothing."""
        return any(end.resting for end in self._ends)

    def see(self, place: Place, event: Event) -> None:
        """Count the changes of a link. In L1 it has no gap, and all that it sent is acknowledged (3.7.1)."""
        if not isinstance(event, StateChanged):
            return
        at = Place(place.device, place.port, event.link)
        self._silent = None
        self.recovered[at] += (event.old, event.new) == (LinkState.ACTIVE, LinkState.RECOVERY)
        self.left[at] += event.old is LinkState.L1
        link = self._ends[place.device].port.links[event.link]
        if event.old is LinkState.ACTIVE and event.new in (LinkState.RECOVERY, LinkState.DEAD):
            bases = self._bases.setdefault(at, deque(maxlen=N_RECOV + 1))
            bases.append(link.tx.base)
            lost = event.new is LinkState.DEAD and link.counters.errors[ErrorCode.LOST]
            if lost and len(set(bases)) > 1:  # HSL 3.4.3: progress sets RC to 0
                text = f"though BASE advanced between its last {len(bases)} recoveries"
                self._tell(f"{self._name(at)} is LOST at {event.now} ns, {text}")
        if event.new is LinkState.L1:
            self.entered[at] += 1
            if link.state is LinkState.L1 and not link.settled:
                self._tell(f"{self._name(at)} is in L1 with a gap or unacknowledged flits at {event.now} ns")

    def step(self, done: int) -> None:
        """Begin a rest when it is time, and see how the present one goes. `done`: flits delivered."""
        if not self.every:
            return
        if self.resting:
            self._watch()
        elif done >= self._next and all(end.port.up for end in self._ends):
            self._begin(done)

    def stop(self) -> None:
        """No more rests."""
        self.every = 0
        for end in self._ends:
            end.resting = False

    def _begin(self, done: int) -> None:
        self.count += 1
        self._next = done + self.every
        self._began = self._loopback.now
        self._waits = self._rng.choice(KINDS)
        for end in self._ends:
            end.resting = True
        if not self._waits:
            self._wake_all(self._began, SHORT_TU)

    def _wake_all(self, since: int, within: int) -> None:
        """Give both ends work `within` so many TU, one somewhat earlier than the other."""
        self._waits = TIMED
        at = since + self._rng.randrange(1, within * TU)
        for index in self._rng.sample(range(len(self._ends)), len(self._ends)):
            self._loopback.call(at, Place(index), partial(self._wake, self._ends[index]))
            at += self._rng.randrange(APART_TU * TU)

    def _wake(self, end: Endpoint) -> None:
        sent = self._sent()
        if self._silent not in (None, sent):
            self._tell(f"in L1 {sent} flits had been sent, {self._silent} when both ends were asleep")
        self._silent = None
        end.resting = False

    def _watch(self) -> None:
        now = self._loopback.now
        asleep = [self._asleep(end) for end in self._ends]
        if self._waits == RACE and any(asleep):
            self._wake_all(now, RACE_TU)
        elif self._waits == SLEEP and all(asleep):
            self.slept += 1
            last = max(now, *(lane.last_arrival for lane in self._loopback.lanes.values())) + 1
            self._loopback.call(last, Place(0), self._look)
            self._wake_all(last + self._rng.randrange(SLEEP_TU * TU), SHORT_TU)
        elif self._waits and now - self._began > LIMIT_TU * TU:
            self._tell(f"the ends were not in L1 in the {LIMIT_TU} TU before {now} ns")
            self._wake_all(now, SHORT_TU)

    @staticmethod
    def _asleep(end: Endpoint) -> bool:
        states = {link.state for link in end.port.links} & set(SESSION)
        return states == {LinkState.L1}

    def _look(self) -> None:
        """Both ends sleep and the lines are empty: all has come, and all credits are home."""
        if not all(self._asleep(end) for end in self._ends):
            return  # a flit that was under way has woken one
        self._silent = self._sent()
        for end in self._ends:
            if end.outgoing.open or not end.port.quiesced:
                text = f"{end.outgoing.open} messages under way, credits home: {end.port.quiesced}"
                self._tell(f"{end.node.name} sleeps at {self._loopback.now} ns with {text}")

    def _sent(self) -> list[int]:
        return [sum(link.counters.flits_sent.values()) for end in self._ends for link in end.port.links]

    def _name(self, place: Place) -> str:
        return f"{self._ends[place.device].node.name} link {place.link}"

    def _tell(self, text: str) -> None:
        if len(self.failures) < TOLD:
            self.failures.append(text)

    def check(self) -> None:
        """At the end: each L1 that was entered was left; a RECOVERY counts if it began in ACTIVE (3.7.3)."""
        for device, end in enumerate(self._ends):
            for link in end.port.links:
                at = Place(device, 0, link.index)
                inside = int(link.state is LinkState.L1)
                if self.entered[at] != self.left[at] + inside:
                    text = f"L1 entered {self.entered[at]} times, left {self.left[at]} times"
                    self._tell(f"{self._name(at)}: {text}, now in {link.state.name}")
                if link.counters.recoveries != self.recovered[at]:
                    text = (
                        f"{link.counters.recoveries} recoveries counted, {self.recovered[at]} begun in ACTIVE"
                    )
                    self._tell(f"{self._name(at)}: {text}")

    def report(self) -> dict[str, Any]:
        """Counts for the report of the run."""
        return {
            "rests": self.count,
            "slept": self.slept,
            "entered": self.entered.total(),
            "left": self.left.total(),
        }
