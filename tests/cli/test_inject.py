"""`hsl inject list`: every kind, for people and for programs."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from hsl.cli import main
from hsl.cli.inject import listed
from hsl.transport.fault_plan import SETTINGS, Fault
from hsl.transport.faults import FaultKind, FaultPlan

SCHEMA = Path(__file__).parents[2] / "hsl" / "cli" / "schemas" / "inject.json"


def test_json_follows_its_schema() -> None:
    """--json prints one document that its schema accepts, with every kind in it."""
    done = CliRunner().invoke(main, ["inject", "list", "--json"])
    document = json.loads(done.stdout)
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)
    assert [row["kind"] for row in document["kinds"]] == list(FaultKind)


@pytest.mark.parametrize("row", listed()["kinds"], ids=lambda row: row["kind"])
def test_example_is_a_plan_of_its_kind(row: dict[str, str]) -> None:
    """The example of a kind is a plan of that kind, and its parameters are settings of a scenario."""
    (fault,) = FaultPlan.parse(row["example"]).faults
    assert isinstance(fault, Fault)
    assert fault.kind == row["kind"]
    assert set(row["parameters"]) <= set(SETTINGS)


def test_table_for_people() -> None:
    """The list fits a screen of 80x24: a line a kind, whose end is an example that can be copied."""
    lines = CliRunner().invoke(main, ["inject", "list"]).stdout.splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    found = {line.split()[0]: line.split()[-1] for line in lines if line.startswith("  ")}
    assert set(FaultKind) <= set(found)
    for kind in FaultKind:
        assert [fault.kind for fault in FaultPlan.parse(found[kind]).faults] == [kind]
    assert "tells the kinds" not in " ".join(lines)


@pytest.mark.parametrize("kind", FaultKind)
def test_details_of_one_kind(kind: FaultKind) -> None:
    """`hsl inject list KIND` shows all about one kind, and --json has that kind only."""
    done = CliRunner().invoke(main, ["inject", "list", kind])
    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    row = listed(kind)["kinds"][0]
    shown = " ".join(done.stdout.split())
    for text in (row["does"], row["peer"], row["outcome"], *row["errors"], *row["parameters"][:1]):
        assert text in shown
    document = json.loads(CliRunner().invoke(main, ["inject", "list", kind, "--json"]).stdout)
    assert [each["kind"] for each in document["kinds"]] == [kind]


def test_an_unknown_kind_names_the_nearest() -> None:
    """A misspelled kind ends with 4 and the name that is nearest."""
    done = CliRunner().invoke(main, ["inject", "list", "rorder"])
    assert (done.exit_code, done.stdout) == (4, "")
    assert "did you mean reorder?" in done.stderr
