"""`hsl litmus`: reports, herd's shape, exit codes."""

import importlib.resources
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from hsl.cli import main
from hsl.cli.exits import ExitCode
from tests.verify.planted import PLANTED


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["litmus", *arguments])


def report(result: Result, name: str = "litmus") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    schema = (importlib.resources.files("hsl.cli") / f"schemas/{name}.json").read_text()
    jsonschema.validate(document, json.loads(schema))
    return document


def test_exhaustive_report() -> None:
    """All schedules of the selected tests: nothing forbidden, all that is allowed, how many there were."""
    result = call("run", "CoRR@*", "RMW@*", "--exhaustive", "--seed", "1", "--jobs", "1", "--json")
    assert result.exit_code == ExitCode.OK
    assert "seed 1" in result.stderr
    document = report(result)
    assert [test["name"] for test in document["tests"]] == [
        "CoRR@cpu-gpu", "CoRR@gpu-cpu", "RMW@cpu-gpu", "RMW@gpu-cpu"
    ]  # fmt: skip
    totals = document["totals"]
    assert (totals["forbidden"], totals["missed"], totals["faults"]) == (0, 0, 0)
    assert totals["schedules"] == sum(test["positive"] + test["negative"] for test in document["tests"])


def test_two_processes_say_the_same() -> None:
    """The report does not depend on how many processes ran the tests."""
    arguments = ("run", "CoWW*", "--exhaustive", "--seed", "1", "--json")
    one, two = (report(call(*arguments, "--jobs", jobs)) for jobs in ("1", "2"))
    assert one["tests"] == two["tests"]


def test_shape_of_herd() -> None:
    """A person reads what herd prints, to the letter, and below it what 5.9 says and the schedules."""
    result = call("run", "CoRR@cpu-gpu", "--exhaustive", "--seed", "1")
    herd, ours, _ = result.stdout.split("\n\n")
    lines = herd.splitlines()
    negative = lines[7].rpartition(" ")[2]
    assert lines[:-1] == [
        "Test CoRR@cpu-gpu Allowed", "States 3",
        "1:r0=0; 1:r1=0;", "1:r0=0; 1:r1=1;", "1:r0=1; 1:r1=1;",
        "No", "Witnesses", f"Positive: 0 Negative: {negative}",
        "Condition exists (1:r0=1 /\\ 1:r1=0)", f"Observation CoRR@cpu-gpu Never 0 {negative}",
    ]  # fmt: skip
    assert re.fullmatch("Hash=[0-9a-f]{32}", lines[-1])
    assert ours.startswith(f"Schedules {negative}, ")
    assert "any order" in ours
    assert re.search(r"^  \d+ :> 1:r0=0; 1:r1=1;$", ours, re.MULTILINE)
    assert "Profile forbidden: every outcome that 5.9 allows, and no other" in ours


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("exists (x=1)", ("Allowed", "Ok", "Positive: {n} Negative: 0", "Always {n} 0")),
        ("exists (x=2)", ("Allowed", "No", "Positive: 0 Negative: {n}", "Never 0 {n}")),
        ("~exists (x=1)", ("Forbidden", "No", "Positive: 0 Negative: {n}", "Always {n} 0")),
        ("~exists (x=2)", ("Forbidden", "Ok", "Positive: {n} Negative: 0", "Never 0 {n}")),
        ("forall (x=1)", ("Required", "Ok", "Positive: {n} Negative: 0", "Always {n} 0")),
        ("forall (x=2)", ("Required", "No", "Positive: 0 Negative: {n}", "Never 0 {n}")),
    ],
)
def test_quantifiers(tmp_path: Path, condition: str, said: tuple[str, ...]) -> None:
    """Whether a condition is met, and what its witnesses are, depends on the quantifier, as in herd."""
    file = tmp_path / "q.litmus"
    file.write_text(f"HSL q\n{{}}\nP0;\nstore x,1;\n{condition}\n")
    result = call("run", str(file), "--exhaustive", "--seed", "1")
    lines = result.stdout.splitlines()
    count = max(re.findall(r"\d+", lines[5]), key=int)
    kind, met, witnesses, observation = (each.format(n=count) for each in said)
    assert (lines[0], lines[3]) == (f"Test q {kind}", met)
    assert (lines[5], lines[7]) == (witnesses, f"Observation q {observation}")
    assert result.exit_code == ExitCode.OK


