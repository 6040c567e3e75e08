"""`hsl help` and `hsl completion`: the words of help that belong to no command."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from hsl.cli.help import CODES

__all__ = ["print_completion", "show_help"]

ENVIRONMENT: Final = {
    "HSL_ENGINE": "Engine of every layer where --engine is not given: reference or native.",
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
    """Print the help of the command that `words` name, or a topic."""
    context = click.get_current_context().find_root()
    if len(words) == 1 and words[0] in TOPICS:
        title, rows = TOPICS[words[0]]
        formatter = context.make_formatter()
        with formatter.section(title):
            formatter.write_dl(list(rows.items()))
        click.echo(formatter.getvalue(), nl=False)
        return
    for word in words:
        command = context.command
        if not isinstance(command, click.Group):
            raise click.UsageError(f"'{context.command_path}' has no commands; {word!r} is unknown")
        name, found, _ = command.resolve_command(context, [word])
        assert found is not None
        context = found.context_class(found, parent=context, info_name=name, **found.context_settings)
    click.echo(context.command.get_help(context))


def print_completion(shell: str) -> None:
    """Print the script that makes a shell complete `hsl`. Raises UsageError for a shell that is too old."""
    root = click.get_current_context().find_root()
    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(root.command, {}, "hsl", "_HSL_COMPLETE").source())
