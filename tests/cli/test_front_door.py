"""The bugs that a new user met at a terminal in commit e17154c, each by the commands that showed it.

These tests run `python -m hsl` and a script in the checkout that holds this file, and use no other part of
it. Copied into a checkout of e17154c, each of them fails there for the reason in its docstring.
Bugs that have such a test elsewhere:

| bug | seen at e17154c | test |
|---|---|---|
| B8 | COLUMNS=0 prints nothing, COLUMNS=1 blank lines | test_screen.py::test_columns_of_no_use... |
| B11 | a good run ends in exit code 3 if stdout takes ASCII only | test_screen.py::test_ascii_output |
| B15 | `make help` glues names of 11 letters to their text | house/test_makefile.py::test_help_has_columns |

Bugs B2, B3, B4, B10 and B12 are those of interrupts, killed processes and full disks; test_interrupts.py,
test_main.py and test_exit_codes.py have them.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST = 60  # seconds; no command here takes 5 on a quiet machine
MISSING = "No such file or directory"
# What Python says, and the class names and calls that it names.
PYTHON = ("[Errno", "codec can't", "recursion", "set_int_max_str_digits", "could not be cast", "Traceback")

Done = subprocess.CompletedProcess[str]


def hsl(*arguments: str | Path, limit: int = resource.RLIM_INFINITY) -> Done:
    """Run a command in the checkout; no file of it may grow beyond `limit` bytes."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    return subprocess.run(
        [sys.executable, "-m", "hsl", *map(str, arguments)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        timeout=LONGEST,
        cwd=ROOT,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, hard)),
    )


def last(done: Done) -> str:
    """The last line on stderr, which says why a command ended."""
    return (done.stderr.splitlines() or [""])[-1]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A small input of the demo."""
    path = tmp_path / "text"
    path.write_text("a b a\n")
    return path


@pytest.mark.parametrize("line", ["info", "inject list", "link predict --links 1 --messages 100"])
def test_b1_a_closed_pipe_is_no_verdict(line: str) -> None:
    """B1: a command whose reader has left ended in exit code 1, that of a check that failed."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "hsl", *line.split()]
    try:
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=LONGEST, cwd=ROOT)
    finally:
        os.close(writer)
    assert done.returncode == 2, done.stderr


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_b5_the_result_is_printed_in_any_case(form: tuple[str, ...]) -> None:
    """B5: stdout stayed empty when the file of --out could not be written."""
    done = hsl("link", "soak", "--flits", "50", "--seed", "1", "--out", "/dev/full", *form)
    assert done.returncode == 4
    assert len(done.stdout) > 100
    assert "/dev/full: No space left on device" in last(done)


def test_b5_an_output_is_opened_before_the_run() -> None:
    """B5: an --out in a folder that does not exist was refused only after the run, here of an hour."""
    done = hsl("link", "soak", "--flits", "100000000", "--seed", "1", "--out", "/nonexistent/x")
    assert (done.returncode, MISSING in last(done)) == (4, True), done.stderr


IGNORED = {
    "nth": "demo --transport loopback --input {text} --nth 5",
    "burst": "demo --transport loopback --input {text} --burst 5",
    "slow link": "link predict --links 1 --messages 100 --slow-link 7:16GT/s",
    "stay": "perf program {lackey} --stay 3",
}


@pytest.mark.parametrize("name", IGNORED)
def test_b6_an_option_without_use_is_refused(name: str, text: Path) -> None:
    """B6: an option that changed nothing was accepted, and the command ended in 0."""
    lackey = text.with_name("lackey")
    lackey.write_text(" L 1000,8\n" * 3)
    done = hsl(*IGNORED[name].format(text=text, lackey=lackey).split())
    assert done.returncode == 4, done.stderr
    assert name.replace(" ", "-") in last(done)


@pytest.mark.parametrize("line", ["litmus run NOSUCH*", "litmus list x"])
def test_b7_a_selector_without_match_says_so(line: str) -> None:
    """B7: a name that matches no test ended in exit code 5 without one byte on stdout or stderr."""
    done = hsl(*line.split())
    assert done.returncode != 0
    assert line.split()[-1] in last(done)


@pytest.mark.parametrize("exponent", [0, 30])
def test_b9_a_time_unit_that_cannot_work_is_refused(exponent: int, text: Path) -> None:
    """B9: --tu 0 ended in "the cpu process hung", and --tu 30 waited for ever."""
    done = hsl("demo", "--input", text, "--tu", str(exponent))
    assert done.returncode == 4, done.stderr
    assert f"tu {exponent}: " in last(done)


READERS = {
    "check": "check {}",
    "replay": "replay {}",
    "topology": "demo --transport loopback --topology {}",
    "litmus": "litmus run {}",
}


