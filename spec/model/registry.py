"""Registry of models and mutants: Murphi texts from a .m file, constants, the tables and an edit."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))
from spec.gen.emit_murphi import cells, edited
from spec.gen.emit_murphi_coherence import coherence_cells, coherence_edited

__all__ = ["Run", "load"]

# Rules of what a constant switches on: without them a text compiles in a third of the time.
WHERE = re.compile(r"^--@ where (.*)\n((?:.*\n)*?)--@ end\n", re.MULTILINE)
# The head of a text, one of its constants, and what is not a name.
HEAD = re.compile(r"^const.*\n((?:.*\n)*?)(?=type\n)", re.MULTILINE)
CONSTANT = re.compile(r"^  (\w+): *(\w+)(?: \+ (\d+))?;", re.MULTILINE)
TOKEN = re.compile(r'"[^"]*"|--.*|\w+')
REST = "rest"  # in mutants.toml: what fails is the model's liveness property


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A text for rumur, and the property that must fail in it: "" for a model that must be clean."""

    id: str
    kind: str  # "model" or "mutant"
    model: str
    about: str
    expected: str
    states: int  # reachable ones, as the lists tell them; of a mutant those of its model if not told
    text: str
    stuck: bool = False  # what must fail is the liveness property
    short: bool = False  # in the short form that every commit runs
    full: bool = False  # too large for the default set
    agents: int = 0  # of a coherence model

    @property
    def visits(self) -> int:
        """About how many states are searched: all, or few when an assertion or invariant fails on the way."""
        return 0 if self.expected and not self.stuck else self.states

    @property
    def cost(self) -> int:
        """Return a measure of a model's time, to start the longest first: states times the size of one."""
        return max(self.visits, 1) * len(self.text)


@dataclass(frozen=True, slots=True)
class Layer:
    """The parts of the models of one layer: lists, tables, and the functions that write them as text."""

    prefix: str
    table: str
    edited: Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]]], Mapping[str, Any]]
    cells: Callable[[str, Mapping[str, Any]], str]


LAYERS = {
    "link": Layer("", "link.toml", edited, cells),
    "coherence": Layer("coherence-", "coherence.toml", coherence_edited, coherence_cells),
}


def load(spec: Path, kind: str, of: str = "link") -> list[Run]:
    """The `models` or `mutants` of a layer. Raises ValueError when an edit does not fit its text."""
    folder, layer = spec / "model", LAYERS[of]
    table = _toml(spec / layer.table)
    if of == "coherence":
        table["rights"] = {op["name"]: op.get("right", "") for op in _toml(spec / "opcodes.toml")["opcode"]}
    models = {model["id"]: model for model in _toml(folder / f"{layer.prefix}models.toml")["model"]}
    if kind == "models":
        entries = list(models.values())
    else:
        entries = _toml(folder / f"{layer.prefix}mutants.toml")["mutant"]
    return [_run(entry, models[entry.get("model", entry["id"])], folder, layer, table) for entry in entries]


def _run(
    entry: Mapping[str, Any], model: Mapping[str, Any], folder: Path, layer: Layer, table: Mapping[str, Any]
) -> Run:
    text = (folder / model["file"]).read_text()
    for old, new in entry.get("replace", ()):
        if text.count(old) != 1:
            raise ValueError(
                f"{entry['id']}: {old!r} is {text.count(old)} times in {model['file']}, not once"
            )
        text = text.replace(old, new)
    constants = model["constants"] | entry.get("constants", {})
    for name, value in constants.items():
        text, found = re.subn(rf"^(  {name}: *)\d+;", rf"\g<1>{value};", text, flags=re.MULTILINE)
        if found != 1:
            raise ValueError(f"{entry['id']}: no constant {name} in {model['file']}")
    text = WHERE.sub(lambda block: block[2] if any(constants.get(n) for n in block[1].split()) else "", text)
    changed = layer.edited(table, entry.get("cells", ()))
    if "rights" in table:
        changed = {**changed, "rights": table["rights"] | entry.get("rights", {})}
    text = layer.cells(_inlined(text), changed)
    mutant, stuck = entry is not model, entry.get("expected") == REST
    return Run(
        id=entry["id"],
        kind="mutant" if mutant else "model",
        model=model["id"],
        about=entry["about"],
        expected=_rest(text) if stuck else entry.get("expected", ""),
        states=entry.get("states", model["states"]),
        text=text,
        stuck=stuck,
        short=entry.get("short", False),
        full=entry.get("full", False),
        agents=constants.get("AGENTS", 0),
    )


def _inlined(text: str) -> str:
    """A text with its constants in place: rumur copies the declaration of a name with every use of it."""
    head = HEAD.search(text)
    if head is None:
        return text
    values: dict[str, int] = {}
    for name, value, more in CONSTANT.findall(head[1]):
        values[name] = (values[value] if value in values else int(value)) + int(more or 0)
    body = TOKEN.sub(lambda token: str(values.get(token[0], token[0])), text[head.end() :])
    return text[: head.start()] + body


def _rest(text: str) -> str:
    """The liveness property of a model."""
    found = re.search(r'^liveness "([^"]*)"', text, flags=re.MULTILINE)
    assert found is not None
    return found[1]


def _toml(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return tomllib.load(file)
