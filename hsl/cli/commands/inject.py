"""`hsl inject`."""

import cloup

from hsl.cli.help import Branch, Example, Leaf
from hsl.cli.options import candidates, json_only

__all__ = ["command"]


def fault_kinds() -> list[str]:
    """Return the names of the kinds; the import waits until a shell completes one."""
    from hsl.transport.fault_kinds import FaultKind

    return list(FaultKind)


LIST = Leaf(
    "list",
    calls="hsl.cli.inject:kinds",
    summary="List the kinds of faults, what each does, and how to write it.",
    arguments=[
        cloup.Argument(
            ["kind"],
            required=False,
            shell_complete=candidates(fault_kinds),
            help="Show all about this kind only.",
        )
    ],
    output=json_only(),
    examples=[
        Example("hsl inject list", "Show every kind with an example for --faults."),
        Example("hsl inject list crc", "Show all about one kind."),
        Example("hsl inject list --json", "Print the same as JSON."),
    ],
    ends={0: "The list is printed."},
)
command = Branch("inject", summary="List the faults that --faults can put on a link.", commands=[LIST])
