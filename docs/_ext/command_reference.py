"""Put the help of every command of `hsl` where a page has the mark `<!-- generated: commands -->`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from sphinx.application import Sphinx

from hsl.cli import main

MARK = "<!-- generated: commands -->"
COLUMNS = 80


def reference(
    command: click.Command, parent: click.Context | None = None, name: str = "hsl"
) -> Iterator[str]:
    """Yield a heading and the help of `command`, then those of its subcommands."""
    context = command.context_class(command, parent, info_name=name, **command.context_settings)
    context.terminal_width = COLUMNS
    yield f"### {context.command_path}\n\n```text\n{click.unstyle(command.get_help(context))}\n```\n"
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            if (child := command.get_command(context, sub)) and not child.hidden:
                yield from reference(child, context, sub)


def fill(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace the mark."""
    if MARK in source[0]:
        source[0] = source[0].replace(MARK, "\n".join(reference(main)))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with sphinx."""
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
