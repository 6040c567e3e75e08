"""Interrupt a command at a moment, and list everything that it did wrong or left behind.

`python -m tests.support.interrupted --runs 60 --seed 1` does so at moments drawn from the seed.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

__all__ = ["COMMANDS", "INTERRUPTED", "Run", "arguments_of", "shot", "swept"]

ROOT = Path(__file__).parents[2]
HSL = (sys.executable, "-m", "hsl")
MARK = "HSL_TEST_FAMILY"
PATIENCE = 60.0  # seconds until something that must happen counts as missing; a loaded machine is slow
DYING = 10.0  # seconds in which a process that was killed comes to its end
EXPECTED = re.compile(
    r"seed \d+(; timers: .*)?|"
    r"telemetry at \S+|listening at \S+|hsl demo .*|.*\b\d+ of \d+\b.*|watching \S+|waiting for .*"
)
INTERRUPTED = 2


def family(mark: str) -> dict[int, str]:
    """The living processes whose environment has the mark, with their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if f"{MARK}={mark}\0".encode() in (entry / "environ").read_bytes():
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found[int(entry.name)] = line
    return found


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used; 0 if it has ended."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


class Run:
    """A command in a session of its own, with `folder` as its place for temporary files."""

    def __init__(self, arguments: list[str], folder: Path, ignored: Sequence[int] = ()) -> None:
        self.mark = f"{os.getpid()}-{time.monotonic_ns()}"
        self.tmp = folder / "tmp"
        self.tmp.mkdir(exist_ok=True)
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*HSL, *arguments],
                cwd=folder,
                env=os.environ | {MARK: self.mark, "TMPDIR": str(self.tmp), "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                preexec_fn=partial(start_signals, ignored),
            )
        self.seconds = self._sent = 0.0  # from the signal to the end
        self.own = False  # it answered signals itself when it got one

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in (self.process.pid, *self.family()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    @property
    def out(self) -> str:
        """The stdout of the command so far."""
        return self._out.read_text(errors="replace")

    @property
    def err(self) -> str:
        """The stderr of the command so far."""
        return self._err.read_text(errors="replace")

    def until(self, condition: Callable[[], object]) -> bool:
        """Wait for a condition; False when the command ended before."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if self.process.poll() is not None:
                return False
            if time.monotonic() > end:
                raise AssertionError(f"it did not come in {PATIENCE} s; stderr: {self.err}")
            time.sleep(0.002)
        return True

    def until_printed(self, pattern: str) -> bool:
        """Wait until stdout or stderr has the pattern."""
        return self.until(lambda: re.search(pattern, self.err) or re.search(pattern, self.out))

    def family(self) -> dict[int, str]:
        """Return the processes of the command's family."""
        return family(self.mark)

    def decides(self, masks: str = "Cgt|Ign|Blk") -> bool:
        """True if the command catches SIGTERM, or at its end ignores or blocks it; Python does not."""
        with suppress(OSError):
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            found = re.findall(rf"Sig(?:{masks}):\s*(\w+)", status)
            return any(int(mask, 16) >> (signal.SIGTERM - 1) & 1 for mask in found)
        return False

    def catches(self) -> bool:
        """SIGTERM has a handler, which Python does not give it."""
        return self.decides("Cgt")

    def cpu(self) -> float:
        """Seconds of CPU that its processes have used."""
        return sum(map(cpu_of, self.family()))

    def send(self, number: int, group: bool = False) -> None:
        """Send a signal to the command, or to its process group as a terminal does."""
        self.own = self.decides()
        self._sent = time.monotonic()
        (os.killpg if group else os.kill)(self.process.pid, number)

    def faults(self, number: int) -> Iterator[str]:
        """Everything that is wrong once the signal was sent; waits for the end."""
        killed = number == signal.SIGKILL
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            yield f"it did not end in {PATIENCE} s"
            return
        self.seconds = time.monotonic() - self._sent if self._sent else 0.0
        end = time.monotonic() + (PATIENCE if killed else DYING)
        while left := family(self.mark):
            if time.monotonic() > end:
                yield f"processes left: {left}"
                break
            time.sleep(0.02)
        # Before the command has begun Python ends it in its own way, with nothing to clean up.
        if not killed and self.own:
            said = [line for line in self.err.splitlines() if not EXPECTED.fullmatch(line.strip())]
            if status == 0 and not said:
                return  # it had ended before
            if status != INTERRUPTED:
                yield f"exit status {status}"
            if [line.partition(" by ")[0] for line in said] != ["hsl: interrupted"]:
                yield f"stderr: {self.err}"
        if not killed and (files := list(self.left())):
            yield f"files left: {files}"

    def left(self) -> Iterator[str]:
        """Sockets anywhere, and everything that is temporary."""
        for path in self.tmp.parent.rglob("*"):
            inside = path.is_relative_to(self.tmp) and path != self.tmp
            if inside or stat.S_ISSOCK(path.lstat().st_mode):
                yield str(path.relative_to(self.tmp.parent))


def start_signals(ignored: Sequence[int]) -> None:
    """As an interactive shell starts a command: in a script a background one has SIGINT ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
DEMO = ["demo", "--seed", "1"]
COMMANDS = {
    "tcp": (*DEMO, "--input", "{words}"),
    "unix": (*DEMO, "--input", "{words}", "--transport", "unix"),
    "udp": (*DEMO, "--input", "{words}", "--transport", "udp"),
    "links": (*DEMO, "--input", "{words}", "--transport", "unix", "--links", "2", "--capture", "x.pcapng"),
    "telemetry": (*DEMO, "--transport", "unix", "--telemetry", "mqtt:"),
    "loopback": (*DEMO, "--transport", "loopback"),
    "matmul": (*DEMO, "--kernel", "matmul", "--size", "128"),
    "litmus": ("litmus", "run", "--exhaustive", "--seed", "1"),
    "model": ("model", "coherence", "--cache", "cache"),
    "stress": ("stress", "--ops", "1000000", "--seed", "1"),
    "soak": ("link", "soak", "--flits", "50000", "--seed", "1"),
    "perf": ("perf", "program", "{trace}", "--seed", "1"),
    "check": ("check", "{operations}"),
    "node": ("node", "gpu", "--listen", "unix://{folder}/link"),
    "broker": ("telemetry", "broker", "--port", "0"),
}


def arguments_of(name: str, folder: Path) -> list[str]:
    """The arguments of a command of COMMANDS; the files that it reads are made in `folder`."""
    paths = {each: folder / each for each in ("words", "trace", "operations")}
    if name == "perf":
        paths["trace"].write_text("".join(f" S {0x1000 + n % 512 * 8:x},8\n" for n in range(100_000)))
    elif name == "check":
        paths["operations"].write_text("".join(f"{n % 4}: M[{n % 64}] := {n}\n" for n in range(130_000)))
    paths["words"].write_bytes(b"some words of an input of a second or so\n" * 3000)
    return [part.format(folder=folder, **paths) for part in COMMANDS[name]]


def shot(name: str, number: int, moment: float, group: bool) -> tuple[list[str], float]:
    """The faults of a command that gets the signal `moment` s after its start; how long it took to end."""
    with tempfile.TemporaryDirectory(prefix="int-") as text:
        folder = Path(text)
        with Run(arguments_of(name, folder), folder) as run:
            with suppress(subprocess.TimeoutExpired):
                run.process.wait(moment)
            if run.process.poll() is None:
                run.send(number, group)
            faults = list(run.faults(number))
        if number == signal.SIGKILL and name in ("unix", "links", "telemetry"):
            faults += swept(folder)
        return faults, run.seconds


def swept(folder: Path) -> list[str]:
    """Return the remains of a killed demo after another demo, itself interrupted, has run."""
    with Run(["demo", "--transport", "unix"], folder) as run:
        run.until_printed("counted 0")
        run.send(signal.SIGTERM)
        return [f"next: {fault}" for fault in run.faults(signal.SIGTERM)]


def main() -> int:
    """Shoot at moments of a seed; the exit status is 1 when something was left or said."""
    options = argparse.ArgumentParser()
    options.add_argument("--runs", type=int, default=60)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--longest", type=float, default=6.0)
    options.add_argument("--only", nargs="*", default=list(COMMANDS))
    options.add_argument("--signals", nargs="*", default=[each.name for each in SIGNALS])
    given = options.parse_args()
    rng = random.Random(given.seed)
    bad = 0
    for index in range(given.runs):
        name, number = rng.choice(given.only), signal.Signals[rng.choice(given.signals)]
        moment, group = round(rng.uniform(0, given.longest), 3), rng.random() < 0.3
        faults, seconds = shot(name, number, moment, group)
        bad += bool(faults)
        where = "group" if group else "alone"
        print(
            f"{index} {name} {number.name} {where} at {moment} s: {faults or 'ok'}, {seconds:.2f} s",
            flush=True,
        )
    print(f"{bad} of {given.runs} failed, seed {given.seed}")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
