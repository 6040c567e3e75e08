"""`hsl node cpu`, `hsl node gpu` and `hsl node memory`: one emulator as a process."""

from __future__ import annotations

import gc
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hsl._generated.constants import MAX_DEVICES, TU_EXPONENT_SOFTWARE
from hsl.agents.address_map import PAGE_BYTES
from hsl.capture import Clock, Recorder, one_end, wall_offset
from hsl.cli.capture import recording, view
from hsl.cli.exits import ExitCode
from hsl.cli.help_values import IDLE
from hsl.cli.json_text import json_text
from hsl.cli.limits import check_tu
from hsl.cli.meter import LISTENING, PORT, Meter
from hsl.cli.processes import run_loop
from hsl.cli.telemetry import report_of, reporting, telemetry_broker
from hsl.cli.view import show_node
from hsl.emulator import (
    ARRAY_KERNELS,
    ArrayCpuDevice,
    CpuDevice,
    Device,
    GpuDevice,
    Host,
    IdleCpuDevice,
    MemoryDevice,
    Topology,
)
from hsl.emulator.report import History, node_report, summed
from hsl.emulator.topology import LIMITS, NODE_NIDS, SHAPES
from hsl.engine.select import choose, engines
from hsl.errors import ConfigError
from hsl.files import create_text, exists, read_file
from hsl.link.events import Event, LinkUp
from hsl.nearest import expected
from hsl.session import Attachment, Session, TimeLimit
from hsl.transport.base import Address, Place, Tap, link_addresses
from hsl.transport.faults import Arrival, FaultPlan
from hsl.transport.udp import UdpLink

if TYPE_CHECKING:
    from hsl.telemetry import Reporter

__all__ = [
    "cpu",
    "deliver",
    "draw_seed",
    "fault_plan",
    "gpu",
    "load_topology",
    "memory",
    "read_input",
    "tap_of",
]

TELEMETRY_NS = 250_000_000  # between two snapshots of the counters
EPOCH_BITS = 32
SEED_BITS = 32
MAX_MEMORY = LIMITS["memory_bytes"][1]  # bytes that the greatest host memory has
ENDS = ("cpu", "gpu")  # the ends of the link, as --faults names them
DEVICES = {"cpu": 0, "gpu": 1, "memory": 2}  # numbers of the nodes, as on the loopback
# What a node waits for once its link is up; the CPU that counts shows its progress.
AWAITED: dict[type[Device], str] = {
    ArrayCpuDevice: "the kernel to end",
    IdleCpuDevice: "requests",
    GpuDevice: "the cpu to end the session",
    MemoryDevice: "the cpu to end the session",
}
SETTINGS = ("tu", "flit", "links", "gpus", "memory_nodes", "nids", "sizes")  # of a topology, from options
TIMER_OPTIONS = {"T_SNP": "t_snp", "T_MEM": "t_mem", "T_CACK": "t_cack", "T_REQ": "t_req"}
NS_PER_S = 1_000_000_000
LAST_NID = 1 << 10


def cpu(path: Path | None, kernel: str, home: str | None, size: int | None, **options: Any) -> int:
    """Run `hsl node cpu`; its exit code."""
    at = addresses(options)
    if len(at) > MAX_DEVICES:
        raise ConfigError(f"{len(at)} addresses; a CPU has at most {MAX_DEVICES} ports")
    if str(options["topology"]) == "mesh":
        raise ConfigError("--topology mesh: GPUs that are processes have one port, to the CPU; see hsl demo")
    options["memory_nodes"] = int(kernel in ARRAY_KERNELS and home == "memory")
    options["gpus"] = len(at) - options["memory_nodes"]
    if not options["gpus"]:
        raise ConfigError("--home memory needs two addresses: of the GPU, and last that of the memory node")
    if kernel in ARRAY_KERNELS:
        place = home or "device"
        return run(
            "cpu",
            options,
            lambda topology, epoch, seed: ArrayCpuDevice(
                topology, epoch, kernel, home=place, size=size, seed=seed
            ),
        )
    if kernel == IDLE:
        limit = options["time_limit"]
        ns = None if limit is None else int(limit * NS_PER_S)
        return run("cpu", options, lambda topology, epoch, seed: IdleCpuDevice(topology, epoch, ns))
    if path is None:
        raise ConfigError(f"--kernel {kernel} counts a file: give --input FILE")
    data = read_input(path)
    return run("cpu", options, lambda topology, epoch, seed: CpuDevice(topology, epoch, data, kernel))


