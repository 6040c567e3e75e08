"""A long run of the link alone, with faults: two ports over the loopback, every promise checked."""

from __future__ import annotations

import random
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from hsl._generated.constants import (
    TU_EXPONENT_HARDWARE,
    ErrorCode,
    FlitSize,
    FlitType,
    Power,
    Role,
    Severity,
    Vc,
)
from hsl.codec.engines import engine
from hsl.codec.flit import FORMATS, Flit
from hsl.codec.reference import Packer
from hsl.errors import ConfigError, HslError
from hsl.link.config import PortConfig
from hsl.link.events import ErrorLogged, Event, LinkCounters, LinkDown, LinkUp
from hsl.nearest import expected
from hsl.transport.base import Place, Tap
from hsl.transport.faults import FaultInjector, FaultKind, FaultPlan
from hsl.transport.loopback import Lane, Loopback, Wire
from hsl.verify.endpoint import Endpoint
from hsl.verify.rests import Rests
from hsl.verify.traffic import Ledger, Source

__all__ = ["NAMES", "Soak", "SoakPlan", "floor"]

NAMES: Final = ("a", "b")
ROLES: Final = Role.RA | Role.HA | Role.MT | Role.IOA  # every VC is served
SIZES: Final = {"L64": FlitSize.L64, "B256": FlitSize.L64 | FlitSize.B256}
WINDOW: Final = 64
PS_PER_BYTE: Final = 2  # eight L64 share an instant: what is done once an instant costs less
EPOCH_BITS: Final = 32
# Virtual time without one flit delivered after which a run has failed: several T_STATE and T_DEADKA.
STALL_TU: Final = 1 << 14
# Virtual time after the last message in which all must have come, been acknowledged and been freed.
SETTLE_TU: Final = 1 << 14
# Instants of that time at most: an end that never stops sending fills its line for all of it.
SETTLE_STEPS: Final = 1 << 14
# Flits that the floor is measured on: enough for a tenth of a second.
FLOOR_FLITS: Final = 2000
SHOW_EVERY: Final = 256  # instants between two looks at the progress
NUMBERED: Final = (FlitType.PROT, FlitType.PROT_S, FlitType.NOP)  # their ACK is judged in every session
# Kinds that take flits with them of which nobody knows what the peer would have logged for them.
BLURRING: Final = (FaultKind.LINK_DOWN, FaultKind.REORDER)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakPlan:
    """Settings of a soak. `kills` are (link, delivered flits); the wire of that link is then cut for good.

    `low_power`: after so many delivered flits the ends rest, and may sleep in L1; 0: L1 is not offered.

    Raises ConfigError for what cannot be.
    """

    flits: int
    seed: int
    faults: FaultPlan = field(default_factory=FaultPlan)
    links: int = 1
    kills: tuple[tuple[int, int], ...] = ()
    low_power: int = 0
    flit: str = "L64"
    codec: str = "native"

    def __post_init__(self) -> None:
        if self.flits < 1:
            raise ConfigError(f"{self.flits} flits; expected 1 or more")
        if not 0 <= self.low_power < self.flits:
            raise ConfigError(
                f"a rest every {self.low_power} flits: expected 0 for none, or 1..{self.flits - 1}, "
                f"so that a run of {self.flits} flits has one"
            )
        if self.flit not in FORMATS:
            raise ConfigError(f"flit {self.flit!r}; {expected(FORMATS, self.flit)}")
        self.faults.fits(self.links)
        for link, at in self.kills:
            if at >= self.flits:
                raise ConfigError(f"kill of link {link} at flit {at}: the run ends at {self.flits}")
            if not 0 <= link < self.links or at < 0:
                raise ConfigError(f"kill of link {link} at flit {at}; expected a link of 0..{self.links - 1}")
        if len({link for link, _ in self.kills}) >= self.links > 0 and self.kills:
            raise ConfigError(f"kills of all {self.links} links: one must be left to finish the run")

    @property
    def command(self) -> str:
        """The line that does the same again."""
        words = ["hsl", "link", "soak", "--flits", str(self.flits), "--seed", str(self.seed)]
        words += ["--faults", str(self.faults)] if self.faults else []
        words += ["--links", str(self.links)] if self.links > 1 else []
        for link, at in self.kills:
            words += ["--kill-link", f"{link}@{at}"]
        words += ["--low-power", str(self.low_power)] if self.low_power else []
        words += ["--flit", self.flit] if self.flit != "L64" else []
        words += ["--codec", self.codec] if self.codec != "native" else []
        return shlex.join(words)

    def port(self, index: int) -> PortConfig:
        """The port of one end; its EPOCH values come from the seed."""
        return PortConfig(
            guid=index + 1,
            roles=ROLES,
            nid_base=16 * index,
            nid_count=16,
            epoch=partial(random.Random(f"{self.seed} epoch {index}").getrandbits, EPOCH_BITS),
            window=WINDOW,
            tu_exp=TU_EXPONENT_HARDWARE,
            flit_sizes=SIZES[self.flit],
            links=self.links,
            max_links=self.links,
            power=int(Power.L1) if self.low_power else 0,
            codec=self.codec,
        )


