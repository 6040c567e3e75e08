"""`hsl check`: both formats, exit codes, the report, hostile files."""

import importlib.resources
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from hsl.cli import main
from hsl.cli.exits import ExitCode
from hsl.errors import ConfigError
from hsl.verify import checker, trace_operation
from hsl.verify.trace_operation import MAX_LINE, axe, read_trace, records
from tests.verify.test_capture_operations import capture
from tests.verify.test_capture_operations import read as read_line
from tests.verify.test_capture_operations import write as write_line

HEAD = '{"schema": "hsl.operations/1"}'
SB = ["0: M[0] := 1", "0: M[1] == 0", "1: M[1] := 1", "1: M[0] == 0"]


def call(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", str(file), *arguments])


def write(tmp_path: Path, *lines: str) -> Path:
    file = tmp_path / "trace.txt"
    file.write_text("\n".join(lines) + "\n")
    return file


def report(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    schema = (importlib.resources.files("hsl.cli") / "schemas/check.json").read_text()
    jsonschema.validate(document, json.loads(schema))
    return document


def test_status_and_report(tmp_path: Path) -> None:
    """A violation is status 1 with its cycle; what the model explains is status 0."""
    file = write(tmp_path, *SB)
    result = call(file, "--model", "sc", "--json")
    assert result.exit_code == ExitCode.FAILED
    document = report(result)
    assert (document["verdict"], len(document["cycle"]), document["operations"]) == ("violation", 4, 4)
    result = call(file, "--json")
    assert result.exit_code == ExitCode.OK
    assert report(result)["verdict"] == "consistent"


def test_for_a_person(tmp_path: Path) -> None:
    """Without --json: the verdict, the cycle, one sentence."""
    lines = call(write(tmp_path, *SB), "--model", "sc").stdout.splitlines()
    assert lines[0] == "violation by sc, 4 operations"
    assert lines[-1].startswith("The model sc has no order for this: agent 0's write of 0x0 := 1 (#1)")


def test_quiet(tmp_path: Path) -> None:
    """-q prints the verdict and nothing else."""
    result = call(write(tmp_path, *SB), "--model", "sc", "-q")
    assert (result.stdout, result.stderr) == ("violation by sc, 4 operations\n", "")


def test_standard_input() -> None:
    """`-` is standard input: a trace, and a capture's first bytes are looked at without losing them."""
    lines = "\n".join(SB) + "\n"
    result = CliRunner().invoke(main, ["check", "-", "--model", "sc", "--json"], input=lines)
    assert (result.exit_code, report(result)["operations"]) == (ExitCode.FAILED, 4)


def test_axe_there_and_back(tmp_path: Path) -> None:
    """Every form of axe is read, exported, and read again as the same; JSON lines likewise."""
    lines = ["# a comment", "", *SB, "1: { M[0] == 1; M[0] := 2 } @ :9", "0: sync @ 3:", "1: M[2] == 0 @ 4:5",
             "final M[0] == 2"]  # fmt: skip
    file = write(tmp_path, *lines)
    exported = call(file, "--export", "axe").stdout.splitlines()
    assert exported[4:] == ["1: <M[0] == 1; M[0] := 2> @ :9", "0: sync @ 3:", "1: M[2] == 0 @ 4:5",
                            "final M[0] == 2"]  # fmt: skip
    assert list(axe(read_trace(exported, "again"))) == exported
    trace = read_trace(exported, "again")
    assert [each._replace(line=0, source=0) for each in read_trace(records(trace), "json").operations] == [
        each._replace(line=0, source=0) for each in trace.operations
    ]


def test_axe_of_initial_values(tmp_path: Path) -> None:
    """Initial values and the largest numbers survive an export to axe; what axe has no word for is told."""
    lines = [
        HEAD[:-1] + ', "initial": {"8": 5}}',
        '{"agent": 1, "kind": "load", "addr": 8, "read": 5}',
        f'{{"agent": 1, "kind": "store", "addr": 8, "value": {(1 << 64) - 1}}}',
        '{"agent": 1, "kind": "store", "addr": 8, "value": 0, "release": true}',
        '{"agent": 2, "kind": "load", "addr": 8, "read": 0, "acquire": true}',
    ]
    result = call(write(tmp_path, *lines), "--export", "axe")
    assert result.stdout.splitlines() == [
        "1: M[0] == 0", f"1: M[0] := {(1 << 64) - 1}", "1: M[0] := 5", "2: M[0] == 5"
    ]  # fmt: skip
    assert "no acquire and no release: 2 are left out" in result.stderr
    assert call(write(tmp_path, result.stdout)).exit_code == ExitCode.OK


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (["0: M[0] = 1"], ":1: .*expected"),
        (["0: M[99999999999999999999] := 1"], ":1: addr = 9.*expected 0"),
        (["0: <M[0] == 0; M[1] := 1>"], ":1: an atomic of two"),
        ([SB[0], "x" * (MAX_LINE + 1)], ":2: a line of more"),
        (["0: M[0] := 1 @ 7:6"], ":1: end 6 is before begin 7"),
        (["final M[0] == 1", "final M[1] == 1", "final M[0] == 2"], ":3: a second final value of 0"),
        ([HEAD, '{"agent": NaN, "kind": "fence"}'], "NaN is not a number"),
        (["{}"], ":1: the first line"),
        (["{"], ":1: not JSON"),
        (['{"a":' * 5000], ":1: not JSON"),
        ([HEAD[:-1] + ', "initial": {"x": 1}}'], "an address is"),
        ([HEAD[:-1] + ', "initial": {"0": -1}}'], "initial = -1"),
        ([HEAD, "[]"], ":2: .*expected a JSON object"),
        ([HEAD, '{"agent": 0, "kind": "jump"}'], "expected load"),
        ([HEAD, '{"agent": 0, "kind": "load", "addr": 0}'], "load needs read"),
        ([HEAD, '{"agent": true, "kind": "fence"}'], "expected an integer"),
        ([HEAD, '{"agent": 0, "kind": "fence", "color": 1}'], "no such field: color"),
        ([HEAD, '{"agent": 0, "kind": "load", "addr": -1, "read": 0}'], "addr = -1"),
        ([HEAD, '{"agent": 0, "kind": "fence", "flits": ["x", {}]}'], "flits"),
    ],
)
def test_what_is_refused(lines: list[str], what: str) -> None:
    """A line that is no operation is refused, with its number and what is legal."""
    with pytest.raises(ConfigError, match=what):
        read_trace(lines, "file")


