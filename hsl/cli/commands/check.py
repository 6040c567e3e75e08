"""`hsl check`."""

import cloup

from hsl.cli.help import Example, Leaf
from hsl.cli.help_values import MEMORY_MODELS
from hsl.cli.options import FILE, Choice, flag, option, output

__all__ = ["command"]

command = Leaf(
    "check",
    calls="hsl.cli.check:check_file",
    summary="Check the memory order of recorded operations.",
    text="""
    FILE holds JSON lines (hsl.operations/1), the text format of axe, or a capture (pcapng). A capture
    shows neither cached accesses nor program order, so words that caches held are not judged.

    JSON lines, in program order:

    \b
    {"schema": "hsl.operations/1"}
    {"agent": 2, "kind": "store", "addr": 64, "value": 1}
    {"agent": 3, "kind": "load", "addr": 64, "read": 1}
    """,
    arguments=[cloup.Argument(["file"], type=FILE, help="Operations or capture; - is stdin.")],
    options={
        "Check": [
            option(
                "--model",
                type=Choice(MEMORY_MODELS),
                default="hsl",
                help="Memory model: sequential consistency (sc), total store order (tso), or HSL 5.9 (hsl).",
            ),
            flag("--global-clock", help="Trust begin and end: they are times of one clock. Not with tso."),
            option(
                "--export",
                type=Choice(["axe"]),
                help="Print the operations in another format; check nothing.",
            ),
        ]
    },
    output=output(),
    examples=[
        Example("hsl check operations.jsonl", "Check a run against HSL 5.9.", cheap=False),
        Example("hsl check operations.jsonl --model sc", "Check it against a stronger model.", cheap=False),
    ],
    ends={
        0: "An order explains the operations, or none was found within the cap (undecided).",
        1: "A violation: a cycle of operations is printed.",
        5: "FILE has no operation to judge.",
    },
)
