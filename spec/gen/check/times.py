"""Each timer outlasts what it waits for, in every pair of units that a port may have (5.11)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, combinations_with_replacement
from typing import NamedTuple

from spec.gen.check.names import NEEDED
from spec.gen.load import Refusal, Spec

NUMBERS = (("timers", "count"), ("profile", "limit"))
UNITS = ("TU_EXP", "SLOW_EXP")  # of TU and of slow TU


class Times:
    """Lengths in ns by name, with TU and slow TU of 2^`exponents` ns; counts and limits by name."""

    def __init__(self, spec: Spec, exponents: tuple[int, int]) -> None:
        self.tu, self.slow = (1 << exponent for exponent in exponents)
        unit = dict(zip(UNITS, (self.tu, self.slow), strict=True))
        timers = spec.rows("timers", "timer")
        self.of: dict[str, int] = {row["name"]: row["tu"] * unit[row["unit"]] for row in timers}
        numbers = (row for doc, table in NUMBERS for row in spec.rows(doc, table))
        self.number: dict[str, int] = {row["name"]: row["value"] for row in numbers}
        self.round_trip: int = spec["timers"]["round_trip_tu"] * self.tu
        self.vcs = len(spec.rows("messages", "vc"))

    @property
    def ladder(self) -> int:
        """Longest time in which a link without progress ends (3.4.3): stays in ACTIVE, then in RECOVERY."""
        replays, recoveries = self.number["N_REPLAY"] + 1, self.number["N_RECOV"]
        return (recoveries + 1) * replays * self.of["T_REPLAY"] + recoveries * self.of["T_STATE"]

    @property
    def transaction(self) -> int:
        """Longest time of a transaction at its home, two losses included (5.11)."""
        memory, losses = (
            self.number["N_REQ_MEM"] * self.of["T_MEM"],
            self.number["N_REQ_LOSS"] * self.of["T_LOSS"],
        )
        return self.of["T_SNP"] + memory + self.of["T_CACK"] + losses

    @property
    def ladders(self) -> int:
        """Every link of the widest port ends after an exit from L1, one after the other, and one more."""
        return (self.number["MAX_LINKS"] + 1) * (self.ladder + self.of["T_STATE"])


class Bound(NamedTuple):
    """A timer, or a limit in TU, is longer than `least` says; `text` names that."""

    name: str
    text: str
    least: Callable[[Times], int]


LADDERS = "MAX_LINKS + 1 ladders, each with an exit from L1"
BOUNDS = (
    Bound("T_SNP", LADDERS, lambda t: t.ladders),
    Bound("T_MEM", LADDERS, lambda t: t.ladders),
    Bound("T_CACK", LADDERS, lambda t: t.ladders),
    Bound(
        "T_REQ",
        "T_SNP + N_REQ_MEM T_MEM + T_CACK + N_REQ_LOSS T_LOSS",
        lambda t: t.transaction,
    ),
    Bound("T_LOSS", "2 T_STATE + T_DEADKA", lambda t: 2 * t.of["T_STATE"] + t.of["T_DEADKA"]),
    Bound("T_STATE", "T_DEADKA + T_REPLAY", lambda t: t.of["T_DEADKA"] + t.of["T_REPLAY"]),
    Bound("T_DEADKA", "2 T_KA + a round trip", lambda t: 2 * t.of["T_KA"] + t.round_trip),
    Bound("T_REPLAY", "T_ACK + a round trip", lambda t: t.of["T_ACK"] + t.round_trip),
    Bound("T_NAK", "a round trip", lambda t: t.round_trip),
    Bound("CREDIT_RETURN_TU", "T_CR for each VC", lambda t: t.vcs * t.of["T_CR"]),
)


def check(spec: Spec) -> Iterator[Refusal]:
    """Refuse a timer that does not outlast what it waits for, at the first pair of units."""
    rows = {row["name"]: (row, "tu") for row in spec.rows("timers", "timer")}
    rows |= {row["name"]: (row, "value") for doc, table in NUMBERS for row in spec.rows(doc, table)}
    needed = [names.split() for doc, _, names in NEEDED if doc in ("timers", "profile")]
    units = {row["unit"] for row in spec.rows("timers", "timer")}
    if not rows.keys() >= set(chain(*needed)) or not units <= set(UNITS):
        return  # refused by `names`
    most = rows["MAX_TU_EXP"][0]["value"]
    pairs = list(combinations_with_replacement(range(most + 1), 2))  # SLOW_EXP is never below TU_EXP: 3.3.2
    found = [Times(spec, pair) for pair in pairs]
    for bound in BOUNDS:
        row, key = rows[bound.name]
        for (fast, slow), times in zip(pairs, found, strict=True):
            length = times.of.get(bound.name, row[key] * times.tu)
            least = bound.least(times)
            if length <= least:
                text = f"{bound.name} is {length} ns with TU_EXP {fast} and SLOW_EXP {slow}"
                yield row.refuse(f"{text}; expected more than {bound.text}, {least} ns", key)
                break
