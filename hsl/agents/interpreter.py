"""One interpreter for both coherence tables: the cache's (5.5) and the home's (5.6).

A table is compiled once, when an agent is built. That is also when it is judged: every state has a row for
every event, exactly one for each combination of guard values, and every action word has its function. So a
step never fails to find its row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from hsl._generated.tables import CoherenceRow
from hsl.errors import ConfigError

Table = Mapping[tuple[str, str], tuple[CoherenceRow, ...]]
# An action gets the machine and the words after its name. It may return the event that follows at once: local
# memory completes in the same step (coherence.toml, run to completion).
Action = Callable[..., str | None]
Value = Callable[[Any], str]  # of a guard variable, from the machine
Call = tuple[Action, tuple[str, ...]]
Coverage = Counter[tuple[str, str]]  # steps taken in a state, by an event
Outcome = tuple[tuple[Call, ...], str]  # what to do, next state

SAME = "="  # the next state is the present one
PSEUDO, GO = "DO", "go"  # a row that ends in DO is followed at once by the event go
# Combinations of guard values that cannot occur, so need no row: nobody is listed in an empty directory.
IMPOSSIBLE: tuple[Mapping[str, str], ...] = ({"dir": "I", "who": "listed"},)


class Interpreter:
    """Runs the rows of one table.

    `actions` maps each action word to a function `f(machine, *words)`. `guards` gives the domain of each
    guard variable, `values` its present value, from the machine. `coverage`, when given, counts the steps
    taken per (state, event). Raises ConfigError for a table with a hole, with two rows for one case, with an
    unknown state, guard or action.
    """

    def __init__(
        self,
        table: Table,
        actions: Mapping[str, Action],
        coverage: Coverage | None = None,
        *,
        states: Sequence[str],
        events: Sequence[str],
        guards: Mapping[str, tuple[str, ...]] | None = None,
        values: Mapping[str, Value] | None = None,
    ) -> None:
        self._plain: dict[tuple[str, str], Outcome] = {}
        self._guarded: dict[tuple[str, str], tuple[list[Value], dict[tuple[str, ...], Outcome]]] = {}
        self.coverage: Coverage = Counter() if coverage is None else coverage
        if extra := table.keys() - set(product(states, events)):
            raise ConfigError(f"coherence table: unknown state or event in {min(extra)}")
        for cell in product(states, events):
            rows = table.get(cell, ())
            outcomes = [_compile(cell, row, actions, states) for row in rows]
            if len(rows) == 1 and not rows[0].guards:
                self._plain[cell] = outcomes[0]
            else:
                names, choices = _decide(cell, rows, outcomes, guards or {})
                self._guarded[cell] = [(values or {})[name] for name in names], choices

    def step(self, machine: object, state: str, event: str) -> str:
        """Run the one matching row, and the events that follow it at once; return the next state.

        The guard variables of a row are read before it, after the actions of the row before.
        """
        following: str | None = event
        while following is not None:
            cell = (state, following)
            self.coverage[cell] += 1
            outcome = self._plain.get(cell)
            if outcome is None:
                values, choices = self._guarded[cell]
                outcome = choices[tuple([value(machine) for value in values])]
            calls, after = outcome
            following = None
            for action, words in calls:
                following = action(machine, *words) or following
            if after != SAME:
                state = after
                if after == PSEUDO:
                    following = GO
        return state


def _compile(
    cell: tuple[str, str], row: CoherenceRow, actions: Mapping[str, Action], states: Sequence[str]
) -> Outcome:
    """The functions of a row and its next state."""
    for word, *_ in row.actions:
        if word not in actions:
            raise ConfigError(f"coherence table: action {word} of {cell} has no function")
    if row.next != SAME and row.next not in states:
        raise ConfigError(f"coherence table: next state {row.next} of {cell} is not a state")
    return tuple((actions[word], tuple(words)) for word, *words in row.actions), row.next


def _decide(
    cell: tuple[str, str],
    rows: Sequence[CoherenceRow],
    outcomes: Sequence[Outcome],
    guards: Mapping[str, tuple[str, ...]],
) -> tuple[tuple[str, ...], dict[tuple[str, ...], Outcome]]:
    """The variables that a cell looks at, and its outcome for each combination of their values."""
    used = {name: values for row in rows for name, values in row.guards}
    for name, values in ((name, values) for row in rows for name, values in row.guards):
        if not set(values) <= set(guards.get(name, ())):
            raise ConfigError(f"coherence table: guard {name}={values} of {cell} is outside its domain")
    names = tuple(name for name in guards if name in used)
    choices: dict[tuple[str, ...], Outcome] = {}
    for valuation in _valuations(names, guards):
        found = [
            outcome
            for row, outcome in zip(rows, outcomes, strict=True)
            if all(valuation[name] in values for name, values in row.guards)
        ]
        if len(found) == 1:
            choices[tuple(valuation.values())] = found[0]
        elif found or not _impossible(valuation):
            raise ConfigError(f"coherence table: {len(found)} rows for {cell} with {valuation}; expected 1")
    return names, choices


def _valuations(names: Sequence[str], guards: Mapping[str, tuple[str, ...]]) -> Iterator[dict[str, str]]:
    for values in product(*(guards[name] for name in names)):
        yield dict(zip(names, values, strict=True))


def _impossible(valuation: Mapping[str, str]) -> bool:
    return any(case.items() <= valuation.items() for case in IMPOSSIBLE)
