"""Reads `spec/*.toml` into one `Spec`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Spec:
    """All documents of the specification, by file name without suffix."""

    root: Path
    docs: dict[str, dict[str, Any]]

    def __getitem__(self, name: str) -> dict[str, Any]:
        return self.docs[name]


def load(root: Path = ROOT) -> Spec:
    """Reads every TOML file of `root`; raises tomllib.TOMLDecodeError with the file's name in front."""
    return Spec(root, {path.stem: tomllib.loads(path.read_text()) for path in sorted(root.glob("*.toml"))})


def bit_range(text: str) -> tuple[int, int]:
    """(lowest bit, width) of a range written as the spec writes it: "13:4" or "3"."""
    high, _, low = text.partition(":")
    low_bit = int(low or high)
    return low_bit, int(high) - low_bit + 1
