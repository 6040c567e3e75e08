"""Which models and mutants there are: Murphi texts from a .m file, constants, the link table and an edit."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))
from spec.gen.emit_murphi import cells, edited

__all__ = ["Run", "load"]

REST = "rest"  # in mutants.toml: what fails is the model's liveness property


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A text for rumur, and the property that must fail in it: "" for a model that must be clean."""

    id: str
    kind: str  # "model" or "mutant"
    model: str
    about: str
    expected: str
    cost: int  # states, roughly: what takes longest starts first
    text: str
    short: bool = False  # in the short form that every commit runs


def load(spec: Path, kind: str) -> list[Run]:
    """The `models` or `mutants` of a specification. Raises ValueError when an edit does not fit its text."""
    folder = spec / "model"
    table = _toml(spec / "link.toml")
    models = {model["id"]: model for model in _toml(folder / "models.toml")["model"]}
    entries = models.values() if kind == "models" else _toml(folder / "mutants.toml")["mutant"]
    return [_run(entry, models[entry.get("model", entry["id"])], folder, table) for entry in entries]


def _run(entry: Mapping[str, Any], model: Mapping[str, Any], folder: Path, table: Mapping[str, Any]) -> Run:
    text = (folder / model["file"]).read_text()
    for old, new in entry.get("replace", ()):
        if text.count(old) != 1:
            raise ValueError(
                f"{entry['id']}: {old!r} is {text.count(old)} times in {model['file']}, not once"
            )
        text = text.replace(old, new)
    for name, value in (model["constants"] | entry.get("constants", {})).items():
        text, found = re.subn(rf"^(  {name}: *)\d+;", rf"\g<1>{value};", text, flags=re.MULTILINE)
        if found != 1:
            raise ValueError(f"{entry['id']}: no constant {name} in {model['file']}")
    mutant = entry is not model
    return Run(
        id=entry["id"],
        kind="mutant" if mutant else "model",
        model=model["id"],
        about=entry["about"],
        expected=_rest(text) if entry.get("expected") == REST else entry.get("expected", ""),
        cost=model["states"],
        text=cells(text, edited(table, entry.get("cells", ()))),
        short=entry.get("short", False),
    )


def _rest(text: str) -> str:
    """The liveness property of a model."""
    found = re.search(r'^liveness "([^"]*)"', text, flags=re.MULTILINE)
    assert found is not None
    return found[1]


def _toml(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return tomllib.load(file)
