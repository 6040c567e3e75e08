"""`hsl demo` with an array kernel: any number of GPUs and a memory node on the loopback."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from hsl._generated.constants import TU_EXPONENT_HARDWARE
from hsl.capture import Clock, both_ends
from hsl.cli.capture import recording
from hsl.cli.node import fault_plan, load_topology
from hsl.cli.view import table, yes
from hsl.emulator.array_run import ArrayRun
from hsl.engine.select import engines
from hsl.link.events import Event
from hsl.transport.base import Place

__all__ = ["run_arrays", "show_arrays"]


def run_arrays(kernel: str, home: str, size: int | None, options: dict[str, Any]) -> dict[str, Any]:
    """The report of a run; the same seed gives the same run to the bit."""
    chosen = engines(options["engine"])
    topology = load_topology(options, TU_EXPONENT_HARDWARE)
    faults = fault_plan(options).fits(topology.links)
    run = ArrayRun(topology, kernel, home=home, size=size, seed=options["seed"], faults=faults)
    nodes = [device.node for device in run.devices]
    tapped = both_ends([node.name for node in nodes], [wire[:2] for wire in run.wires])
    with recording(options, options["seed"], Clock.VIRTUAL, nodes, tapped) as recorder:

        def observe(place: Place, event: Event) -> None:
            if recorder is not None:
                recorder.event(place, event)

        report = run.run(observe, None if recorder is None else recorder.flit)
    return report | {"transport": "loopback", "faults": str(faults), "engines": chosen}


def show_arrays(report: dict[str, Any]) -> None:
    """The report as a person reads it: traffic by phase, what each GPU needed of the links, the verdict."""
    console = Console(highlight=False)
    columns = ["ns", "wire_bytes", "messages", "snoops"]
    rows = [[name, *(str(phase[key]) for key in columns)] for name, phase in report["phases"].items()]
    console.print(table("Phases", ["", *(key.replace("_", " ") for key in columns)], rows))
    columns = ["accesses", "hits", "device_local", "over_links", "messages_sent", "snoops_sent"]
    rows = [[gpu["node"], *(str(gpu[key]) for key in columns)] for gpu in report["gpu_kernels"]]
    console.print(table("Kernel", ["", *(key.replace("_", " ") for key in columns)], rows))
    for name, good in report["checks"].items():
        console.print(f"check {name.replace('_', ' ')}: {yes(good)}")
    console.print(f"verified by: {report['how']}")
    what = f"{report['kernel']} {report['size']}, data: {report['home']}, {report['gpus']} GPUs"
    console.print(f"{what} ({report['shape']}), seed {report['seed']}, faults {report['faults']}")
    console.print("[bold green]VERIFIED[/]" if report["verified"] else "[bold red]NOT VERIFIED[/]")
