"""`hsl telemetry`, and `--telemetry` of the commands that run nodes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from hsl.cli.exits import ExitCode
from hsl.cli.json_text import print_json
from hsl.cli.meter import Meter
from hsl.cli.processes import run_loop
from hsl.cli.tables import console_width
from hsl.engine.node import Node
from hsl.errors import PeerUnreachable

if TYPE_CHECKING:
    from hsl.telemetry import Reporter, Watcher

__all__ = ["broker", "report_of", "reporting", "telemetry_broker", "watch"]

PIP = "pip install 'hsl-interconnect[mqtt]'"
STARTS = "'hsl telemetry broker' starts a broker"
EXTRA = ("aiomqtt", "amqtt")  # modules of the `mqtt` extra


def library() -> ModuleType:
    """`hsl.telemetry`; leaves with code 3 and the pip line where the extra is missing."""
    try:
        return import_module("hsl.telemetry")
    except ModuleNotFoundError as missing:
        if str(missing.name).split(".")[0] not in EXTRA:
            raise
        click.echo(f"hsl: {missing.name} is not installed: {PIP}", err=True)
        raise SystemExit(ExitCode.INTERNAL) from None


@contextlib.contextmanager
def telemetry_broker(uri: str | None) -> Iterator[str | None]:
    """The URI of the broker to publish to, with one of our own running while it is asked for."""
    if uri is None:
        yield None
        return
    module = library()
    broker = module.Broker.parse(uri)
    if broker.host:
        yield str(broker)
        return
    with module.EmbeddedBroker() as embedded:
        click.echo(f"telemetry at {embedded.address}", err=True)
        yield str(embedded.address)


@contextlib.contextmanager
def reporting(uri: str | None, seed: int, node: Node, interval: int) -> Iterator[Reporter | None]:
    """A reporter of a node; an error in the body is reported as the node's end. `interval` in ns."""
    if uri is None:
        yield None
        return
    module = library()

    def trouble(line: str) -> None:
        click.echo(f"hsl: {line}", err=True)

    publisher = module.Publisher(module.Broker.parse(uri), f"{seed:016x}", node.name, trouble)
    reporter: Reporter = module.Reporter(node, publisher, interval)
    try:
        yield reporter
    except BaseException:
        reporter.end(0, None)
        raise


def report_of(reporter: Reporter) -> dict[str, Any]:
    """Return the counts of messages published and dropped, once the reporter has ended."""
    publisher = reporter.publisher
    return {"broker": str(publisher.broker), "published": publisher.published, "dropped": publisher.dropped}


def broker(port: int, time_limit: float | None, as_json: bool) -> int:
    """Run `hsl telemetry broker`; its exit code."""
    with library().EmbeddedBroker(port) as embedded:
        address = {"schema": "hsl.telemetry.broker/1", "address": str(embedded.address)}
        click.echo(json.dumps(address) if as_json else address["address"])  # a line: readers go on at once
        sys.stdout.flush()
        run_loop(sleep(time_limit))
    return ExitCode.OK


async def sleep(seconds: float | None) -> None:
    """Wait; for ever when None."""
    if seconds is None:
        await asyncio.Event().wait()
    else:
        await asyncio.sleep(seconds)


def watch(uri: str, as_json: bool, count: int | None, time_limit: float | None) -> int:
    """Run `hsl telemetry watch`; its exit code."""
    module = library()
    broker = module.Broker.parse(uri)
    if not broker.host:
        raise click.UsageError("watch needs a broker that runs: mqtt://host:port")
    quiet = True if sys.stdout.isatty() and not as_json else None  # the table on the terminal is alive itself
    waiting = f"nodes at {broker}"
    with shower(as_json) as (watcher, _), Meter("read", "messages", waiting=waiting, quiet=quiet) as meter:
        tell = watcher.show

        def show(line: str) -> None:
            meter.show(watcher.messages)
            tell(line)

        watcher.show = show
        ready = partial(meter.say, f"watching {broker}")
        try:
            run_loop(watcher.watch_for(broker, count, time_limit, ready))
        except PeerUnreachable as error:
            raise PeerUnreachable(f"{error}; {STARTS}") from None
    if not watcher.nodes:
        bad = f", {watcher.bad} bad messages" if watcher.bad else ""
        click.echo(f"hsl: no node was seen at {broker}{bad}", err=True)
        return ExitCode.NOTHING
    report = {
        "schema": "hsl.telemetry/1",
        "broker": str(broker),
        "messages": watcher.messages,
        "bad": watcher.bad,
        "nodes": watcher.nodes,
    }
    if as_json:
        print_json(report)
    elif sys.stdout.isatty():
        Console(highlight=False, width=console_width()).print(table(watcher))
    return ExitCode.OK


@contextlib.contextmanager
def shower(as_json: bool) -> Iterator[tuple[Watcher, Live | None]]:
    """A watcher that shows a live table on a terminal, lines in a pipe."""
    make: Callable[..., Watcher] = library().Watcher
    if as_json or not sys.stdout.isatty():
        yield make(lambda line: click.echo(line, err=as_json)), None
        return
    with Live(
        console=Console(highlight=False, width=console_width()), refresh_per_second=4, transient=True
    ) as live:

        def show(line: str) -> None:
            if line.startswith("bad message"):
                live.console.print(line, markup=False)
            live.update(table(watcher))

        watcher = make(show)
        yield watcher, live


def table(watcher: Watcher) -> Table:
    """The nodes, a row each."""
    made = Table(box=None, pad_edge=False)
    for name in ("node", "state", "links", "events"):
        made.add_column(name, justify="right" if name == "events" else "left")
    for key, node in watcher.nodes.items():
        links = ", ".join(f"{place} {state}" for place, state in node["links"].items())
        made.add_row(key, node["state"], links, str(node["events"]))
    made.caption = f"{watcher.messages} messages, {watcher.bad} bad"
    return made
