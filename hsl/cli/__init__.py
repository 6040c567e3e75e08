"""The `hsl` command: one module per command in `hsl.cli.commands`, imported when the command is named."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click
import cloup

from hsl import __version__
from hsl.cli.exits import ExitCode, ExitCodes, forget_output
from hsl.cli.help import SETTINGS, Group

__all__ = ["COMMANDS", "SECTIONS", "main"]

# Section of `hsl --help` -> command -> its summary, which is also the first line of the command's help.
SECTIONS = {
    "Emulators": {
        "demo": "Run a CPU and a GPU that share memory, and verify the result.",
        "node": "Run one emulator as a process: a CPU, or one of its devices.",
    },
    "Flits and links": {
        "codec": "Decode flits to fields, and encode fields to flits.",
        "link": "Run or model the link layer alone.",
        "inject": "List the faults that --faults can put on a link.",
    },
    "Coherence and memory order": {
        "stress": "Run random programs, and judge coherence at every step.",
        "replay": "Run a recorded run (.hslr) again.",
        "litmus": "List and run litmus tests of memory order.",
        "check": "Check the memory order of recorded operations.",
        "model": "Search every state of the models of the specification.",
        "coverage": "Show which cells of the protocol tables the tests reached.",
    },
    "Performance and telemetry": {
        "perf": "Run recorded programs through caches and link, in modelled time.",
        "telemetry": "Watch counters, link states and events over MQTT.",
    },
    "Reference": {
        "spec": "Find the files of the specification.",
        "schema": "Print the JSON Schemas of what --json prints.",
        "info": "Show versions, engines and CPU features.",
        "help": "Show the help of a command or a topic.",
        "completion": "Print the completion script of a shell.",
    },
}
# Command -> the module that defines it, as `command`.
COMMANDS = {name: f"hsl.cli.commands.{name}" for section in SECTIONS.values() for name in section}


class Commands(Group):
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
        return command

    def format_params(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write nothing yet: the commands come first."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections of SECTIONS; no command is imported."""
        assert isinstance(formatter, cloup.HelpFormatter)
        formatter.write_many_sections(
            [cloup.HelpSection(title, list(rows.items())) for title, rows in SECTIONS.items()]
        )
        super().format_params(ctx, formatter)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a closed output pipe interrupts it, which is not a verdict."""
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, SystemExit) as error:
            if not isinstance(error, BrokenPipeError) and not isinstance(error.__context__, BrokenPipeError):
                raise  # rich makes exit code 1 of a broken pipe
            forget_output()
            return ExitCode.INTERRUPTED

    def main(self, args: Sequence[str] | None = None, **options: Any) -> NoReturn:  # type: ignore[override]
        """Run, and leave with an exit code of the table in `hsl.cli.exits`."""
        words = sys.argv[1:] if args is None else list(args)
        with ExitCodes(words):
            raise SystemExit(super().main(words, **options | {"standalone_mode": False}))


@cloup.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "formatter_settings": SETTINGS},
    epilog="Start with 'hsl demo'. Topics: 'hsl help exit-codes', 'hsl help environment'.",
)
@click.version_option(__version__, "-V", "--version", prog_name="hsl", help="Show the version and exit.")
def main() -> None:
    """Emulate, check and measure HSL, an open cache-coherent CPU-GPU interconnect."""