def gpu(**options: Any) -> int:
    """Run `hsl node gpu`; its exit code."""
    return run("gpu", own(options), lambda topology, epoch, seed: GpuDevice(topology, epoch))


def memory(**options: Any) -> int:
    """Run `hsl node memory`; its exit code."""
    options["memory_nodes"] = 1
    return run("memory", own(options, 1), lambda topology, epoch, seed: MemoryDevice(topology, epoch))


def own(options: dict[str, Any], before: int = 0) -> dict[str, Any]:
    """Return the options with --nid and --device-bytes as the settings of this device in the topology.

    `before`: devices that the topology has before it.
    """
    nid, size = options.pop("nid"), options.pop("device_bytes")
    if nid is not None:  # the others are in other processes: any NIDs will do for them here
        apart = nid + NODE_NIDS if nid < LAST_NID // 2 else nid - NODE_NIDS
        options["nids"] = [apart] * before + [nid]
    if size is not None:
        if size % PAGE_BYTES:
            raise ConfigError(f"--device-bytes {size}: expected a multiple of {PAGE_BYTES}")
        options["sizes"] = [size] * before + [size]
    return options


def addresses(options: dict[str, Any]) -> tuple[str, ...]:
    """Return the addresses of the ports. Raises ConfigError unless they all listen or all connect."""
    listen, connect = options["listen"], options["connect"]
    if bool(listen) == bool(connect):
        raise ConfigError("give either --listen URI or --connect URI")
    given = listen or connect
    return given if isinstance(given, tuple) else (given,)


