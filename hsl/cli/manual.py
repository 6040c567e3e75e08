"""`hsl help` and `hsl completion`: the words of help that belong to no command."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from hsl.cli.help import CODES
from hsl.nearest import nearest

__all__ = ["print_completion", "show_help"]

ENVIRONMENT: Final = {
    "HSL_ENGINE": "Engine of every layer where --engine is not given: reference (Python). native is refused: "
    "only the codec has it yet.",
    "HSL_PROGRESS": "lines prints each step of a run at once, for programs that follow it.",
    "HSL_TRACEBACK": "1 prints the Python traceback of an error.",
    "NO_COLOR": "Any value turns colours off.",
    "COLUMNS": "Width of tables and of help, where the terminal does not say.",
    "TMPDIR": "Folder for temporary files, such as the unix sockets of a demo.",
}
TOPICS: Final = {
    "exit-codes": ("Exit codes of every command", {str(code): text for code, text in CODES.items()}),
    "environment": ("Environment variables", ENVIRONMENT),
}


def show_help(words: tuple[str, ...]) -> None:
    """Print the help of the command that `words` name, or a topic. Raises UsageError for unknown words."""
    context = click.get_current_context().find_root()
    if len(words) == 1 and words[0] in TOPICS:
        show_topic(words[0], context)
        return
    for word in words:
        command = context.command
        known = command.list_commands(context) if isinstance(command, click.Group) else []
        if word not in known:
            near = nearest(word, [*known, *TOPICS] if len(words) == 1 else known)
            text = f"{context.command_path!r} has no command {word!r}."
            raise click.UsageError(text + (f" Did you mean {near!r}?" if near else ""))
        assert isinstance(command, click.Group)
        found = command.get_command(context, word)
        assert found is not None
        context = found.context_class(found, parent=context, info_name=word, **found.context_settings)
    click.echo(context.command.get_help(context))


def show_topic(topic: str, context: click.Context) -> None:
    """Print a topic."""
    title, rows = TOPICS[topic]
    formatter = context.make_formatter()
    with formatter.section(title):
        formatter.write_dl(list(rows.items()))
    click.echo(formatter.getvalue(), nl=False)


def print_completion(shell: str) -> None:
    """Print the script that makes a shell complete `hsl`. Raises UsageError for a shell that is too old."""
    root = click.get_current_context().find_root()
    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(root.command, {}, "hsl", "_HSL_COMPLETE").source())
