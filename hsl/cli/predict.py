"""`hsl link predict`: modelled latency and goodput of ports of 1 to 8 links, beside the closed form."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click

from hsl.cli.exits import ExitCode
from hsl.cli.meter import Meter
from hsl.cli.node import deliver, draw_seed
from hsl.cli.tables import print_table
from hsl.engine.select import engines
from hsl.errors import ConfigError
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
    for link, count in Counter(link for link, _ in slow).items():
        if link >= max(links):
            raise ConfigError(f"--slow-link {link}:RATE needs --links {link + 1} or more")
        if count > 1:
            raise ConfigError(f"--slow-link {link}:RATE came {count} times; expected one rate for a link")
    with Meter("computed", "rows") as meter:
        meter.show(0, len(links))
        report = predict(model, links, meter.show)
    deliver(report, as_json, out, show)
    return ExitCode.OK


HEADINGS = ("links", "GB/s", "expected", "ratio", "x first", "limit", "min ns", "p50", "p99", "expected ns")


def show(report: dict[str, Any]) -> None:
    """Print a row for each number of links."""
    rows = []
    for row in report["rows"]:
        goodput, latency = row["goodput_gb_per_s"], row["latency_ns"]
        rates = (f"{goodput['modelled']:.2f}", f"{goodput['expected']:.2f}", f"{goodput['ratio']:.3f}")
        times = (latency["min"], latency["p50"], latency["p99"], latency["expected"])
        rows.append((row["links"], *rates, f"{row['times_first']:.2f}", goodput["limited_by"], *times))
    print_table("", HEADINGS, rows)
    click.echo(f"modelled time, not measured; seed {report['seed']}")
