"""A line of a file of JSON lines."""

from __future__ import annotations

import json
from typing import Any

from hsl.errors import ConfigError

__all__ = ["json_object"]


def json_object(text: str, where: str) -> dict[str, Any]:
    """The object that `text` is. Raises ConfigError that begins with `where` when it is none."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: no JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{where}: {text.strip()[:40]!r} is no JSON object")
    return document
