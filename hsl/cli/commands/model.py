"""`hsl model`."""

from pathlib import Path

import click

from hsl.cli.help import Branch, Example, Leaf
from hsl.cli.options import flag, integer, json_only, option

__all__ = ["command"]

ENDS = {
    0: "Every model is clean; with --mutants, every planted fault is caught.",
    1: "A property is violated, or a planted fault is missed.",
    3: "rumur, gcc or the source tree is missing.",
    5: "No model is selected.",
}


def choice(large: str, *more: click.Option) -> list[click.Option]:
    """Return the options that select models; `large` is what --full takes, `more` are those of one layer."""
    return [
        option(
            "--only",
            multiple=True,
            metavar="NAME",
            help="Search only this model, or this planted fault with --mutants. May be repeated.",
        ),
        flag("--short", help="Search only the models that are marked short."),
        *more,
        flag("--full", help=f"Search the large models too: {large} of a processor."),
        flag("--mutants", help="Search the planted faults instead; each must be caught."),
    ]


def run_group() -> list[click.Option]:
    """Return the options of the search."""
    return [
        integer("--jobs", least=1, most=64, default=2, help="Models to search at once."),
        option(
            "--cache",
            type=click.Path(file_okay=False, path_type=Path),
            metavar="FOLDER",
            default_is="build/models",
            help="Folder of compiled models.",
        ),
    ]


LINK = Leaf(
    "link",
    calls="hsl.cli.model:link",
    summary="Search the models of a link and of a port.",
    text="Nothing wrong may be reached, and nothing may stick.",
    options={"Models": choice("half a minute"), "Run": run_group()},
    output=json_only(),
    examples=[
        Example("hsl model link --short", "Search the short models: half a minute.", cheap=False),
        Example("hsl model link --mutants", "Check that each planted fault is caught.", cheap=False),
    ],
    ends=ENDS,
)
COHERENCE = Leaf(
    "coherence",
    calls="hsl.cli.model:coherence",
    summary="Search the models of a line, its home and its caches.",
    text="""
    The models are made from the tables that the engines run. There must be one writer or many readers,
    every read must return what was written last, the directory must be exact at rest, no cell may be
    reached that only a broken peer reaches, and rest must be reachable from everywhere.
    """,
    options={
        "Models": choice(
            "half an hour",
            integer("--agents", least=2, most=3, help="Search only the models with N request agents."),
        ),
        "Run": run_group(),
    },
    output=json_only(),
    examples=[
        Example("hsl model coherence --short", "Search the short models: half a minute.", cheap=False),
        Example("hsl model coherence", "Search all but the large models: three minutes.", cheap=False),
    ],
    ends=ENDS,
)
command = Branch(
    "model",
    summary="Search every state of the models of the specification.",
    text="This needs the source tree, and the programs rumur and gcc.",
    commands=[LINK, COHERENCE],
)
