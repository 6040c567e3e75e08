"""The options that `hsl demo` shares with `hsl node`."""

from __future__ import annotations

from typing import Final

import click

from hsl._generated.constants import MAX_LINKS, MAX_TU_EXP
from hsl.cli.help_values import ARRAY_KERNELS, COUNTING_KERNELS
from hsl.cli.options import FILE, Choice, capture, engine, faults, flit, integer, option, seed

__all__ = ["DEMO_ENDS", "fault_group", "kernel", "recording_group", "size", "system_group"]

# Exit codes of a demo.
DEMO_ENDS: Final = {
    0: "The result is right; of kernels that count, the counters of both ends agree too.",
    1: "The result is wrong, or the counters differ.",
    7: "A peer was lost or is unreachable, or --time-limit is over.",
}


def kernel(*more: str, text: str = "") -> click.Option:
    """Return --kernel, which takes the words of `more` too; `text` explains them."""
    return option(
        "--kernel",
        type=Choice([*COUNTING_KERNELS, *ARRAY_KERNELS, *more]),
        metavar="KERNEL",
        default="wordcount",
        help=f"Work of the GPU. {', '.join(COUNTING_KERNELS)} read a file in host memory; "
        f"{', '.join(ARRAY_KERNELS)} work on arrays{text}.",
    )


def size() -> click.Option:
    """Return --size."""
    return integer(
        "--size",
        least=1,
        help="Array kernels only: elements of each vector (a multiple of 1024 for each GPU, at most 2^22) or "
        "rows of each matrix (a multiple of 16 for each GPU, at most 1024).",
    )


def system_group() -> list[click.Option]:
    """Return the options that describe the nodes and their link."""
    return [
        option(
            "--topology",
            type=FILE,
            metavar="TOPOLOGY",
            help="star or mesh (how GPUs are joined), or a TOML file with shape, sizes, caches and link.",
        ),
        integer("--links", least=1, most=MAX_LINKS, help="Links of each port, bonded.", default_is="1"),
        flit(given=False),
        integer(
            "--tu",
            least=0,
            most=MAX_TU_EXP,
            help="Time unit of the link: TU = 2^N ns. Sockets take 18 to 24.",
            default_is="20 on sockets, 6 on loopback",
        ),
        engine(),
    ]


def fault_group() -> list[click.Option]:
    """Return --faults, what narrows it, and --seed."""
    return [*faults(), seed("the faults and the data")]


def recording_group() -> list[click.Option]:
    """Return --capture and --telemetry."""
    return [
        *capture(),
        option(
            "--telemetry",
            metavar="URI",
            help="Publish to the MQTT broker mqtt://HOST:PORT; mqtt: starts a broker for the run.",
        ),
    ]