class NodeRun:
    """A node on sockets, with its progress, capture and telemetry. The CPU's program ends the session."""

    def __init__(
        self, device: Device, attachments: list[Attachment], options: dict[str, Any], seed: int
    ) -> None:
        self.device = device
        self.attachments = attachments
        self.options = options
        self.seed = seed
        self.history = History()
        self.leads = isinstance(device, Host)
        self.recorder: Recorder | None = None
        self.reporter: Reporter | None = None
        self.meter: Meter

    def run(self) -> dict[str, Any]:
        """Run until the programs have ended; the report. Raises what Session.run raises."""
        node = self.device.node
        peers, listens = peer_names(node.name, len(node.ports)), self.attachments[0].listen
        at = ",".join(each.uri for each in self.attachments)
        peer = f"the {peers[0]}" if len(peers) == 1 else f"{len(peers)} devices"
        waiting = f"{peer} to connect" if listens else f"{peer} at {at}"
        tapped = [
            tapped
            for each in self.attachments
            for tapped in one_end(node.name, peers[each.port], [Place(0, each.port, each.link)])
        ]
        with (
            telemetry_broker(self.options["telemetry"]) as broker,
            reporting(broker, self.seed, node, TELEMETRY_NS) as self.reporter,
            recording(self.options, self.seed, Clock.WALL, [node], tapped) as self.recorder,
            Meter("counted", "bytes", waiting=waiting) as self.meter,
        ):
            session = self.session()
            run_loop(session.run(self.announce if listens else None))
            if self.reporter is not None:
                self.reporter.end(session.now, verified(self.device))
        return self.report(session)

    def session(self) -> Session:
        """The session of the device, with this as its observer."""
        limit = self.options["time_limit"]
        device, idle = self.device, isinstance(self.device, IdleCpuDevice)
        session = Session(
            device,
            self.attachments,
            seed=self.seed,
            passive=not self.leads,
            stays=self.leads and not self.options["once"],
            observe=self.observe,
            tap=tap_of(self.recorder, {0: self.reporter}),
            limit=None if limit is None else TimeLimit(limit, device.missing, until_met=idle),
        )
        if self.recorder is not None:
            self.recorder.base = wall_offset() + session.began
        if isinstance(device, CpuDevice):
            device.progress = self.meter.show
        if isinstance(device, Host):
            device.master.told = lambda port, text: self.meter.say(f"{PORT}{port}: {text}")
            device.unfit = None if self.options["once"] else self.meter.say
        return session

    def observe(self, port: int, event: Event) -> None:
        """Take an event of a port."""
        if port == 0:
            self.history.see(event)
        if isinstance(event, LinkUp) and not isinstance(self.device, CpuDevice):
            self.meter.wait(AWAITED[type(self.device)])
        if self.recorder is not None:
            self.recorder.event(Place(0, port), event)
        if self.reporter is not None:
            self.reporter.event(port, event)

    def announce(self, uris: list[Address]) -> None:
        """Print where each port listens."""
        ports = [each.port for each in self.attachments]
        for port in dict.fromkeys(ports):
            of_port = [str(uri) for uri, its in zip(uris, ports, strict=True) if its == port]
            self.meter.say(f"{LISTENING}{','.join(of_port)}")

    def report(self, session: Session) -> dict[str, Any]:
        """The report of the node after its session."""
        ends = [end.link for (port, _), end in session.ends.items() if port == 0]
        reconnections = sum(max(0, link.connections - 1) for link in ends)
        injectors = [link.injector for link in ends]
        report = node_report(self.device, self.history, injectors, session.now, reconnections, clock="wall")
        report |= {"seed": self.seed, "faults": self.attachments[0].faults.spelled(ENDS)}
        if self.reporter is not None:
            report["telemetry"] = report_of(self.reporter)
        if datagrams := [link.as_dict() for link in ends if isinstance(link, UdpLink)]:
            report["datagrams"] = summed(datagrams)
        return report


def run(
    name: str, options: dict[str, Any], build: Callable[[Topology, Callable[[], int], int], Device]
) -> int:
    """Run the node `name` until its programs end; the report goes to stdout."""
    chosen = engines(options["engine"])
    topology = load_topology(options, TU_EXPONENT_SOFTWARE)
    check_tu(topology.tu, on_sockets=True)
    attachments = attach(options, name, topology.links)
    logging.basicConfig(format="hsl: %(message)s", level=logging.WARNING)
    seed = draw_seed(options["seed"], f"; {topology.timers}")
    device = build(topology, lambda: secrets.randbits(EPOCH_BITS), seed)
    gc.freeze()  # what is loaded by now stays; a full collection would stop the link for a third of T_REPLAY
    report = NodeRun(device, attachments, options, seed).run() | {"engines": chosen}
    with view(options):
        deliver(report, options["as_json"], options["out"], show_node)
    return ExitCode.OK if report["verified"] else ExitCode.FAILED


def verified(device: Device) -> bool:
    """True if the checks of a device hold; of one without checks, if its programs have ended."""
    return bool(getattr(device, "verified", device.finished))


def tap_of(recorder: Recorder | None, reporters: Mapping[int, Reporter | None]) -> Tap | None:
    """Return the observer of each flit: the capture, and the telemetry of the node at that end."""
    told = {device: reporter for device, reporter in reporters.items() if reporter is not None}
    if not told:
        return None if recorder is None else recorder.flit

    def tap(now: int, place: Place, flit: bytes, arrivals: list[Arrival] | None) -> None:
        if recorder is not None:
            recorder.flit(now, place, flit, arrivals)
        told[place.device].flit(now)

    return tap