def test_bad_files(tmp_path: Path) -> None:
    """A file that cannot be read or is no text is bad input, one without operations nothing to do."""
    assert call(tmp_path / "none").exit_code == ExitCode.USAGE
    file = tmp_path / "bytes"
    file.write_bytes(b"\xff\xfe")
    assert call(file).exit_code == ExitCode.USAGE
    file.write_text("1" * (MAX_LINE * 3))
    assert "a line of more than" in call(file).stderr
    assert call(write(tmp_path, "# nothing")).exit_code == ExitCode.NOTHING
    assert call(write(tmp_path, *SB), "--model", "tso", "--global-clock").exit_code == ExitCode.USAGE


def test_capture(tmp_path: Path) -> None:
    """A capture is judged where it can be, and what it cannot tell is said; a damaged one is bad input."""
    file = tmp_path / "x.pcapng"
    capture(file, [*write_line(0, 0, 1), *write_line(1, 0, 2), *read_line(2, 0, 1)])
    result = call(file, "--json")
    assert result.exit_code == ExitCode.FAILED
    document = report(result)
    assert document["capture"] == {"words": 8, "unjudged": {}}
    assert document["flits"]
    assert "8 words are judged" in call(file).stdout
    file.write_bytes(file.read_bytes()[:-30])
    assert call(file).exit_code == ExitCode.USAGE
    capture(file, [*read_line(0, 0, 1), *read_line(1, 0, 2)])
    result = call(file)
    assert result.exit_code == ExitCode.NOTHING
    assert "8 words: values from elsewhere" in result.stderr


def test_operations_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace of more operations than are taken is refused where it exceeds them."""
    monkeypatch.setattr(trace_operation, "MAX_OPERATIONS", 10)
    with pytest.raises(ConfigError, match=":11: more than 10"):
        read_trace(["0: sync"] * 11, "file")


def test_large_trace_of_one_address(tmp_path: Path) -> None:
    """Thousands of operations of one address, in two agents, are judged."""
    count = checker.MAX_WHOLE
    lines = [line for n in range(1, count) for line in (f"0: M[0] := {n}", f"1: M[0] == {n}")]
    assert call(write(tmp_path, *lines), "--model", "sc").exit_code == ExitCode.OK
    lines[-1] = "1: M[0] == 1"
    assert call(write(tmp_path, *lines), "--model", "hsl").exit_code == ExitCode.FAILED
