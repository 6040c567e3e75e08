"""Checks of every command's options before it runs: options without use, and files that cannot be written.

NEEDS is a table: an option, and what it needs to have a use. What it needs is spelled as on the command line:
`--faults` (given, with a value other than its default), `--on both` (one of the values between bars), or
either behind `not`. Conditions on more than one other option are checked by the command itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import click
from click.core import ParameterSource

from hsl.cli.help_values import ARRAY_KERNELS, COUNTING_KERNELS
from hsl.cli.options import File
from hsl.errors import ConfigError
from hsl.files import STDIN, check_writable, exists

__all__ = ["EVERYWHERE", "NEEDS", "OUTPUTS", "check_options"]

COUNTING: Final = f"--kernel {'|'.join(COUNTING_KERNELS)}"
ARRAYS: Final = f"--kernel {'|'.join(ARRAY_KERNELS)}"

# For every command that has both options.
EVERYWHERE: Final = {
    "--nth": ("--faults",),
    "--burst": ("--faults",),
    "--capture-size": ("--capture",),
}
# Command -> option (or an option with one of the values between bars) -> what it needs.
NEEDS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "demo": {
        "--input": (COUNTING,),
        "--transport tcp|unix|udp": (COUNTING,),
        "--telemetry": (COUNTING,),
        "--gpus": (ARRAYS,),
        "--topology mesh": ("--gpus",),
        "--home": (ARRAYS,),
        "--size": (ARRAYS,),
    },
    "node cpu": {
        "--input": (COUNTING,),
        "--home": (ARRAYS,),
        "--size": (ARRAYS,),
        "--wait": ("--connect",),
    },
    "node gpu": {"--wait": ("--connect",)},
    "node memory": {"--wait": ("--connect",)},
    "model link": {"--short": ("not --mutants",), "--full": ("not --only", "not --short")},
    "model coherence": {"--short": ("not --mutants",), "--full": ("not --only", "not --short")},
    "stress": {
        "--faults": ("--via links",),
        "--ops": ("not --input",),
        "--with": ("not --input",),
    },
    "litmus run": {
        "--faults": ("--via links",),
        "--exhaustive": ("--via agents",),
        "--runs": ("not --exhaustive",),
    },
    "check": {
        "--global-clock": ("not --export", "--model sc|hsl"),
        "--model": ("not --export",),
        "--out": ("not --export",),
        "--json": ("not --export",),
    },
    "perf program": {"--stay": ("--on both",)},
    "codec decode": {"--input": ("not --hex",)},
}
# Options that name a file to write: the file is opened before the run, which may take hours.
# Each with what serves a user who wants it on standard output.
OUTPUTS: Final = {"--out": "; --json prints to standard output", "--save": ""}
STDOUT: Final = "-"
READ: Final = (".toml", ".litmus")  # ends of the names of files among values that may be something else
CAPTURE: Final = "--capture"  # an output too, which its own command opens


def check_options(context: click.Context) -> None:
    """Raise ConfigError for an option that has no use here, and for a file that cannot be written."""
    options = {name: each for each in context.command.params for name in each.opts}
    for option, need in _needs(context):
        name, _, values = option.partition(" ")
        given = options.get(name)
        if given is None or not _is_given(context, given):
            continue
        if values and str(context.params[given.name or ""]) not in values.split("|"):
            continue
        if not _is_met(context, options, need):
            said = option if not values else f"{name} {context.params[given.name or '']}"
            other = need.removeprefix("not ")
            how = "cannot be used with" if other != need else "needs"
            *most, last = other.split("|")
            raise ConfigError(f"{said} {how} {', '.join(most)} or {last}" if most else f"{said} {how} {last}")
    for name, hint in OUTPUTS.items():
        if name in options and (path := context.params[options[name].name or ""]) is not None:
            if str(path) == STDOUT:
                raise ConfigError(f"{name} {STDOUT}: expected the name of a file{hint}")
            check_writable(path, f"{name} {path}")
    _check_apart(context, options)


def _check_apart(context: click.Context, options: dict[str, click.Parameter]) -> None:
    """Raise ConfigError if a file that is written is also read, or is written twice."""
    used: dict[str, str] = {}  # real path -> the option or argument that names it
    written = (*OUTPUTS, CAPTURE)
    for each in context.command.params:
        value = context.params.get(each.name or "") if each.opts[0] not in written else None
        for path in value if isinstance(value, tuple) else (value,):
            text = str(path)
            is_read = isinstance(each.type, File) or text.endswith(READ)
            if path is not None and text != STDIN and is_read and exists(text):
                used[os.path.realpath(text)] = each.opts[0] if isinstance(each, click.Option) else "the input"
    for name in written:
        path = context.params.get(options[name].name or "") if name in options else None
        if path is None or str(path) == STDOUT or (exists(path) and not os.path.isfile(path)):  # noqa: PTH113
            continue
        other = used.setdefault(os.path.realpath(path), name)
        if other != name:
            raise ConfigError(f"{name} {path}: {other} is the same file")


def _needs(context: click.Context) -> Iterator[tuple[str, str]]:
    path = context.command_path.partition(" ")[2]
    for option, needs in (EVERYWHERE | NEEDS.get(path, {})).items():
        for need in needs:
            yield option, need


def _is_given(context: click.Context, option: click.Parameter) -> bool:
    """True if the user gave the option."""
    source = context.get_parameter_source(option.name or "")
    return source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def _is_met(context: click.Context, options: dict[str, click.Parameter], need: str) -> bool:
    name, _, values = need.removeprefix("not ").partition(" ")
    option = options.get(name)
    if option is None:
        return True  # the command has no such option, so nothing depends on it
    value = context.params[option.name or ""]
    holds = (
        str(value) in values.split("|") if values else _is_given(context, option) and value != option.default
    )
    return holds != need.startswith("not ")
