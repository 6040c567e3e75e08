"""`hsl coverage link` and the plugin of pytest that writes what it reads."""

from __future__ import annotations

import json
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from hsl._generated.constants import LinkState
from hsl.cli import main
from hsl.cli.exits import ExitCode
from hsl.verify.link_coverage import DIRECT_ONLY, LEGAL, Cell, write_record

WHOLE: dict[str, Counter[Cell]] = {
    "loopback": Counter(cell for cell in LEGAL if cell not in DIRECT_ONLY),
    "direct": Counter(DIRECT_ONLY.keys()),
}
SUITE = """
from hsl._generated.constants import LinkState
from tests.link.cells import SCENES, Scene
from hsl.link.classify import Input

def test_driven():
    assert SCENES[LinkState.DETECT](False).state is LinkState.DETECT

def test_touched():
    scene = Scene()
    scene.wait(10)
    scene.link.handle(Input("PM_NAK"), 0)

def test_failed():
    scene = SCENES[LinkState.RECOVERY](False)
    assert scene.state is LinkState.DEAD
"""


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["coverage", "link", "--records", str(folder), *arguments])


def report_of(result: Result) -> dict[str, Any]:
    schema = json.loads((files("hsl.cli") / "schemas/coverage_link.json").read_text())
    Draft202012Validator.check_schema(schema)
    report: dict[str, Any] = json.loads(result.stdout)
    Draft202012Validator(schema).validate(report)
    return report


def test_all_reached(tmp_path: Path) -> None:
    """When every legal cell was reached the exit code is 0; records of several processes are added up."""
    half = {kind: Counter(dict(list(counts.items())[::2])) for kind, counts in WHOLE.items()}
    write_record(tmp_path / "a.json", WHOLE)
    write_record(tmp_path / "b.json", half)
    result = run(tmp_path, "--json")
    report = report_of(result)
    assert (result.exit_code, report["ok"], report["records"]) == (ExitCode.OK, True, 2)
    counts = report["summary"]
    assert counts["reached"] + counts["direct"] == counts["legal"] == len(LEGAL)
    assert counts["legal"] + counts["illegal"] == counts["cells"] == 57 * 8
    assert report["cells"][0]["loopback"] == 2
    assert "missed 0" not in run(tmp_path).stdout


def without(kind: str, cell: Cell) -> dict[str, Counter[Cell]]:
    counts = {name: Counter(each) for name, each in WHOLE.items()}
    del counts[kind][cell]
    return counts


def plus(cell: Cell) -> dict[str, Counter[Cell]]:
    return WHOLE | {"loopback": WHOLE["loopback"] + Counter([cell])}


HOLES = {
    "missed": without("loopback", ("NAK", LinkState.L1)),
    "not even by a call": without("direct", ("tx_work", LinkState.DEAD)),
    "illegal": plus(("T_HS", LinkState.ACTIVE)),
    "said to be out of reach": plus(("tx_work", LinkState.DEAD)),
}


@pytest.mark.parametrize("hole", HOLES)
def test_holes(hole: str, tmp_path: Path) -> None:
    """A cell that was missed, or reached though it cannot be, ends with exit code 1 and is named."""
    write_record(tmp_path / "a.json", HOLES[hole])
    result = run(tmp_path, "--json")
    report = report_of(result)
    bad = [cell for cell in report["cells"] if cell["verdict"] in ("missed", "surprise")]
    assert (result.exit_code, report["ok"], len(bad)) == (ExitCode.FAILED, False, 1)
    assert f"{bad[0]['event']} in {bad[0]['state']}" in run(tmp_path).stdout


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"loopback": {"NAK NOWHERE": 1}, "direct": {}}', "x" * (1 << 21)]
)
def test_broken_records(text: str, tmp_path: Path) -> None:
    """A file that is no record is refused with exit code 4."""
    (tmp_path / "a.json").write_text(text)
    result = run(tmp_path)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")


def test_no_records(tmp_path: Path) -> None:
    """Without records nothing was checked: exit code 5."""
    assert run(tmp_path).exit_code == ExitCode.NOTHING


def test_plugin(pytester: pytest.Pytester) -> None:
    """Ports that only the loopback drove count as such, others apart, and tests that failed not at all."""
    pytester.makeconftest("pytest_plugins = ['tests.support.link_coverage']")
    pytester.makepyfile(test_suite=SUITE)
    pytester.runpytest("--link-coverage", "records").assert_outcomes(passed=2, failed=1)
    (path,) = (pytester.path / "records").glob("*.json")
    record = json.loads(path.read_text())
    assert record["loopback"]["port_down ACTIVE"] == 1
    assert record["direct"]["PM_NAK DETECT"] == 1
    assert "sw_retrain ACTIVE" not in record["loopback"] | record["direct"]
    assert "PM_NAK DETECT" not in record["loopback"]
