"""The options that commands share: one name, one type and one text for each.

Each function returns a new option, because an option belongs to one command. This module must stay light: it
is imported to print help.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import click
import cloup

from hsl.cli.help_values import FORMATS, HOMES, LEAST_CAPTURE, MAX_BURST
from hsl.cli.seconds import Seconds
from hsl.engine.select import ENGINES
from hsl.nearest import nearest

__all__ = [
    "FILE",
    "SEED",
    "Choice",
    "File",
    "Integer",
    "Option",
    "candidates",
    "capture",
    "engine",
    "faults",
    "flag",
    "flit",
    "home",
    "input_file",
    "integer",
    "is_quiet",
    "is_verbose",
    "json_only",
    "option",
    "output",
    "report",
    "seed",
    "time_limit",
]

# Sign, hexadecimal digits, decimal digits; as many as no range needs.
NUMBER: Final = re.compile(r"(-?)(?:0[xX]([0-9a-fA-F]{1,32})|([0-9]{1,39}))")
MAX_SEED: Final = (1 << 64) - 1
QUIET: Final = "hsl.quiet"
VERBOSE: Final = "hsl.verbose"


class Choice(click.Choice[str]):
    """One of a few words; the message about another word names the nearest."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Return the message about `value`, which is not a word of the list."""
        near = nearest(value, self.choices)
        expected = ", ".join(self.choices)
        return f"unknown value {value!r}; expected {expected}" + (f"; did you mean {near}?" if near else "")


class Integer(click.ParamType[int]):
    """An integer from `least` to `most`, in decimal or hexadecimal (0x)."""

    name = "n"

    def __init__(self, least: int, most: int | None = None) -> None:
        """`most`: None for no upper limit."""
        self.least = least
        self.most = most

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what help prints in place of the value."""
        return "N"

    @property
    def limits(self) -> str:
        """The range, as help and messages print it."""
        if self.most is None:
            return f"{self.least} or more"
        most = self.most
        power = most.bit_length() if most > 1 << 16 else 0
        shown = {1 << power - 1: f"2^{power - 1}", (1 << power) - 1: f"2^{power}-1"} if power else {}
        return f"{self.least} to {shown.get(most, most)}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number. Fails as a usage error for a text that is none, or out of range."""
        number = value if isinstance(value, int) else _parsed(str(value).strip())
        if number is None:
            self.fail(f"{value!r} is not a number; expected {self.limits}", param, ctx)
        if number < self.least or (self.most is not None and number > self.most):
            self.fail(f"{value} is out of range; expected {self.limits}", param, ctx)
        return number


def _parsed(text: str) -> int | None:
    """Return the number that `text` spells in decimal or in hexadecimal with 0x; None if it spells none."""
    found = NUMBER.fullmatch(text)
    if found is None:
        return None
    number = int(found[2], 16) if found[2] else int(found[3])
    return -number if found[1] else number


class File(click.Path):
    """A file to be read: hsl.files reports what is wrong with it, and `-` is standard input."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)
        self.name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the name as a path; the file is looked at when it is opened."""
        return Path(value)


