"""The `hsl` command: one module per command group, imported when it is called."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from hsl import __version__
from hsl.cli.exits import ExitCode, ExitCodes, forget_output
from hsl.interruption import command_begins

__all__ = ["COMMANDS", "main"]

# Command -> the module that defines it, as `command`.
COMMANDS = {
    "demo": "hsl.cli.demo",
    "node": "hsl.cli.node",
    "codec": "hsl.cli.codec",
    "info": "hsl.cli.info",
    "link": "hsl.cli.link",
    "coverage": "hsl.cli.coverage",
    "inject": "hsl.cli.inject",
    "model": "hsl.cli.model",
    "telemetry": "hsl.cli.telemetry",
    "stress": "hsl.cli.stress",
    "litmus": "hsl.cli.litmus",
    "check": "hsl.cli.check",
    "replay": "hsl.cli.replay",
    "perf": "hsl.cli.perf",
}


class Commands(click.Group):
    """A group whose commands are found in COMMANDS, and whose exit status is one of `ExitCode`.

    A command returns its exit code, or None for 0.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of COMMANDS, in its order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of `cmd_name`; None for a name that is not in COMMANDS."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name]).command
        command_begins()
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; when nobody reads its output any more it is interrupted, which is no verdict."""
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, SystemExit) as error:
            if not isinstance(error, BrokenPipeError) and not isinstance(error.__context__, BrokenPipeError):
                raise  # rich makes exit code 1 of a broken pipe
            forget_output()
            return ExitCode.INTERRUPTED

    def main(self, args: Sequence[str] | None = None, **options: Any) -> NoReturn:  # type: ignore[override]
        """Run, and leave with an exit code of the table in `hsl.cli.exits`."""
        with ExitCodes():
            raise SystemExit(super().main(args, **options | {"standalone_mode": False}))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="hsl")
def main() -> None:
    """HSL Open Reference Profile: codec, link, agents and emulators of a coherent CPU-GPU interconnect."""
