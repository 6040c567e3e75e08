"""`hsl spec`: where the files of the specification are."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hsl.cli import main
from hsl.cli.exits import ExitCode
from hsl.spec_files import FILES, SpecFile
from tests.cli.test_demo import validate

ROOT = Path(__file__).parents[2]
COLUMNS = 80


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["spec", *arguments])


def test_list() -> None:
    """Each name has one line that fits a terminal, and the document says the same."""
    lines = call("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [file.name for file in FILES]
    assert max(map(len, lines)) < COLUMNS
    document = json.loads(call("list", "--json").stdout)
    validate(document, "spec.list")
    assert [file["name"] for file in document["files"]] == [file.name for file in FILES]


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_path(name: str) -> None:
    """`hsl spec path NAME` prints the path of a file or folder that is there."""
    result = call("path", name)
    assert result.exit_code == ExitCode.OK
    path = Path(result.stdout.removesuffix("\n"))
    assert path.exists()
    assert path.stem == Path(name).stem


def test_every_table_has_a_name() -> None:
    """No table, generated file or folder of the specification is left out of the list."""
    places = {file.place.split("/")[0] for file in FILES} | {file.place for file in FILES}
    published = {path.name for path in (ROOT / "spec").iterdir() if not path.name.startswith("__")}
    assert published - {"gen", "model"} <= places
    assert {f"generated/{path.name}" for path in (ROOT / "spec/generated").iterdir()} <= places


def test_the_folder() -> None:
    """Without a NAME it is the folder; `--json` says the same in a document."""
    assert call("path").stdout == f"{ROOT / 'spec'}\n"
    document = json.loads(call("path", "--json").stdout)
    validate(document, "spec.path")
    assert document == {"schema": "hsl.spec.path/1", "name": None, "path": str(ROOT / "spec")}


def test_a_file_by_its_place() -> None:
    """A file without a name of its own is found by its place in the folder."""
    assert call("path", "vectors/ctl.json").stdout == f"{ROOT / 'spec/vectors/ctl.json'}\n"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("hsl_pkg.vs", "did you mean hsl_pkg.sv?"),
        ("xyzzy", "`hsl spec list` lists the names"),
        ("../pyproject.toml", "`hsl spec list` lists the names"),
        ("/etc/passwd", "`hsl spec list` lists the names"),
    ],
)
@pytest.mark.parametrize("how", [(), ("--json",)])
def test_unknown_name(name: str, hint: str, how: tuple[str, ...]) -> None:
    """An unknown NAME, or a file outside of the folder, is one line with the nearest name, and status 5."""
    result = call("path", name, *how)
    assert result.exit_code == ExitCode.NOTHING
    assert result.stdout == ""
    assert result.stderr == f"hsl: the specification has no file {name}; {hint}\n"


def test_a_folder_whose_name_is_not_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    """The document of a package in such a folder is valid for parsers that refuse lone surrogates."""
    monkeypatch.setattr("hsl.cli.spec.spec_folder", lambda: Path(os.fsdecode(b"/opt/n\xff")))
    assert json.loads(call("path", "--json").stdout)["path"] == r"/opt/n\xff"


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.place.startswith("generated/")], ids=lambda f: f.name
)
def test_a_generated_file_is_called_what_it_is(file: SpecFile) -> None:
    """The line about a generated file names the language that its suffix stands for."""
    words = {".h": "for C", ".sv": "for SystemVerilog", ".json": "JSON document", ".dot": "(graphviz)"}
    assert file.about.endswith(words[file.path.suffix])
    assert "bring-up" in file.about or "bring_up" not in file.name
