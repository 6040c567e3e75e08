"""Commands as data: what a command is called, what it takes, what its help says, and where its body is.

A body is imported when the command runs, so help and completion import no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple

import click
import cloup

from hsl.cli.guard import check_options
from hsl.interruption import command_begins
from hsl.nearest import nearest

__all__ = ["CODES", "HELP_WIDTH", "SETTINGS", "Branch", "Example", "Group", "Leaf"]

HELP_WIDTH: Final = 80
# What a leaf says in help about its exit codes, unless it says something else.
CODES: Final = {
    0: "The command did its work.",
    1: "The check failed.",
    2: "Interrupted, or the reader of the output has left.",
    3: "An internal error, or a program that is missing.",
    4: "Wrong usage or bad input, or disk or memory is full.",
    5: "Nothing was selected.",
    7: "The peer is lost or unreachable, or --time-limit is over.",
}
COMMON: Final = "2, 3 and 4 mean the same in every command: 'hsl help exit-codes'."
# Options that had another name before 0.2.
RENAMED: Final = {
    "--homed": "--home",
    "--in": "--input",
    "--operations": "--input",
    "--records": "--input",
    "--seconds": "--time-limit",
}
SETTINGS: Final = cloup.HelpFormatter.settings(width=None, max_width=HELP_WIDTH, col1_max_width=26)


class Example(NamedTuple):
    """A command line as a user types it, and what it is good for. `cheap`: tests may run it."""

    line: str
    what: str
    cheap: bool = True


class Leaf(cloup.Command):
    """A command that does something: its options in groups, examples, exit codes, and a body elsewhere."""

    def __init__(
        self,
        name: str,
        *,
        calls: str,
        summary: str,
        text: str = "",
        arguments: Sequence[click.Argument] = (),
        options: Mapping[str, Iterable[click.Option]] | None = None,
        output: Sequence[click.Option] = (),
        examples: Sequence[Example] = (),
        ends: Mapping[int, str] | None = None,
    ) -> None:
        """`calls`: the body as module:function. `summary`: the line in the list of commands.

        `options`: groups by title. `output`: the options of the last group, where --help is too. `ends`: exit
        codes that mean something special here, and what.
        """
        grouped: list[click.Parameter] = []
        for title, members in (options or {}).items():
            group = cloup.OptionGroup(title)
            for member in members:
                member.group = group  # type: ignore[attr-defined]
                grouped.append(member)
        super().__init__(
            name,
            params=[*arguments, *grouped, *output],
            callback=_later(calls),
            help=f"{summary}\n\n{text}" if text else summary,
            short_help=summary,
        )
        self.calls = calls
        self.examples = examples
        self.ends = dict(ends or {})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; the error about an unknown option names the nearest one, or the new name of an old one."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name
            parameters = self.get_params(ctx)
            known = [each for one in parameters for each in (*one.opts, *one.secondary_opts)]
            near = RENAMED[name] if RENAMED.get(name) in known else nearest(name, known)
            text = f"No such option {name!r}." + (f" Did you mean {near!r}?" if near else "")
            raise click.NoSuchOption(name, text, ctx=error.ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, unless an option has no use or an output file cannot be written."""
        check_options(ctx)
        return super().invoke(ctx)

    def get_default_option_group(
        self, ctx: click.Context, is_the_only_visible_option_group: bool = False
    ) -> cloup.OptionGroup:
        """Return the last group: what is printed, and --help."""
        title = "Options" if is_the_only_visible_option_group else "Output"
        group = cloup.OptionGroup(title)
        group.options = self.get_ungrouped_options(ctx)
        return group

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and the exit codes."""
        if self.examples:
            formatter.write("\n")
            formatter.write_heading("Examples")
            with formatter.indentation():
                for example in self.examples:
                    _write_example(formatter, example)
        if self.ends:
            formatter.write("\n")
            formatter.write_heading("Exit codes")
            with formatter.indentation():
                formatter.write_dl([(str(code), text) for code, text in sorted(self.ends.items())])
                formatter.write_text(COMMON)


class Group(cloup.Group):
    """A group whose error about an unknown command names the nearest one."""

    def handle_bad_command_name(
        self, bad_name: str, valid_names: list[str], error: click.UsageError
    ) -> click.UsageError:
        """Return the error about `bad_name`."""
        assert error.ctx is not None
        near = nearest(bad_name, self.list_commands(error.ctx))
        text = f"No such command {bad_name!r}." + (f" Did you mean {near!r}?" if near else "")
        return click.NoSuchCommand(bad_name, text, ctx=error.ctx)


class Branch(Group):
    """A command that has commands. `commands` are in the order in which help shows them."""

    def __init__(self, name: str, *, summary: str, text: str = "", commands: Sequence[Leaf]) -> None:
        super().__init__(
            name,
            help=f"{summary}\n\n{text}" if text else summary,
            short_help=summary,
            sections=[cloup.Section("Commands", commands)],
        )


def _write_example(formatter: click.HelpFormatter, example: Example) -> None:
    """Write what an example is good for, and its line; the line is not wrapped, so that it can be copied."""
    formatter.write_text(f"# {example.what}")
    formatter.write(f"{'':{formatter.current_indent}}{example.line}\n")


def _later(calls: str) -> Callable[..., Any]:
    """Return a function that imports the body `calls` and calls it."""
    module, _, name = calls.partition(":")

    def body(**given: Any) -> Any:
        function = getattr(import_module(module), name)
        command_begins()
        return function(**given)

    return body
