"""`hsl info`: versions, engines, CPU features."""

import json
import platform
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from hsl import __version__
from hsl.codec import native

__all__ = ["info"]

SENTENCE = (
    "This is an independent open reference profile. Hygon's own HSL wire format is not public; "
    "nothing here claims compatibility with it."
)


def facts() -> dict[str, Any]:
    """What `hsl info --json` prints."""
    return {
        "version": __version__,
        "sentence": SENTENCE,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "native": {"version": native.version(), "cpu_features": native.cpu_features()},
    }


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def info(as_json: bool) -> None:
    """Versions, engines and CPU features."""
    found = facts()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in found.items():
        table.add_row(name, ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value)
    Console(highlight=False).print(table)
