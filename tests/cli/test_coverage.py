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
from hsl.verify import coherence_coverage, coverage_records
from hsl.verify.coherence_coverage import HOSTILE, UNREACHABLE
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


def run(folder: Path, *arguments: str, table: str = "link") -> Result:
    return CliRunner().invoke(main, ["coverage", table, "--input", str(folder), *arguments])


def report_of(result: Result, table: str = "link") -> dict[str, Any]:
    schema = json.loads((files("hsl.cli") / f"schemas/coverage_{table}.json").read_text())
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
    (line,) = run(tmp_path, "-q").stdout.splitlines()
    assert line.startswith(f"{counts['reached']} of {counts['legal']} legal cells reached")


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


BROKEN = [
    "",
    "[]",
    "{}",
    '{"loopback": {"NAK NOWHERE": 1}, "direct": {}}',
    '{"loopback": {"NAK L1": -1}, "direct": {}}',
    '{"loopback": {"NAK L1": 1e999}, "direct": {}}',
    '{"loopback": {"NAK L1": "1"}, "direct": {}}',
    "x" * (1 << 21),
]


@pytest.mark.parametrize("text", BROKEN)
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


# ---- the tables of coherence
COHERENCE: dict[str, Counter[str]] = {
    "conforming": Counter(set(coherence_coverage.CELLS) - HOSTILE.keys() - UNREACHABLE.keys()),
    "hostile": Counter(HOSTILE.keys()),
}
COHERENCE_SUITE = """
import pytest
from hsl._generated.constants import Op
from hsl.agents.request_actions import Turn
from tests.agents.home_rig import A, Rig
from tests.agents.test_request_table import LINE, fire, in_state

@pytest.mark.conforming
def test_conforming():
    assert len(Rig().send(Op.Flush, A)) == 1

def test_hostile():
    one = in_state("IS_D")
    fire(one, "Cmp_S")

@pytest.mark.conforming
def test_stepped():
    one = in_state("I")
    one._run(Turn(one, one.cache.line(LINE), "t_req", 1))

@pytest.mark.conforming
def test_failed():
    assert not in_state("M")
"""


def coherence(folder: Path, **change: Counter[str]) -> tuple[Result, dict[str, Any]]:
    """The command on one record, with `change` in place of its counts."""
    coverage_records.write_record(folder / "a.json", COHERENCE | change)
    result = run(folder, "--json", table="coherence")
    return result, report_of(result, "coherence")


def test_coherence_all_reached(tmp_path: Path) -> None:
    """Cells are reached by conforming nodes, or listed as hostile or out of reach: exit code 0."""
    result, report = coherence(tmp_path)
    assert (result.exit_code, report["ok"]) == (ExitCode.OK, True)
    counts = report["summary"]
    assert (counts["missed"], counts["surprise"]) == (0, 0)
    assert counts["reached"] + counts["hostile"] + counts["unreachable"] == counts["cells"]
    assert "105 out of reach, 0 missed" in run(tmp_path, table="coherence").stdout


CHANGES = {
    "missed": {"conforming": COHERENCE["conforming"] - Counter(["ra M SnpCur"])},
    "only by hostile": {
        "conforming": COHERENCE["conforming"] - Counter(["ha RD lost"]),
        "hostile": COHERENCE["hostile"] + Counter(["ha RD lost"]),
    },
    "hostile not reached": {"hostile": COHERENCE["hostile"] - Counter(["ha IDLE CmpAck"])},
    "conforming after all": {"conforming": COHERENCE["conforming"] + Counter(["ha IDLE CmpAck"])},
    "reachable after all": {"hostile": COHERENCE["hostile"] + Counter(["ra I t_req"])},
}


@pytest.mark.parametrize("change", CHANGES)
def test_coherence_holes(change: str, tmp_path: Path) -> None:
    """A cell that is neither reached nor listed, or otherwise reached than listed, is named: exit code 1."""
    result, report = coherence(tmp_path, **CHANGES[change])
    bad = [cell for cell in report["cells"] if cell["verdict"] in ("missed", "surprise")]
    assert (result.exit_code, report["ok"], len(bad)) == (ExitCode.FAILED, False, 1)
    shown = run(tmp_path, table="coherence").stdout
    assert f"{bad[0]['verdict']}: {bad[0]['agent']} {bad[0]['event']} in {bad[0]['state']}" in shown


def test_coherence_records(tmp_path: Path) -> None:
    """Without records the exit code is 5; a record with an unknown cell is refused with 4."""
    assert run(tmp_path, table="coherence").exit_code == ExitCode.NOTHING
    (tmp_path / "a.json").write_text('{"conforming": {"ra X load": 1}, "hostile": {}}')
    assert run(tmp_path, table="coherence").exit_code == ExitCode.USAGE


def test_coherence_plugin(pytester: pytest.Pytester) -> None:
    """Marked tests count as conforming, others as hostile; failed ones and stepped agents not at all."""
    pytester.makeconftest("pytest_plugins = ['tests.support.coherence_coverage']")
    pytester.makepyfile(test_suite=COHERENCE_SUITE)
    pytester.runpytest("--coherence-coverage", "records").assert_outcomes(passed=3, failed=1)
    (path,) = (pytester.path / "records").glob("*.json")
    record = json.loads(path.read_text())
    assert record["conforming"] == {"ha DO go": 1, "ha IDLE Flush": 1}
    assert record["hostile"] == {"ra I load": 1, "ra IS_D Cmp_S": 1}
