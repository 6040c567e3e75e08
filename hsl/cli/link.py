"""`hsl link`: the link layer alone, in virtual time: a long run with faults, and a model of its speed."""

from __future__ import annotations

import contextlib
import gc
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from hsl.capture import CaptureInfo, Clock, Recorder, both_ends
from hsl.cli.capture import capture_options, check_size, open_sink, view
from hsl.cli.exits import ExitCode
from hsl.cli.meter import Meter
from hsl.cli.node import deliver, draw_seed, fault_plan
from hsl.cli.predict import predict_command
from hsl.codec.crc import ENGINES
from hsl.codec.flit import FORMATS
from hsl.engine.select import engines
from hsl.transport.base import Place
from hsl.transport.fault_plan import MAX_BURST
from hsl.transport.faults import Outcome
from hsl.verify.soak import NAMES, Soak, SoakPlan, floor

__all__ = ["command"]

KILL = re.compile(r"(\d{1,4})@(\d{1,18})")


@click.group("link")
def command() -> None:
    """The link layer alone, over the loopback: long runs with faults, and modelled time."""


command.add_command(predict_command)


def kills_of(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> Any:
    """(link, delivered flits) of each LINK@FLIT."""
    for value in values:
        if KILL.fullmatch(value) is None:
            raise click.BadParameter(f"{value!r} is no LINK@FLIT, such as 1@50000")
    return tuple(tuple(map(int, value.split("@"))) for value in values)


@command.command("soak")
@click.option(
    "--flits", type=click.IntRange(1), default=100_000, show_default=True, help="PROT flits to deliver."
)
@click.option(
    "--faults",
    default="none",
    show_default=True,
    help="RATE (half crc, half drop), KIND:RATE,... or FILE.toml; see hsl inject list.",
)
@click.option("--nth", type=click.IntRange(1), help="Each fault begins at the Nth flit it could hit.")
@click.option("--burst", type=click.IntRange(1, MAX_BURST), help="Each hit takes N consecutive flits.")
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), help="Seed of it all (default: drawn, printed).")
@click.option("--links", type=click.IntRange(1, 8), default=1, show_default=True, help="Links of the port.")
@click.option(
    "--kill-link",
    "kills",
    callback=kills_of,
    multiple=True,
    metavar="LINK@FLIT",
    help="Cut that link for good when so many flits are delivered; may be repeated.",
)
@click.option(
    "--low-power",
    type=click.IntRange(1),
    metavar="FLITS",
    help="Offer L1; after so many flits both ends rest, and sleep and wake at times of the seed.",
)
@click.option(
    "--flit", type=click.Choice(list(FORMATS)), default="L64", show_default=True, help="Flit format."
)
@click.option(
    "--engine", type=click.Choice(ENGINES), help="Of all layers (default: HSL_ENGINE, or what there is)."
)
@click.option(
    "--codec", type=click.Choice(ENGINES), help="Codec under the link (default: that of --engine, or native)."
)
@capture_options
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the document to a file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, the rest on stderr.")
def soak(**options: Any) -> int:
    """Two ports over the loopback, messages on all VCs both ways, faults on both lines.

    Exit status 0 only if every message came once and in order, all credits are home, and the counters of
    both ends agree with what was injected to the flit.

    With --low-power the ends also rest. In L1 no gap may be open, nothing may be under way or be sent, and no
    credit may be owed; each L1 that was entered must be left, and no wake may count as a recovery.

    Every kind of `hsl inject list` can be asked for. What is corrected must verify; so must ack, and poison,
    whose messages are counted. A kind that is port-fatal ends the run with exit status 1 and the error that
    the port died of, and unbalanced_by names it: no account of flits need hold then. So does a link-down
    that outlasts T_STATE.
    """
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
