"""`hsl demo`: the main job. A CPU and a GPU process share memory coherently; the result is verified."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hsl._generated.constants import TIMERS, TU_EXPONENT_HARDWARE, TU_EXPONENT_SOFTWARE
from hsl.capture import Clock, Recorder, both_ends
from hsl.cli.arrays import run_arrays
from hsl.cli.capture import captured_apart, recording, view
from hsl.cli.exits import ExitCode
from hsl.cli.folders import OwnFolder
from hsl.cli.help_values import DEFAULT_INPUT
from hsl.cli.limits import check_tu, limited
from hsl.cli.meter import ENVIRONMENT, LINES, LISTENING, PORT, WAITING, Meter
from hsl.cli.node import (
    ENDS,
    deliver,
    draw_seed,
    fault_plan,
    load_topology,
    read_input,
    tap_of,
    verified,
)
from hsl.cli.processes import Children, run_loop
from hsl.cli.telemetry import report_of, reporting, telemetry_broker
from hsl.cli.view import show_arrays, show_demo
from hsl.emulator import ARRAY_KERNELS, CpuDevice, GpuDevice
from hsl.emulator.in_process import epochs, wires
from hsl.emulator.report import History, demo_report, node_report
from hsl.engine.select import engines
from hsl.errors import ConfigError, HslError, PeerLost, PeerUnreachable
from hsl.files import STDIN
from hsl.link.events import Event
from hsl.transport.base import Place
from hsl.transport.faults import FaultPlan, Outcome
from hsl.transport.loopback import Loopback

if TYPE_CHECKING:
    from hsl.telemetry import Reporter

__all__ = ["demo"]

# Largest JSON document and longest line that a node may print: a node that runs wild cannot fill our memory.
MAX_OUTPUT = 1 << 24
NS_PER_S = 1_000_000_000
TELEMETRY_SECONDS = 10.0  # what a node may give a broker that hangs, besides
TELEMETRY_NS = 1_000_000  # of virtual time between two snapshots of the counters
STOP_SECONDS = 2.0  # for a node that is interrupted; it gives its peer one second
FOLDER = "hsl-demo-"
EXIT_SECONDS = 1.0  # what a node needs to print its report, once its link has ended
GRAIN_NS = 1 << TU_EXPONENT_HARDWARE  # of the wires of a loopback run: a TU, well below the round trip
# Virtual time after which a loopback run counts as hung: a gigabyte takes less.
MAX_VIRTUAL_NS = 1 << 40


# Options that both processes get as they are.
PASSED_ON = ("engine", "topology", "tu", "flit", "links", "telemetry", "time_limit")


class NodeFailed(Exception):
    """A node process ended with an error that it has explained on stderr; `status` is its exit code."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def demo(path: Path | None, kernel: str, transport: str | None, **options: Any) -> int:
    """Run `hsl demo`; its exit code."""
    options["seed"] = draw_seed(options["seed"])
    plan = fault_plan(options)
    options |= {"faults": str(plan), "nth": None, "burst": None}
    try:
        if kernel in ARRAY_KERNELS:
            report = run_arrays(kernel, options["home"] or "device", options["size"], options)
            show = show_arrays
        else:
            report = main_job(path, kernel, transport or "tcp", plan, options)
            show = show_demo
    except NodeFailed as failed:
        warn(plan)
        return failed.status
    except HslError as error:
        if not isinstance(error, ConfigError):
            warn(plan)
        raise
    with view(options):
        deliver(report, options["as_json"], options["out"], show)
    return ExitCode.OK if report["verified"] else ExitCode.FAILED


def main_job(
    path: Path | None, kernel: str, transport: str, plan: FaultPlan, options: dict[str, Any]
) -> dict[str, Any]:
    """The report of a kernel that counts the bytes of a file."""
    with as_file(files("hsl._generated") / "prose.txt") as prose, contextlib.ExitStack() as stack:
        source = path or prose
        room = load_topology(options, TU_EXPONENT_SOFTWARE).memory_bytes
        if str(source) == STDIN:  # two readers: the check below, and the CPU
            source = stack.enter_context(OwnFolder(FOLDER)) / "input"
            source.write_bytes(read_input(Path(STDIN), room))
        read_input(source, room)
        with telemetry_broker(options["telemetry"]) as broker:
            nodes = run(source, kernel, transport, options | {"telemetry": broker})
    setup = {
        "input": str(path or DEFAULT_INPUT),
        "kernel": kernel,
        "transport": transport,
        "seed": options["seed"],
        "faults": plan.spelled(ENDS),
        "worst_of_faults": plan.outcome,
    }
    return demo_report(nodes, setup) | told(nodes)


def told(nodes: dict[str, Any]) -> dict[str, Any]:
    """Return the counts of telemetry messages of all nodes; empty without telemetry."""
    parts = [node["telemetry"] for node in nodes.values() if "telemetry" in node]
    counts = {name: sum(part[name] for part in parts) for name in ("published", "dropped")}
    return {"telemetry": {"broker": parts[0]["broker"], **counts}} if parts else {}


