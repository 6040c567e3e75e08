"""`hsl inject`."""

import cloup

from hsl.cli.help import Branch, Example, Leaf
from hsl.cli.options import json_only

__all__ = ["command"]

LIST = Leaf(
    "list",
    calls="hsl.cli.inject:kinds",
    summary="List the kinds of faults, what each does, and how to write it.",
    arguments=[cloup.Argument(["kind"], required=False, help="Show all about this kind only.")],
    output=json_only(),
    examples=[
        Example("hsl inject list", "Show every kind with an example for --faults."),
        Example("hsl inject list crc", "Show all about one kind."),
        Example("hsl inject list --json", "Print the same as JSON."),
    ],
    ends={0: "The list is printed."},
)
command = Branch("inject", summary="List the faults that --faults can put on a link.", commands=[LIST])
