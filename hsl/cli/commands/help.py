"""`hsl help`: the help of a command, and topics that every command shares."""

import cloup

from hsl.cli.help import Example, Leaf

__all__ = ["command"]

command = Leaf(
    "help",
    calls="hsl.cli.manual:show_help",
    summary="Show the help of a command or a topic.",
    arguments=[
        cloup.Argument(
            ["words"], nargs=-1, metavar="[COMMAND]...", help="Command, or exit-codes or environment."
        ),
    ],
    examples=[
        Example("hsl help link soak", "Show what 'hsl link soak --help' shows."),
        Example("hsl help exit-codes", "List the exit codes of every command."),
    ],
    ends={0: "The help is printed."},
)
