"""`hsl info`: versions, engines, CPU features."""

import platform
from typing import Any

import click

from hsl import __version__
from hsl._generated.constants import PROFILE_NAME, PROFILE_SENTENCE, VERSION
from hsl.cli.json_text import print_json
from hsl.codec import crc, native
from hsl.engine.select import engines

__all__ = ["info"]


def facts() -> dict[str, Any]:
    """Return the document of `hsl info --json`."""
    return {
        "schema": "hsl.info/1",
        "version": __version__,
        "profile": f"{PROFILE_NAME} {VERSION[0]}.{VERSION[1]}",
        "sentence": PROFILE_SENTENCE,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "engines": engines() | {"crc": crc.ENGINE},
        "native": {"version": native.version(), "cpu_features": native.cpu_features()},
    }


def spoken(value: Any) -> str:
    """Return a value of `facts` as text."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {spoken(part)}" for name, part in value.items())
    return " ".join(value) or "none" if isinstance(value, list) else str(value)


def info(as_json: bool) -> None:
    """Run `hsl info`."""
    found = facts()
    if as_json:
        print_json(found)
        return
    del found["schema"]
    width = max(map(len, found))
    for name, value in found.items():
        click.echo(f"{name:<{width}}  {spoken(value)}")
