"""`python -m tests.mutants [NAME...] [--tools]`: plant each fault and say what catches it."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys

from tests.mutation.bench import Bench, opened
from tests.support.mutant_tree import ROOT, Mutant, mutants


def caught(bench: Bench, mutant: Mutant, tools: bool) -> list[str]:
    """Return a line of each test, and each tool if asked, that catches the fault. Raises ValueError."""
    with bench.tree.planted(mutant):
        lines = [bench.caught_by(test) for test in mutant.tests]
        return lines + [f"{tool}: {bench.tree.found_by(tool)}" for tool in mutant.tools if tools]


def main() -> int:
    """Plant the faults that are named, or all; 1 if one is not caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="the faults (default: all)")
    parser.add_argument("--tools", action="store_true", help="also run the commands of hsl that must find it")
    options = parser.parse_args()
    known = {mutant.name: mutant for mutant in mutants()}
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"unknown: {', '.join(unknown)}")
    missed = 0
    with opened(ROOT) as bench:
        for name in options.names or known:
            try:
                for line in caught(bench, known[name], options.tools):
                    print(f"{name}: {line}", flush=True)
            except (ValueError, subprocess.TimeoutExpired) as error:
                missed += 1
                print(f"{name}: NOT CAUGHT: {error}", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.default_int_handler)  # what it has made is removed
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(2)
