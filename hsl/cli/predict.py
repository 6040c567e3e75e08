"""`hsl link predict`: modelled latency and goodput of ports of 1 to 8 links, beside the closed form."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hsl.cli.exits import ExitCode
from hsl.cli.meter import Meter
from hsl.cli.node import deliver, draw_seed
from hsl.engine.select import engines
from hsl.perf.predict import Model, predict

__all__ = ["predict_ports"]


def predict_ports(
    links: tuple[int, ...],
    slow: tuple[tuple[int, float], ...],
    seed: int | None,
    engine: str | None,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Run `hsl link predict`; its exit code."""
    chosen = engines(engine)
    model = Model(seed=draw_seed(seed), codec=chosen["codec"], slow=dict(slow), **options)
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
