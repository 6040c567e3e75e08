"""Records of coverage: what the tests of one process that passed have reached, as counts of cells by kind."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hsl.errors import ConfigError, reason
from hsl.files import parse_json, read_file

__all__ = ["read_records", "summary", "write_record"]

MAX_RECORD_BYTES: Final = 1 << 20  # a record names each cell once a kind
Counts = dict[str, Counter[str]]  # by kind; a cell is words joined by blanks


def write_record(path: Path, counts: Mapping[str, Counter[str]]) -> None:
    """Write one record."""
    document = {kind: dict(sorted(cells.items())) for kind, cells in counts.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def read_records(folder: Path, what: str, kinds: Sequence[str], cells: Collection[str]) -> tuple[int, Counts]:
    """Return the number of records in `folder` and their sum. Raises ConfigError for one not of `what`."""
    total: Counts = {kind: Counter() for kind in kinds}
    try:
        paths = sorted(folder.glob("*.json"))
    except OSError as error:
        raise ConfigError(f"{folder}: {reason(error)}") from error
    for path in paths:
        document = parse_json(read_file(path, MAX_RECORD_BYTES), str(path))
        for kind in kinds:
            counts = document.get(kind) if isinstance(document, dict) else None
            if wrong := _wrong(counts, cells):
                raise ConfigError(f"{path}: not a record of {what} coverage: {kind}: {wrong}")
            total[kind].update(counts)
    return len(paths), total


def _wrong(counts: Any, cells: Collection[str]) -> str:
    """Return the fault in the counts of a kind, "" if there is none."""
    if not isinstance(counts, dict):
        return "no object of counts by cell"
    if unknown := counts.keys() - cells:
        return f"no such cell: {min(unknown)}"
    if not all(type(count) is int and count >= 0 for count in counts.values()):
        return "a count must be an integer of 0 or more"
    return ""


def summary(rows: Iterable[dict[str, Any]], verdicts: Sequence[str]) -> dict[str, int]:
    """Return the number of cells of each verdict."""
    counts = Counter(row["verdict"] for row in rows)
    return {name: counts[name] for name in verdicts}
