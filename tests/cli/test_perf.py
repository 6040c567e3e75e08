"""`hsl perf program`: its report, its exit codes, a pipe, and the example that records a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hsl.agents.memory import Memory
from hsl.cli import main
from hsl.cli.exits import ExitCode
from tests.cli.test_demo import validate

ROOT = Path(__file__).parents[2]
TEXT = "".join(f" {kind} {0x7FFF0000 + 40 * k:x},8\n" for k in range(60) for kind in "SL")


def close_stdin() -> None:
    """In the child, before it begins."""
    os.close(0)


def invoke(*arguments: str, text: str | bytes = "") -> Result:
    """`hsl perf program`, `text` on stdin."""
    return CliRunner().invoke(main, ["perf", "program", *arguments], input=text)


def test_report(tmp_path: Path) -> None:
    """The document of --json obeys its schema; the same seed is the same run, captured or not."""
    path = tmp_path / "x.lk"
    path.write_text("==1== Lackey\n" + TEXT)
    options = ["--seed", "7", "--json", "--on", "both", "--stay", "20", "--home", "interleaved"]
    one, two = (
        invoke(str(path), *options, *more) for more in ([], ["--capture", str(tmp_path / "x.pcapng")])
    )
    assert (one.exit_code, two.exit_code) == (0, 0), one.stderr + two.stderr
    reports: list[dict[str, Any]] = [json.loads(each.stdout) for each in (one, two)]
    validate(reports[0], "program")
    for report in reports:
        del report["seconds"], report["accesses_per_s"]
    assert reports[0] == reports[1]
    assert (reports[0]["accesses"], reports[0]["skipped_lines"]) == (120, 1)
    assert "seed 7" in one.stderr
    assert "read 1693 of 1693 bytes" in one.stderr
    assert (tmp_path / "x.pcapng").stat().st_size > reports[0]["wire"][0]["bytes"]


def test_view_for_a_person() -> None:
    """A pipe is read from stdin; tables, the model and the verdict are printed."""
    done = invoke("-", "--seed", "1", text=TEXT)
    assert done.exit_code == 0, done.stderr
    assert "120 accesses (0 fetch, 60 load, 60 store, 0 modify)" in done.stdout
    assert "modelled time" in done.stdout
    assert done.stdout.rstrip().endswith("VERIFIED")
    assert "ran 120 accesses" in done.stderr


def test_wrong_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong byte ends with exit code 1, and the document says where."""
    monkeypatch.setattr(Memory, "read_line", lambda *arguments: (bytes(64), False))
    done = invoke("-", "--json", text=" L 1000,8\n")
    report = json.loads(done.stdout)
    validate(report, "program")
    assert (done.exit_code, report["verified"]) == (ExitCode.FAILED, False)
    assert report["wrong"].startswith("line 1: load of 8 bytes at 0x1000: ")


REFUSED: dict[tuple[str | bytes, tuple[str, ...]], tuple[ExitCode, str]] = {
    ("", ("-",)): (ExitCode.NOTHING, "no access in 0 lines"),
    ("==1== nothing\n", ("-",)): (ExitCode.NOTHING, "no access in 1 lines"),
    (" L 10,8\nx\n", ("-",)): (ExitCode.USAGE, "-, line 2: "),
    (b"\x7fELF\x00\xff\n", ("-",)): (ExitCode.USAGE, "-, line 1: "),
    (b"\x1f\x8b\x08\x00\n\n", ("-",)): (ExitCode.USAGE, "-, line 1: it is compressed"),
    (TEXT, ("-", "--topology", "/no/such/file")): (ExitCode.USAGE, "/no/such/file"),
    (TEXT, ("-", "--seed", "-1")): (ExitCode.USAGE, "--seed"),
    (TEXT, ("-", "--sets", "0")): (ExitCode.USAGE, "--sets"),
    (TEXT, ("-", "--limit", "0")): (ExitCode.USAGE, "--limit"),
    (TEXT, ("-", "--home", "moon")): (ExitCode.USAGE, "--home"),
    (TEXT, ("/no/such/file",)): (ExitCode.USAGE, "/no/such/file: No such file"),
    (TEXT, ("a\0b",)): (ExitCode.USAGE, "not a name of a file"),
    (TEXT, (str(ROOT),)): (ExitCode.USAGE, "Is a directory"),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: repr(case)[:40])
def test_refused(case: tuple[str | bytes, tuple[str, ...]]) -> None:
    """A trace or an option that cannot be used is said in one line, and nothing is on stdout."""
    code, text = REFUSED[case]
    done = invoke(*case[1], text=case[0])
    assert (done.exit_code, done.stdout) == (code, "")
    assert text in done.stderr


def test_topology_of_a_file(tmp_path: Path) -> None:
    """--topology FILE sets what the program needs: here more memory than the default has."""
    trace, file = tmp_path / "x.lk", tmp_path / "t.toml"
    trace.write_text("".join(f" L {page << 12:x},8\n" for page in range(17)))
    for size, code in ((1 << 16, ExitCode.USAGE), (1 << 17, ExitCode.OK)):
        file.write_text(f"device_bytes = {size}\n")
        done = invoke(str(trace), "--topology", str(file), "--seed", "1")
        assert done.exit_code == code, done.stderr
        assert ("more than 16 pages" in done.stderr) == (code != ExitCode.OK)


@pytest.mark.parametrize("command", [("perf", "program", "-"), ("codec", "decode", "--hex", "-")])
def test_no_standard_input(command: tuple[str, ...]) -> None:
    """A pipe that was closed before the command began is said in one line."""
    line = [sys.executable, "-m", "hsl", *command]
    done = subprocess.run(
        line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, preexec_fn=close_stdin
    )
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert "there is no standard input" in done.stderr


@pytest.mark.tool("valgrind", apt="valgrind")
def test_example_tells_of_a_program_that_is_none() -> None:
    """record_lackey.sh shows what valgrind says of a program that cannot be run."""
    command = ["sh", str(ROOT / "examples/record_lackey.sh"), "--limit", "3000", "--seed", "1"]
    environment = os.environ | {"HSL": f"{sys.executable} -m hsl", "PROGRAM": "no-such-program"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == ExitCode.NOTHING
    assert "no-such-program" in done.stderr


@pytest.mark.tool("valgrind", apt="valgrind")
def test_example_records_a_program() -> None:
    """record_lackey.sh records a real program and runs it: every byte is right."""
    command = ["sh", str(ROOT / "examples/record_lackey.sh"), "--limit", "3000", "--json", "--seed", "1"]
    environment = os.environ | {"HSL": f"{sys.executable} -m hsl", "PROGRAM": "/usr/bin/true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    validate(report, "program")
    assert (report["verified"], report["accesses"]) == (True, 3000)
    assert min(report["kinds"].values()) > 0
