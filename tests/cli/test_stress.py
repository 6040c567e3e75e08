"""`hsl stress` and `hsl replay`: reports, exit codes, a failure that is saved and replayed."""

import importlib.resources
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from hsl.cli import main
from hsl.cli import stress as cli_stress
from hsl.cli.exits import ExitCode
from hsl.verify.stress_config import KINDS, StressConfig
from tests.verify.planted import PLANTED


def schema(name: str) -> Any:
    return json.loads((importlib.resources.files("hsl.cli") / f"schemas/{name}.json").read_text())


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments])


def report(result: Result, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    jsonschema.validate(document, schema(name))
    return document


@pytest.mark.parametrize("via", ["messages", "links"])
def test_clean_run(via: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clean run has status 0, a report, its seed on stderr, and leaves no file."""
    monkeypatch.chdir(tmp_path)
    result = call("stress", "--ops", "60", "--seed", "3", "--via", via, "--json")
    assert result.exit_code == ExitCode.OK
    assert "seed 3" in result.stderr
    document = report(result, "stress")
    assert (document["ok"], document["complete"], document["ended"]) == (True, True, 60)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("chosen", "kinds"),
    [("none", []), ("ncr,poison", ["poison", "ncr"]), ("all", list(KINDS))],
)
def test_kinds_of_operations(chosen: str, kinds: list[str]) -> None:
    """--with chooses what programs have; the report names it, and counts what ended of each."""
    document = report(call("stress", "--ops", "400", "--seed", "5", "--with", chosen, "--json"), "stress")
    assert (document["kinds"], document["config"]["kinds"]) == (kinds, ",".join(kinds) or "none")
    assert {kind for kind in KINDS if document["counters"].get(kind)} == set(kinds)
    told = call("stress", "--ops", "40", "--seed", "3", "--with", chosen).stdout
    assert f"with {', '.join(kinds) or 'plain accesses only'}\n" in told


def test_failure_is_saved_and_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure has status 1, is made small, and replays with status 1 until the bug is gone."""
    monkeypatch.chdir(tmp_path)
    with PLANTED["a store in E does not make the line M"]():
        result = call("stress", "--ops", "400", "--seed", "1", "--json")
        assert result.exit_code == ExitCode.FAILED
        failure = report(result, "stress")["failure"]
        assert 0 < len(failure["operations"]) < 5
        assert failure["replay"] == "hsl replay stress-1.hslr"
        result = call("replay", "stress-1.hslr", "--json")
        assert result.exit_code == ExitCode.FAILED
        document = report(result, "replay")
        assert document["same"] is True
        assert document["verdict"]["trace"]
        assert "as recorded" in call("replay", "stress-1.hslr").stdout
        (line,) = call("replay", "stress-1.hslr", "-q").stdout.splitlines()
        assert line.endswith("; as recorded")
        assert call(*failure["again"].split()[1:]).exit_code == ExitCode.FAILED
    result = call("replay", "stress-1.hslr", "--json")
    assert result.exit_code == ExitCode.OK
    assert report(result, "replay")["same"] is False


def test_failure_for_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --json a failure tells what is forbidden, the operations, the messages, and the way back."""
    monkeypatch.chdir(tmp_path)
    with PLANTED["SnpInv leaves the S copy"]():
        result = call("stress", "--ops", "400", "--seed", "1")
    assert result.exit_code == ExitCode.FAILED
    for text in ("FORBIDDEN: ", "operations:", "what happened:", "SnpInv", "again: hsl stress", "hsl replay"):
        assert text in result.stdout


def test_failure_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --no-shrink the whole run is saved; a long list of operations is in the file only."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli_stress, "LISTED", 100)
    with PLANTED["a store in E does not make the line M"]():
        result = call("stress", "--ops", "400", "--seed", "0", "--no-shrink", "--save", "a b.hslr", "--json")
        assert result.exit_code == ExitCode.FAILED
        failure = report(result, "stress")["failure"]
        assert failure["operations"] is None
        assert failure["replay"] == "hsl replay 'a b.hslr'"
        assert report(call("replay", "a b.hslr", "--json"), "replay")["same"] is True


def test_failure_too_long_to_be_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure that no reader would take is not saved; the command that finds it again is there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli_stress, "MAX_OPERATIONS", 3)
    with PLANTED["a store in E does not make the line M"]():
        result = call("stress", "--ops", "400", "--seed", "1", "--no-shrink", "--json")
    assert report(result, "stress")["failure"]["replay"] is None
    assert not list(tmp_path.iterdir())


def test_link_that_faults_end() -> None:
    """Faults that no link recovers from are no failure of the agents: status 7, and one line that says so."""
    result = call("stress", "--via", "links", "--ops", "300", "--seed", "0", "--faults", "credit:x1")
    assert result.exit_code == ExitCode.PEER_LOST
    assert "no verdict" in result.stderr


def test_time_limit_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that the time limit stops is neither a deadlock nor complete."""
    result = call("stress", "--ops", "1000000", "--seed", "1", "--time-limit", "0", "--json")
    assert result.exit_code == ExitCode.OK
    document = report(result, "stress")
    assert (document["complete"], document["violation"]) == (False, "")
    assert (
        "stopped by the time limit"
        in call("stress", "--ops", "1000000", "--seed", "1", "--time-limit", "0").stdout
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--ops", "0"],
        ["--faults", "crc:0.1"],
        ["--via", "links", "--faults", "nonsense"],
        ["--engine", "native"],
        ["--with", "luck"],
        ["--with", "timeouts", "--via", "links"],
        ["--seed", "-1"],
    ],
)
def test_wrong_arguments(arguments: list[str]) -> None:
    """Settings outside their limits are a usage error in one line."""
    result = call("stress", *arguments)
    assert result.exit_code == ExitCode.USAGE
    assert result.stdout == ""


def test_file_that_cannot_be_written(tmp_path: Path) -> None:
    """A place where the failure cannot be saved is a usage error."""
    with PLANTED["a store in E does not make the line M"]():
        result = call("stress", "--ops", "99", "--seed", "1", "--save", str(tmp_path / "no" / "x.hslr"))
    assert result.exit_code == ExitCode.USAGE


def test_replay_of_no_recording(tmp_path: Path) -> None:
    """A file that is no recording is bad input."""
    path = tmp_path / "x.hslr"
    path.write_text("hello\n")
    assert call("replay", str(path)).exit_code == ExitCode.USAGE
    assert call("replay", str(tmp_path / "none")).exit_code == ExitCode.USAGE


def test_again_is_the_whole_configuration() -> None:
    """The command that a report names runs the same configuration."""
    config = StressConfig(ops=77, cpu=1, seed=5, via="links", faults="crc:0.5")
    assert cli_stress.again(StressConfig()) == "hsl stress --seed 0"
    words = cli_stress.again(config).split()
    assert " ".join(words[2:]) == "--ops 77 --cpu 1 --seed 5 --via links --faults crc:0.5"
    assert cli_stress.again(StressConfig(seed=5, kinds="ncr")) == "hsl stress --seed 5 --with ncr"
    small = StressConfig(seed=5, directory_lines=2)
    assert cli_stress.again(small) == "hsl stress --seed 5 --directory-lines 2"


TRACE = """{"schema": "hsl.operations/1"}
{"agent": 7, "kind": "store", "addr": 4096, "value": 1}
{"agent": 7, "kind": "store", "addr": 8192, "value": 2, "release": true}
{"agent": 9, "kind": "load", "addr": 8192, "read": 0, "acquire": true}
{"agent": 9, "kind": "load", "addr": 4096, "read": 0}
{"agent": 9, "kind": "atomic", "addr": 4104, "value": 5, "read": 0}
{"agent": 9, "kind": "final", "addr": 4104, "read": 5}
"""


@pytest.mark.parametrize("home", ["hostmem", "interleaved"])
@pytest.mark.parametrize("via", ["messages", "links"])
def test_operations_of_a_file(home: str, via: str, tmp_path: Path) -> None:
    """Exactly the operations of a file are run; the recording of a clean run replays to the same verdict."""
    file, saved = tmp_path / "trace.jsonl", tmp_path / "run.hslr"
    file.write_text(TRACE)
    arguments = ["--input", str(file), "--home", home, "--via", via, "--seed", "3"]
    document = report(call("stress", *arguments, "--save", str(saved), "--json"), "stress")
    assert (document["ok"], document["ended"], document["config"]["ops"]) == (True, 5, 5)
    assert (document["operations"], document["saved"]) == (str(file), str(saved))
    assert report(call("replay", str(saved), "--json"), "replay")["same"] is True


def test_failing_operations_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations of a file that fail are made small and replayed like any others."""
    monkeypatch.chdir(tmp_path)
    written = [f"{n % 4}: M[{n % 3}] := {n}\n{(n + 1) % 4}: M[{n % 3}] == 0" for n in range(80)]
    Path("trace.axe").write_text("\n".join(written))
    with PLANTED["SnpInv leaves the S copy"]():
        found = report(call("stress", "--input", "trace.axe", "--seed", "1", "--json"), "stress")
        assert found["failure"]["operations"]
        assert len(found["failure"]["operations"]) < 10
        assert "--input trace.axe" in found["failure"]["again"]
        assert report(call("replay", "stress-1.hslr", "--json"), "replay")["same"] is True
        assert call(*found["failure"]["again"].split()[1:]).exit_code == ExitCode.FAILED


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no operation to run"),
        ("0: M[1] = 2", "expected T: M"),
        ("\n".join(f"0: M[{n}] := 1" for n in range(17)), "17 lines; the run has 16"),
        ("\n".join(f"{n}: M[0] := 1" for n in range(9)), "at most 2 threads"),
        (TRACE.replace("4104", "4105"), "0x1009; expected a multiple of 8"),
    ],
)
def test_operations_that_cannot_be_run(content: str, said: str, tmp_path: Path) -> None:
    """A file without operations, or with some that this run has no place for, is bad input."""
    file = tmp_path / "trace"
    file.write_text(content)
    result = call("stress", "--input", str(file), "--seed", "1")
    assert result.exit_code == ExitCode.USAGE
    assert said in result.stderr
