"""The results of litmus tests as JSON, and as herd prints them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

from hsl.verify.litmus import Result
from hsl.verify.litmus_model import Outcome

__all__ = ["herd", "record"]

# What herd calls a test with this quantifier, whatever comes of it.
KINDS = {"exists": "Allowed", "~exists": "Forbidden", "forall": "Required"}
# Is a condition of this kind met, by the schedules that it holds and does not hold in.
HOLDS: dict[str, Callable[[int, int], bool]] = {
    "Allowed": lambda positive, _: positive > 0,
    "Forbidden": lambda positive, _: positive == 0,
    "Required": lambda _, negative: negative == 0,
}
HASH_DIGITS = 32


def record(result: Result) -> dict[str, Any]:
    """A result as JSON; counts are schedules."""
    test, condition = result.test, result.test.condition
    seen: Counter[tuple[tuple[str, int], ...]] = Counter()
    for found, count in result.counts.items():
        seen[_shown(result, found)] += count
    states: list[dict[str, Any]] = [
        {"values": dict(state), "schedules": count, "positive": condition.holds(dict(state))}
        for state, count in sorted(seen.items())
    ]
    positive = sum(state["schedules"] for state in states if state["positive"])
    return {
        "name": test.name,
        "placement": list(test.placement),
        "kind": KINDS[condition.quantifier],
        "condition": f"{condition.quantifier} {condition.text}",
        "profile": "allowed" if any(condition.holds(dict(o)) for o in result.allowed) else "forbidden",
        "states": states,
        "positive": positive,
        "negative": result.schedules - positive,
        "observation": _observation(positive, result.schedules - positive),
        "hash": sha256(test.text.encode()).hexdigest()[:HASH_DIGITS],
        "ok": result.ok,
        "verdict": _verdict(result),
        "forbidden": [dict(found) for found in sorted(result.forbidden)],
        "missed": [dict(found) for found in sorted(result.missed)],
        "faults": result.faults,
        "witness": result.witness,
        "reduced": result.reduced,
        "cases": result.cases,
        "schedules": result.schedules,
        "system_states": result.states,
    }


def _shown(result: Result, found: Outcome) -> tuple[tuple[str, int], ...]:
    """Return the part of an outcome that the condition names: registers, then locations, in herd's order."""
    values = dict(found)
    names = sorted(result.test.condition.names, key=lambda name: (":" not in name, name))
    return tuple((name, values[name]) for name in names)


def _observation(positive: int, negative: int) -> str:
    if not positive:
        return "Never"
    return "Sometimes" if negative else "Always"


def _verdict(result: Result) -> str:
    if result.faults:
        return "the agents are at fault"
    if result.forbidden:
        return "an outcome that 5.9 forbids"
    if result.missed:
        return "an outcome that 5.9 allows was not reached"
    return "every outcome that 5.9 allows, and no other" if result.exhaustive else "nothing that 5.9 forbids"


def herd(test: dict[str, Any]) -> Iterator[str]:
    """The lines of a record as herd prints them, and below what herd has no word for.

    There is no line Time: all that is printed follows from the seed.
    """
    name, positive, negative = test["name"], test["positive"], test["negative"]
    yield f"Test {name} {test['kind']}"
    yield f"States {len(test['states'])}"
    yield from map(_state, test["states"])
    yield "Ok" if HOLDS[test["kind"]](positive, negative) else "No"
    yield "Witnesses"
    # Of ~exists a witness is what the condition wants, of all others what it describes.
    witnesses = (negative, positive) if test["kind"] == "Forbidden" else (positive, negative)
    yield "Positive: {} Negative: {}".format(*witnesses)
    yield f"Condition {test['condition']}"
    yield f"Observation {name} {test['observation']} {positive} {negative}"
    yield f"Hash={test['hash']}"
    yield ""
    order = "completions at once" if test["reduced"] else "messages in any order"
    yield (
        f"Schedules {test['schedules']}, {test['system_states']} states of the system, "
        f"{len(test['cases'])} cases, {order}"
    )
    for state in test["states"]:
        yield f"  {state['schedules']} {'*' if state['positive'] else ':'}> {_state(state)}"
    yield f"Profile {test['profile']}: {test['verdict']}"
    yield from (f"Fault {fault}" for fault in test["faults"])
    yield from (f"  {event}" for event in test["witness"])
    yield ""


def _state(state: dict[str, Any]) -> str:
    return " ".join(f"{_name(each)}={value};" for each, value in state["values"].items())


def _name(name: str) -> str:
    """Memory stands in brackets."""
    return name if ":" in name else f"[{name}]"
