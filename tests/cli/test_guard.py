"""Options without use are refused, and a file that cannot be written is refused before the run."""

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from hsl.cli import guard, main
from hsl.cli.exits import ExitCode
from tests.support.commands import leaves

COUNTING = "--kernel wordcount, histogram or ring"
ARRAYS = "--kernel saxpy, reduction or matmul"
NODE = "--connect tcp://127.0.0.1:9"
# A command line -> the line about an option without use. One for each row of NEEDS, and each of EVERYWHERE.
REFUSED = {
    "demo --nth 5": "--nth needs --faults",
    "demo --burst 5": "--burst needs --faults",
    "demo --burst 5 --faults none": "--burst needs --faults",
    "demo --capture-size 100000": "--capture-size needs --capture",
    "link soak --nth 5": "--nth needs --faults",
    "perf program - --capture-size 100000": "--capture-size needs --capture",
    "demo --kernel saxpy --input x": f"--input needs {COUNTING}",
    "demo --kernel saxpy --transport tcp": f"--transport tcp needs {COUNTING}",
    "demo --kernel saxpy --transport unix": f"--transport unix needs {COUNTING}",
    "demo --kernel saxpy --transport udp": f"--transport udp needs {COUNTING}",
    "demo --kernel saxpy --telemetry mqtt:": f"--telemetry needs {COUNTING}",
    "demo --gpus 2": f"--gpus needs {ARRAYS}",
    "demo --topology mesh": "--topology mesh needs --gpus",
    "demo --home host": f"--home needs {ARRAYS}",
    "demo --size 16": f"--size needs {ARRAYS}",
    f"node cpu {NODE} --kernel saxpy --input x": f"--input needs {COUNTING}",
    f"node cpu {NODE} --home host": f"--home needs {ARRAYS}",
    f"node cpu {NODE} --size 16": f"--size needs {ARRAYS}",
    "node cpu --listen tcp://:0 --wait 3": "--wait needs --connect",
    "node gpu --listen tcp://:0 --wait 3": "--wait needs --connect",
    "node memory --listen tcp://:0 --wait 3": "--wait needs --connect",
    f"node gpu {NODE} --incarnation-file x": "--incarnation-file needs an address of udp",
    "link predict --links 1 --slow-link 7:16GT/s": "--slow-link 7:RATE needs --links 8 or more",
    "link predict --links 2,1 --slow-link 2:16GT/s": "--slow-link 2:RATE needs --links 3 or more",
    "link predict --links 2 --slow-link 0:8GT/s --slow-link 0:16GT/s": "--slow-link 0:RATE came 2 times; "
    "expected one rate for a link",
    "model link --short --mutants": "--short cannot be used with --mutants",
    "model coherence --short --mutants": "--short cannot be used with --mutants",
    "model link --full --only x": "--full cannot be used with --only",
    "model link --full --short": "--full cannot be used with --short",
    "model coherence --full --only x": "--full cannot be used with --only",
    "model coherence --full --short": "--full cannot be used with --short",
    "stress --faults crc:0.1": "--faults needs --via links",
    "stress --ops 5 --input x": "--ops cannot be used with --input",
    "stress --with none --input x": "--with cannot be used with --input",
    "litmus run --faults crc:0.1": "--faults needs --via links",
    "litmus run --exhaustive --via links": "--exhaustive needs --via agents",
    "litmus run --exhaustive --runs 3": "--runs cannot be used with --exhaustive",
    "check x --export axe --global-clock": "--global-clock cannot be used with --export",
    "check x --model tso --global-clock": "--global-clock needs --model sc or hsl",
    "check x --export axe --model sc": "--model cannot be used with --export",
    "check x --export axe --out y": "--out cannot be used with --export",
    "check x --export axe --json": "--json cannot be used with --export",
    "perf program - --stay 3": "--stay needs --on both",
    "codec decode --hex 00 --input -": "--input cannot be used with --hex",
}
# A command line that would write a file that it reads, or twice -> the line about it.
OVERWRITTEN = {
    "demo --input x --capture x": "--capture x: --input is the same file",
    "demo --input x --out ./x": "--out x: --input is the same file",
    "demo --input y --capture link": "--capture link: --input is the same file",
    "demo --topology x --out x": "--out x: --topology is the same file",
    "demo --faults x.toml --out x.toml": "--out x.toml: --faults is the same file",
    "demo --out x --capture x": "--capture x: --out is the same file",
    "perf program x --capture x": "--capture x: the input is the same file",
    "check x --out x": "--out x: the input is the same file",
    "litmus run x.litmus --out x.litmus": "--out x.litmus: the input is the same file",
    "stress --input x --save x": "--save x: --input is the same file",
    "stress --save new --out new": "--save new: --out is the same file",
    "codec encode --input x --out x": "--out x: --input is the same file",
}


