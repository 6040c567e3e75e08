"""How `hsl demo` ends for a person: eight lines, two clocks, faults of both kinds, and what cannot run."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hsl.cli import main, view
from hsl.cli.help_values import DEFAULT_INPUT
from hsl.cli.view import message_rows, result_text, show_demo, show_node
from hsl.emulator.kernels import KERNELS
from hsl.errors import PeerLost
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
    """The result line of a demo without --input fits 80 columns."""
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
    whose = "virtual time of the link" if clock == "virtual" else "wall time of these Python processes"
    assert f"\nTimes: {whose}\n" in done.stdout
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
    done = hsl("demo", "--faults", "1", "--seed", "7", "--tu", "18", *arguments, timeout=60)
    assert done.returncode == 7
    assert "never came up" in done.stderr.splitlines()[-1]
    assert "hung" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("--tu", "17"),
            "tu 17: timers of the link would expire before the peer, a Python process, can answer; ",
        ),
        (("--tu", "25"), "is noticed after 4096 TU; expected 18 to 24 on sockets"),
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
    for kernel in (("--input", __file__), ("--kernel", "saxpy", "--size", "1024")):
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
    lines = done.stderr.splitlines()
    assert lines[1] == "waiting for the cpu process"
    assert [line for line in lines if "seed" in line] == ["seed 1"]


def test_progress_ends_with_all_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that ends between two looks at the byte counter still tells that everything is counted."""
    monkeypatch.setattr("hsl.emulator.cpu.POLL_TU", 1 << 16)  # one look, before the GPU has begun
    monkeypatch.setenv("HSL_PROGRESS", "lines")
    code, _, err = call("--input", LICENSE, "--transport", "loopback", "--seed", "1")
    assert code == 0
    size = len(Path(LICENSE).read_bytes())
    counted = re.findall(r"counted (\d+) of (\d+) bytes", err)
    assert counted == [("0", str(size)), (str(size), str(size))]


def cells(lines: list[str], title: str) -> dict[str, list[str]]:
    """The rows of a table of -v by their names, its head as row ""."""
    begin = lines.index(title) + 1
    table = lines[begin : lines.index("", begin)]
    rows = [re.split(r"  +", line.strip()) for line in table]
    return {"": rows[0]} | {name: values for name, *values in rows[1:]}


def test_the_tables_show_the_report() -> None:
    """Each cell of -v is the value of the document that its row and its column name."""
    run = ("--transport", "loopback", *FAULTY)
    report = json.loads(CliRunner().invoke(main, ["demo", *run, "--json"]).stdout)
    nodes = report["nodes"]
    cpu, gpu = nodes["cpu"], nodes["gpu"]
    _, lines, _ = call(*run, "-v")
    messages = cells(lines, "Messages")
    assert messages.pop("") == ["cpu to gpu", "gpu to cpu"]
    assert messages == {
        name: [str(node["messages"]["sent"].get(name, 0)) for node in (cpu, gpu)]
        for name in report["messages"]
    }
    credits_ = cells(lines, "Credits returned")
    assert credits_.pop("") == ["by", *cpu["credits"], "waits"]
    for name, node in nodes.items():
        counts = node["credits"].values()
        assert credits_[name] == [str(vc["sent"]) for vc in counts] + [str(sum(vc["waits"] for vc in counts))]
    caches = cells(lines, "Caches")
    assert len(caches) == 1 + len(cpu["agents"]) + len(gpu["agents"])
    assert caches[f"gpu {next(iter(gpu['agents']))}"][0] == str(next(iter(gpu["agents"].values()))["hits"])
    times = cells(lines, "Times: virtual time of the link")
    for point in ("p50", "p99"):
        expected = [f"{node['reads'][f'{point}_ns'] / 1000:.1f}" for node in (cpu, gpu)]
        assert times[f"read latency, virtual us, {point}"] == expected
    active = [f"{node['states']['ns']['ACTIVE'] / 1000:,.3f}" for node in (cpu, gpu)]
    assert times["virtual us in ACTIVE"] == active
    links = cells(lines, "Link")
    assert links["crc errors"] == [str(node["link"]["crc_errors"]) for node in (cpu, gpu)]
    ends = cells(lines, "Flits, end to end")
    assert ends.pop("") == ["cpu to gpu", "gpu to cpu"]
    assert ends["prot sent"] == [str(line["prot_sent"]) for line in report["directions"]]
    assert ends["agree"] == ["yes", "yes"]
    errors = sum(node["link"]["crc_errors"] for node in (cpu, gpu))
    text = next(line for line in lines if line.startswith("faults "))
    assert f"; {errors} CRC errors, {report['replays']} replays; all repaired" in text


