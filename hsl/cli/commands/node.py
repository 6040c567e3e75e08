"""`hsl node`."""

from typing import Final

import click

from hsl.cli.commands.node_options import (
    DEMO_ENDS,
    fault_group,
    kernel,
    recording_group,
    size,
    system_group,
)
from hsl.cli.help import Branch, Example, Leaf
from hsl.cli.options import FILE, home, input_file, option, output, time_limit
from hsl.cli.seconds import Seconds

__all__ = ["command"]

# A node does not see the counters of its peer. Only the CPU judges the result.
ENDS: Final = {
    "cpu": {0: "The result is right.", 1: "The result is wrong."},
    "gpu": {0: "The CPU has ended the session."},
    "memory": {0: "The CPU has ended the session."},
}


def link_group() -> list[click.Option]:
    """Return the options that say where the peer is."""
    return [
        option(
            "--listen",
            metavar="URI",
            help="Wait for the peer at tcp://127.0.0.1:0, udp://127.0.0.1:0 or unix:///path. For several "
            "links give a list with commas, or the first address: the others count up, as the next ports "
            "or as /path.1 and so on.",
        ),
        option("--connect", metavar="URI", help="Connect to a peer that listens at URI."),
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


def node(name: str, summary: str, text: str, workload: list[click.Option], examples: list[Example]) -> Leaf:
    """Return the command of one kind of node."""
    return Leaf(
        name,
        calls=f"hsl.cli.node:{name}",
        summary=summary,
        text=text,
        options={
            **({"Workload": workload} if workload else {}),
            "Link": link_group(),
            "System": system_group(),
            "Faults": fault_group(),
            "Recording": recording_group(),
            "Run": [time_limit("Give up a run that has not ended after SECONDS, with exit code 7.")],
        },
        output=output(more="Show the tables of the link, messages, credits and caches."),
        examples=examples,
        ends=ENDS[name] | {7: DEMO_ENDS[7]},
    )


CPU = node(
    "cpu",
    "Run the CPU: host memory, its homes and its cores.",
    "It gives the GPU its work and verifies the result.",
    [
        kernel(),
        input_file("File for the GPU to count; - is stdin. Required by the kernels that count."),
        size(),
        home(default="device", of="the arrays", given=False),
        option(
            "--memory", metavar="URI", help="Address of the memory node, as --listen or --connect takes it."
        ),
    ],
    [
        Example("hsl node cpu --listen tcp://127.0.0.1:7410 --input LICENSE", "Wait for a GPU.", cheap=False),
        Example(
            "hsl node cpu --listen unix:///tmp/link --kernel saxpy --seed 1",
            "Share arrays with a GPU.",
            cheap=False,
        ),
    ],
)
GPU = node(
    "gpu",
    "Run a GPU: compute units behind an L2 cache.",
    "It takes work from its doorbell until the CPU ends the session.",
    [],
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
    [],
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
    summary="Run one emulator as a process; two of them make a system.",
    text="""
    The nodes run on one host or on several. A listening node serves the peer that connected last: a
    second peer takes the place of the first. A peer that starts a new session in mid-run ends the run
    with exit code 7.
    """,
    commands=[CPU, GPU, MEMORY],
)
