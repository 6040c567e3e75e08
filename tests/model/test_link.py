"""`hsl model link`: models that are clean, mutants that are caught, and a host without the tools."""

import importlib.resources
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from hsl.cli import main, rumur
from hsl.cli import model as cli_model
from hsl.cli.exits import ExitCode
from hsl.cli.processes import Children
from spec.gen.emit_murphi import MARK, cells, edited
from spec.gen.load import ROOT

SCHEMA = json.loads((importlib.resources.files("hsl.cli") / "schemas/model.json").read_text())
LINK = tomllib.loads((ROOT / "link.toml").read_text())
REGISTRY = cli_model.texts(ROOT.parent)
MODELS, MUTANTS = (REGISTRY.load(ROOT, kind) for kind in ("models", "mutants"))
# Small ones of each text; the whole set is `make models`.
QUICK_MODELS = ("low-power-both", "port")
QUICK_MUTANTS = ("A5-two-sided", "A12-own-masks", "A14-link-alone")
TOY = "var x: 0..3;\nstartstate begin x := 0; end;\nrule x < 3 ==> begin x := x + 1; end;\n"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["model", "link", *arguments])


def processes(group: int) -> list[int]:
    """The processes of a group. Any other process of the machine may end while we look."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            _, _, own, *_ = path.read_text().rpartition(")")[2].split()
            found += [int(path.parent.name)] * (int(own) == group)
    return found


def report(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    jsonschema.validate(document, SCHEMA)
    return document


def only(*names: str) -> list[str]:
    return [part for name in names for part in ("--only", name)]


@pytest.fixture
def checker(tmp_path: Path) -> Iterator[rumur.Checker]:
    with Children() as children:
        yield rumur.Checker(tmp_path / "cache", 60, children)


@pytest.mark.tool("rumur", apt="rumur")
def test_small_models_are_clean() -> None:
    """Two small models are clean, and the JSON says of how many states."""
    result = run("--json", *only(*QUICK_MODELS))
    document = report(result)
    assert (result.exit_code, document["ok"]) == (ExitCode.OK, True)
    assert {row["id"]: (row["verdict"], row["states"]) for row in document["runs"]} == {
        entry.id: ("clean", entry.states) for entry in MODELS if entry.id in QUICK_MODELS
    }


@pytest.mark.tool("rumur", apt="rumur")
def test_mutants_are_caught() -> None:
    """A mutant of each text is caught by the property that is named for it, with the way there."""
    result = run("--json", "--mutants", *only(*QUICK_MUTANTS))
    document = report(result)
    assert (result.exit_code, document["ok"]) == (ExitCode.OK, True)
    for row in document["runs"]:
        assert (row["verdict"], row["violated"]) == ("caught", row["expected"])
        assert row["trace"][0].startswith("Startstate")


@pytest.mark.tool("rumur", apt="rumur")
def test_verdicts(checker: rumur.Checker) -> None:
    """An assertion, an invariant and a liveness property that fail are told by text; what holds is clean."""
    assert checker.check(TOY).violated == ""
    assert checker.check(TOY).states == 4
    assert checker.check(TOY + 'invariant "small" x < 3;\n').violated == "small"
    assert checker.check(TOY.replace("x := x + 1", 'assert "low" x < 2; x := x + 1')).violated == "low"
    stuck = checker.check(TOY + 'liveness "home again" x = 0;\n')
    assert stuck.violated == "home again"
    assert len(stuck.trace) >= 2


@pytest.mark.tool("rumur", apt="rumur")
def test_cache(checker: rumur.Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same text is compiled once, another text anew; the cache keeps what was used last."""
    assert [checker.check(text).cached for text in (TOY, TOY, TOY + "-- other\n")] == [False, True, False]
    assert checker.check(TOY, states=1).cached
    assert not checker.check(TOY, states=rumur.EFFORT[-1][0]).cached  # gcc has more to do for a long search
    monkeypatch.setattr(rumur, "MAX_PROGRAMS", 2)
    (checker.cache / "a file of the user").touch()
    checker.check(TOY + "-- third\n")
    assert len(list(checker.cache.iterdir())) == 3
    assert (checker.cache / "a file of the user").exists(), "only programs of the cache are removed from it"
    assert checker.check(TOY + "-- third\n").cached