def test_a_count_on_which_the_ends_do_not_agree() -> None:
    """A cell has what the sender counted, and what the receiver counted if that differs."""
    cpu = {"messages": {"sent": {"Cmp": 3}, "received": {"Evict": 5}}}
    gpu = {"messages": {"sent": {"Evict": 6}, "received": {"Cmp": 2}}}
    assert message_rows(cpu, gpu) == [["Cmp", "3, received 2", "0"], ["Evict", "0", "6, received 5"]]
    assert view.yes(False) == "NO"


def test_lost_flits_of_a_failed_run_are_not_repaired() -> None:
    """Without a CRC error too a run that failed claims no repair; late acknowledgements are no fault."""
    text = view.faults_text({"drop": 2}, 0, {"verified": False, "replays": 3})
    assert text == "2 drop hit; 0 CRC errors, 3 replays; not all repaired"
    late = view.faults_text({}, 0, {"verified": True, "replays": 3})
    assert late == "none hit; 0 CRC errors, 3 replays (acknowledgements were late or lost)"


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1 us"),
        (29_210, "29.2 us"),
        (5_300_000, "5.3 ms"),
        (1_000_000_000, "1 s"),
        (4_321_000_000_000, "4,321 s"),
    ],
)
def test_a_time_has_the_unit_that_suits_it(ns: int, text: str) -> None:
    """A time is shown with three figures in ns, us, ms or s."""
    assert view.seconds(ns) == text


@pytest.mark.parametrize(
    ("clock", "faults", "says"),
    [
        ("virtual", "none", "the same flits at the same times"),
        ("virtual", "crc:0.1", "the same flits, faults and times"),
        ("wall", "none", "the same result; timing decides the flits (tcp; not on loopback)"),
        ("wall", "crc:0.1", "faults hit the same flit numbers; timing decides the rest (tcp)"),
    ],
)
def test_how_exactly_the_seed_repeats(clock: str, faults: str, says: str) -> None:
    """Only virtual time repeats flits; faults are spoken of only where there are some."""
    assert says in view.repeat_text({"clock": clock, "faults": faults, "transport": "tcp"})


@pytest.mark.parametrize(
    ("faults", "transport", "says"),
    [
        ("none", "tcp", "--faults"),
        ("crc:0.1", "tcp", "--transport loopback --capture"),
        ("crc:0.1", "loopback", "--kernel matmul"),
    ],
)
def test_the_next_command_is_another_one(faults: str, transport: str, says: str) -> None:
    """The line `next` names the first thing that this run has not shown."""
    report = {"verified": True, "faults": faults, "transport": transport}
    assert says in view.next_command(report)
    assert view.next_command(report | {"phases": {}}) == view.LAST
    assert "-v" in view.next_command(report | {"verified": False})


def test_a_node_without_a_result_has_no_line_for_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU counts nothing: its lines begin with the time. -q leaves the verdict, with -v too."""
    run = ("--transport", "loopback", "--input", LICENSE, "--seed", "1", "--json")
    nodes = json.loads(CliRunner().invoke(main, ["demo", *run]).stdout)["nodes"]
    for name, labels in (("cpu", ["result", "time"]), ("gpu", ["time", "flits"])):
        report = nodes[name] | {"seed": 1, "faults": "none"}
        show_node(report)
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines[1:3]] == labels
        column = lines[0].index(f"{name}: ")
        assert all(line[column - 1] == " " != line[column] for line in lines), "texts are below each other"
    monkeypatch.setattr(view, "is_quiet", lambda: True)
    monkeypatch.setattr(view, "is_verbose", lambda: True)
    show_node(nodes["gpu"] | {"seed": 1, "faults": "none"})
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_options_reach_both_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo passes the options of engine, system and faults to both of its processes."""
    lines: list[list[str]] = []

    async def note(cpu: list[str], gpu: list[str], start: object, patience: float) -> None:
        lines.extend((cpu, gpu))
        raise PeerLost("noted")

    monkeypatch.setattr("hsl.cli.demo.run_processes", note)
    given = {"--engine": "reference", "--topology": "star", "--tu": "21", "--flit": "B256", "--links": "2",
             "--time-limit": "9.0", "--faults": "crc:0.1", "--seed": "5"}  # fmt: skip
    code, _, err = call("--input", LICENSE, *(word for pair in given.items() for word in pair))
    assert (code, "noted" in err) == (7, True)
    assert [line[0] for line in lines] == ["cpu", "gpu"]
    for line in lines:
        assert {name: line[line.index(name) + 1] for name in given} == given
    assert "tcp://127.0.0.1:0" in lines[0], "the carrier that help names as the default"
