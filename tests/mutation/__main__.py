"""`python -m tests.mutation`: plant small faults in the sources, and report those that no test sees.

The same seed draws the same faults from the same tree. Exit status: 0 if the run came to its end, also with
survivors; 2 if it was interrupted; 3 if a tool is missing or tests fail without a fault; 4 for wrong
arguments.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import NoReturn

import click

from hsl.cli.exits import ExitCode
from hsl.cli.meter import Meter
from tests.mutation.packages import PACKAGES

ROOT = Path(__file__).parents[2]
INSTALL = "make venv"


class Meters:
    """A meter for each part of the run, one after the other."""

    def __init__(self) -> None:
        self._meter: Meter | None = None

    def show(self, what: str, done: int, total: int) -> None:
        """`done` of `total` are done."""
        if self._meter is None or self._meter.unit != what:
            self.close()
            self._meter = Meter("ran", what).__enter__()
        self._meter.show(done, total)

    def close(self) -> None:
        """Take the bar away."""
        if self._meter is not None:
            self._meter.__exit__(None, None, None)


def tell(text: str) -> None:
    """Say a line on stderr."""
    click.echo(f"mutation: {text}", err=True)


def stop(text: str, code: ExitCode) -> NoReturn:
    """Leave with a line on stderr."""
    tell(text)
    sys.exit(code)


def need_tools(names: list[str]) -> None:
    """Leave if something that the run needs is missing."""
    programs = ("cmake", "ninja", "ctest") if "native" in names else ()
    missing = [name for name in programs if shutil.which(name) is None]
    try:
        import coverage  # noqa: F401
        import universalmutator  # noqa: F401
    except ModuleNotFoundError as error:
        missing.append(str(error.name))
    if missing:
        stop(f"{', '.join(missing)} missing; install: {INSTALL}", ExitCode.INTERNAL)


@click.command(help=__doc__)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--budget",
    type=click.FloatRange(0, 1440, min_open=True),
    default=8.0,
    show_default=True,
    help="Minutes for mutants, after those that the tests take without a fault.",
)
@click.option("--package", "names", type=click.Choice(list(PACKAGES)), multiple=True, help="Default: all.")
@click.option("--processes", type=click.IntRange(1, 64), default=os.cpu_count() or 1, show_default=True)
@click.option("--json", "path", type=click.Path(path_type=Path), default=Path("build/mutation.json"))
def main(seed: int, budget: float, names: tuple[str, ...], processes: int, path: Path) -> None:
    """Run, print the scores, and write the survivors."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    packages = {name: package for name, package in PACKAGES.items() if not names or name in names}
    need_tools(list(packages))
    from tests.mutation.bench import BenchLostError
    from tests.mutation.report import lines, report
    from tests.mutation.run import run

    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.default_int_handler)
    meters = Meters()
    try:
        trials = run(
            ROOT, packages, seed=seed, budget=budget, processes=processes, show=meters.show, tell=tell
        )
    except (BenchLostError, ValueError) as error:
        stop(str(error), ExitCode.INTERNAL)
    except KeyboardInterrupt:
        stop("interrupted", ExitCode.INTERRUPTED)
    finally:
        meters.close()
    found = report(trials, seed, budget)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    click.echo("\n".join(lines(trials)))
    click.echo(f"{len(found['survivors'])} survivors: {path}")


def command() -> None:
    """Run the command; the exit codes are those of `hsl`."""
    try:
        main.main(standalone_mode=False, prog_name="python -m tests.mutation")
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except (KeyboardInterrupt, click.Abort):
        stop("interrupted", ExitCode.INTERRUPTED)


if __name__ == "__main__":
    command()
