"""`hsl coverage`."""

from pathlib import Path

import click

from hsl.cli.help import Branch, Example, Leaf
from hsl.cli.options import option, output

__all__ = ["command"]

FOLDER = Path("build/coverage")


def records(name: str) -> click.Option:
    """Return --input DIRECTORY, the records of a table."""
    return option(
        "--input",
        "records",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIRECTORY",
        default=FOLDER / name,
        help=f"Records that 'pytest --{name}-coverage DIRECTORY' wrote.",
    )


def table(name: str, summary: str, text: str, ends: dict[int, str]) -> Leaf:
    """Return the command of one table."""
    return Leaf(
        name,
        calls=f"hsl.cli.coverage:{name}",
        summary=summary,
        text=text,
        options={"Input": [records(name)]},
        output=output(),
        examples=[
            Example(
                f"hsl coverage {name}", "Show the heat map of the records of 'make coverage'.", cheap=False
            ),
            Example(f"hsl coverage {name} --json", "Print every cell as JSON.", cheap=False),
        ],
        ends={**ends, 5: "There are no records: 'make coverage' in the source tree writes them."},
    )


LINK = table(
    "link",
    "Show how often tests reached each event in each state of a link.",
    "A cell that no port can reach is listed apart, with the reason. A direct call must have reached it.",
    {0: "Every legal cell was reached by bytes, events and time.", 1: "A cell was missed."},
)
COHERENCE = table(
    "coherence",
    "Show how often tests reached each event in each state of a line.",
    "Cells that only a hostile node reaches, and cells out of reach, are listed with the reason.",
    {
        0: "Every cell was reached as it is listed.",
        1: "A cell was missed, or reached though listed otherwise.",
    },
)
command = Branch(
    "coverage",
    summary="Show which cells of the protocol tables the tests reached.",
    commands=[LINK, COHERENCE],
)
