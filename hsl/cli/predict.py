"""`hsl link predict`: modelled latency and goodput of ports of 1 to 8 links, beside the closed form."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from hsl._generated.constants import MAX_WINDOW
from hsl.cli.exits import ExitCode
from hsl.cli.meter import Meter
from hsl.cli.node import deliver, draw_seed
from hsl.codec.crc import ENGINES
from hsl.codec.flit import FORMATS
from hsl.engine.select import engines
from hsl.perf.predict import MAX_LINKS, Model, predict

__all__ = ["predict_command"]

RANGE = re.compile(r"(\d+)\.\.(\d+)")
RATE = re.compile(r"(\d+(?:\.\d+)?)(?:GT/s)?")
SLOW = re.compile(r"(\d{1,4}):(.+)")


def links_of(context: click.Context, option: click.Parameter, text: str) -> tuple[int, ...]:
    """`1..8`, `1,2,4,8` or `4`."""
    span = RANGE.fullmatch(text)
    try:
        first, last = (int(span[1]), int(span[2])) if span else (0, 0)
        links = tuple(range(first, last + 1)) if span else tuple(int(part) for part in text.split(","))
    except ValueError:
        links = ()
    if not links or not all(1 <= count <= MAX_LINKS for count in links) or len(links) > MAX_LINKS:
        raise click.BadParameter(f"{text!r}; legal is N, N..M or N,M,... with 1..{MAX_LINKS}")
    return links


def rate_of(context: click.Context | None, option: click.Parameter | None, text: str) -> float:
    """`32GT/s` or `32`."""
    found = RATE.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no rate, such as 32GT/s")
    return float(found[1])


def slow_of(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[int, float]:
    """LINK:RATE of each."""
    slow = {}
    for text in texts:
        found = SLOW.fullmatch(text)
        if found is None:
            raise click.BadParameter(f"{text!r} is no LINK:RATE, such as 1:16GT/s")
        slow[int(found[1])] = rate_of(None, None, found[2])
    return slow


def model_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What is modelled."""
    for option in (
        click.option("--messages", type=int, default=4000, show_default=True, help="64-byte messages a row."),
        click.option("--flit", type=click.Choice(list(FORMATS)), default="L64", show_default=True),
        click.option(
            "--slow-link", "slow", callback=slow_of, multiple=True, metavar="LINK:RATE", help="Another rate."
        ),
        click.option(
            "--window", type=int, default=MAX_WINDOW, show_default=True, help="Flits unacknowledged."
        ),
        click.option("--delay", "delay_ns", type=int, default=10, show_default=True, help="ns, one way."),
        click.option(
            "--ber", type=float, default=0.0, show_default=True, help="Bit error rate of each line."
        ),
        click.option("--lanes", type=int, default=16, show_default=True, help="Lanes of each link."),
        click.option("--rate", callback=rate_of, default="32GT/s", show_default=True, help="Of each lane."),
        click.option("--links", callback=links_of, default="1..8", show_default=True, help="N, N..M or N,M."),
    ):
        function = option(function)
    return function


@click.command("predict")
@model_options
@click.option(
    "--seed", type=click.IntRange(0, 2**64 - 1), help="Seed of the errors (default: drawn, printed)."
)
@click.option("--engine", type=click.Choice(ENGINES), help="Of all layers; the figures do not depend on it.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the document to a file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, the rest on stderr.")
def predict_command(
    links: tuple[int, ...],
    seed: int | None,
    engine: str | None,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Goodput and latency of a port in modelled time, beside what arithmetic expects, and their ratio.

    A stream of 64-byte data goes one way as fast as the port lets it, then single messages over the quiet
    port. All times are modelled: the machine that computes them has no part in them, and the same seed gives
    the same document to the byte.
    """
    chosen = engines(engine)
    model = Model(seed=draw_seed(seed), codec=chosen["codec"], **options)
    with Meter("rows") as meter:
        report = predict(model, links, meter.show)
    deliver(report, as_json, out, show)
    return ExitCode.OK


def show(report: dict[str, Any]) -> None:
    """The rows for a person."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    table = Table(box=None, pad_edge=False)
    for heading in (
        "links",
        "GB/s",
        "expected",
        "ratio",
        "x first",
        "limit",
        "min ns",
        "p50",
        "p99",
        "expected",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in report["rows"]:
        goodput, latency = row["goodput_gb_per_s"], row["latency_ns"]
        rates = (f"{goodput['modelled']:.2f}", f"{goodput['expected']:.2f}", f"{goodput['ratio']:.3f}")
        times = (latency["min"], latency["p50"], latency["p99"], latency["expected"])
        cells = (*rates, f"{row['times_first']:.2f}", goodput["limited_by"], *map(str, times))
        table.add_row(str(row["links"]), *cells)
    console.print(table)
    console.print(f"modelled time, not measured; seed {report['seed']}")
