"""Faults put on the wire on purpose, from one seed, and counted to the flit (HSL 3.9 `mem`)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from hsl._generated.constants import FlitType
from hsl.codec.flit import FORMATS, flit_type
from hsl.errors import ConfigError

__all__ = ["Arrival", "Fault", "FaultInjector", "FaultKind", "FaultPlan"]

# A CRC sees every error of up to this many bits in a flit (2.4), so each damaged flit is noticed.
MAX_FLIPS = 5
# Length of a delay that does not say its own, in ns: several flits of a slow line.
DELAY_NS = 10_000
# Faults of one plan; every flit is compared with each.
MAX_FAULTS = 64
SIZES = frozenset(form.bytes for form in FORMATS.values())
PROT_TYPES = (FlitType.PROT, FlitType.PROT_S)


class FaultKind(StrEnum):
    """What can happen to a flit."""

    CRC = "crc"  # 1 to 5 bits flipped
    DROP = "drop"  # never arrives
    TRUNCATE = "truncate"  # arrives short
    DUPLICATE = "duplicate"  # arrives twice: breaks the PHY contract (B1), to see it caught
    DELAY = "delay"  # arrives late, and all later ones after it


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: to each flit of type `only` (None: any) with probability `rate`, or to the next `count`."""

    kind: FaultKind
    rate: float = 0.0
    count: int = 0
    only: FlitType | None = None
    delay_ns: int = DELAY_NS

    def __str__(self) -> str:
        """The spelling that FaultPlan.parse reads."""
        name = self.kind if self.only is None else f"{self.kind}@{self.only.name}"
        amount = f"x{self.count}" if self.count else repr(self.rate)
        return f"{name}:{amount}:{self.delay_ns}" if self.kind is FaultKind.DELAY else f"{name}:{amount}"

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read KIND[@TYPE]:AMOUNT[:NS]; AMOUNT is a rate, or xN for the next N flits."""
        name, _, rest = text.partition(":")
        amount, _, delay = rest.partition(":")
        kind, at, only = name.partition("@")
        try:
            fault = cls(
                FaultKind(kind),
                count=int(amount[1:]) if amount.startswith("x") else 0,
                rate=0.0 if amount.startswith("x") else float(amount),
                only=FlitType[only] if at else None,
                delay_ns=int(delay) if delay else DELAY_NS,
            )
        except (ValueError, KeyError):
            raise _bad(text) from None
        if not 0 <= fault.rate <= 1 or fault.count < 0 or fault.delay_ns < 0 or amount == "x0":
            raise _bad(text)
        if delay and fault.kind is not FaultKind.DELAY:
            raise _bad(text)
        return fault


def _bad(text: str) -> ConfigError:
    kinds = " ".join(FaultKind)
    return ConfigError(
        f"{text!r} is no fault: legal is RATE, or KIND[@TYPE]:RATE or KIND[@TYPE]:xN (the next N flits), "
        f"delay also with :NS; KIND of {kinds}; TYPE of {' '.join(FlitType.__members__)}; "
        "RATE 0 to 1, in sum at most 1"
    )


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """The faults of one direction. Raises ConfigError when the rates that can meet in one flit exceed 1."""

    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        for form in FlitType:
            if sum(fault.rate for fault in self.faults if fault.only in (None, form)) > 1:
                raise _bad(str(self))
        if len(self.faults) > MAX_FAULTS:
            raise ConfigError(f"{len(self.faults)} faults in a plan: at most {MAX_FAULTS}")

    def __bool__(self) -> bool:
        """Something can happen."""
        return bool(self.faults)

    def __str__(self) -> str:
        """The spelling that parse reads."""
        return ",".join(map(str, self.faults)) or "none"

    @classmethod
    def parse(cls, text: str) -> FaultPlan:
        """Read `none`, a bare rate (half crc, half drop), or faults between commas. Raises ConfigError."""
        if text.strip() in ("", "none"):
            return cls()
        if ":" not in text:
            try:
                half = float(text) / 2
            except ValueError:
                raise _bad(text) from None
            return cls(tuple(Fault.parse(f"{kind}:{half!r}") for kind in (FaultKind.CRC, FaultKind.DROP)))
        return cls(tuple(Fault.parse(part.strip()) for part in text.split(",")))


class Arrival(NamedTuple):
    """What the other end gets: the bytes, how much later in ns, and whether the binding reports err=1."""

    data: bytes
    delay_ns: int = 0
    error: bool = False


class FaultInjector:
    """Applies a plan to the flits of one direction, in order, at PAL_TX.

    `counts[kind][type]` has the flits that each fault hit. A truncated flit arrives with err=1 where the
    binding keeps the frame border (loopback); on a stream its frame is a framing error: the connection ends.
    """

    def __init__(self, plan: FaultPlan, rng: random.Random) -> None:
        self.plan = plan
        self.rng = rng
        self.enabled = True
        self.sent: Counter[int] = Counter()  # per flit type, faulty or not
        self.counts: dict[FaultKind, Counter[int]] = {kind: Counter() for kind in FaultKind}
        self._left = [fault.count for fault in plan.faults]
        self._apply: dict[FaultKind, Callable[[bytes, Fault], list[Arrival]]] = {
            FaultKind.CRC: self._crc,
            FaultKind.DROP: lambda data, fault: [],
            FaultKind.TRUNCATE: self._truncate,
            FaultKind.DUPLICATE: lambda data, fault: [Arrival(data), Arrival(data)],
            FaultKind.DELAY: lambda data, fault: [Arrival(data, fault.delay_ns)],
        }

    def apply(self, data: bytes) -> list[Arrival]:
        """What arrives for one flit, in order; at most one fault hits a flit."""
        form = flit_type(data)
        self.sent[form] += 1
        fault = self._choose(form) if self.enabled and self.plan else None
        if fault is None:
            return [Arrival(data)]
        self.counts[fault.kind][form] += 1
        return self._apply[fault.kind](data, fault)

    def _choose(self, form: int) -> Fault | None:
        for index, fault in enumerate(self.plan.faults):
            if self._left[index] and fault.only in (None, form):
                self._left[index] -= 1
                return fault
        draw = self.rng.random()
        for fault in self.plan.faults:
            if fault.only in (None, form):
                draw -= fault.rate
                if draw < 0:
                    return fault
        return None

    def _crc(self, data: bytes, fault: Fault) -> list[Arrival]:
        word = int.from_bytes(data, "little")
        for bit in self.rng.sample(range(8 * len(data)), self.rng.randint(1, MAX_FLIPS)):
            word ^= 1 << bit
        return [Arrival(word.to_bytes(len(data), "little"))]

    def _truncate(self, data: bytes, fault: Fault) -> list[Arrival]:
        # A piece that has by chance the length of a flit would be no truncated one.
        lengths = [length for length in range(1, len(data)) if length not in SIZES]
        return [Arrival(data[: self.rng.choice(lengths)], error=True)]

    def count(self, *kinds: FaultKind, types: tuple[int, ...] = ()) -> int:
        """Flits of `types` (none named: of all) that one of `kinds` hit."""
        hits = [self.counts[kind] for kind in kinds]
        return sum(hit[form] for hit in hits for form in types or hit)

    @property
    def damaged(self) -> int:
        """Flits that arrived and are bad: what the peer counts as code 1."""
        return self.count(FaultKind.CRC, FaultKind.TRUNCATE)

    @property
    def lost(self) -> int:
        """Flits that never arrived."""
        return self.count(FaultKind.DROP)

    @property
    def duplicated(self) -> int:
        """Flits that arrived once more than they were sent."""
        return self.count(FaultKind.DUPLICATE)

    @property
    def prot_lost(self) -> int:
        """PROT flits that the peer could not use: dropped or damaged."""
        return self.count(FaultKind.CRC, FaultKind.TRUNCATE, FaultKind.DROP, types=PROT_TYPES)

    @property
    def prot_duplicated(self) -> int:
        """PROT flits that arrived once more than they were sent."""
        return self.count(FaultKind.DUPLICATE, types=PROT_TYPES)

    def as_dict(self) -> dict[str, object]:
        """The counters for a report, flit types by name."""
        kinds = {str(kind): _named(hits) for kind, hits in self.counts.items()}
        totals = {name: getattr(self, name) for name in ("damaged", "lost", "prot_lost", "prot_duplicated")}
        return {"plan": str(self.plan), "sent": _named(self.sent), **totals, "kinds": kinds}


def _named(hits: Counter[int]) -> dict[str, int]:
    names = {int(form): form.name for form in FlitType}
    return {names.get(form, f"reserved {form}"): number for form, number in sorted(hits.items())}
