"""`hsl perf`."""

import cloup

from hsl.cli.help import Branch, Example, Leaf
from hsl.cli.help_values import CACHE_SETS, CACHE_WAYS, PROGRAM_CACHES
from hsl.cli.options import FILE, Choice, capture, engine, home, integer, option, output, seed

__all__ = ["command"]

PROGRAM = Leaf(
    "program",
    calls="hsl.cli.perf:program",
    summary="Run a recorded program through caches and link.",
    text="""
    FILE is what 'valgrind --tool=lackey --trace-mem=yes' recorded of a real program. Every loaded byte
    is compared with a flat memory, and so is memory at the end. Instructions and data share one cache.
    A miss waits behind another miss of its line.
    """,
    arguments=[
        cloup.Argument(
            ["trace"], type=FILE, metavar="FILE", help="Trace to run; - is stdin, and may be a pipe."
        )
    ],
    options={
        "Workload": [
            integer("--limit", least=1, help="Accesses to take from the trace.", default_is="all"),
            home("hostmem", "host", "device", "interleaved", default="device", of="the pages"),
            option(
                "--on",
                "caches",
                type=Choice(PROGRAM_CACHES),
                default="cpu",
                help="Cache to run on; with both, the program moves from one to the other.",
            ),
            integer("--stay", least=1, default=4096, help="Accesses before it moves. Only with --on both."),
            seed("the first content of the pages"),
        ],
        "System": [
            integer("--sets", least=1, most=CACHE_SETS, default=64, help="Sets of each cache."),
            integer("--ways", least=1, most=CACHE_WAYS, default=8, help="Ways of each set."),
            option(
                "--topology", type=FILE, metavar="FILE", help="TOML file with the settings of a topology."
            ),
            engine(),
        ],
        "Recording": capture(),
    },
    output=output(),
    examples=[
        Example("hsl perf program sort.lk --limit 100000", "Run the first accesses of a trace.", cheap=False),
        Example(
            "hsl perf program sort.lk --home interleaved --on both --stay 1000",
            "Move the program between the CPU and the GPU.",
            cheap=False,
        ),
    ],
    ends={0: "Every byte was right.", 1: "A byte was wrong.", 5: "The trace has no access."},
)
command = Branch(
    "perf",
    summary="Run recorded programs through caches and link, in modelled time.",
    commands=[PROGRAM],
)
