"""`hsl stress`."""

from typing import Final

import click

from hsl.cli.help import Example, Leaf
from hsl.cli.help_values import STRESS_DEFAULTS, STRESS_HAND_OVER, STRESS_KINDS, STRESS_LIMITS, STRESS_VIA
from hsl.cli.options import (
    FILE,
    OUT,
    Choice,
    engine,
    faults,
    flag,
    home,
    integer,
    option,
    output,
    seed,
    time_limit,
)

__all__ = ["command"]

NUMBERS: Final = {
    "ops": "Operations to run.",
    "lines": "Cache lines that all operations use.",
    "threads": "Threads of each cache.",
    "cpu": "Caches at the node of the home.",
    "gpu": "GPU nodes: one cache each, behind a port of its own.",
    "sets": "Sets of each cache.",
    "ways": "Ways of each set.",
    "mshrs": "Requests that a cache may have outstanding.",
    "tshrs": "Requests that the home serves at once.",
    "directory_lines": "Lines that may have holders at a home at a time; it recalls one to make room.",
}


def number(name: str) -> click.Option:
    """Return the option of a number in the configuration."""
    least, most = STRESS_LIMITS[name]
    flag = f"--{name.replace('_', '-')}"
    return integer(flag, least=least, most=most, default=STRESS_DEFAULTS[name], help=NUMBERS[name])


command = Leaf(
    "stress",
    calls="hsl.cli.stress:stress",
    summary="Run random programs, and judge coherence at every step.",
    text="""
    Programs have episodes without data races and accesses that race. At every step there must be one
    writer or many readers of a line, every read must return the value of a last writer, and the
    directory must be exact at rest.

    A failure is reduced to few operations and saved as stress-SEED.hslr for 'hsl replay'.
    """,
    options={
        "Program": [
            number("ops"),
            number("lines"),
            number("threads"),
            option(
                "--with",
                "kinds",
                metavar="KIND,...",
                default="all",
                help="Operations besides plain accesses: all that apply, none, or any of "
                f"{', '.join(STRESS_KINDS)}.",
            ),
            option(
                "--input",
                "file",
                type=FILE,
                metavar="FILE",
                help="Operations to run in place of a random program, as hsl check takes them; - is stdin.",
            ),
            seed("the program, the network and the faults"),
        ],
        "System": [
            number("cpu"),
            number("gpu"),
            number("sets"),
            number("ways"),
            number("mshrs"),
            number("tshrs"),
            number("directory_lines"),
            home("hostmem", "host", "device", "interleaved", default="hostmem", of="the lines"),
            option(
                "--via",
                type=Choice(STRESS_VIA),
                default="messages",
                help="Carrier of the messages: a network that keeps no order, or links (the whole stack).",
            ),
            option(
                "--hand-over",
                type=Choice(STRESS_HAND_OVER),
                default="mixed",
                help="Nodes that offer dirty hand-over, the answer CmpData(M): every second GPU node and the "
                "CPU node, all, or none.",
            ),
            engine(),
        ],
        "Faults": [faults(note=" Only with --via links.")[0]],
        "Run": [
            time_limit("Stop the run after SECONDS; there is no verdict then."),
            flag("--shrink/--no-shrink", default=True, help="Reduce a failure to few operations."),
            option(
                "--save",
                type=OUT,
                metavar="FILE",
                help="Save the run for hsl replay; a failure is saved without it too. A file holds at most "
                "2^20-2 operations.",
            ),
        ],
    },
    output=output(),
    examples=[
        Example("hsl stress --ops 2000 --seed 1", "Run a random program over messages."),
        Example(
            "hsl stress --ops 300 --seed 1 --via links --faults crc:1e-3,drop:1e-3", "Use the whole stack."
        ),
        Example("hsl stress --ops 300 --seed 1 --home interleaved", "Spread the lines over all homes."),
    ],
    ends={
        0: "Nothing forbidden was seen, or --time-limit stopped the run.",
        1: "Something forbidden was seen.",
        7: "The faults ended a link, so there is no verdict.",
    },
)
