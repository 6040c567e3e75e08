"""`hsl demo` with an array kernel: any number of GPUs and a memory node on the loopback."""

from __future__ import annotations

from typing import Any

from hsl._generated.constants import TU_EXPONENT_HARDWARE
from hsl.capture import Clock, both_ends
from hsl.cli.capture import recording
from hsl.cli.limits import check_tu, limited
from hsl.cli.meter import Meter
from hsl.cli.node import ENDS, fault_plan, load_topology
from hsl.emulator.array_run import ArrayRun
from hsl.engine.select import engines
from hsl.link.events import Event
from hsl.transport.base import Place

__all__ = ["run_arrays"]


def run_arrays(kernel: str, home: str, size: int | None, options: dict[str, Any]) -> dict[str, Any]:
    """The report of a run; the same seed gives the same run to the bit."""
    chosen = engines(options["engine"])
    topology = load_topology(options, TU_EXPONENT_HARDWARE)
    check_tu(topology.tu, on_sockets=False)
    faults = fault_plan(options).fits(topology.links)
    run = ArrayRun(topology, kernel, home=home, size=size, seed=options["seed"], faults=faults)
    nodes = [device.node for device in run.devices]
    tapped = both_ends([node.name for node in nodes], [wire[:2] for wire in run.wires])
    with (
        recording(options, options["seed"], Clock.VIRTUAL, nodes, tapped) as recorder,
        Meter("ran", "phases", waiting=run.doing),
    ):

        def observe(place: Place, event: Event) -> None:
            if recorder is not None:
                recorder.event(place, event)

        report = run.run(observe, limited(None if recorder is None else recorder.flit, options["time_limit"]))
    told = faults.spelled(ENDS) if topology.gpus == 1 else str(faults)
    return report | {"transport": "loopback", "faults": told, "engines": chosen}
