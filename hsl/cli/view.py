"""Reports as a person reads them: at most eight lines at the end of a run, and with -v tables before them.

Times of a node on sockets are wall time of Python processes, times of the loopback virtual time of the
link: they have different names and never share a column.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click

from hsl._generated.constants import Vc
from hsl.cli.help_values import HOMES
from hsl.cli.options import is_quiet, is_verbose
from hsl.cli.tables import paint, print_table
from hsl.shown import visible

__all__ = ["print_summary", "show_arrays", "show_demo", "show_node"]

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_US = 1_000
LABEL: Final = 9  # columns of what stands before the text of a line

DONE: Final = {  # what a node has checked, by what its report has
    "result": "the result equals Python's own count",
    "size": "the result equals numpy's, bit by bit",
    "calls": "its devices were served; there was nothing to verify",
    "": "the work of this node; the CPU's node verifies the result",
}
CLOCKS: Final = {
    "wall": "wall time of {}",
    "virtual": "virtual time of the link",
}
REPEAT: Final = {  # by clock, and whether faults were asked for
    ("virtual", False): "to the byte: this command gives the same flits at the same times",
    ("virtual", True): "to the byte: this command gives the same flits, faults and times",
    ("wall", False): "the same result; timing decides the flits ({}; not on loopback)",
    ("wall", True): "faults hit the same flit numbers; timing decides the rest ({})",
}
# What to try next: the first command whose `done` holds for no part of this run.
NEXT: Final = (
    ("faults", "hsl demo --faults 0.01 --seed 7"),
    ("loopback", "hsl demo --transport loopback --capture demo.pcapng"),
    ("arrays", "hsl demo --kernel matmul --gpus 4 --topology mesh"),
)
LAST: Final = "hsl litmus run"


# ---- the end of a run


def print_summary(verdict: tuple[bool, str], lines: Iterable[tuple[str, str]]) -> None:
    """Print the verdict, and without -q a line for each label and text."""
    good, what = verdict
    if good:
        word = (
            "ENDED" if what.endswith((DONE[""], DONE["calls"])) else "VERIFIED"
        )  # who verifies nothing itself
        click.echo(f"{paint(word, 'green')}{'':{LABEL + 1 - len(word)}}{what}")
    else:
        click.echo(f"{paint('NOT VERIFIED', 'red')}  {what}")
    if not is_quiet():
        for label, text in lines:
            click.echo(f"{label:<{LABEL}} {text}")


def failed_checks(checks: dict[str, bool]) -> str:
    """Name the checks that failed."""
    names = [name.replace("_", " ") for name, good in checks.items() if not good]
    return f"failed: {', '.join(names)}" if names else "the run ended before its checks"


def show_demo(report: dict[str, Any]) -> None:
    """Print the report of `hsl demo`."""
    nodes = report["nodes"].values()
    if is_verbose() and not is_quiet():
        print_demo_tables(report)
    what = f"{DONE['result']}; the counters of both ends agree"
    good = report["verified"]
    up = max(node["states"]["up_at_ns"] or 0 for node in nodes)
    elapsed = max(node["elapsed_ns"] for node in nodes)
    kinds = summed_kinds(node["injected_kinds"] for node in nodes)
    lines = [
        ("result", result_text(report["result"], report["input"])),
        ("time", time_text(report["clock"], elapsed, up, "these Python processes")),
        ("flits", f"{report['flits']:,} sent; {sum(report['messages'].values()):,} messages in them"),
        ("faults", faults_text(kinds, sum(node["link"]["crc_errors"] for node in nodes), report)),
        ("seed", f"{report['seed']}, faults {report['faults']}"),
        ("repeats", repeat_text(report)),
        ("next", next_command(report)),
    ]
    print_summary((good, what if good else failed_checks(report["checks"])), lines)


def show_node(report: dict[str, Any]) -> None:
    """Print the report of one `hsl node`."""
    if is_verbose() and not is_quiet():
        print_node_tables(report)
    good, checks = report["verified"], report.get("checks", {})
    what = next(text for key, text in DONE.items() if not key or key in report)
    flits = sum(report["link"]["flits_sent"].values())
    messages = sum(report["messages"]["sent"].values())
    up = report["states"]["up_at_ns"] or 0
    counts = report | report["link"]
    lines = [
        ("result", result_text(report.get("result"), "")),
        ("time", time_text(report["clock"], report["elapsed_ns"], up, "this Python process")),
        ("flits", f"{flits:,} sent; {messages:,} messages in them"),
        ("faults", faults_text(report["injected_kinds"], counts["crc_errors"], counts)),
        ("seed", f"{report['seed']}, faults {report['faults']}"),
        ("next", "the same command with -v shows counters, messages, credits and caches"),
    ]
    told = f"{report['node']}: {what if good else failed_checks(checks)}"
    print_summary((good, told), [line for line in lines if line[1]])


def show_arrays(report: dict[str, Any]) -> None:
    """Print the report of an array kernel."""
    if is_verbose() and not is_quiet():
        print_array_tables(report)
    good = report["verified"]
    gpus = f"{report['gpus']} GPUs ({report['shape']})" if report["gpus"] > 1 else "1 GPU"
    what = f"{report['kernel']}, size {report['size']:,}, on {gpus}; {HOMES[report['home']]}"
    lines = [
        ("result", what),
        ("time", time_text(report["clock"], report["elapsed_ns"], 0, "")),
        ("flits", f"{report['flits']:,} sent; {report['wire_bytes']:,} bytes on the wires"),
        ("faults", faults_text(report["injected_kinds"], report["crc_errors"], report)),
        ("seed", f"{report['seed']}, faults {report['faults']}"),
        ("repeats", repeat_text(report)),
        ("next", next_command(report)),
    ]
    print_summary((good, DONE["size"] if good else failed_checks(report["checks"])), lines)


def summed_kinds(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Add up hits by kind of fault."""
    found: dict[str, int] = {}
    for part in parts:
        for kind, hits in part.items():
            found[kind] = found.get(kind, 0) + hits
    return found