@pytest.mark.parametrize("name", READERS)
def test_b13_a_missing_file_in_plain_words(name: str) -> None:
    """B13: a missing file was told as `nosuch: [Errno 2] No such file or directory: 'nosuch'`."""
    done = hsl(*READERS[name].format("nosuch.litmus").split())
    assert done.returncode == 4, done.stderr
    assert (last(done).count("nosuch.litmus"), MISSING in last(done)) == (1, True), last(done)


HOSTILE = {
    "not UTF-8": b"\x8f\xff",
    "long number": b'{"a": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_b13_no_word_of_python_about_a_file(name: str, tmp_path: Path) -> None:
    """B13: "'utf-8' codec can't decode", "maximum recursion depth", "use sys.set_int_max_str_digits()"."""
    path = tmp_path / "bad.jsonl"
    path.write_bytes(HOSTILE[name])
    done = hsl("check", path)
    assert done.returncode == 4, done.stderr
    assert [word for word in PYTHON if word in done.stderr] == []


@pytest.mark.parametrize(
    ("address", "says"), [("tcp://127.0.0.1:-1", "0 to 65535"), ("unix:///" + "x" * 120, "121 bytes")]
)
def test_b13_an_address_that_is_none(address: str, says: str) -> None:
    """B13: "Port could not be cast to integer value", and a path too long for a socket had no reason."""
    done = hsl("node", "gpu", "--connect", address, "--wait", "0")
    assert done.returncode == 4, done.stderr
    assert [word for word in PYTHON if word in done.stderr] == []
    assert says in last(done)


def test_b14_a_failed_capture_leaves_no_empty_file(text: Path) -> None:
    """B14: a capture that could not be written left files of both nodes, and an empty one."""
    text.write_text("a b " * 2000)
    done = hsl("demo", "--input", text, "--capture", text.with_name("y.pcapng"), limit=20_000)
    assert done.returncode != 0
    left = {path.name: path.stat().st_size for path in text.parent.iterdir() if path != text}
    assert (left.keys() <= {"y.pcapng"}, 0 in left.values()) == (True, False), left


def test_b14_a_failed_save_leaves_no_file(tmp_path: Path) -> None:
    """B14: a run that could not be saved left a file that was cut, which no replay can read."""
    path = tmp_path / "run.hslr"
    done = hsl("stress", "--ops", "200", "--seed", "1", "--save", path, limit=1000)
    assert done.returncode == 4, done.stderr
    assert list(tmp_path.iterdir()) == []


TWO_NODES = """
import itertools
import hsl
from hsl.agents import AddressMap, HomeConfig, Memory, RequestConfig, SamEntry
from hsl.link.config import Role

sam = AddressMap([SamEntry(base=0, last=(1 << 20) - 1, home=1)])
def port(guid, roles, nid, count):
    epochs = itertools.count(1)
    return hsl.PortConfig(guid=guid, roles=roles, nid_base=nid, nid_count=count, epoch=lambda: next(epochs))
cpu = hsl.Node(hsl.NodeConfig(name="cpu", ports=[port(1, Role.RA | Role.HA, 1, 2)],
    agents=[RequestConfig(nid=2, address_map=sam)],
    homes=[(HomeConfig(nid=1, address_map=sam), Memory(0, 1 << 20))]))
gpu = hsl.Node(hsl.NodeConfig(name="gpu", ports=[port(2, Role.RA, 16, 1)],
    agents=[RequestConfig(nid=16, address_map=sam)]))
now = 0
def pump(until):
    global now
    for _ in range(10_000):
        now += 1000
        for node in (cpu, gpu):
            node.tick(now)
        for _ in range(4):
            for node, peer in ((cpu, gpu), (gpu, cpu)):
                node.advance(now)
                for port, link, flit in list(node.transmit(now, lambda port, link: True)):
                    peer.receive(port, link, flit, now)
        if until():
            return
    raise SystemExit("stuck")
for node in (cpu, gpu):
    node.start(now)
for node in (cpu, gpu):
    node.pal_up(0, 0, now)
pump(lambda: cpu.connected and gpu.connected)
stored = gpu.store(16, 0x40, (0xBEEF).to_bytes(8, "little"), now)
pump(lambda: stored.done)
loaded = cpu.load(2, 0x40, 8, now)
pump(lambda: loaded.done)
print(loaded)
"""


def test_b16_a_ticket_shows_its_data() -> None:
    """B16: the repr of a load had its size and its time, and not the bytes that were read."""
    command = [sys.executable, "-c", TWO_NODES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "load 0x40" in done.stdout
    assert "efbe" in done.stdout.replace(" ", "").lower()