def warn(plan: FaultPlan) -> None:
    """A run has failed: say so when its faults may have done that."""
    if plan.outcome not in (None, Outcome.CORRECTED):
        click.echo(f"hsl: the worst that the faults {plan} may do: {plan.outcome}", err=True)


def run(source: Path, kernel: str, transport: str, options: dict[str, Any]) -> dict[str, Any]:
    """The reports of both nodes, by name."""
    if transport == "loopback":
        return LoopbackRun(source, kernel, options).run()
    check_tu(load_topology(options, TU_EXPONENT_SOFTWARE).tu, on_sockets=True)
    with (
        OwnFolder(FOLDER) as folder,
        captured_apart(options, ("cpu", "gpu"), folder) as capture,
        Meter("counted", "bytes", waiting="the cpu process") as meter,
        Children() as children,
    ):
        listen = f"unix://{folder}/link" if transport == "unix" else f"{transport}://127.0.0.1:0"
        shared = ["--json", "--seed", str(options["seed"]), "--faults", options["faults"]]
        for name in PASSED_ON:
            if options[name] is not None:
                shared += [f"--{name.replace('_', '-')}", str(options[name])]
        cpu = ["cpu", "--once", "--listen", listen, "--input", str(source), "--kernel", kernel, *shared]
        gpu = ["gpu", *shared]
        commands = ([*cpu, *capture["cpu"]], [*gpu, *capture["gpu"]])
        return run_loop(run_processes(*commands, partial(Node.start, meter, children), patience(options)))


def patience(options: dict[str, Any]) -> float:
    """Seconds that a node may need to notice that the other one is gone: silence, RECOVERY, and its exit."""
    tu = load_topology(options, TU_EXPONENT_SOFTWARE).tu
    silence = ((TIMERS["T_DEADKA"].tu + TIMERS["T_STATE"].tu) << tu) / NS_PER_S
    return silence + EXIT_SECONDS + (TELEMETRY_SECONDS if options["telemetry"] else 0)


class LoopbackRun:
    """Both nodes in this process, on virtual time; the same seed gives the same run to the bit."""

    def __init__(self, source: Path, kernel: str, options: dict[str, Any]) -> None:
        self.options = options
        topology = load_topology(options, TU_EXPONENT_HARDWARE)
        check_tu(topology.tu, on_sockets=False)
        plan = FaultPlan.parse(options["faults"]).fits(topology.links)
        epoch = epochs(options["seed"])
        self.cpu = CpuDevice(topology, epoch, read_input(source), kernel)
        self.devices = (self.cpu, GpuDevice(topology, epoch))
        self.histories = [History() for _ in self.devices]
        self.wires = wires(topology, plan, grain_ns=GRAIN_NS)
        self.recorder: Recorder | None = None
        self.reporters: list[Reporter | None] = []
        self.loopback: Loopback

    def run(self) -> dict[str, Any]:
        """Run to the end; the reports of both nodes, by name. Raises what Loopback.run raises."""
        options, nodes = self.options, [device.node for device in self.devices]
        tapped = both_ends([node.name for node in nodes], [wire[:2] for wire in self.wires])
        with (
            recording(options, options["seed"], Clock.VIRTUAL, nodes, tapped) as self.recorder,
            Meter("counted", "bytes", waiting="the link") as meter,
            contextlib.ExitStack() as stack,
        ):
            self.reporters = [
                stack.enter_context(reporting(options["telemetry"], options["seed"], node, TELEMETRY_NS))
                for node in nodes
            ]
            tap = limited(tap_of(self.recorder, dict(enumerate(self.reporters))), options["time_limit"])
            self.cpu.progress = meter.show
            self.loopback = Loopback(
                self.devices, self.wires, seed=options["seed"], observe=self.observe, tap=tap
            )
            self.loopback.bring_up()
            self.loopback.run(max_time=MAX_VIRTUAL_NS)
            for device, reporter in zip(self.devices, self.reporters, strict=True):
                if reporter is not None:
                    reporter.end(self.loopback.now, verified(device))
        return {device.node.name: self.report(index) for index, device in enumerate(self.devices)}

    def observe(self, place: Place, event: Event) -> None:
        """Take an event of a port."""
        self.histories[place.device].see(event)
        if self.recorder is not None:
            self.recorder.event(place, event)
        if (reporter := self.reporters[place.device]) is not None:
            reporter.event(place.port, event)

    def report(self, index: int) -> dict[str, Any]:
        """The report of one node."""
        device, history, reporter = self.devices[index], self.histories[index], self.reporters[index]
        injectors = [self.loopback.lanes[wire[:2][index]].injector for wire in self.wires]
        report = node_report(device, history, injectors, self.loopback.now)
        report["engines"] = engines(self.options["engine"])
        return report if reporter is None else report | {"telemetry": report_of(reporter)}