@pytest.mark.parametrize("line", OVERWRITTEN)
def test_a_file_that_is_read_is_not_written(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An output that is also an input or another output is refused, and the file stays as it was."""
    monkeypatch.chdir(tmp_path)
    for name in ("x", "x.toml", "x.litmus", "y"):
        Path(name).write_text("0: M[0] := 1\n")
    Path("link").symlink_to("y")
    done = CliRunner().invoke(main, line.split())
    assert (done.exit_code, done.stderr) == (ExitCode.USAGE, f"hsl: {OVERWRITTEN[line]}\n")
    assert {path.name for path in tmp_path.iterdir()} == {"x", "x.toml", "x.litmus", "y", "link"}
    assert {path.read_text() for path in tmp_path.iterdir()} == {"0: M[0] := 1\n"}


def test_the_null_device_is_read_and_written() -> None:
    """A device is no file that could be lost."""
    done = CliRunner().invoke(main, ["check", os.devnull, "--out", os.devnull])
    assert done.exit_code == ExitCode.NOTHING, done.stderr


# Options that have a use whatever the others are: `*` for all commands. A seed and an engine are always
# accepted: they are printed, and a script gives them to every command alike.
TIMERS = "--t-snp --t-mem --t-cack --t-req"
USEFUL = {
    "*": "--json --out --quiet --verbose --seed --engine --links --flit --tu --topology --faults --capture "
    "--kernel --time-limit --telemetry",
    "demo": "--transport",  # loopback: of every kernel
    "node cpu": f"--listen --connect --incarnation-file --once {TIMERS}",
    "node gpu": f"--listen --connect --incarnation-file --nid --device-bytes {TIMERS}",
    "node memory": f"--listen --connect --incarnation-file --nid --device-bytes {TIMERS}",
    "codec decode": "--hex --format",
    "codec encode": "--input",
    "link soak": "--flits --low-power --codec --kill-link",
    "link predict": "--rate --lanes --slow-link --delay --ber --window --messages",
    "stress": "--lines --threads --input --cpu --gpu --sets --ways --mshrs --tshrs --directory-lines --home "
    "--hand-over --via --shrink --save",
    "litmus run": "--long --in-order --hand-over --via --jobs",
    "check": "--export",
    "model link": "--only --mutants --jobs --cache",
    "model coherence": "--only --agents --mutants --jobs --cache",
    "coverage link": "--input",
    "coverage coherence": "--input",
    "perf program": "--limit --home --on --sets --ways",
    "telemetry broker": "--port",
    "telemetry watch": "--count",
}


def call(line: str) -> Result:
    return CliRunner().invoke(main, line.split())


@pytest.mark.parametrize("line", REFUSED)
def test_an_option_without_use_is_refused(line: str) -> None:
    """The command ends in exit code 4 before it does anything, with one sentence about the option."""
    done = call(line)
    said = [each for each in done.stderr.splitlines() if not each.startswith("seed ")]
    assert (done.exit_code, done.stdout, said) == (ExitCode.USAGE, "", [f"hsl: {REFUSED[line]}"])


def options_of(command: click.Command) -> set[str]:
    """The long name of each option."""
    return {each.opts[-1] for each in command.params if isinstance(each, click.Option)}


def test_every_option_is_judged() -> None:
    """Each option of each command has a row in a table: what it needs, or that it always has a use."""
    for name, command in leaves():
        rows = {each.partition(" ")[0] for each in {**guard.EVERYWHERE, **guard.NEEDS.get(name, {})}}
        useful = set(f"{USEFUL['*']} {USEFUL.get(name, '')}".split())
        assert options_of(command) - rows - useful == set(), name


def test_every_row_is_tried() -> None:
    """Each row of NEEDS is of an option that the command has, and is refused in the table above."""
    commands = dict(leaves())
    for name, rows in guard.NEEDS.items():
        for option, needs in rows.items():
            for need in needs:
                names = {option.partition(" ")[0], need.removeprefix("not ").partition(" ")[0]}
                assert names <= options_of(commands[name])
                text = f"{option.partition(' ')[0]} .*{need.removeprefix('not ').replace('|', '.*')}"
                lines = [said for line, said in REFUSED.items() if line.startswith(name)]
                assert [said for said in lines if _fits(text, said)], f"{name}: {text}"


def _fits(pattern: str, said: str) -> bool:
    first, *rest = pattern.split(".*")
    return said.startswith(first.strip()) and all(part in said for part in rest)


# ---- files to write

# Commands that take long, or whose result is the only one.
WRITERS = {
    "demo --transport loopback": "--out",
    "node gpu --connect tcp://127.0.0.1:9 --wait 0": "--out",
    "codec encode --input flits": "--out",
    "link soak --flits 1000000000": "--out",
    "link predict": "--out",
    "stress --ops 1000000000": "--out",
    "stress --ops 100000000": "--save",
    "litmus run --runs 16777216": "--out",
    "check trace": "--out",
    "replay run": "--out",
    "coverage link": "--out",
    "coverage coherence": "--out",
    "perf program trace": "--out",
}
WRONG = {
    "nowhere/file": "No such file or directory",
    "folder": "Is a directory",
    "file/below": "Not a directory",
}


@pytest.mark.parametrize("line", WRITERS)
def test_a_file_that_cannot_be_written_is_refused_before_the_run(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 4 at once, one line, and nothing is left in the folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for path, what in WRONG.items():
        done = call(f"{line} {WRITERS[line]} {path}")
        assert done.exit_code == ExitCode.USAGE
        assert what in done.stderr or "is a directory" in done.stderr
        assert "seed" not in done.stderr, "the run has not begun"
        assert done.stdout == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_the_check_leaves_files_as_they_are(tmp_path: Path) -> None:
    """A run that fails leaves the file of the last run, and makes none where none was."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("kept")
    for path in (old, new):
        assert call(f"check /nonexistent --out {path}").exit_code == ExitCode.USAGE
    assert old.read_text() == "kept"
    assert not new.exists()


def test_every_output_is_checked() -> None:
    """Each option whose help says that it writes a file is checked, or is that of a capture."""
    for name, command in leaves():
        for each in command.params:
            if isinstance(each.type, click.Path) and not each.type.dir_okay and not each.type.exists:
                assert each.opts[0] in guard.OUTPUTS, (name, each.opts)


@pytest.mark.parametrize(
    "line",
    [
        "link soak --flits 50 --seed 1",
        "stress --ops 20 --seed 1",
        "litmus run SB@cpu-gpu --runs 1",
        "replay {run}",
    ],
)
@pytest.mark.parametrize("form", ["", " --json"])
def test_the_report_is_printed_though_its_file_is_not_written(line: str, form: str, tmp_path: Path) -> None:
    """On a full disk the exit code is 4 and the file is named, but the report is on stdout."""
    run = tmp_path / "run"
    assert call(f"stress --ops 5 --seed 1 --save {run}").exit_code == ExitCode.OK
    whole = call(line.format(run=run) + form)
    done = call(f"{line.format(run=run)}{form} --out /dev/full")
    assert (whole.exit_code, done.exit_code) == (ExitCode.OK, ExitCode.USAGE)
    assert len(done.stdout.splitlines()) == len(whole.stdout.splitlines()) > 0
    assert done.stderr.splitlines()[-1] == "hsl: --out /dev/full: No space left on device"


def test_the_report_is_printed_though_the_run_is_not_saved() -> None:
    """A run that cannot be saved is reported all the same, and the report does not claim that it is saved."""
    done = call("stress --ops 20 --seed 1 --save /dev/full")
    assert done.exit_code == ExitCode.USAGE
    assert "nothing forbidden was seen\n" in done.stdout
    assert done.stderr.splitlines()[-1] == "hsl: /dev/full: No space left on device"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--out", "--out -: expected the name of a file; --json prints to standard output"),
        ("--save", "--save -: expected the name of a file"),
    ],
)
def test_standard_output_is_not_the_name_of_a_file(option: str, said: str) -> None:
    """`-` makes no file of that name; for a report there is --json."""
    done = call(f"stress {option} -")
    assert (done.exit_code, done.stderr) == (ExitCode.USAGE, f"hsl: {said}\n")
