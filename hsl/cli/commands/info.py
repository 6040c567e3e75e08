"""`hsl info`."""

from hsl.cli.help import Example, Leaf
from hsl.cli.options import json_only

__all__ = ["command"]

command = Leaf(
    "info",
    calls="hsl.cli.info:info",
    summary="Show versions, engines and CPU features.",
    output=json_only(),
    examples=[
        Example("hsl info", "Show what is installed."),
        Example("hsl info --json", "Print the same as JSON."),
    ],
    ends={0: "The facts are printed."},
)
