"""Reports as a person reads them: tables on a terminal, the same tables as plain text in a pipe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

from hsl._generated.constants import Vc

__all__ = ["show_demo", "show_node"]

NS_PER_MS = 1_000_000
NS_PER_US = 1_000


def show_demo(report: dict[str, Any]) -> None:
    """The report of `hsl demo`."""
    console = Console(highlight=False)
    nodes = report["nodes"]
    console.print(table("Link", ["", *nodes], link_rows(nodes.values())))
    console.print(
        table("Messages", ["", "cpu to gpu", "gpu to cpu"], message_rows(nodes["cpu"], nodes["gpu"]))
    )
    console.print(table("Credits returned", ["by", *VC_NAMES, "waits"], credit_rows(nodes.values())))
    console.print(table("Caches", ["agent", *CACHE_COLUMNS], cache_rows(nodes.values())))
    words = ("agree", "unbalanced_by")
    columns = [key for key in report["directions"][0] if key not in words]
    rows = [
        [str(line[key]) for key in columns] + [yes(line["agree"]), " ".join(line["unbalanced_by"]) or "-"]
        for line in report["directions"]
    ]
    titles = [key.replace("_", " ") for key in (*columns, *words)]
    console.print(table("Flits, end to end", titles, rows))
    show_result(console, report)


def show_node(report: dict[str, Any]) -> None:
    """The report of one `hsl node`."""
    console = Console(highlight=False)
    console.print(table("Link", ["", report["node"]], link_rows([report])))
    names = report["messages"]["sent"] | report["messages"]["received"]
    sides = [report["messages"]["sent"], report["messages"]["received"]]
    rows = [[name, *(str(side.get(name, 0)) for side in sides)] for name in names]
    console.print(table("Messages", ["", "sent", "received"], rows))
    console.print(table("Credits returned", ["by", *VC_NAMES, "waits"], credit_rows([report])))
    console.print(table("Caches", ["agent", *CACHE_COLUMNS], cache_rows([report])))
    show_result(console, report)


def show_result(console: Console, report: dict[str, Any]) -> None:
    """The result, how it was verified, and the verdict in the last line."""
    for name, value in (report.get("result") or {}).items():
        text = f"{sum(map(bool, value))} of {len(value)} bins used" if isinstance(value, list) else value
        console.print(f"{name}: {text}")
    for name, good in report.get("checks", {}).items():
        console.print(f"check {name.replace('_', ' ')}: {'ok' if good else 'FAILED'}")
    if "how" in report:
        console.print(f"verified by: {report['how']}")
    console.print(f"seed {report['seed']}, faults {report['faults']}")
    console.print("[bold green]VERIFIED[/]" if report["verified"] else "[bold red]NOT VERIFIED[/]")


def table(title: str, columns: list[str], rows: Iterable[list[str]]) -> Table:
    """A table with its numbers on the right."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for index, name in enumerate(columns):
        made.add_column(name, justify="right" if index else "left")
    for row in rows:
        made.add_row(*row)
    return made


def yes(good: bool) -> str:
    """A boolean as a person says it."""
    return "yes" if good else "NO"


COUNTERS = ("prot_sent", "prot_accepted", "replays", "naks_sent", "crc_errors", "recoveries", "stale")


def link_rows(nodes: Iterable[dict[str, Any]]) -> list[list[str]]:
    """State times, flits, replays and read latency of each node, a column a node."""
    nodes = list(nodes)
    states = dict.fromkeys(name for node in nodes for name in node["states"]["ns"])
    rows = [
        [f"ms in {name}", *(f"{node['states']['ns'].get(name, 0) / NS_PER_MS:.3f}" for node in nodes)]
        for name in states
    ]
    types = dict.fromkeys(name for node in nodes for name in node["link"]["flits_sent"])
    rows += [
        [f"{name} flits sent", *(str(node["link"]["flits_sent"].get(name, 0)) for node in nodes)]
        for name in types
    ]
    rows += [[name.replace("_", " "), *(str(node["link"][name]) for node in nodes)] for name in COUNTERS]
    rows.append(["coherent reads that missed", *(str(node["reads"]["count"]) for node in nodes)])
    for point in ("p50_ns", "p99_ns"):
        values = [node["reads"][point] for node in nodes]
        label = f"read latency {point.removesuffix('_ns')}, us"
        rows.append([label, *("-" if value is None else f"{value / NS_PER_US:.1f}" for value in values)])
    return rows


def message_rows(cpu: dict[str, Any], gpu: dict[str, Any]) -> list[list[str]]:
    """Messages per opcode and direction, as the receiver counted them when it differs."""
    sides = [
        (cpu["messages"]["sent"], gpu["messages"]["received"]),
        (gpu["messages"]["sent"], cpu["messages"]["received"]),
    ]
    names = dict.fromkeys(name for pair in sides for side in pair for name in side)

    def cell(name: str, sent: dict[str, int], received: dict[str, int]) -> str:
        out, back = sent.get(name, 0), received.get(name, 0)
        return str(out) if out == back else f"{out}, received {back}"

    return [[name, *(cell(name, *pair) for pair in sides)] for name in names]


VC_NAMES = [vc.name for vc in Vc]


def credit_rows(nodes: Iterable[dict[str, Any]]) -> list[list[str]]:
    """Credits that each node gave back, by VC, and how many of its own messages had to wait for one."""
    return [
        [
            node["node"],
            *(str(node["credits"][name]["sent"]) for name in VC_NAMES),
            str(sum(vc["waits"] for vc in node["credits"].values())),
        ]
        for node in nodes
    ]


CACHE_COLUMNS = ["hits", "misses", "evictions", "writebacks", "snoops"]


def cache_rows(nodes: Iterable[dict[str, Any]]) -> list[list[str]]:
    """What each cache did."""
    return [
        [f"{node['node']} {nid}", *(str(agent.get(name, 0)) for name in CACHE_COLUMNS)]
        for node in nodes
        for nid, agent in node["agents"].items()
    ]
