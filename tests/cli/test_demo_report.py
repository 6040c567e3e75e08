"""How `hsl demo` ends for a person: eight lines, two clocks, faults of both kinds, and what cannot run."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hsl.cli import main
from hsl.cli.help_values import DEFAULT_INPUT
from hsl.cli.view import result_text, show_demo
from hsl.emulator.kernels import KERNELS
from tests.cli.test_demo import demo, hsl

LICENSE = str(Path(__file__).parents[2] / "LICENSE")
FAULTY = ("--input", LICENSE, "--faults", "0.01", "--seed", "7")
LABELS = ["result", "time", "flits", "faults", "seed", "repeats", "next"]


def call(*arguments: str) -> tuple[int, list[str], str]:
    """Exit code, lines of stdout, and stderr of `hsl demo` in this process."""
    done = CliRunner().invoke(main, ["demo", *arguments])
    return done.exit_code, done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize("transport", ["tcp", "unix", "udp", "loopback"])
def test_the_documented_example_shows_damage_and_loss(transport: str) -> None:
    """`hsl demo --input LICENSE --faults 0.01 --seed 7` shows CRC errors and drops on every transport.

    Both ends once drew their faults from the same generator, so they hit the same flits.
    """
    done = hsl("demo", *FAULTY, "--transport", transport)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("VERIFIED  ")
    assert [line.split()[0] for line in lines[1:]] == LABELS
    assert max(map(len, lines)) <= 80
    faults = lines[1 + LABELS.index("faults")]
    assert re.search(r" [1-9]\d* crc, [1-9]\d* drop hit; [1-9]\d* CRC errors, .*all repaired$", faults)
    clock = "virtual time of the link" if transport == "loopback" else "wall time of these Python processes"
    assert clock in lines[2]
    assert ("to the byte" in lines[6]) == (transport == "loopback")
    assert ("timing decides" in lines[6]) == (transport != "loopback")


def test_the_default_input_fits_a_line() -> None:
    """What a demo without --input counts fits 80 columns with its counts."""
    prose = (files("hsl._generated") / "prose.txt").read_bytes()
    text = result_text(KERNELS["wordcount"].expected(prose), DEFAULT_INPUT)
    assert text.endswith(" byte values (the specification)")
    assert len(f"{'result':<9} {text}") <= 80


def test_the_ends_draw_their_own_faults() -> None:
    """With one seed and one plan the two ends hit flits of other numbers, on sockets as on the loopback."""
    kinds = [
        {name: node["injected_kinds"] for name, node in demo(*FAULTY, "--transport", way)["nodes"].items()}
        for way in ("tcp", "loopback")
    ]
    for ends in kinds:
        assert ends["cpu"] != ends["gpu"]


@pytest.mark.parametrize(("transport", "clock"), [("tcp", "wall"), ("loopback", "virtual")])
def test_times_have_the_name_of_their_clock(transport: str, clock: str) -> None:
    """The tables of -v and the JSON document name the clock; wall time is never called latency."""
    done = hsl("demo", "--input", LICENSE, "--seed", "1", "--transport", transport, "-v")
    assert done.returncode == 0, done.stderr
    assert re.search(rf"^{clock} [mu]s in ACTIVE ", done.stdout, re.MULTILINE)
    assert ("latency" in done.stdout) == (clock == "virtual")
    assert "\u2026" not in done.stdout
    report = demo("--input", LICENSE, "--seed", "1", "--transport", transport)
    assert report["clock"] == clock
    assert {node["clock"] for node in report["nodes"].values()} == {clock}


def test_a_table_has_no_row_twice() -> None:
    """Each count has one row: "PROT flits sent" and "prot sent" were the same."""
    _, lines, _ = call("--transport", "loopback", "--input", LICENSE, "--seed", "1", "-v")
    table = lines[lines.index("Link") : lines.index("Messages")]
    assert sum("sent" in line and "prot" in line.lower() for line in table) == 1


@pytest.mark.parametrize("kernel", ["wordcount", "saxpy"])
def test_quiet_prints_the_verdict_only(kernel: str) -> None:
    """-q leaves the verdict line."""
    code, lines, _ = call("--transport", "loopback", "--kernel", kernel, "--seed", "1", "-q")
    assert (code, len(lines)) == (0, 1)
    assert lines[0].startswith("VERIFIED  ")


def test_failed_checks_have_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    """NOT VERIFIED names the checks that failed, and no repair is claimed."""
    report: dict[str, Any] = demo(*FAULTY, "--transport", "loopback")
    report |= {"verified": False, "checks": report["checks"] | {"counters": False, "flits_agree": False}}
    show_demo(report)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "NOT VERIFIED  failed: counters, flits agree"
    assert len(lines) <= 8
    assert "not all repaired" in lines[4]


@pytest.mark.parametrize("end", ["cpu", "a"])
def test_the_end_of_a_fault_has_one_name(end: str) -> None:
    """from=cpu and from=a are both accepted, and both told as from=cpu where the ends are cpu and gpu."""
    plan = f"drop@PROT:x1:from={end}"
    _, lines, _ = call("--transport", "loopback", "--input", LICENSE, "--seed", "1", "--faults", plan)
    assert lines[5].endswith("drop@PROT:x1:from=cpu")


@pytest.mark.parametrize(
    "arguments", [("--transport", "tcp"), ("--transport", "loopback"), ("--kernel", "saxpy")]
)
def test_a_link_that_never_comes_up(arguments: tuple[str, ...]) -> None:
    """B9: when every flit is lost the run ends with 7 and says that the link never came up."""
    done = hsl("demo", "--faults", "1", "--seed", "7", *arguments, timeout=60)
    assert done.returncode == 7
    assert "never came up" in done.stderr.splitlines()[-1]
    assert "hung" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--tu", "0"), "expected 18 to 24 on sockets"),
        (("--tu", "30"), "expected 18 to 24 on sockets"),
        (("--nth", "5"), "--nth needs --faults"),
        (("--burst", "5"), "--burst needs --faults"),
        (("--kernel", "saxpy", "--nth", "5"), "--nth needs --faults"),
        (("--kernel", "saxpy", "--size", "1000"), "multiple of 1024"),
    ],
)
def test_what_cannot_run_is_refused(arguments: tuple[str, ...], says: str) -> None:
    """B6, B9: options with which no run works, or that have no use, end with 4 and the reason."""
    done = hsl("demo", *arguments)
    assert (done.returncode, done.stdout) == (4, "")
    assert says in done.stderr
    assert {line.partition(" ")[0] for line in done.stderr.splitlines()} <= {"seed", "hsl:"}, "no child began"


@pytest.mark.parametrize("exponent", [18, 24])
def test_the_bounds_of_tu_work_on_sockets(exponent: int) -> None:
    """The least and the largest time unit that are not refused give a run that ends well."""
    assert demo("--input", LICENSE, "--tu", str(exponent))["verified"]


@pytest.mark.parametrize("exponent", [0, 30])
def test_the_bounds_of_tu_work_on_the_loopback(exponent: int) -> None:
    """In virtual time every exponent of the profile works, for array kernels too."""
    for kernel in (("--input", LICENSE), ("--kernel", "saxpy")):
        assert call(*kernel, "--tu", str(exponent), "--transport", "loopback", "-q")[0] == 0


@pytest.mark.parametrize(
    "arguments", [("--transport", "tcp"), ("--transport", "loopback"), ("--kernel", "matmul")]
)
def test_the_time_limit_ends_a_run(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """--time-limit gives the run up with 7 and says so."""
    done = hsl("demo", *arguments, "--time-limit", "0.2", timeout=60)
    assert done.returncode == 7, done.stderr
    assert "time limit of 0.2 s" in done.stderr


def test_the_demo_waits_in_words(tmp_path: Path) -> None:
    """The first line of progress of a demo of processes is about what it waits for, and is not late."""
    done = hsl("demo", "--input", LICENSE, "--seed", "1", "--json")
    assert json.loads(done.stdout)["verified"]
    first = done.stderr.splitlines()[1]
    assert first == "waiting for the cpu process"


def test_progress_ends_with_all_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that ends between two looks at the byte counter still tells that everything is counted."""
    monkeypatch.setattr("hsl.emulator.cpu.POLL_TU", 1 << 16)  # one look, before the GPU has begun
    monkeypatch.setenv("HSL_PROGRESS", "lines")
    code, _, err = call("--input", LICENSE, "--transport", "loopback", "--seed", "1")
    assert code == 0
    size = len(Path(LICENSE).read_bytes())
    counted = re.findall(r"counted (\d+) of (\d+) bytes", err)
    assert counted == [("0", str(size)), (str(size), str(size))]
