"""`hsl link`: the link layer alone, in virtual time: a long run with faults, and a model of its speed."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

import click

from hsl.capture import CaptureInfo, Clock, Recorder, both_ends
from hsl.cli.capture import open_sink, view
from hsl.cli.exits import ExitCode
from hsl.cli.meter import Meter
from hsl.cli.node import deliver, draw_seed, fault_plan
from hsl.cli.options import is_quiet
from hsl.cli.tables import paint, print_table
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
    report = soaked(plan, options) | {"engines": chosen}
    with view(options):
        deliver(report, options["as_json"], options["out"], show_soak)
    return ExitCode.OK if report["verified"] else blamed(report, plan)


def soaked(plan: SoakPlan, options: dict[str, Any]) -> dict[str, Any]:
    """Run a soak; its report, with the speed of the codec alone."""
    gc.freeze()  # what is loaded by now stays: no collection looks at it again
    with capturing(options, plan) as recorder, Meter("delivered", "flits") as meter:
        tap, observe = (None, None) if recorder is None else (recorder.flit, recorder.event)
        report = Soak(plan, tap=tap, observe=observe, progress=meter.show).run()
    lowest = floor(plan)
    return report | {
        "floor": {
            "what": "the codec alone: the same flits made, packed, read and unpacked",
            "flits_per_cpu_second": round(lowest),
            "ratio": round(report["flits_per_cpu_second"] / lowest, 3),
        },
    }


def blamed(report: dict[str, Any], plan: SoakPlan) -> ExitCode:
    """Print why a soak failed, and how it is repeated; the exit code."""
    for failure in report["failures"]:
        click.echo(f"hsl: {failure}", err=True)
    if plan.faults.outcome not in (None, Outcome.CORRECTED):
        click.echo(f"hsl: the worst that the faults {plan.faults} may do: {plan.faults.outcome}", err=True)
    click.echo(f"hsl: seed {plan.seed}; again: {plan.command}", err=True)
    return ExitCode.FAILED


@contextlib.contextmanager
def capturing(options: dict[str, Any], plan: SoakPlan) -> Iterator[Recorder | None]:
    """A recorder of all links, when a capture is asked for."""
    if options["capture"] is None:
        yield None
        return
    wires = [(Place(0, 0, link), Place(1, 0, link)) for link in range(plan.links)]
    nodes = {name: {"guid": f"{index + 1:#018x}"} for index, name in enumerate(NAMES)}
    info = CaptureInfo(clock=Clock.VIRTUAL, seed=plan.seed, view=NAMES[0], nodes=nodes)
    with Recorder(open_sink(options), info, both_ends(NAMES, wires)) as recorder:
        yield recorder


SOAKED = ("PROT sent", "accepted", "replays", "NAKs", "CRC errors", "recoveries", "injected")


def show_soak(report: dict[str, Any]) -> None:
    """Print what each link did, the rates, and the verdict with the command that repeats the run.

    With -q the verdict only.
    """
    if not is_quiet():
        print_soak(report)
    verdict = (
        paint("VERIFIED", "green")
        if report["verified"]
        else f"{paint('NOT VERIFIED', 'red')}: {report['failures'][0]}"
    )
    click.echo(f"{verdict}; seed {report['seed']}; again: {report['command']}")


def print_soak(report: dict[str, Any]) -> None:
    """Print a table of the links, and the rates."""
    rows = []
    for name, end in report["ends"].items():
        for index, link in enumerate(end["links"]):
            count = link["counters"]
            figures = [count[key] for key in ("prot_sent", "prot_accepted", "replays", "naks_sent")]
            figures += [count["crc_errors"], count["recoveries"]]
            injected = sum(sum(hits.values()) for hits in link["injected"]["kinds"].values())
            rows.append((f"{name} link {index}", *(f"{each:,}" for each in (*figures, injected))))
    print_table("", ("", *SOAKED), rows)
    messages, ratio = report["messages"], report["floor"]["ratio"]
    click.echo(
        f"{report['flits']['delivered']:,} flits, "
        f"{messages['delivered']:,} of {messages['sent']:,} messages; "
        f"{report['flits_per_cpu_second']:,} flits per CPU second, {ratio} of the codec alone"
    )
    if report["low_power"]["every"]:
        rests = "{rests:,} rests, {slept:,} with both ends asleep; L1 entered {entered:,} times"
        click.echo(rests.format(**report["low_power"]))
    if report["unbalanced_by"]:
        click.echo(f"counters are not compared: {', '.join(report['unbalanced_by'])}")