def result_text(result: dict[str, Any] | None, source: str) -> str:
    """Return what was counted; "" for a node that counts nothing."""
    if result is None:
        return ""
    parts = [
        f"{sum(map(bool, value))} of {len(value)} byte values"
        if isinstance(value, list)
        else f"{value:,} {name}"
        for name, value in result.items()
    ]
    return ", ".join(parts) + (f" ({visible(Path(source).name)})" if source else "")


def time_text(clock: str, ns: int, up: int, whose: str) -> str:
    """Return how long a run took, and by which clock."""
    text = f"{seconds(ns)} {CLOCKS[clock].format(whose)}"
    return f"{text}; link up after {seconds(up)}" if up else text


def seconds(ns: int) -> str:
    """Return a time in the unit that suits it."""
    for size, unit in ((NS_PER_S, "s"), (NS_PER_MS, "ms"), (NS_PER_US, "us")):
        if ns >= size:
            return f"{ns / size:.3g} {unit}" if ns < 1000 * size else f"{ns / size:,.0f} {unit}"
    return f"{ns} ns"


def faults_text(kinds: dict[str, int], crc_errors: int, report: dict[str, Any]) -> str:
    """Return which faults hit, what the ends noticed, and whether all was repaired."""
    noticed = f"{crc_errors:,} CRC errors, {report['replays']:,} replays"
    if not kinds:
        late = " (acknowledgements were late or lost)" if report["replays"] else ""
        return f"none hit; {noticed}{late}"
    hits = ", ".join(f"{hits:,} {kind}" for kind, hits in kinds.items())
    repaired = "all repaired" if report["verified"] else "not all repaired"
    return f"{hits} hit; {noticed}; {repaired}"


def repeat_text(report: dict[str, Any]) -> str:
    """Return how exactly the seed repeats the run."""
    return REPEAT[report["clock"], report["faults"] != "none"].format(report["transport"])


def next_command(report: dict[str, Any]) -> str:
    """Return the next command to try."""
    if not report["verified"]:
        return "the same command with -v shows the counters of both ends"
    done = {
        "faults": report["faults"] != "none",
        "loopback": report["transport"] == "loopback",
        "arrays": "phases" in report,
    }
    return next((command for part, command in NEXT if not done[part] and not done["arrays"]), LAST)


# ---- tables


def print_demo_tables(report: dict[str, Any]) -> None:
    """Print links, messages, credits, caches and flits of both nodes, and the checks."""
    nodes = report["nodes"]
    print_links(nodes.values(), ["", *nodes])
    print_table("Messages", ["", "cpu to gpu", "gpu to cpu"], message_rows(nodes["cpu"], nodes["gpu"]))
    print_table("Credits returned", ["by", *VC_NAMES, "waits"], credit_rows(nodes.values()))
    print_table("Caches", ["agent", *CACHE_COLUMNS], cache_rows(nodes.values()))
    directions = report["directions"]
    words = ("from", "to", "agree", "unbalanced_by")
    rows = [
        [key.replace("_", " "), *(f"{line[key]}" for line in directions)]
        for key in directions[0]
        if key not in words
    ]
    rows.append(["agree", *(yes(line["agree"]) for line in directions)])
    rows.append(["unbalanced by", *(" ".join(line["unbalanced_by"]) or "-" for line in directions)])
    print_table("Flits, end to end", ["", *(f"{line['from']} to {line['to']}" for line in directions)], rows)
    print_checks(report)


