"""`python -m tests.attacks [--long] [--python PYTHON] [NAME...]`: run the table, print what was seen.

`--long` takes the `long` turns of each row. `--python` (an absolute path) attacks the `hsl` of another
interpreter, such as that of an older tree.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from tests.attacks.judge import judge
from tests.attacks.rows import ROWS


def main() -> int:
    """Run the rows whose id contains a NAME, all without one; 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows whose names contain it (default: all)")
    parser.add_argument("--long", action="store_true", help="the numbers of the review")
    parser.add_argument("--python", default=sys.executable, help="the interpreter whose hsl is attacked")
    given = parser.parse_args()
    chosen = [row for row in ROWS if not given.names or any(name in row.id for name in given.names)]
    if idle := [name for name in given.names if not any(name in row.id for row in ROWS)]:
        parser.error(f"no row has {', '.join(idle)} in its name")
    failed = 0
    for row in chosen:
        with tempfile.TemporaryDirectory() as folder:
            try:
                seen = judge(row, Path(folder), long=given.long, python=given.python)
                failed += bool(seen.problems)
                print(f"{row.id:32} {seen.done or seen.count:7}  {seen}", flush=True)
            except AssertionError as error:
                failed += 1
                print(f"{row.id:32}          FAILED: {error}", flush=True)
    print(f"{len(chosen)} rows, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.default_int_handler)  # what it has made is removed
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(2)