@pytest.mark.tool("rumur", apt="rumur")
def test_no_verdict(checker: rumur.Checker) -> None:
    """A text that rumur refuses and a search that takes too long are no verdict."""
    with pytest.raises(rumur.ModelBroken, match="syntax error"):
        checker.check("nonsense")
    endless = "var x: 0..100000000;\nstartstate begin x := 0; end;\n"
    checker.timeout = 0.2
    with pytest.raises(rumur.ModelBroken, match="no verdict"):
        checker.check(endless + "rule x < 100000000 ==> begin x := x + 1; end;\n")
    assert len(processes(checker.children.group)) == 1, "the search goes on"  # the guard of the group


@pytest.mark.tool("rumur", apt="rumur")
def test_missed_mutant_fails(checker: rumur.Checker) -> None:
    """A mutant that does nothing is missed, one caught by another property astray; both are failures."""
    entry = next(entry for entry in MUTANTS if entry.id == "A5-two-sided")
    fields = {name: getattr(entry, name) for name in entry.__slots__}
    idle = REGISTRY.Run(**fields | {"id": "idle", "text": TOY})
    other = REGISTRY.Run(**fields | {"id": "other", "text": TOY + 'invariant "small" x < 3;\n'})
    rows = cli_model.search(checker, [idle, other], jobs=1)
    assert [(row["verdict"], row["ok"]) for row in rows] == [("missed", False), ("astray", False)]


