"""What a line of the demo's input costs on the loopback: `python -m tests.bench.growth [KIB...]`.

Each size runs in a process of its own. The table has user CPU and peak memory of the process, and of each
step from one size to the next the marginal user CPU per line, in microseconds and in calls of an empty
Python function, which is measured in the same run.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import tempfile
import timeit
from pathlib import Path
from typing import NamedTuple

from hsl._generated.constants import LINE_BYTES

KIB = 1024
SIZES = (256, 1024, 4096, 16384)  # KiB
SEED = 1
CALLS = 1_000_000
WORDS = 4096  # different words of the input


class Cost(NamedTuple):
    """Of one run: KiB of input, seconds of user CPU, MiB at the peak."""

    kib: int
    user: float
    peak: float


def write_text(path: Path, kib: int) -> None:
    """Write `kib` KiB of words, a part at a time: a child's peak of memory begins with what we have."""
    rng = random.Random(SEED)
    words = [rng.randbytes(rng.randint(1, 5)).hex().encode() for _ in range(WORDS)]
    with path.open("wb") as file:
        for _ in range(kib):
            file.write(b" ".join(rng.choices(words, k=KIB))[:KIB])


def demo(kib: int, folder: Path) -> Cost:
    """Run the demo on `kib` KiB. Raises CalledProcessError if its result is not verified."""
    path = folder / f"{kib}"
    write_text(path, kib)
    command = [sys.executable, "-m", "hsl", "demo", "--transport", "loopback", "--seed", str(SEED)]
    child = subprocess.Popen(
        [*command, "--input", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, child.args)
    return Cost(kib, used.ru_utime, used.ru_maxrss / KIB)


def empty_call() -> float:
    """Measure the user CPU of a call of an empty Python function, in seconds."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    timeit.timeit("f()", "def f(): pass", number=CALLS)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_utime - before) / CALLS


def main() -> None:
    """Print the table."""
    sizes = sorted(int(word) for word in sys.argv[1:]) or SIZES
    before: Cost | None = None
    print("   KiB  user s  peak MiB  us a line  calls a line")
    with tempfile.TemporaryDirectory(prefix="hsl-growth-") as folder:
        for kib in sizes:
            cost = demo(kib, Path(folder))
            line = f"{cost.kib:6d} {cost.user:7.2f} {cost.peak:9.0f}"
            if before is not None:
                marginal = (cost.user - before.user) * LINE_BYTES / ((cost.kib - before.kib) * KIB)
                line += f" {marginal * 1e6:10.0f} {marginal / empty_call():13.0f}"
            print(line, flush=True)
            before = cost


if __name__ == "__main__":
    main()
