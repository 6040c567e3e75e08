"""`hsl link`: the link layer alone, in virtual time: a long run with faults, and a model of its speed."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from hsl.capture import CaptureInfo, Clock, Recorder, both_ends
from hsl.cli.capture import check_size, open_sink, view
from hsl.cli.exits import ExitCode
from hsl.cli.meter import Meter
from hsl.cli.node import deliver, draw_seed, fault_plan
from hsl.engine.select import engines
from hsl.transport.base import Place
from hsl.transport.faults import Outcome
from hsl.verify.soak import NAMES, Soak, SoakPlan, floor

__all__ = ["soak"]


def soak(**options: Any) -> int:
    """Run `hsl link soak`; its exit code."""
    chosen = engines(options["engine"])
    if options["codec"] is not None:
        chosen["codec"] = options["codec"]
    plan = SoakPlan(
        flits=options["flits"],
        seed=draw_seed(options["seed"]),
        faults=fault_plan(options),
        links=options["links"],
        kills=options["kills"],
        low_power=options["low_power"] or 0,
        flit=options["flit"],
        codec=chosen["codec"],
    )
    gc.freeze()  # what is loaded by now stays: no collection looks at it again
    with capturing(options, plan) as recorder, Meter("flits delivered") as meter:
        tap, observe = (None, None) if recorder is None else (recorder.flit, recorder.event)
        report = Soak(plan, tap=tap, observe=observe, progress=meter.show).run()
    lowest = floor(plan)
    report |= {
        "engines": chosen,
        "floor": {
            "what": "the codec alone: the same flits made, packed, read and unpacked",
            "flits_per_cpu_second": round(lowest),
            "ratio": round(report["flits_per_cpu_second"] / lowest, 3),
        },
    }
    with view(options):
        deliver(report, options["as_json"], options["out"], show_soak)
    if report["verified"]:
        return ExitCode.OK
    for failure in report["failures"]:
        click.echo(f"hsl: {failure}", err=True)
    if plan.faults.outcome not in (None, Outcome.CORRECTED):
        click.echo(f"hsl: the worst that the faults {plan.faults} may do: {plan.faults.outcome}", err=True)
    click.echo(f"hsl: seed {plan.seed}; again: {plan.command}", err=True)
    return ExitCode.FAILED


@contextlib.contextmanager
def capturing(options: dict[str, Any], plan: SoakPlan) -> Iterator[Recorder | None]:
    """A recorder of all links, when a capture is asked for."""
    check_size(options)
    if options["capture"] is None:
        yield None
        return
    wires = [(Place(0, 0, link), Place(1, 0, link)) for link in range(plan.links)]
    nodes = {name: {"guid": f"{index + 1:#018x}"} for index, name in enumerate(NAMES)}
    info = CaptureInfo(clock=Clock.VIRTUAL, seed=plan.seed, view=NAMES[0], nodes=nodes)
    with Recorder(open_sink(options), info, both_ends(NAMES, wires)) as recorder:
        yield recorder


def show_soak(report: dict[str, Any]) -> None:
    """A report for a person."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    table = Table(box=None, pad_edge=False, title=None)
    for heading in ("", "PROT sent", "accepted", "replays", "NAKs", "CRC errors", "recoveries", "injected"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, end in report["ends"].items():
        for index, link in enumerate(end["links"]):
            count = link["counters"]
            figures = [count[key] for key in ("prot_sent", "prot_accepted", "replays", "naks_sent")]
            figures += [count["crc_errors"], count["recoveries"]]
            injected = sum(sum(hits.values()) for hits in link["injected"]["kinds"].values())
            table.add_row(f"{name} link {index}", *(f"{each:,}" for each in (*figures, injected)))
    console.print(table)
    messages, ratio = report["messages"], report["floor"]["ratio"]
    console.print(
        f"{report['flits']['delivered']:,} flits, "
        f"{messages['delivered']:,} of {messages['sent']:,} messages; "
        f"{report['flits_per_cpu_second']:,} flits per CPU second, {ratio} of the codec alone"
    )
    if report["low_power"]["every"]:
        rests = "{rests:,} rests, {slept:,} with both ends asleep; L1 entered {entered:,} times"
        console.print(rests.format(**report["low_power"]))
    if report["unbalanced_by"]:
        console.print(f"counters are not compared: {', '.join(report['unbalanced_by'])}")
    verdict = "verified" if report["verified"] else f"FAILED: {report['failures'][0]}"
    console.print(f"{verdict}; seed {report['seed']}; again: {report['command']}", soft_wrap=True)
