"""The interpreter of the coherence tables."""

from collections import Counter
from operator import itemgetter

import pytest

from hsl._generated.tables import (
    HA_ACTIONS,
    HA_EVENTS,
    HA_GUARDS,
    HA_STATES,
    HA_TABLE,
    RA_ACTIONS,
    RA_EVENTS,
    RA_STATES,
    RA_TABLE,
    CoherenceRow,
)
from hsl.agents.interpreter import Action, Interpreter, Table
from hsl.agents.transaction import GUARDS as GUARD_VALUES
from hsl.errors import ConfigError

GUARDS = {"who": ("none", "listed"), "dir": ("I", "S")}


def row(*actions: str, n: str = "=", **guards: tuple[str, ...]) -> CoherenceRow:
    return CoherenceRow(tuple(guards.items()), tuple(tuple(action.split()) for action in actions), n)


def build(table: Table, *, states: str = "A B", events: str = "x", **actions: Action) -> Interpreter:
    values = {name: itemgetter(name) for name in GUARDS}
    return Interpreter(
        table, actions, states=states.split(), events=events.split(), guards=GUARDS, values=values
    )


def record(log: list[tuple[str, ...]], name: str) -> Action:
    def action(machine: list[str], *words: str) -> None:
        log.append((name, *machine, *words))

    return action


def test_a_step_runs_the_actions_of_its_row_in_order_and_returns_the_next_state() -> None:
    """Actions get the machine and their words, in the order of the row; "=" keeps the state."""
    log: list[tuple[str, ...]] = []
    table = {("A", "x"): (row("one", "two p q", n="B"),), ("B", "x"): (row("two r"),)}
    interpreter = build(table, one=record(log, "one"), two=record(log, "two"))
    assert interpreter.step(["m"], "A", "x") == "B"
    assert interpreter.step(["m"], "B", "x") == "B"
    assert log == [("one", "m"), ("two", "m", "p", "q"), ("two", "m", "r")]


def test_a_row_that_ends_in_the_pseudo_state_goes_on_at_once() -> None:
    """DO is followed by go, an action may name the event that follows; each step is counted."""
    follow = {"mem": "done"}
    table = {
        ("A", "x"): (row(n="DO"),),
        ("A", "go"): (row(),),
        ("A", "done"): (row(n="B"),),
        ("DO", "go"): (row("mem", n="A"),),
        **{("DO", event): (row(),) for event in ("x", "done")},
        **{("B", event): (row(),) for event in ("x", "go", "done")},
    }
    interpreter = build(
        table, states="A B DO", events="x go done", mem=lambda machine, *words: machine["mem"]
    )
    assert interpreter.step(follow, "A", "x") == "B"
    assert interpreter.coverage == Counter({("A", "x"): 1, ("DO", "go"): 1, ("A", "done"): 1})


def test_guards_choose_the_row() -> None:
    """Of the rows of a cell the one whose guards match the present values is run."""
    table = {
        ("A", "x"): (row(n="B", who=("none",)), row(who=("listed",), dir=("S",))),
        ("B", "x"): (row(),),
    }
    interpreter = build(table)
    assert interpreter.step({"who": "none", "dir": "I"}, "A", "x") == "B"
    assert interpreter.step({"who": "listed", "dir": "S"}, "A", "x") == "A"


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        ({("A", "x"): (row(),)}, "0 rows for .'B', 'x'."),
        ({("A", "x"): (row(), row()), ("B", "x"): (row(),)}, "2 rows"),
        ({("A", "x"): (row(who=("none",)),), ("B", "x"): (row(),)}, "0 rows for .*'who': 'listed'"),
        ({("A", "x"): (row(who=("maybe",)),), ("B", "x"): (row(),)}, "outside its domain"),
        ({("A", "x"): (row(why=("none",)),), ("B", "x"): (row(),)}, "outside its domain"),
        ({("A", "x"): (row("unknown"),), ("B", "x"): (row(),)}, "unknown of .* no function"),
        ({("A", "x"): (row(n="C"),), ("B", "x"): (row(),)}, "next state C"),
        (
            {("A", "x"): (row(),), ("B", "x"): (row(),), ("C", "x"): (row(),)},
            "unknown state or event in .'C', 'x'",
        ),
    ],
)
def test_a_bad_table_is_refused_when_it_is_built(cells: Table, text: str) -> None:
    """A hole, two rows for one case, or an unknown word of any kind is a ConfigError, before any step."""
    with pytest.raises(ConfigError, match=text):
        build(cells)


def test_the_tables_of_the_profile_are_total() -> None:
    """RA_TABLE has one row for each of 12 x 25 cells, HA_TABLE one for each case of its 9 x 28 cells."""

    def nothing(machine: object, *words: str) -> None:
        raise AssertionError

    assert len(RA_TABLE) == len(RA_STATES) * len(RA_EVENTS) == 300
    assert len(HA_TABLE) == len(HA_STATES) * len(HA_EVENTS) == 252
    Interpreter(RA_TABLE, dict.fromkeys(RA_ACTIONS, nothing), states=RA_STATES, events=RA_EVENTS)
    Interpreter(
        HA_TABLE,
        dict.fromkeys(HA_ACTIONS, nothing),
        states=HA_STATES,
        events=HA_EVENTS,
        guards=HA_GUARDS,
        values=GUARD_VALUES,
    )
