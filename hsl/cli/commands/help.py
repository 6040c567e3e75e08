"""`hsl help`: the help of a command, and topics that every command shares."""

import click
import cloup

from hsl.cli.help import Example, Leaf

__all__ = ["command"]

TOPICS = ("exit-codes", "environment")


def known_words(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Return the commands and topics that can follow the words before `begun`."""
    found: click.Command | None = ctx.find_root().command
    before = ctx.params.get("words") or ()
    for word in before:
        found = found.get_command(ctx, word) if isinstance(found, click.Group) else None
    known = found.list_commands(ctx) if isinstance(found, click.Group) else []
    return [name for name in [*known, *(() if before else TOPICS)] if name.startswith(begun)]


command = Leaf(
    "help",
    calls="hsl.cli.manual:show_help",
    summary="Show the help of a command or a topic.",
    arguments=[
        cloup.Argument(
            ["words"],
            nargs=-1,
            metavar="[COMMAND]...",
            shell_complete=known_words,
            help="Command, or exit-codes or environment.",
        ),
    ],
    examples=[
        Example("hsl help link soak", "Show what 'hsl link soak --help' shows."),
        Example("hsl help exit-codes", "List the exit codes of every command."),
    ],
    ends={0: "The help is printed."},
)
