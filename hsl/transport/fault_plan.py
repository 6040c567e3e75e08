"""Plans of faults: their spelling in words, and the flits that each can hit.

    KIND[@TYPE][:AMOUNT][:OPTION=VALUE]...        between commas

AMOUNT is a rate from 0 to 1, or xN for the next N flits; where an option stands for it, x1. `nth=N`: the
first N-1 flits that it could hit pass. `burst=N`: each hit goes on over N consecutive flits. `from=a|b`: the
sending end; cpu and gpu of a demo are a and b. `link=N`, and `ns=N` for kinds that have a length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from hsl._generated.constants import FlitType
from hsl.errors import ConfigError
from hsl.nearest import expected, nearest
from hsl.numeral import is_numeral
from hsl.shown import shown
from hsl.transport.fault_kinds import KINDS, FaultKind, Outcome
from hsl.transport.fault_scenario import Row, read_scenario

__all__ = ["MAX_FAULTS", "Fault", "FaultPlan"]

# Length of a delay that does not say its own, in ns: several flits of a slow line.
DELAY_NS = 10_000
# Faults of one plan; every flit is compared with each.
MAX_FAULTS = 64
# Flits of a burst, and of `xN` and `nth`: what a counter of a report holds without surprise.
MAX_BURST, MAX_COUNT = 1 << 10, 1 << 32
MAX_NS = 10**12  # a quarter of an hour: longer than any timer of a link
MAX_LINK = 7  # links are numbered 0..7. HSL 4
# The ends of a wire by their names; in a demo the wire goes from the CPU to the GPU.
ENDS: Final = {"a": "a", "b": "b", "cpu": "a", "gpu": "b"}


def _between(least: int, most: int) -> Callable[[Any], int | None]:
    def check(value: Any) -> int | None:
        fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return value if fits else None

    return check


def _one_of(names: Mapping[str, Any]) -> Callable[[Any], Any]:
    return lambda value: names.get(value) if isinstance(value, str) else None


def _rate(value: Any) -> float | None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return float(value) if fits and math.isfinite(value) else None


TIMED: Final = " ".join(kind for kind, row in KINDS.items() if row.own_time)
# Names of a scenario: field of Fault, what makes a legal value of it or None, and what is legal.
SETTINGS: Final[dict[str, tuple[str, Callable[[Any], Any], str]]] = {
    "kind": ("kind", lambda v: FaultKind(v) if v in list(FaultKind) else None, " ".join(FaultKind)),
    "type": ("only", _one_of(FlitType.__members__), " ".join(FlitType.__members__)),
    "rate": ("rate", _rate, "0 to 1"),
    "count": ("count", _between(1, MAX_COUNT), f"1 to {MAX_COUNT}"),
    "nth": ("nth", _between(1, MAX_COUNT), f"1 to {MAX_COUNT}"),
    "burst": ("burst", _between(1, MAX_BURST), f"1 to {MAX_BURST}"),
    "ns": (
        "delay_ns",
        _between(0, MAX_NS),
        f"0 to {MAX_NS}, of {TIMED}",
    ),
    "from": ("sender", _one_of(ENDS), " ".join(ENDS)),
    "link": ("link", _between(0, MAX_LINK), f"0 to {MAX_LINK}"),
}
OPTIONS: Final = ("nth", "burst", "ns", "from", "link")  # those that the spelling has as NAME=VALUE


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: to each flit that it can hit with probability `rate`, or to the next `count` of them.

    `only`: flits of this type (None: all that the kind can hit). `nth`: how many it could hit until the first
    that it may. `burst`: consecutive flits of a hit. `sender` "a" or "b", `link`: None for both, for all.
    """

    kind: FaultKind
    rate: float = 0.0
    count: int = 0
    only: FlitType | None = None
    delay_ns: int = DELAY_NS
    nth: int = 1
    burst: int = 1
    sender: str | None = None
    link: int | None = None

    def can_hit(self, form: int) -> bool:
        """True if the fault can hit flits of type `form`."""
        return self.only in (None, form) and form in KINDS[self.kind].types

    def __str__(self) -> str:
        """The spelling that FaultPlan.parse reads."""
        return self.spelled()

    def spelled(self, ends: tuple[str, str] = ("a", "b")) -> str:
        """Return the spelling that FaultPlan.parse reads, with these names for both ends of a wire."""
        name = self.kind if self.only is None else f"{self.kind}@{self.only.name}"
        parts = [name, f"x{self.count}" if self.count else repr(self.rate)]
        for option in OPTIONS:
            value = getattr(self, SETTINGS[option][0])
            told = KINDS[self.kind].own_time if option == "ns" else value not in (None, 1) or option == "link"
            if told and value is not None:
                value = ends["ab".index(value)] if option == "from" else value
                parts.append(f"{option}={value}")
        return ":".join(parts)

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Fault:
        """Make a fault of SETTINGS by name. Raises ConfigError that names the invalid setting."""
        fields: dict[str, Any] = {}
        for name, value in settings.items():
            if name not in SETTINGS:
                raise ConfigError(f"{name}: unknown setting; {expected(SETTINGS, name)}")
            field, legal, words = SETTINGS[name]
            fields[field] = legal(value)
            if fields[field] is None:
                near = nearest(value, FaultKind) if name == "kind" else ""
                hint = f"; did you mean {near}?" if near else ""
                raise ConfigError(f"{name} = {shown(value)}; expected {words}{hint}")
        if "kind" not in fields:
            raise ConfigError(f"kind is missing: one of {' '.join(FaultKind)}")
        kind = KINDS[fields["kind"]]
        if "rate" in fields and "count" in fields:
            raise ConfigError("rate and count: a fault has one of them")
        if "ns" in settings and not kind.own_time:
            raise ConfigError(f"ns: {fields['kind']} has no length; it is {SETTINGS['ns'][2]}")
        if "type" in settings and fields["only"] not in kind.types:
            names = " ".join(form.name for form in FlitType if form in kind.types)
            raise ConfigError(f"type = {settings['type']!r}: {fields['kind']} hits {names}")
        fields.setdefault("count", 0 if "rate" in fields else 1)
        return cls(**fields)

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read KIND[@TYPE][:AMOUNT][:OPTION=VALUE]...; ConfigError says what is wrong with which fault."""
        name, *rest = text.split(":")
        kind, at, only = name.partition("@")
        settings: dict[str, Any] = {"kind": kind} | ({"type": only} if at else {})
        try:
            for place, part in enumerate(rest):
                option, value = _option(part, place)
                if option in settings:
                    raise ConfigError(f"{option} is there twice")
                settings[option] = value
            if rest not in ([], [""]):
                return cls.of(settings)
            known = cls.of({"kind": kind}).kind  # a kind that is misspelled is the better news
            raise ConfigError(f"a rate or xN is missing, as in {KINDS[known].example}")
        except ConfigError as error:
            raise ConfigError(f"invalid fault {text!r}: {error}; {SPELLING}") from None


GRAMMAR: Final = "KIND[@TYPE][:RATE|:xN][:nth=N][:burst=N][:from=cpu|gpu][:link=N][:ns=N]"
PLAN: Final = (
    f"a fault is {GRAMMAR} (from=a|b in hsl link), a plan is RATE (half crc, half drop), or faults between "
    "commas, or a scenario FILE.toml"
)
SPELLING: Final = f"a fault is {GRAMMAR}; 'hsl inject list' shows the kinds"


def _option(part: str, place: int) -> tuple[str, Any]:
    """The setting that one part after the kind is."""
    option, equals, value = part.partition("=")
    if equals:
        if option not in OPTIONS:
            raise ConfigError(f"unknown option {option!r}; {expected(OPTIONS, option)}")
        return option, value if option == "from" else _number(value, int)
    if place == 0:
        return ("count", _number(part[1:], int)) if part.startswith("x") else ("rate", _number(part, float))
    return "ns", _number(part, int)


def _number(text: str, kind: Callable[[str], Any]) -> Any:
    """The number in `text`, or the text itself for the check of its setting to refuse."""
    try:
        return kind(text) if is_numeral(text) else text
    except ValueError:  # as in 1.5 where an integer is expected
        return text


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Faults to inject. Raises ConfigError when the rates that can meet in one flit exceed 1."""

    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        if len(self.faults) > MAX_FAULTS:
            raise ConfigError(f"{len(self.faults)} faults in a plan: at most {MAX_FAULTS}")
        links = {fault.link for fault in self.faults} | {None}
        for end in sorted(set(ENDS.values())):
            for link in links:
                for form in FlitType:
                    meet = [f for f in self.faults if f.sender in (None, end) and f.link in (None, link)]
                    total = sum(f.rate for f in meet if f.can_hit(form))
                    if total > 1:
                        raise ConfigError(
                            f"{self}: the rates of faults that can meet in a {form.name} flit add up to "
                            f"{total:g}; expected at most 1; {SPELLING}"
                        )

    def __bool__(self) -> bool:
        """Something can happen."""
        return bool(self.faults)

    def __str__(self) -> str:
        """The spelling that parse reads."""
        return self.spelled()

    def spelled(self, ends: tuple[str, str] = ("a", "b")) -> str:
        """Return the spelling that parse reads, with these names for both ends of a wire."""
        return ",".join(fault.spelled(ends) for fault in self.faults) or "none"

    @classmethod
    def parse(cls, text: str) -> FaultPlan:
        """Read `none`, a bare rate (half crc, half drop), faults between commas, or FILE.toml or @FILE.

        Raises ConfigError that names what came and what was expected, for a file with its line.
        """
        text = text.strip()
        if text in ("", "none"):
            return cls()
        if text.startswith("@") or (text.endswith(".toml") and "," not in text):
            return cls.of_scenario(read_scenario(Path(text.removeprefix("@"))))
        number = _number(text, float)
        rate = _rate(number)
        if rate is None and isinstance(number, float):
            raise ConfigError(f"rate {text} of faults; expected 0 to 1")
        if rate is not None:
            return cls(tuple(Fault(kind, rate=rate / 2) for kind in (FaultKind.CRC, FaultKind.DROP)))
        return cls(tuple(Fault.parse(part.strip()) for part in text.split(",")))

    @classmethod
    def of_scenario(cls, rows: Iterable[Row]) -> FaultPlan:
        """The plan of a scenario file. Raises ConfigError with the place of the fault that is wrong."""
        faults = []
        for row in rows:
            try:
                faults.append(Fault.of(row.settings))
            except ConfigError as error:
                raise ConfigError(f"{row.where(str(error).split(' ')[0].rstrip(':'))}: {error}") from None
        return cls(tuple(faults))

    def narrowed(self, *, nth: int | None = None, burst: int | None = None) -> FaultPlan:
        """The plan with `nth` and `burst` for the faults that do not say their own."""
        changed = (
            replace(
                fault,
                nth=nth if nth is not None and fault.nth == 1 else fault.nth,
                burst=burst if burst is not None and fault.burst == 1 else fault.burst,
            )
            for fault in self.faults
        )
        return FaultPlan(tuple(changed))

    def fits(self, links: int) -> FaultPlan:
        """The plan, for a port of `links` links. ConfigError for a fault of a link that it has not."""
        for fault in self.faults:
            if fault.link is not None and fault.link >= links:
                raise ConfigError(f"{fault}: it would hit nothing; links are 0..{links - 1}")
        return self

    def part(self, sender: str, link: int = 0) -> FaultPlan:
        """Return the faults that can hit the flits that the end `sender` (of ENDS) sends on `link`."""
        end = ENDS[sender]
        mine = (f for f in self.faults if f.sender in (None, end) and f.link in (None, link))
        return FaultPlan(tuple(replace(fault, sender=None, link=None) for fault in mine))

    @property
    def outcome(self) -> Outcome | None:
        """The worst that it may do to a run; None for the empty plan."""
        order = list(Outcome)
        return max((KINDS[fault.kind].outcome for fault in self.faults), key=order.index, default=None)

    @property
    def inexact(self) -> list[str]:
        """Kinds in it with which the account of a direction need not hold to the flit."""
        return sorted({str(fault.kind) for fault in self.faults if not KINDS[fault.kind].exact})
