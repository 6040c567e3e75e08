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
    """Without --json every kind and the spelling of a plan are shown."""
    done = CliRunner().invoke(main, ["inject", "list"])
    shown = done.stdout.split()
    assert set(FaultKind) <= set(shown)
