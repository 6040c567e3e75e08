"""Faults put on the wire on purpose, from one seed, and counted to the flit (HSL 3.9 `mem`)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from hsl._generated.constants import FlitType
from hsl.codec.flit import FORMATS, flit_type
from hsl.transport.fault_edits import EDITS, Starts
from hsl.transport.fault_kinds import KINDS, FaultKind, Kind, Outcome
from hsl.transport.fault_plan import Fault, FaultPlan

__all__ = ["KINDS", "Arrival", "Fault", "FaultInjector", "FaultKind", "FaultPlan", "Kind", "Outcome"]

# A CRC sees every error of up to this many bits in a flit (2.4), so each damaged flit is noticed.
MAX_FLIPS = 5
SIZES = frozenset(form.bytes for form in FORMATS.values())
PROT_TYPES = (FlitType.PROT, FlitType.PROT_S)
DAMAGING = (FaultKind.CRC, FaultKind.TRUNCATE)
LOSING = (FaultKind.DROP, FaultKind.LINK_DOWN)


class Arrival(NamedTuple):
    """A flit as the other end receives it: the bytes, the delay in ns, True if the binding reports err=1.

    `kind`: what was done to it. `overtaken`: later flits do not wait for it.
    """

    data: bytes
    delay_ns: int = 0
    error: bool = False
    kind: FaultKind | None = None
    overtaken: bool = False


class FaultInjector:
    """Applies a plan to the flits of one direction, in order, at PAL_TX.

    `counts[kind][type]` has the flits that each fault hit. A truncated flit arrives with err=1 where the
    binding keeps the frame border (loopback, udp); on a stream its frame is a framing error: the connection
    ends. After a link-down, `take_cut` tells the transport for how long to cut the wire. `whole`: all flits
    of the port take this way, so that messages can be found in L64.
    """

    def __init__(self, plan: FaultPlan, rng: random.Random, *, whole: bool = True) -> None:
        self.plan = plan
        self.rng = rng
        self.enabled = True
        self.sent: Counter[int] = Counter()  # per flit type, faulty or not
        self.counts: dict[FaultKind, Counter[int]] = {kind: Counter() for kind in FaultKind}
        self.cut: Counter[int] = Counter()  # good flits that were under way when the wire was cut, per type
        self.cut_damaged = 0  # damaged ones
        self._cut_ns: int | None = None
        self._left = [fault.count for fault in plan.faults]
        self._seen = [0] * len(plan.faults)
        self._burst = [0] * len(plan.faults)  # flits that a hit still goes on for
        self._starts = Starts(whole) if any(f.kind is FaultKind.POISON for f in plan.faults) else None
        self._apply: dict[FaultKind, Callable[[bytes, Fault], list[Arrival] | None]] = {
            FaultKind.CRC: self._crc,
            FaultKind.DROP: lambda data, fault: [],
            FaultKind.TRUNCATE: self._truncate,
            FaultKind.DUPLICATE: lambda data, fault: [Arrival(data, kind=fault.kind)] * 2,
            FaultKind.DELAY: lambda data, fault: [Arrival(data, fault.delay_ns, kind=fault.kind)],
            FaultKind.REORDER: lambda data, fault: [
                Arrival(data, fault.delay_ns, kind=fault.kind, overtaken=True)
            ],
            FaultKind.LINK_DOWN: self._down,
        } | dict.fromkeys(EDITS, self._edit)

    def apply(self, data: bytes) -> list[Arrival]:
        """Return the arrivals of one flit, in order; at most one fault hits a flit."""
        form = flit_type(data)
        self.sent[form] += 1
        if self._starts is not None:
            self._starts.see(data)
        if self.enabled and self.plan:
            draw = self.rng.random()
            for index, fault in enumerate(self.plan.faults):
                if not fault.can_hit(form):
                    continue
                hit, draw = self._hits(index, fault, draw)
                arrivals = self._apply[fault.kind](data, fault) if hit else None
                if arrivals is not None:
                    self._count(index, fault, form)
                    return arrivals
        return [Arrival(data)]

    def _hits(self, index: int, fault: Fault, draw: float) -> tuple[bool, float]:
        """Return True if the fault hits this flit, and the rest of the draw for the next fault."""
        self._seen[index] += 1
        if self._burst[index]:
            return True, draw
        if self._seen[index] < fault.nth:
            return False, draw
        draw -= fault.rate
        return self._left[index] > 0 or (draw < 0 and fault.rate > 0), draw

    def _count(self, index: int, fault: Fault, form: int) -> None:
        self.counts[fault.kind][form] += 1
        if self._burst[index]:
            self._burst[index] -= 1
        else:
            self._burst[index] = fault.burst - 1
            self._left[index] -= 1

    def _crc(self, data: bytes, fault: Fault) -> list[Arrival]:
        word = int.from_bytes(data, "little")
        for bit in self.rng.sample(range(8 * len(data)), self.rng.randint(1, MAX_FLIPS)):
            word ^= 1 << bit
        return [Arrival(word.to_bytes(len(data), "little"), kind=fault.kind)]

    def _truncate(self, data: bytes, fault: Fault) -> list[Arrival]:
        # A piece that has by chance the length of a flit would be no truncated one.
        lengths = [length for length in range(1, len(data)) if length not in SIZES]
        return [Arrival(data[: self.rng.choice(lengths)], error=True, kind=fault.kind)]

    def _edit(self, data: bytes, fault: Fault) -> list[Arrival] | None:
        edited = EDITS[fault.kind](data, self.rng, self._starts or Starts(False))
        return None if edited is None else [Arrival(edited, kind=fault.kind)]

    def _down(self, data: bytes, fault: Fault) -> list[Arrival]:
        self._cut_ns = fault.delay_ns
        return []

    def take_cut(self) -> int | None:
        """For how many ns the wire is to be cut now, once told; None when it is not."""
        ns, self._cut_ns = self._cut_ns, None
        return ns

    def cut_off(self, arrival: Arrival) -> None:
        """An arrival was under way when the wire was cut, or for T_STATE: it never comes."""
        if arrival.kind in DAMAGING:
            self.cut_damaged += 1
        else:
            self.cut[flit_type(arrival.data)] += 1

    def count(self, *kinds: FaultKind, types: tuple[int, ...] = ()) -> int:
        """Flits of `types` (none named: of all) that one of `kinds` hit."""
        hits = [self.counts[kind] for kind in kinds]
        return sum(hit[form] for hit in hits for form in types or hit)

    @property
    def damaged(self) -> int:
        """Flits that arrived and are bad: what the peer counts as code 1."""
        return self.count(*DAMAGING) - self.cut_damaged

    @property
    def lost(self) -> int:
        """Flits that never arrived."""
        return self.count(*LOSING) + sum(self.cut.values()) + self.cut_damaged

    @property
    def duplicated(self) -> int:
        """Flits that arrived once more than they were sent."""
        return self.count(FaultKind.DUPLICATE)

    @property
    def prot_lost(self) -> int:
        """PROT flits that the peer could not use: dropped, cut off or damaged."""
        return self.count(*DAMAGING, *LOSING, types=PROT_TYPES) + sum(self.cut[form] for form in PROT_TYPES)

    @property
    def prot_duplicated(self) -> int:
        """PROT flits that arrived once more than they were sent."""
        return self.count(FaultKind.DUPLICATE, types=PROT_TYPES)

    @property
    def inexact(self) -> list[str]:
        """Kinds that have hit and with which the account of this direction need not hold to the flit."""
        return [str(kind) for kind, hits in self.counts.items() if hits and not KINDS[kind].exact]

    def as_dict(self) -> dict[str, object]:
        """The counters for a report, flit types by name; of kinds only those that hit."""
        kinds = {str(kind): _named(hits) for kind, hits in self.counts.items() if hits}
        names = ("damaged", "lost", "prot_lost", "duplicated", "prot_duplicated")
        return {
            "plan": str(self.plan),
            "sent": _named(self.sent),
            **{name: getattr(self, name) for name in names},
            "cut_off": _named(self.cut),
            "kinds": kinds,
        }


def _named(hits: Counter[int]) -> dict[str, int]:
    names = {int(form): form.name for form in FlitType}
    return {names.get(form, f"reserved {form}"): number for form, number in sorted(hits.items()) if number}
