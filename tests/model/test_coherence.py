"""`hsl model coherence`: a line made from the tables that the engines run, and faults planted in it."""

import importlib.resources
import json
import tomllib
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from hsl.cli import main
from hsl.cli import model as cli_model
from hsl.cli.exits import ExitCode
from spec.gen.emit_murphi_coherence import coherence_cells, coherence_edited
from spec.gen.load import ROOT

SCHEMA = json.loads((importlib.resources.files("hsl.cli") / "schemas/model.json").read_text())
OPCODES = tomllib.loads((ROOT / "opcodes.toml").read_text())["opcode"]
RIGHTS = {opcode["name"]: opcode.get("right", "") for opcode in OPCODES}
TABLE = tomllib.loads((ROOT / "coherence.toml").read_text()) | {"rights": RIGHTS}
REGISTRY = cli_model.texts(ROOT.parent)
MODELS, MUTANTS = (REGISTRY.load(ROOT, kind, "coherence") for kind in ("models", "mutants"))
STALE_EVICT = {
    "of": "ra",
    "s": ["S", "E"],
    "e": ["evict"],
    "was": "send Evict, drop / II_A",
    "row": "drop / I",
}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["model", "coherence", *arguments])


def report(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    jsonschema.validate(document, SCHEMA)
    return document


@pytest.mark.tool("rumur", apt="rumur")
def test_a_mutant_is_caught() -> None:
    """A changed row of the table is caught by the property that is named for it, with the way there."""
    result = run("--json", "--mutants", "--only", "silent-evict")
    document = report(result)
    assert (result.exit_code, document["ok"]) == (ExitCode.OK, True)
    (row,) = document["runs"]
    assert (row["verdict"], row["violated"]) == ("caught", row["expected"])
    assert row["trace"][0].startswith("Startstate")


def test_selection() -> None:
    """--agents and --full choose models; where none is left the exit status is 5."""
    chosen = cli_model.selected
    small = {entry.id for entry in chosen(MODELS, False, (), {"agents": None, "full": False, "short": False})}
    three = {entry.id for entry in chosen(MODELS, False, (), {"agents": 3, "full": True, "short": False})}
    assert small == {entry.id for entry in MODELS if not entry.full}
    assert three == {entry.id for entry in MODELS if entry.agents == 3}
    assert three - small


def test_cells_are_those_of_the_tables() -> None:
    """Rows reach the text with their guards, actions and next state; DO is followed by its event."""
    text = next(entry.text for entry in MODELS if entry.id == "two")
    assert "--@" not in text
    assert "    case S: ra_do_drop(); ra_do_rsp(I); st[me] := I;\n" in text
    assert (
        "if (ha_who() = who_none) & (ha_dir() = dir_I | ha_dir() = dir_S) then t_ctl := DO_; follow := go;\n"
        in text
    )
    for of in ("ra", "ha"):
        for event in TABLE[of]["events"]:
            assert f"procedure {of}_{event}(" in text


def test_changed_table_changes_the_model() -> None:
    """An edit of a row comes before the row it changes; one that expects another row is refused."""
    text = (ROOT / "model/coherence.m").read_text()
    changed = coherence_cells(text, coherence_edited(TABLE, [STALE_EVICT]))
    assert changed != coherence_cells(text, TABLE)
    assert "case E: ra_do_drop(); st[me] := I;" in changed
    with pytest.raises(ValueError, match="no row is 'hit / ='"):
        coherence_edited(TABLE, [STALE_EVICT | {"was": "hit / ="}])


def test_rights_are_those_of_the_opcodes() -> None:
    """A model refuses a request for want of the rights that `opcodes.toml` asks for; an atomic needs both."""
    text = coherence_cells("--@ rights\n", TABLE)
    reads, writes = (set(line.split("return ")[1].split("; ")[0].split(" | ")) for line in text.splitlines())
    assert {"op = ReadShared", "op = AtomicLoad"} <= reads
    assert {"op = WriteFull", "op = AtomicLoad"} <= writes
    assert not {"op = Evict", "op = WbFull"} & (reads | writes)
    stricter = TABLE | {"rights": RIGHTS | {"MakeUnique": "RWC"}}
    assert "op = MakeUnique" in coherence_cells("--@ rights\n", stricter).splitlines()[0]


def test_rows_of_the_second_edition_are_mutants() -> None:
    """Every fault of the first edition that these models have is planted, once at least."""
    faults = {entry.about.split(":")[0] for entry in MUTANTS}
    assert {"B1", "B2", "B3", "B4", "B5", "B9", "B14", "poison", "D2"} <= faults


def test_mutants_differ() -> None:
    """There are twelve mutants at least; each is a text of its own, and names a property of its model."""
    models = {entry.id: entry for entry in MODELS}
    assert len(MUTANTS) >= 12
    assert len({entry.text for entry in [*MODELS, *MUTANTS]}) == len(MODELS) + len(MUTANTS)
    for entry in MUTANTS:
        assert f'"{entry.expected}"' in models[entry.model].text, entry.id
        assert entry.about, entry.id


def test_faults_of_the_first_draft_are_mutants() -> None:
    """Every fault of the first draft of this layer is a mutant, or the README says why it is none."""
    faults = {entry.about.split(":")[0] for entry in MUTANTS} & {str(number) for number in range(1, 15)}
    assert faults == {str(number) for number in range(1, 15)} - {"9", "11", "12", "14"}
    readme = (ROOT / "model/README.md").read_text()
    for number in ("9", "11", "12", "14"):
        assert f"| {number} | none: " in readme, number
    for entry in MUTANTS:
        assert f"`{entry.id}`" in readme, entry.id


def test_readme_has_every_model() -> None:
    """The README of the models tells the states and constants of each, as coherence-models.toml has them."""
    readme = (ROOT / "model/README.md").read_text()
    for entry in tomllib.loads((ROOT / "model/coherence-models.toml").read_text())["model"]:
        constants = ", ".join(f"{name} {value}" for name, value in entry["constants"].items())
        line = f"| {entry['id']} | {entry['file']} | {constants} | {entry['states']:,} |"
        assert line in readme, entry["id"]
