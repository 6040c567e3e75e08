"""`hsl node`."""

from typing import Final

import click

from hsl._generated.constants import MAX_NID
from hsl.cli.commands.node_options import (
    DEMO_ENDS,
    fault_group,
    kernel,
    recording_group,
    size,
    system_group,
)
from hsl.cli.help import Branch, Example, Leaf
from hsl.cli.help_values import IDLE
from hsl.cli.options import FILE, flag, home, input_file, integer, option, output, time_limit
from hsl.cli.seconds import Seconds

__all__ = ["command"]

# A node does not see the counters of its peer. Only the CPU judges the result.
ENDS: Final = {
    "cpu": {0: "The result is right.", 1: "The result is wrong."},
    "gpu": {0: "The CPU has written EXIT and ended the session."},
    "memory": {0: "The CPU has ended the session."},
}


def link_group(*, several: bool) -> list[click.Option]:
    """Return the options that say where the peer is; `several`: one address for each device."""
    each = "Give it once for each device. " if several else ""
    return [
        option(
            "--listen",
            metavar="URI",
            multiple=several,
            help=f"Wait for the peer at tcp://127.0.0.1:0, udp://127.0.0.1:0 or unix:///path. {each}For "
            "several links give a list with commas, or the first address: the others count up, as the next "
            "ports or as /path.1 and so on.",
        ),
        option(
            "--connect",
            metavar="URI",
            multiple=several,
            help=f"Connect to a peer that listens at URI. {each}",
        ),
        option(
            "--wait",
            type=Seconds(3600),
            metavar="SECONDS",
            default=5.0,
            help="Time to wait for a peer that does not answer yet.",
        ),
        option(
            "--incarnation-file",
            type=FILE,
            metavar="FILE",
            help="File that keeps the last incarnation of udp, for a host whose clock can go back.",
        ),
    ]


def timer_group() -> list[click.Option]:
    """Return the options of the transaction timers (HSL 5.11)."""
    texts = {
        "--t-snp": "T_SNP, in which a snoop must be answered. Give the four timers alike at both ends.",
        "--t-mem": "T_MEM, in which a memory target must answer.",
        "--t-cack": "T_CACK, in which a grant must be acknowledged.",
        "--t-req": "T_REQ, in which a request must be completed; more than all that it waits for.",
    }
    return [
        option(name, type=Seconds(1 << 20), metavar="SECONDS", help=text, default_is=default)
        for (name, text), default in zip(texts.items(), ["5"] * 3 + ["as long as needed, and 5"], strict=True)
    ]


def device_group(nid: str) -> list[click.Option]:
    """Return the options of a device; `nid` is the first NID that it has by default."""
    return [
        integer(
            "--nid",
            least=16,
            most=MAX_NID - 15,
            help="First of the 16 NIDs that it claims. Each device of a CPU needs its own.",
            default_is=nid,
        ),
        integer(
            "--device-bytes",
            least=1 << 16,
            most=1 << 29,
            help="Bytes of each of its memory ranges, a multiple of 4096.",
            default_is="16 MiB",
        ),
    ]


def node(name: str, summary: str, text: str, workload: list[click.Option], examples: list[Example]) -> Leaf:
    """Return the command of one kind of node."""
    more = (
        " With --kernel none: end with exit code 0, SECONDS after the first link came up."
        if name == "cpu"
        else ""
    )
    return Leaf(
        name,
        calls=f"hsl.cli.node:{name}",
        summary=summary,
        text=text,
        options={
            "Workload" if name == "cpu" else "Device": workload,
            "Link": link_group(several=name == "cpu"),
            "System": [*system_group(), *timer_group()],
            "Faults": fault_group(),
            "Recording": recording_group(),
            "Run": [time_limit(f"Give up a run that has not ended after SECONDS, with exit code 7.{more}")],
        },
        output=output(more="Show the tables of the link, messages, credits and caches."),
        examples=examples,
        ends=ENDS[name] | {7: DEMO_ENDS[7]},
    )


CPU = node(
    "cpu",
    "Run the CPU: host memory, its homes and its cores.",
    "It boots its devices, gives them work and verifies the result. It outlives a device that is lost, and "
    "boots it again when it comes back; the work begins anew.",
    [
        kernel(IDLE, text="; none boots devices and serves them until it is interrupted"),
        input_file("File for the GPU to count; - is stdin. Required by the kernels that count."),
        size(),
        home(default="device", of="the arrays", given=False),
        flag(
            "--once",
            help="End with exit code 7 when an admitted device is lost; do not wait for it to come back.",
        ),
    ],
    [
        Example("hsl node cpu --listen tcp://127.0.0.1:7410 --input LICENSE", "Wait for a GPU.", cheap=False),
        Example(
            "hsl node cpu --listen unix:///tmp/link --kernel saxpy --seed 1",
            "Share arrays with a GPU.",
            cheap=False,
        ),
        Example(
            "hsl node cpu --listen tcp://127.0.0.1:7410 --listen tcp://127.0.0.1:7411 --kernel none",
            "Boot two devices and serve them.",
            cheap=False,
        ),
    ],
)
GPU = node(
    "gpu",
    "Run a GPU: compute units behind an L2 cache.",
    "It takes work from its doorbell until the CPU ends the session.",
    device_group("16"),
    [
        Example("hsl node gpu --connect tcp://127.0.0.1:7410", "Work for a CPU that listens.", cheap=False),
        Example(
            "hsl node gpu --connect udp://127.0.0.1:7410 --faults drop:0.01 --capture gpu.pcapng",
            "Drop flits, and capture what is sent and received.",
            cheap=False,
        ),
    ],
)
MEMORY = node(
    "memory",
    "Run a memory node: a memory target without a cache or a core.",
    "It serves the home of the CPU until the CPU ends the session.",
    device_group("144"),
    [
        Example("hsl node memory --connect tcp://127.0.0.1:7411", "Serve a CPU that listens.", cheap=False),
        Example(
            "hsl node memory --listen tcp://127.0.0.1:7411 --time-limit 60",
            "Wait for a CPU, for at most a minute.",
            cheap=False,
        ),
    ],
)
command = Branch(
    "node",
    summary="Run one emulator as a process: a CPU, or one of its devices.",
    text="""
    The nodes run on one host or on several. A listening node serves the peer that connected last: a
    second peer takes the place of the first. A GPU or a memory node ends when its CPU starts a new session;
    the CPU boots a device that does so again, unless --once is given.
    """,
    commands=[CPU, GPU, MEMORY],
)
