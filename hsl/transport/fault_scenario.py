"""A fault scenario: a TOML file of tables `[[fault]]`, whose settings are those of `fault_plan.SETTINGS`.

[[fault]]
kind = "crc"        # of `hsl inject list`
rate = 1e-3         # or count = N, the next N flits; without both: count = 1
type = "PROT"       # only flits of this type
from = "cpu"        # the sending end: a, b, or cpu, gpu
link = 0
nth = 100           # the first 99 flits that it could hit pass
burst = 2           # flits of one hit
ns = 5000           # of delay, reorder, link-down
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hsl.errors import ConfigError
from hsl.files import TEXT, parse_toml, read_file

__all__ = ["Row", "read_scenario"]

# A scenario of MAX_FAULTS tables with all settings and a comment behind each has a fifth of it.
MAX_SCENARIO_BYTES = 1 << 16
TABLE = re.compile(r"\s*\[\[\s*fault\s*\]\]")


class Row(NamedTuple):
    """One fault of a file, and the numbered lines of its table."""

    path: Path
    settings: dict[str, Any]
    lines: list[tuple[int, str]]

    def where(self, setting: str) -> str:
        """FILE:LINE of a setting, or of the table when it has no such line."""
        key = re.compile(rf"\s*['\"]?{re.escape(setting)}['\"]?\s*=")
        first = self.lines[0][0] if self.lines else 1
        return f"{self.path}:{next((number for number, line in self.lines if key.match(line)), first)}"


def read_scenario(path: Path) -> list[Row]:
    """Return the faults of a file. Raises ConfigError if it cannot be read or is not a scenario."""
    raw = read_file(path, MAX_SCENARIO_BYTES)
    found = parse_toml(raw, str(path))
    tables = found.get("fault")
    if (
        found.keys() != {"fault"}
        or not isinstance(tables, list)
        or not all(isinstance(t, dict) for t in tables)
    ):
        raise ConfigError(
            f"{path}:1: a scenario is tables [[fault]] and nothing else; it has {sorted(found)}"
        )
    parts = list(_parts(raw.decode(TEXT)))
    parts = parts if len(parts) == len(tables) else [[] for _ in tables]  # written as inline tables
    return [Row(path, table, lines) for table, lines in zip(tables, parts, strict=True)]


def _parts(text: str) -> Iterator[list[tuple[int, str]]]:
    """The numbered lines of each `[[fault]]`."""
    part: list[tuple[int, str]] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if TABLE.match(line):
            if part is not None:
                yield part
            part = []
        if part is not None:
            part.append((number, line))
    if part is not None:
        yield part
