"""`hsl perf`: measurements; all times are modelled, in virtual nanoseconds."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

import click

from hsl._generated.constants import TU_EXPONENT_HARDWARE
from hsl.capture import Clock, both_ends
from hsl.cli.capture import recording, view
from hsl.cli.exits import ExitCode, NothingSelected
from hsl.cli.meter import Meter
from hsl.cli.node import deliver, draw_seed, load_topology
from hsl.cli.options import is_quiet
from hsl.cli.stdin import STDIN, standard_input
from hsl.cli.tables import paint, print_table
from hsl.emulator.lackey import LackeyTrace
from hsl.emulator.program_run import SCHEMA, ProgramRun
from hsl.engine.select import engines
from hsl.files import open_stream
from hsl.link.events import Event
from hsl.transport.base import Place

__all__ = ["program"]

HOW: Final = (
    "every byte that a load gave, and memory at the end, compared with a flat memory; "
    "a store writes bytes made of the number of its line"
)
MODEL: Final = "an access to a line begins each ns, at most 256 in flight; link of 64 GB/s, 100 ns one way"
COLUMNS: Final = {
    "caches": "node nid hits misses fills writebacks snoops snoop_data",
    "homes": "node nid pages accesses hit_rate modelled_mean_miss_ns snoops_sent",
    "wire": "from messages flits bytes",
}


def program(trace: Path, seed: int | None, out: Path | None, **options: Any) -> int:
    """Run `hsl perf program`; its exit code."""
    seed = draw_seed(seed)
    started = time.monotonic()
    with opened(trace) as stream:
        report = {"schema": SCHEMA} | measure(LackeyTrace(stream, str(trace)), size_of(stream), seed, options)
    seconds = time.monotonic() - started
    report |= {"seconds": round(seconds, 3), "accesses_per_s": round(report["accesses"] / max(seconds, 1e-9))}
    if not report["accesses"] and not report["wrong"]:
        raise NothingSelected(f"{trace}: no access in {report['lines']} lines")
    with view(options):
        deliver(report, options["as_json"], out, show)
    return ExitCode.OK if report["verified"] else ExitCode.FAILED


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The trace, to be read once. ConfigError when it cannot be."""
    if str(path) == STDIN:
        yield standard_input()
        return
    with open_stream(path) as stream:
        yield stream


def size_of(stream: IO[bytes]) -> int | None:
    """Bytes of a file; None for a pipe."""
    with contextlib.suppress(OSError, ValueError):
        found = os.fstat(stream.fileno())
        if stat.S_ISREG(found.st_mode):
            return found.st_size
    return None


def measure(trace: LackeyTrace, size: int | None, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    """The report of a run, without how long it took."""
    chosen = engines(options["engine"])
    sets, ways = options["sets"], options["ways"]
    caches = {"core_sets": sets, "core_ways": ways, "l2_sets": sets, "l2_ways": ways}
    topology = replace(load_topology(options, TU_EXPONENT_HARDWARE), **caches)
    setup = {name: options[name] for name in ("home", "caches", "stay", "limit")}
    run = ProgramRun(topology, trace, seed=seed, **setup)
    nodes = [device.node for device in run.devices]
    tapped = both_ends([node.name for node in nodes], [wire[:2] for wire in run.wires])
    with (
        recording(options, seed, Clock.VIRTUAL, nodes, tapped) as recorder,
        Meter("ran", "accesses", waiting="the first access of the trace") as meter,
    ):
        run.progress = progress_of(meter, trace, size, options["limit"])

        def observe(place: Place, event: Event) -> None:
            if recorder is not None:
                recorder.event(place, event)

        run.run(observe, None if recorder is None else recorder.flit)
    setup |= {"on": setup.pop("caches"), "sets": sets, "ways": ways, "seed": seed, "engines": chosen}
    return run.report() | {"how": HOW, "model": MODEL, "trace": trace.name, "setup": setup}


def progress_of(
    meter: Meter, trace: LackeyTrace, size: int | None, limit: int | None
) -> Callable[[int], None]:
    """Progress by bytes of a file, by accesses of a pipe or towards a limit."""
    if size is None or limit is not None:
        return lambda done: meter.show(done, limit)
    meter.verb, meter.unit = "read", "bytes"
    return lambda done: meter.show(trace.consumed, size)


def show(report: dict[str, Any]) -> None:
    """Print what was accessed, caches, homes, the wire, and the verdict; with -q the verdict only."""
    if not is_quiet():
        show_accesses(report)
    if report["wrong"]:
        click.echo(f"WRONG: {report['wrong']}")
    click.echo(paint("VERIFIED", "green") if report["verified"] else paint("NOT VERIFIED", "red"))


def show_accesses(report: dict[str, Any]) -> None:
    """Print what was accessed, caches, homes and the wire."""
    kinds = ", ".join(f"{count} {name}" for name, count in report["kinds"].items())
    click.echo(f"{report['accesses']} accesses ({kinds}) in {report['pages']} pages")
    for key, columns in COLUMNS.items():
        names = columns.split()
        rows = [[str(row[name]) for name in names] for row in report[key]]
        print_table(key.capitalize(), [name.replace("_", " ") for name in names], rows)
    click.echo(f"hit rate {report['hit_rate']:.4f}; modelled time {report['modelled_ns']} ns")
    click.echo(f"model: {report['model']}")
    click.echo(f"{report['accesses_per_s']} accesses a second, seed {report['setup']['seed']}")
    click.echo(f"verified by: {report['how']}")
