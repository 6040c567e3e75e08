"""Every command whose reader has left ends in exit code 2, for people and with --json: that is no verdict."""

import os
import subprocess
import sysconfig
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from hsl.cli.exits import ExitCode
from hsl.verify import coverage_records, link_coverage
from tests.cli.test_check import SB
from tests.support.commands import leaves

HSL = sysconfig.get_path("scripts") + "/hsl"
FLIT = "0100" + "00" * 62
# Command -> the shortest arguments with which it prints. The files are in the folder where it runs.
SHORT = {
    "demo": ["--transport", "loopback", "--input", "text"],
    "codec decode": ["--hex", FLIT],
    "codec encode": ["--input", "flits.json"],
    "link soak": ["--flits", "50", "--seed", "1"],
    "link predict": ["--links", "1", "--messages", "100"],
    "inject list": [],
    "stress": ["--ops", "10", "--seed", "1"],
    "replay": ["run.hslr"],
    "litmus list": [],
    "litmus run": ["SB@cpu-gpu", "--runs", "1"],
    "check": ["trace"],
    "coverage link": ["--input", "link"],
    "coverage coherence": ["--input", "coherence"],
    "perf program": ["lackey"],
    "telemetry broker": ["--port", "0", "--time-limit", "0"],
    "info": [],
    "schema": [],
    "spec list": [],
    "spec path": [],
    "help": ["demo"],
    "completion": ["bash"],
}
# Commands that take minutes or a broker, and print with the functions of others; and pairs, below.
APART = {"model link", "model coherence", "telemetry watch", "node cpu", "node gpu", "node memory"}
TEXT_ONLY = {"help", "completion"}
RUNS = [(name, option) for name in SHORT for option in ("", "--json") if not option or name not in TEXT_ONLY]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file for each command that reads one."""
    folder = tmp_path_factory.mktemp("closed")
    (folder / "text").write_text("a b a\n")
    (folder / "trace").write_text("\n".join(SB))
    (folder / "lackey").write_text(" L 1000,8\n" * 3)
    link_coverage.write_record(folder / "link/a.json", {"loopback": Counter(), "direct": Counter()})
    empty = {kind: Counter[str]() for kind in ("conforming", "hostile")}
    coverage_records.write_record(folder / "coherence/a.json", empty)
    flits = subprocess.run(
        [HSL, "codec", "decode", "--hex", FLIT, "--json"], capture_output=True, check=False
    )
    (folder / "flits.json").write_bytes(flits.stdout)
    stress = [HSL, "stress", "--ops", "10", "--seed", "1", "--save", str(folder / "run.hslr"), "-q"]
    subprocess.run(stress, capture_output=True, check=True)
    return folder


def closed() -> int:
    """The writing end of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def test_every_command_is_in_the_table() -> None:
    """A new command is tried with a closed pipe, or is named as one that is not."""
    assert {name for name, _ in leaves()} == SHORT.keys() | APART


@pytest.mark.parametrize(("name", "option"), RUNS)
def test_a_reader_that_has_left_interrupts(name: str, option: str, folder: Path) -> None:
    """A closed pipe ends the command in exit code 2; stderr has no traceback and no word about a pipe."""
    writer = closed()
    command = [HSL, *name.split(), *SHORT[name], *([option] if option else [])]
    done = subprocess.run(command, cwd=folder, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writer)
    assert done.returncode == ExitCode.INTERRUPTED, done.stderr
    assert "hsl:" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["", "--json"])
def test_nodes_whose_readers_have_left(option: str, folder: Path) -> None:
    """Both nodes of a run end in exit code 2 when nobody reads their reports."""
    writer = closed()
    link = ["node", "cpu", "--listen", f"unix://{folder}/socket{option}", "--input", str(folder / "text")]
    peer = ["node", "gpu", "--connect", f"unix://{folder}/socket{option}", "--wait", "20"]
    commands = [[HSL, *each, "--time-limit", "30", *([option] if option else [])] for each in (link, peer)]
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(subprocess.Popen(each, stdout=writer, stderr=subprocess.PIPE, text=True))
            for each in commands
        ]
        os.close(writer)
        for node in nodes:
            _, said = node.communicate(timeout=60)
            assert node.returncode == ExitCode.INTERRUPTED, said