class Soak:
    """One run.

    `observe` and `tap` are those of the loopback; `progress(done, total)` is called now and then.
    """

    def __init__(
        self,
        plan: SoakPlan,
        *,
        observe: Callable[[Place, Event], None] | None = None,
        tap: Tap | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.plan = plan
        self.failures: list[str] = []
        self.downs: list[str] = []
        self.unbalanced_by: list[str] = []  # kinds that have hit and with which no account need hold
        self.ups = 0
        self._fatal = ""  # the last error that ended a link
        self.cpu_seconds = 0.0
        forth, back = Ledger(), Ledger()
        rngs = [random.Random(f"{plan.seed} traffic {index}") for index in range(2)]
        self.ends = (
            Endpoint(NAMES[0], plan.port(0), Source(rngs[0], 1, 17), (forth, back)),
            Endpoint(NAMES[1], plan.port(1), Source(rngs[1], 17, 1), (back, forth)),
        )
        wires = [
            Wire(
                Place(0, 0, link),
                Place(1, 0, link),
                ps_per_byte=PS_PER_BYTE,
                faults=(plan.faults, plan.faults),
            )
            for link in range(plan.links)
        ]
        self._observe = observe
        self._progress = progress
        self.loopback = Loopback(self.ends, wires, seed=plan.seed, observe=self._see, tap=tap)
        self.rests = Rests(plan.low_power, random.Random(f"{plan.seed} rests"), self.ends, self.loopback)
        self._kills = sorted(plan.kills, key=lambda kill: kill[1])
        self._steps = 0
        self._best = 0
        self._best_at = 0

    def _see(self, place: Place, event: Event) -> None:
        self.rests.see(place, event)
        if isinstance(event, ErrorLogged) and event.severity > Severity.non_fatal:
            self._fatal = f" ({event.code.name})"
        if isinstance(event, LinkDown):
            name = NAMES[place.device]
            self.downs.append(f"port {name} went down at {event.now} ns: {event.cause}{self._fatal}")
        self.ups += isinstance(event, LinkUp)
        if self._observe is not None:
            self._observe(place, event)

    @property
    def flits(self) -> int:
        """PROT flits delivered, both directions together."""
        return sum(end.flits for end in self.ends)

    def run(self) -> dict[str, Any]:
        """Run, check, report."""
        began = time.process_time()
        tu = 1 << TU_EXPONENT_HARDWARE
        try:
            self.loopback.run(max_time=1 << 62, until=self._sent)
            self.rests.stop()
            for end in self.ends:
                end.stop()
            for lane in self.loopback.lanes.values():
                lane.injector.enabled = False
            deadline, self._steps = self.loopback.now + SETTLE_TU * tu, 0
            self.loopback.run(max_time=1 << 62, until=lambda: self._settled(deadline))
        except HslError as error:  # of a port that contradicts itself, or a run that no longer moves
            self.failures.append(str(error))
        self.cpu_seconds = time.process_time() - began
        self.rests.check()
        self.failures += self.rests.failures
        self._check()
        return self.report()

    def _sent(self) -> bool:
        """Enough has been delivered, or nothing will be any more; kills links on the way."""
        done = self.flits
        while self._kills and done >= self._kills[0][1]:
            self.loopback.set_wire(self._kills.pop(0)[0], up=False)
        self._steps += 1
        if self._progress is not None and self._steps % SHOW_EVERY == 0:
            self._progress(min(done, self.plan.flits), self.plan.flits)
        self.rests.step(done)
        if done > self._best:
            self._best, self._best_at = done, self.loopback.now
        if self.loopback.now - self._best_at > STALL_TU << TU_EXPONENT_HARDWARE:
            self.failures.append(f"no flit was delivered in the {STALL_TU} TU before {self.loopback.now} ns")
            return True
        return done >= self.plan.flits or bool(self.downs)

    def _settled(self, deadline: int) -> bool:
        """All has come, been acknowledged and been freed, and the lines are empty; or it takes too long."""
        lines = max(lane.last_arrival for lane in self.loopback.lanes.values())
        quiet = all(end.node.quiesced for end in self.ends) and self.loopback.now >= lines
        self._steps += 1
        late = self.loopback.now > deadline or self._steps > SETTLE_STEPS
        return quiet or late or bool(self.failures)

    # ---- what must hold at the end

    def _check(self) -> None:
        self.failures += self.downs
        for end in self.ends:
            end.outgoing.close()
            self.failures += end.outgoing.told
        for end, other in (self.ends, self.ends[::-1]):
            self._check_credits(end, other)
        lanes = self.loopback.lanes.values()
        self.unbalanced_by = sorted({kind for lane in lanes for kind in lane.injector.inexact})
        if self.unbalanced_by:
            return
        for lane in lanes:
            self._check_counters(lane)
        for index in range(len(self.ends)):
            self._check_poison(index)

    def _check_credits(self, end: Endpoint, other: Endpoint) -> None:
        """Per VC: messages sent = credits that came back for them; both ends have counted alike."""
        if self.downs:
            return  # credits ended with their session
        if not end.port.quiesced:
            self.failures.append(f"{end.node.name}: not all credits are home, or not all is acknowledged")
        sent = _by_vc(end.port.messages_sent)
        counts = {
            "messages received": _by_vc(other.port.messages_received),
            "credits returned": [other.port.credits_sent[vc] for vc in Vc],
            "credits taken back": [end.port.credits_received[vc] for vc in Vc],
        }
        for name, count in counts.items():
            if count != sent:
                text = f"{end.node.name}: VC1..VC7 sent {sent} messages, {name} were {count}"
                self.failures.append(text)

    def _check_counters(self, lane: Lane) -> None:
        """Both ends of one direction of a link and the injector between them agree to the flit."""
        sender = self.ends[lane.source.device].port.links[lane.source.link].counters
        receiver = self.ends[lane.target.device].port.links[lane.target.link].counters
        injector = lane.injector
        name = f"link {lane.source.link} {NAMES[lane.source.device]}->{NAMES[lane.target.device]}"
        arrivals = sum(injector.sent.values()) - injector.lost + injector.duplicated
        prot = receiver.prot_accepted + dropped(receiver)
        rows = [
            ("flits sent", sum(sender.flits_sent.values()), sum(injector.sent.values())),
            ("PROT sent", sender.prot_sent, injector.sent[FlitType.PROT]),
            ("flits arrived", sum(receiver.flits_received.values()) + receiver.crc_errors, arrivals),
            ("PROT arrived", prot, sender.prot_sent - injector.prot_lost + injector.prot_duplicated),
            ("damaged", receiver.crc_errors, injector.damaged),
        ]
        for what, counted, wanted in rows:
            if counted != wanted:
                self.failures.append(f"{name}: {what} {counted}; the other count is {wanted}")
        for what, counted, least, most in _logged(receiver, injector):
            if not (self.downs or least <= counted <= most):
                self.failures.append(f"{name}: {what} {counted}; the injector explains {least} to {most}")

    def _check_poison(self, index: int) -> None:
        """Messages came poisoned as often as an injector did it, but for flits that were dropped since."""
        lanes = [lane for lane in self.loopback.lanes.values() if lane.source.device == index]
        hits = sum(lane.injector.count(FaultKind.POISON) for lane in lanes)
        lost = sum(dropped(link.counters) for link in self.ends[1 - index].port.links)
        lost += sum(lane.injector.cut[FlitType.PROT] for lane in lanes)
        came = self.ends[index].outgoing.poisoned
        if not (self.downs or hits - lost <= came <= hits):
            self.failures.append(
                f"{NAMES[index]}: {came} messages came poisoned; {hits} were, {lost} dropped"
            )

    # ---- the report

    def report(self) -> dict[str, Any]:
        """The document of `hsl link soak --json`, but for what the command knows: engines and floor."""
        faults = {kind: sum(end.outgoing.faults[kind] for end in self.ends) for kind in KINDS_OF_FAULT}
        return {
            "schema": "hsl.link.soak/1",
            "seed": self.plan.seed,
            "command": self.plan.command,
            "faults": str(self.plan.faults),
            "worst_of_faults": self.plan.faults.outcome,
            "unbalanced_by": self.unbalanced_by,
            "flit": self.plan.flit,
            "links": self.plan.links,
            "kills": [list(kill) for kill in self.plan.kills],
            "low_power": {"every": self.plan.low_power, **self.rests.report()},
            "flits": {"asked": self.plan.flits, "delivered": self.flits},
            "messages": {
                "sent": sum(end.outgoing.sent for end in self.ends),
                "delivered": sum(end.outgoing.delivered for end in self.ends),
                "poisoned": sum(end.outgoing.poisoned for end in self.ends),
                **faults,
            },
            "virtual_ns": self.loopback.now,
            "cpu_seconds": round(self.cpu_seconds, 3),
            "flits_per_cpu_second": round(self.flits / self.cpu_seconds) if self.cpu_seconds else 0,
            "ends": {end.node.name: self._end(index) for index, end in enumerate(self.ends)},
            "failures": self.failures,
            "verified": not self.failures,
        }

    def _end(self, index: int) -> dict[str, Any]:
        end = self.ends[index]
        links = [
            {
                "state": link.state.name,
                "counters": link.counters.as_dict(),
                "injected": self.loopback.lanes[Place(index, 0, link.index)].injector.as_dict(),
            }
            for link in end.port.links
        ]
        return {
            "messages": {
                vc.name: count for vc, count in zip(Vc, _by_vc(end.port.messages_sent), strict=True)
            },
            "credits_home": end.port.quiesced,
            "links": links,
        }


KINDS_OF_FAULT: Final = ("lost", "doubled", "wrong")


def dropped(counters: LinkCounters) -> int:
    """PROT that came whole and were of no use."""
    return counters.prot_duplicate + counters.prot_gap + counters.prot_stray


def _logged(counters: LinkCounters, injector: FaultInjector) -> list[tuple[str, int, int, int]]:
    """Return the faults that a peer logged: name, count, and the least and most that were injected.

    The ACK of a CTL is judged in some of them only.
    """
    if injector.count(*BLURRING):
        return []
    stale = injector.count(FaultKind.EPOCH, FaultKind.CTL_OP)  # an unknown CTL is one that fits no cell too
    acks = injector.count(FaultKind.ACK)
    judged = injector.count(FaultKind.ACK, types=NUMBERED)
    return [
        ("STALE", counters.stale, stale, stale),
        ("ACK_RANGE", counters.errors[ErrorCode.ACK_RANGE], judged, acks),
    ]


def _by_vc(by_op: dict[int, int]) -> list[int]:
    return [sum(count for op, count in by_op.items() if op >> 5 == vc) for vc in Vc]


def _prot(form: str, payload: bytes, som: int) -> Flit:
    return Flit(form, FlitType.PROT, payload=payload, som=som)


def _always(vc: int) -> bool:
    return True


def floor(plan: SoakPlan) -> float:
    """Flits per second of CPU of the codec alone, on the messages of `plan`: made, packed, read, unpacked."""
    codec = engine(plan.codec)
    source = Source(random.Random(f"{plan.seed} traffic 0"), 1, 17)
    flits = min(plan.flits, FLOOR_FLITS)
    packer, unpacker = Packer(), codec.Unpacker()
    turn = 0

    def granules() -> bytes:
        nonlocal turn
        turn += 1
        return codec.encode_message(source.next(Vc(turn % len(Vc) + 1)))

    began = time.process_time()
    for _ in range(flits):
        payload, som = packer.fill_encoded(granules, plan.flit)
        data = codec.encode_flit(_prot(plan.flit, payload, som))
        flit = codec.decode_flit(data, plan.flit)
        unpacker.feed(flit.payload, flit.som if FORMATS[plan.flit].has_som else None, _always)
    return flits / max(time.process_time() - began, 1e-9)