def attach(options: dict[str, Any], end: str, links: int) -> list[Attachment]:
    """Return the attachments of the links of the node `end`, by port and link."""
    at, listen, keep = addresses(options), bool(options["listen"]), options["incarnation_file"]
    plan = fault_plan(options).fits(links)
    if keep and not at[0].startswith("udp:"):
        raise ConfigError("--incarnation-file needs an address of udp")
    return [
        Attachment(
            uri=uri,
            device=DEVICES[end],
            port=port,
            link=link,
            listen=listen,
            wait=options["wait"],
            faults=plan.part("cpu" if end == "cpu" else "gpu", link),
            incarnation_file=None if port or keep is None else keep.parent / (keep.name + suffix(link)),
        )
        for port, first in enumerate(at)
        for link, uri in enumerate(link_addresses(first, links, listen=listen))
    ]


def peer_names(name: str, ports: int) -> list[str]:
    """Return what is at each port of a node, as captures and messages call it."""
    if name != "cpu":
        return ["cpu"]
    return ["gpu"] if ports == 1 else [f"device{port}" for port in range(ports)]


def suffix(link: int) -> str:
    """Return the suffix of the file name of one link."""
    return f".{link}" if link else ""


def fault_plan(options: dict[str, Any]) -> FaultPlan:
    """The plan of --faults, --nth and --burst. Raises ConfigError, also for a narrowing of no fault."""
    narrowing = [f"--{name}" for name in ("nth", "burst") if options[name] is not None]
    plan = FaultPlan.parse(options["faults"])
    if narrowing and not plan:
        raise ConfigError(f"{' and '.join(narrowing)}: no fault to apply to; give --faults too")
    return plan.narrowed(nth=options["nth"], burst=options["burst"])


def draw_seed(given: int | None, more: str = "") -> int:
    """The seed of a run, drawn when none was given, and printed with `more`: the run can be repeated."""
    seed = secrets.randbits(SEED_BITS) if given is None else given
    click.echo(f"seed {seed}{more}", err=True)
    return seed


def load_topology(options: dict[str, Any], tu: int) -> Topology:
    """The topology of the options; `tu` is the exponent where neither they nor the file say another.

    Its codec is that of --engine.
    """
    path = options["topology"]
    values: dict[str, Any] = {}
    if path is not None:
        if str(path) not in (*SHAPES, "-") and not exists(path):
            names = expected([*SHAPES, "a file"], str(path))
            raise ConfigError(f"--topology {path}: No such file or directory; {names}")
        values = {"shape": str(path)} if str(path) in SHAPES else Topology.read(path)
    given = {name: options.get(name) for name in SETTINGS}
    values |= {name: value for name, value in given.items() if value is not None}
    try:
        topology = Topology.of({"tu": tu} | values)
    except ConfigError as error:  # what is not of a file was checked as an option
        raise ConfigError(f"{path}: {error}" if path is not None else str(error)) from error
    timers = tuple(
        (name, int(options[option] * NS_PER_S))
        for name, option in TIMER_OPTIONS.items()
        if options.get(option) is not None
    )
    return replace(topology, codec=choose("codec", options["engine"]), given_timers=timers)


def read_input(path: Path, room: int = MAX_MEMORY) -> bytes:
    """The bytes of a file. Raises ConfigError when it cannot be read or has more than `room` bytes."""
    return read_file(path, room, f"--input {path}")


def deliver(
    report: dict[str, Any], as_json: bool, out: Path | None, show: Callable[[dict[str, Any]], None]
) -> None:
    """Print a report as asked: JSON on stdout, JSON in a file, or a view for a person.

    Raises ConfigError, after the report is printed, if the file cannot be written.
    """
    text = json_text(report)
    unwritten = None
    if out is not None:
        try:
            with create_text(out, f"--out {out}") as stream:
                stream.write(text + "\n")
        except ConfigError as error:  # the run's result is printed all the same
            unwritten = error
    if as_json:
        click.echo(text)
    else:
        show(report)
    if unwritten is not None:
        raise unwritten