def print_node_tables(report: dict[str, Any]) -> None:
    """Print link, messages, credits and caches of one node, and the checks."""
    print_links([report], ["", report["node"]])
    names = report["messages"]["sent"] | report["messages"]["received"]
    sides = [report["messages"]["sent"], report["messages"]["received"]]
    rows = [[name, *(str(side.get(name, 0)) for side in sides)] for name in names]
    print_table("Messages", ["", "sent", "received"], rows)
    print_table("Credits returned", ["by", *VC_NAMES, "waits"], credit_rows([report]))
    print_table("Caches", ["agent", *CACHE_COLUMNS], cache_rows([report]))
    print_checks(report)


def print_array_tables(report: dict[str, Any]) -> None:
    """Print traffic by phase, what each GPU needed of the links, and the checks."""
    names = {"ns": "virtual ns", "wire_bytes": "wire bytes", "messages": "messages", "snoops": "snoops"}
    rows = [[name, *(str(phase[key]) for key in names)] for name, phase in report["phases"].items()]
    print_table("Phases", ["", *names.values()], rows)
    columns = ["accesses", "hits", "device_local", "over_links", "messages_sent", "snoops_sent"]
    rows = [[gpu["node"], *(str(gpu[key]) for key in columns)] for gpu in report["gpu_kernels"]]
    print_table("Kernel", ["", *(key.replace("_", " ") for key in columns)], rows)
    print_checks(report)


def print_checks(report: dict[str, Any]) -> None:
    """Print each check, and how the result was verified."""
    checks = report.get("checks", {})
    rows = [[name.replace("_", " "), "ok" if good else "FAILED"] for name, good in checks.items()]
    if rows:
        print_table("Checks", ["", ""], rows)
    if "how" in report:
        click.echo(f"verified by: {report['how']}")
    click.echo()


def yes(good: bool) -> str:
    """Return a boolean as a person says it."""
    return "yes" if good else "NO"


COUNTERS = ("prot_accepted", "replays", "naks_sent", "crc_errors", "recoveries", "stale")


def print_links(nodes: Iterable[dict[str, Any]], columns: list[str]) -> None:
    """Print flits and counters of each link, then its times with the name of their clock."""
    nodes = list(nodes)
    print_table("Link", columns, link_rows(nodes))
    whose = "these Python processes" if len(nodes) > 1 else "this Python process"
    print_table(f"Times: {CLOCKS[nodes[0]['clock']].format(whose)}", columns, time_rows(nodes))


def link_rows(nodes: list[dict[str, Any]]) -> list[list[str]]:
    """Return flits, replays and errors of each node, a column a node."""
    types = dict.fromkeys(name for node in nodes for name in node["link"]["flits_sent"])
    rows = [
        [f"{name} flits sent", *(str(node["link"]["flits_sent"].get(name, 0)) for node in nodes)]
        for name in types
    ]
    rows += [[name.replace("_", " "), *(str(node["link"][name]) for node in nodes)] for name in COUNTERS]
    rows.append(["coherent reads that missed", *(str(node["reads"]["count"]) for node in nodes)])
    return rows


def time_rows(nodes: list[dict[str, Any]]) -> list[list[str]]:
    """Return times in each state and of reads of each node, named by their clock."""
    clock = nodes[0]["clock"]
    read = "read latency, virtual us" if clock == "virtual" else "read, wall us of Python"
    unit, ns = ("us", NS_PER_US) if clock == "virtual" else ("ms", NS_PER_MS)
    states = dict.fromkeys(name for node in nodes for name in node["states"]["ns"])
    rows = [
        [f"{clock} {unit} in {name}", *(f"{node['states']['ns'].get(name, 0) / ns:,.3f}" for node in nodes)]
        for name in states
    ]
    for point in ("p50_ns", "p99_ns"):
        values = [node["reads"][point] for node in nodes]
        cells = ("-" if value is None else f"{value / NS_PER_US:.1f}" for value in values)
        rows.append([f"{read}, {point.removesuffix('_ns')}", *cells])
    return rows


def message_rows(cpu: dict[str, Any], gpu: dict[str, Any]) -> list[list[str]]:
    """Return messages per opcode and direction, as the receiver counted them when it differs."""
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
    """Return credits that each node gave back, by VC, and how many of its own messages waited for one."""
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
    """Return the counters of each cache."""
    return [
        [f"{node['node']} {nid}", *(str(agent.get(name, 0)) for name in CACHE_COLUMNS)]
        for node in nodes
        for nid, agent in node["agents"].items()
    ]