def test_forbidden_outcome_is_status_1() -> None:
    """A planted bug ends with status 1, names the outcome and the events that led to it."""
    with PLANTED["a fence does not wait"]():
        result = call("run", "SB+fence+fence@cpu-gpu", "--exhaustive", "--seed", "1", "--json")
    assert result.exit_code == ExitCode.FAILED
    (test,) = report(result)["tests"]
    assert {"0:r0": 0, "1:r1": 0, "x": 1, "y": 1} in test["forbidden"]
    assert test["verdict"] == "an outcome that 5.9 forbids"
    assert test["witness"]


def test_some_schedules() -> None:
    """Without --exhaustive the seed draws the schedules, and what they miss is no failure."""
    result = call("run", "SB@cpu-gpu", "--runs", "5", "--seed", "7", "--json")
    assert result.exit_code == ExitCode.OK
    (test,) = report(result)["tests"]
    assert test["schedules"] == 5
    assert test["missed"] == []


def test_over_links() -> None:
    """--via links runs over ports with faults, which the report names; all schedules are for agents alone."""
    arguments = ("run", "I-MP@*", "--via", "links", "--runs", "6", "--seed", "1", "--jobs", "1")
    document = report(call(*arguments, "--json"))
    assert (document["ok"], document["via"], document["faults"]) == (True, "links", "crc:0.03,drop:0.03")
    assert [test["schedules"] for test in document["tests"]] == [6, 6]
    assert call(*arguments, "--exhaustive").exit_code == ExitCode.USAGE
    assert call(*arguments, "--faults", "nonsense").exit_code == ExitCode.USAGE
    assert call(*arguments, "--faults", "poison:x1").exit_code == ExitCode.USAGE, "blamed agents"
    assert call("run", "MP@*", "--faults", "0.1").exit_code == ExitCode.USAGE, "no links, no faults"


def test_file(tmp_path: Path) -> None:
    """A FILE.litmus is run as the tests of the package are; one that is none is bad input."""
    file = tmp_path / "mine.litmus"
    file.write_text("HSL mine\n{}\nP0;\nstore x,1;\nforall (x=1)\n")
    (test,) = report(call("run", str(file), "--exhaustive", "--seed", "1", "--json"))["tests"]
    assert (test["name"], test["kind"], test["observation"]) == ("mine", "Required", "Always")
    file.write_text("HSL mine\n{}\nP0;\njump x;\n")
    result = call("run", str(file))
    assert result.exit_code == ExitCode.USAGE
    assert "mine.litmus:4: 'jump'" in result.stderr
    file.write_bytes(b"\xff")
    assert call("run", str(file)).exit_code == ExitCode.USAGE
    assert call("run", str(tmp_path / "none.litmus")).exit_code == ExitCode.USAGE


def test_list_and_nothing() -> None:
    """The list names all tests; a name that fits none selects nothing: status 5."""
    names = [test["name"] for test in report(call("list", "--json"), "litmus_list")["tests"]]
    assert "IRIW+fence+fence@gpu-cpu" in names
    assert len(set(names)) == len(names) > 100
    assert "message passing" in call("list", "MP@*").stdout
    for arguments, said in (
        (("list", "nothing"), "no test has"),
        (("run", "nothing"), "no test has"),
        (("run", "IRIW*"), "--long"),
    ):
        result = call(*arguments)
        assert (result.exit_code, len(result.stderr.splitlines())) == (ExitCode.NOTHING, 1)
        assert said in result.stderr, "one line says why nothing runs"
    assert report(call("run", "IRIW@cpu-gpu", "--runs", "1", "--seed", "1", "--json"))["tests"]
