"""The leaf commands of `hsl`, as a test walks over all of them."""

from collections.abc import Iterator
from importlib import import_module

import click

from hsl.cli import COMMANDS


def leaves() -> Iterator[tuple[str, click.Command]]:
    """The path, such as "link soak", and the command of each command that runs something."""
    for name, module in COMMANDS.items():
        yield from _below(name, import_module(module).command)


def _below(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _below(f"{path} {name}", child)
    else:
        yield path, command