class Node:
    """A node in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, name: str, meter: Meter) -> None:
        self.process = process
        self.name = name
        self.meter = meter
        self.working = False  # it has told progress: its link was up
        self.given_up = 0.0  # seconds that it was waited for in vain
        self.quiet = False
        # Its address; None when it ended before it had one.
        self.uri: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self.watching = asyncio.create_task(self._watch())

    @classmethod
    async def start(cls, meter: Meter, children: Children, arguments: list[str]) -> Node:
        """Start `hsl node ...`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hsl", "node", *arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            limit=MAX_OUTPUT, process_group=children.group, env=os.environ | {ENVIRONMENT: LINES},
        )  # fmt: skip
        return cls(process, arguments[0], meter)

    async def _watch(self) -> None:
        """Follow the lines on stderr: the address, the progress, and whatever else there is to say."""
        assert self.process.stderr is not None
        async for raw in self.process.stderr:
            line = raw.decode(errors="replace").rstrip()
            if self.quiet:
                continue
            if line.startswith(LISTENING):
                self.uri.set_result(line.removeprefix(LISTENING))
            elif self.meter.relay(line):
                self.working |= not line.startswith(WAITING)
            elif not line.startswith(("seed ", PORT)):  # ours, that we have printed; what the boot tells
                self.meter.say(f"{self.name}: {line}")
        if not self.uri.done():
            self.uri.set_result(None)

    async def report(self) -> dict[str, Any]:
        """The JSON document at the end. Raises PeerLost when the process was killed, else NodeFailed."""
        assert self.process.stdout is not None
        text = b""
        while part := await self.process.stdout.read(1 << 16):
            text += part
            if len(text) > MAX_OUTPUT:
                self.process.kill()
                raise PeerLost(
                    f"the {self.name} process printed more than {MAX_OUTPUT} bytes, and was killed"
                )
        status = await self.process.wait()
        if self.given_up:
            raise PeerLost(f"the {self.name} process hung, and was killed after {self.given_up:.1f} s")
        if status < 0:
            raise PeerLost(f"the {self.name} process was killed by {signal.Signals(-status).name}")
        if not text:
            raise NodeFailed(status)
        document: dict[str, Any] = json.loads(text)
        return document

    async def stop(self) -> None:
        """Interrupt it, so that it says good-bye to its peer; kill it if that takes too long."""
        self.quiet = True  # the demo says itself why it ends
        for ask in (self.process.terminate, self.process.kill):
            if self.process.returncode is None:
                ask()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(STOP_SECONDS):
                        await self.process.wait()
        await self.watching


def blame(error: BaseException) -> int:
    """The order in which failures of nodes explain each other: the least is the cause."""
    if isinstance(error, NodeFailed) and error.status == ExitCode.USAGE:
        return 0  # it could not run, or not go on, so that the other one had no peer
    return 1 if isinstance(error, PeerLost) else 2  # a node that was killed is what the other one lost


def unreached(report: asyncio.Future[dict[str, Any]]) -> bool:
    """True if a node has ended because it lost its peer or never had one."""
    error = report.exception() if report.done() else None
    return isinstance(error, NodeFailed) and error.status == ExitCode.PEER_LOST


async def reports_of(nodes: list[Node], patience: float) -> list[Any]:
    """The report of each node, or its failure; one that outlives another by `patience` s is killed.

    A node that failed before the link was up leaves the other one waiting for a peer. That one is not hung.
    """
    reports = [asyncio.ensure_future(node.report()) for node in nodes]
    try:
        await asyncio.wait(reports, return_when=asyncio.FIRST_COMPLETED)
        if any(map(unreached, reports)) and not any(node.working for node in nodes):
            raise PeerUnreachable("the link between the cpu and the gpu process never came up")
        await asyncio.wait(reports, timeout=patience)
        for node, report in zip(nodes, reports, strict=True):
            if not report.done() and node.process.returncode is None:
                node.process.kill()
                node.given_up = patience
    except (asyncio.CancelledError, PeerUnreachable):
        for report in reports:
            report.cancel()
        raise
    finally:
        results: list[Any] = await asyncio.gather(*reports, return_exceptions=True)
    return results


async def run_processes(
    cpu: list[str], gpu: list[str], start: Callable[[list[str]], Awaitable[Node]], patience: float
) -> dict[str, Any]:
    """Start the CPU, then the GPU with the CPU's address; both end by themselves or are stopped."""
    nodes: list[Node] = []
    try:
        nodes.append(await start(cpu))
        uri = await nodes[0].uri
        if uri is None:
            await nodes[0].report()
            raise NodeFailed(ExitCode.INTERNAL)
        nodes.append(await start([*gpu, "--connect", uri]))
        nodes[1].meter.wait("the gpu process and the link")
        results = await reports_of(nodes, patience)
        await asyncio.gather(*(node.watching for node in nodes))
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))
    if failures := [result for result in results if isinstance(result, BaseException)]:
        raise min(failures, key=blame)
    return {node.name: result for node, result in zip(nodes, results, strict=True)}
