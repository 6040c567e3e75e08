"""A line of a file of JSON lines."""

from __future__ import annotations

from typing import Any

from hsl.errors import ConfigError
from hsl.files import parse_json

__all__ = ["json_object"]


def json_object(text: str, where: str) -> dict[str, Any]:
    """Read a JSON object. Raises ConfigError that begins with `where` for anything else."""
    document = parse_json(text, where)
    if not isinstance(document, dict):
        raise ConfigError(f"{where}: {text.strip()[:40]!r}; expected a JSON object")
    return document