def candidates(of: Callable[[], Iterable[str]]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return the completion of an argument by the names that `of` returns, which only a shell calls."""

    def complete(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
        return [name for name in of() if name.startswith(begun)]

    return complete


FILE: Final = File()
OUT: Final = click.Path(dir_okay=False, path_type=Path)
SEED: Final = Integer(0, MAX_SEED)


class Option(cloup.Option):
    """An option whose help ends with its limits and its default."""

    def __init__(self, names: list[str], *, default_is: str = "", **attributes: Any) -> None:
        """`default_is`: the default in words, where no one value is the default."""
        super().__init__(names, **attributes)
        self.default_is = default_is

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return the two columns of help."""
        limits = getattr(self.type, "limits", "")
        default = self.default_is or self.get_help_extra(ctx).get("default", "")
        extra = "; ".join(filter(None, [limits, default and f"default: {default}"]))
        return self.get_help_spec(ctx), f"{self.help} [{extra}]" if extra else str(self.help)


def option(*names: str, help: str, **attributes: Any) -> Option:
    """Return an option; its default is shown unless that is None."""
    attributes.setdefault("show_default", attributes.get("default") is not None)
    return Option(list(names), help=help, **attributes)


def integer(*names: str, least: int, most: int | None = None, help: str, **attributes: Any) -> Option:
    """Return an option that takes an integer."""
    return option(*names, type=Integer(least, most), help=help, **attributes)


def flag(*names: str, help: str, **attributes: Any) -> Option:
    """Return an option without a value."""
    return option(*names, is_flag=True, help=help, show_default=False, **attributes)


def input_file(help: str, **attributes: Any) -> Option:
    """Return --input FILE."""
    return option("--input", "path", type=FILE, metavar="FILE", help=help, **attributes)


def seed(of: str) -> Option:
    """Return --seed N. `of` names what it seeds, as in "the faults"."""
    text = f"Seed of {of}, decimal or 0x hex; always printed."
    return option("--seed", type=SEED, default_is="drawn", help=text)


def engine() -> Option:
    """Return --engine of a command that runs every layer."""
    return option(
        "--engine",
        type=Choice(ENGINES),
        default_is="HSL_ENGINE, else the fastest",
        help="Engine of all layers. Only the codec has a native one yet, so native is refused.",
    )


def home(*values: str, default: str, of: str, given: bool = True) -> Option:
    """Return --home with these values; `of` names the data, as in "the arrays".

    `given`: False if the value is None when the option is not given, and `default` is what that means.
    """
    kept = values or tuple(HOMES)
    what = "; ".join(f"{value}: {HOMES[value]}" for value in kept)
    return option(
        "--home",
        type=Choice(kept),
        metavar="PLACE",
        default=default if given else None,
        default_is=default,
        help=f"Place of {of}. {what}.",
    )


def flit(given: bool = True) -> Option:
    """Return --flit, the format that ports offer; `given`: False if no option leaves it to a topology."""
    default = "L64" if given else None
    return option(
        "--flit", type=Choice(FORMATS), default=default, default_is="L64", help="Flit format to offer."
    )


def faults(default: str | None = "none", note: str = "") -> list[Option]:
    """Return --faults and the two options that narrow it."""
    return [
        option(
            "--faults",
            metavar="FAULTS",
            default=default,
            help="Faults on the wire: RATE (half crc, half drop), KIND:RATE,... or a FILE.toml. "
            f"'hsl inject list' shows the kinds.{note}",
        ),
        integer("--nth", least=1, help="Start each fault at the Nth flit that it can hit."),
        integer("--burst", least=1, most=MAX_BURST, help="Hit N consecutive flits each time."),
    ]


def capture() -> list[Option]:
    """Return --capture and --capture-size."""
    return [
        option(
            "--capture",
            metavar="FILE",
            help="Write every flit to a pcapng file; - is stdout. A slow reader of the pipe slows the run.",
        ),
        option(
            "--capture-size",
            type=Integer(LEAST_CAPTURE),
            metavar="BYTES",
            help="Start FILE.1, FILE.2 and so on before a file grows larger.",
        ),
    ]


def time_limit(help: str) -> Option:
    """Return --time-limit SECONDS."""
    return option("--time-limit", type=Seconds(), metavar="SECONDS", help=help)


def _kept(key: str) -> Any:
    """Return a callback that keeps the value in the context, where `is_quiet` and `is_verbose` look."""

    def keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value:
            ctx.meta[key] = value

    return keep


def quiet() -> Option:
    """Return -q, which every command has that runs for long."""
    return flag(
        "-q",
        "--quiet",
        expose_value=False,
        callback=_kept(QUIET),
        help="Show no progress, and only the verdict or the requested data.",
    )


def verbose(help: str) -> Option:
    """Return -v."""
    return flag("-v", "--verbose", expose_value=False, callback=_kept(VERBOSE), help=help)


def json_only() -> list[Option]:
    """Return --json and -q: the output options of a command that writes no file."""
    return [
        flag("--json", "as_json", help="Print one JSON document on stdout, everything else on stderr."),
        quiet(),
    ]


def output(out: str = "Write the JSON document to FILE.", more: str = "") -> list[Option]:
    """Return the output options: --json, --out and -q, and -v if `more` says what it shows."""
    as_json, silent = json_only()
    file = option("--out", type=OUT, metavar="FILE", help=out)
    return [as_json, file, silent, *([verbose(more)] if more else [])]


def report() -> tuple[bool, bool]:
    """Return (-q was given, -v was given) of the running command; (False, False) outside of one."""
    context = click.get_current_context(silent=True)
    given = {} if context is None else context.meta
    return bool(given.get(QUIET)), bool(given.get(VERBOSE))


def is_quiet() -> bool:
    """True if the running command was given -q: no progress, and only the verdict on stdout."""
    return report()[0]


def is_verbose() -> bool:
    """True if the running command was given -v."""
    return report()[1]