@pytest.mark.parametrize("tool", ["rumur", "gcc"])
def test_tool_missing(tool: str, tmp_path: Path) -> None:
    """Without rumur or gcc the exit status is 3, and the message has the line that installs it."""
    for name in {"rumur", "gcc"} - {tool}:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "hsl", "model", "link"],
        env={"PATH": str(tmp_path), "PYTHONPATH": str(ROOT.parent)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert (
        f"{tool} is not installed: apt-get install -y --no-install-recommends {rumur.APT[tool]}"
        in done.stderr
    )


def test_no_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the package is installed without its source tree the exit status is 3, and we say why."""
    monkeypatch.setattr(cli_model, "ROOT", tmp_path)
    result = run()
    assert result.exit_code == ExitCode.INTERNAL
    assert "checkout of hsl, not in the installed package" in result.stderr


@pytest.mark.tool("rumur", apt="rumur")
def test_cache_that_cannot_be_made() -> None:
    """A folder that cannot be made is bad input, told in one line."""
    result = run("--cache", "/dev/null/models")
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert "--cache /dev/null/models" in result.stderr


@pytest.mark.tool("rumur", apt="rumur")
def test_short_form() -> None:
    """--short leaves out the long models, of --only too; nothing left is exit code 5; mutants have none."""
    document = report(run("--json", "--short", *only("low-power-both", "replay")))
    assert [row["id"] for row in document["runs"]] == ["low-power-both"]
    assert run("--short", *only("replay")).exit_code == ExitCode.NOTHING
    assert run("--short", "--mutants").exit_code == ExitCode.USAGE


def test_the_short_form_has_every_text() -> None:
    """What every commit runs has a model of each text, and fail-over with 2 and with 3 links."""
    entries = tomllib.loads((ROOT / "model/models.toml").read_text())["model"]
    short = [entry for entry in entries if entry.get("short")]
    assert {entry["file"] for entry in short} == {entry["file"] for entry in entries}
    assert {entry["id"] for entry in short} >= {"bond-2", "bond-3"}


def test_mutants_differ() -> None:
    """Each mutant is a text of its own, and names a property that its model has."""
    models = {entry.id: entry for entry in MODELS}
    assert len({entry.text for entry in [*MODELS, *MUTANTS]}) == len(MODELS) + len(MUTANTS)
    for entry in MUTANTS:
        assert f'"{entry.expected}"' in models[entry.model].text, entry.id


def test_faults_of_the_first_draft_are_mutants() -> None:
    """Every fault of the link's first draft that a model can show is a mutant."""
    faults = {entry.id.split("-")[0] for entry in MUTANTS if entry.id.startswith("A")}
    assert faults == {f"A{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 14, 16)}


def test_constants_are_in_place() -> None:
    """The constants of the head are numbers in what rumur gets; strings and comments keep their words."""
    text = 'const -- what\n  N: 2; -- so many\n  M: N + 1;\n\ntype\n  T: 0..M; -- M\ninvariant "N" NM < N;\n'
    assert REGISTRY._inlined(text) == 'type\n  T: 0..3; -- M\ninvariant "N" NM < 2;\n'
    assert REGISTRY._inlined(TOY) == TOY


def test_effort_follows_what_is_searched() -> None:
    """A mutant that fails on the way is a short search, one that sticks somewhere is searched whole."""
    for entry in MUTANTS:
        sticks = f'liveness "{entry.expected}"' in entry.text
        assert entry.visits == (entry.states if sticks else 0), entry.id


def test_cells_are_those_of_the_table() -> None:
    """A cell of the table reaches the model's text with its actions by name, its state, and its guard."""
    text = cells(next(entry.text for entry in MODELS if entry.id == "replay"), LINK)
    assert MARK not in text
    assert "case ACTIVE: accept(s); resync_replay(s); resync_ack_due(s); -- G R1 M\n" in text
    assert (
        "case CONFIG: if seen[s] then enter(s, INIT); take_credits(s); enter(s, ACTIVE); endif; -- I?" in text
    )
    rows = {
        int(number): body for number, body in re.findall(r"-- row (\d+)\n(.*?)\nend;", text, flags=re.DOTALL)
    }
    assert rows[49].startswith("  if st[s] = INIT & seen[s] then enter(s, ACTIVE); endif; -- J\n")
    assert "DEAD" not in rows[49]


def test_changed_table_changes_the_model() -> None:
    """An edit of a cell changes the text; one that expects another cell than the table's is refused."""
    edit = {"row": 49, "state": "ACTIVE", "was": "G R1 M", "cell": "c"}
    text = (ROOT / "model/link.m").read_text()
    assert cells(text, edited(LINK, [edit])) != cells(text, LINK)
    with pytest.raises(ValueError, match="row 49, ACTIVE"):
        edited(LINK, [edit | {"was": "i"}])


def test_readme_has_every_model() -> None:
    """The README of the models tells the states and constants of each, as models.toml has them."""
    readme = (ROOT / "model/README.md").read_text()
    for entry in tomllib.loads((ROOT / "model/models.toml").read_text())["model"]:
        constants = ", ".join(f"{name} {value}" for name, value in entry["constants"].items())
        assert f"| {entry['id']} | {entry['file']} | {constants} | {entry['states']:,} |" in readme, entry[
            "id"
        ]


@pytest.mark.parametrize("of", ["link", "coherence"])
def test_readme_has_every_mutant(of: str) -> None:
    """The README says how many mutants there are, and names each at the property that catches it."""
    readme = (ROOT / "model/README.md").read_text()
    lists = "coherence-mutants" if of == "coherence" else "mutants"
    mutants = tomllib.loads((ROOT / f"model/{lists}.toml").read_text())["mutant"]
    assert f"The {len(mutants)} mutants " in readme
    for expected in {entry["expected"] for entry in mutants}:
        names = ", ".join(f"`{entry['id']}`" for entry in mutants if entry["expected"] == expected)
        assert f"| {expected} | {names} |" in readme, expected
