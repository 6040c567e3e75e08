"""README.md and README.zh-CN.md: what they say is so, and both say the same.

That the commands of their blocks run, and print what is shown, is tested with the other pages.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from docs.pictures.make import FOLDER, PICTURES
from hsl._generated.constants import PROFILE_SENTENCE
from hsl.cli import main
from hsl.engine.select import choose
from hsl.errors import ConfigError

ROOT = Path(__file__).parents[2]
PAGES = {name: (ROOT / name).read_text() for name in ("README.md", "README.zh-CN.md")}
ENGLISH, CHINESE = PAGES.values()
CODE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)]+)\)")
STATES = {"works": "可用", "partial": "部分可用", "absent": "尚无"}
COMING = {"coming", "开发中"}
# Commands of the table that need a file, a peer, a broker, or minutes: only their words are checked.
NOT_RUN = (
    *("hsl node", "hsl codec", "hsl check", "hsl model", "hsl perf", "hsl telemetry"),
    "python examples/attach.py",
)
FILES = ("flits.bin", "trace.jsonl", "sort.lk", "LICENSE")  # that those commands name


def rows(page: str, table: int) -> list[list[str]]:
    """The cells of a table, without its head."""
    tables = re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in tables[table].splitlines()[2:]]


def spans(text: str) -> list[str]:
    """What a text sets as code."""
    return re.findall(r"`([^`]+)`", text)


def links(text: str) -> list[str]:
    """Where the links of a text lead, but for the one to the other language."""
    return [target for _, target in LINK.findall(text) if not target.startswith("README")]


TABLE = [row[1].strip("`") for row in rows(ENGLISH, 0) if row[1] not in COMING]


# ---- each page


@pytest.mark.parametrize("name", PAGES)
def test_size(name: str) -> None:
    """A README has at most 120 lines."""
    assert len(PAGES[name].splitlines()) <= 120


@pytest.mark.parametrize("name", PAGES)
def test_first_words(name: str) -> None:
    """Before the picture a README says what HSL is, what it is not, and where the other language is."""
    first = PAGES[name].split("![")[0]
    assert "Hygon System Link" in first
    assert "海光系统互联总线" in first
    assert PROFILE_SENTENCE in first
    assert re.search(rf"\]\(({'|'.join(PAGES.keys() - {name})})\)", first)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    """Each link and each picture of a README is a file of the tree."""
    targets = [target for _, target in LINK.findall(PAGES[name])]
    assert [target for target in targets if not (ROOT / target).exists()] == []


# ---- both pages


def without_comments(code: str) -> str:
    return re.sub(r" +#.*", "", code)


def differences(english: str, chinese: str) -> Iterator[str]:
    """What one page has and the other has not: headings, code, tables, links, pictures."""
    kinds = ("headings", "code", "spans", "links", "pictures")
    pairs: dict[str, list[list[object]]] = {kind: [] for kind in kinds}
    for page in (english, chinese):
        text = CODE.sub("", page)
        pairs["headings"].append([len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)])
        pairs["code"].append([(language, without_comments(code)) for language, code in CODE.findall(page)])
        pairs["spans"].append(list(spans(text)))
        pairs["links"].append(list(links(page)))
        pairs["pictures"].append([target for picture, target in LINK.findall(page) if picture])
    for what, (left, right) in pairs.items():
        if left != right:
            yield what
    for table in (0, 1):
        for left_row, right_row in zip(rows(english, table), rows(chinese, table), strict=True):
            both = [(len(row), spans(" ".join(row)), links(" ".join(row))) for row in (left_row, right_row)]
            if both[0] != both[1]:
                yield f"row {left_row}"


def test_same_in_both_languages() -> None:
    """Both READMEs have the same headings, code, tables, links and pictures, in the same order."""
    assert list(differences(ENGLISH, CHINESE)) == []
    translated = [STATES[row[1]] for row in rows(ENGLISH, 1)]
    assert translated == [row[1] for row in rows(CHINESE, 1)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--seed 7", "--seed 8"),
        ("## Python", "### Python"),
        ("(docs/faults.md)", "(docs/stress.md)"),
        ("`hsl spec list`", "`hsl spec path`"),
        ("(docs/pictures/", "(docs/"),
        ("767 sent", "768 sent"),
        ("`-v`", "`-q`"),
        ("`hsl-interconnect`", "hsl-interconnect"),
    ],
)
def test_a_difference_is_seen(old: str, new: str) -> None:
    """A command, output, heading, link, picture or word of code that one language alone changes is caught."""
    assert old in CHINESE
    assert list(differences(ENGLISH, CHINESE.replace(old, new, 1)))


# ---- what is claimed


@pytest.mark.parametrize("command", [each for each in TABLE if each.startswith("hsl ")])
def test_command_is_known(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command of the table is one that `hsl` has, with options and values that it takes."""
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        Path(name).touch()
    words = shlex.split(command)[1:]
    found: click.Command = main
    # With the settings of the command: click keeps the names of --help.
    context: click.Context = main.context_class(found, info_name="hsl", **found.context_settings)
    while isinstance(found, click.Group):
        _, child, words = found.resolve_command(context, words)
        assert child is not None
        found = child
        context = found.context_class(found, parent=context, info_name=found.name)
    found.make_context(found.name, words, parent=context.parent)


@pytest.mark.parametrize("command", [each for each in TABLE if not each.startswith(NOT_RUN)])
def test_command_runs(command: str, tmp_path: Path) -> None:
    """Each command of the table that needs nothing else succeeds as it is written."""
    for name in ("LICENSE", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    program, *words = shlex.split(command)
    start = {"hsl": ["-m", "hsl"], "python": []}[program]
    done = subprocess.run(
        [sys.executable, *start, *words], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_what_is_coming_is_not_there() -> None:
    """What the status table calls absent or coming does not exist, and the other parts do."""
    status = {row[0]: row[1:] for row in rows(ENGLISH, 1)}
    assert {state for state, _ in status.values()} == set(STATES)
    coming = {
        span.split()[1]
        for _, remarks in status.values()
        if "coming" in remarks
        for span in spans(remarks)
        if span.startswith("hsl ")
    }
    assert coming == {"trace", "conform"}
    assert not coming & set(main.commands)
    assert choose("codec", "native") == "native"
    with pytest.raises(ConfigError):
        choose("link", "native")
    assert [path for path in ROOT.glob("hsl/**/*") if path.suffix in (".v", ".sv", ".vhd")] == []


def test_numbers_of_the_specification() -> None:
    """The numbers of chapters and vectors are those of the specification."""
    chapters = len(list((ROOT / "spec/text").glob("*.md")))
    vectors = 0
    for path in (ROOT / "spec/vectors").glob("*.json"):
        vectors += len(json.loads(path.read_text()).get("vectors", []))
    for page in PAGES.values():
        assert re.search(rf"\b{chapters}\b", rows(page, 1)[0][0])
        assert f"{vectors:,}" in rows(page, 0)[1][0]


def test_python_runs() -> None:
    """The lines of Python run as they are written, and the link has repaired something."""
    (code,) = [code for language, code in CODE.findall(ENGLISH) if language == "python"]
    assert len(code.splitlines()) <= 12
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:3] == ["b'hello'", "cpu finds 0", "gpu finds 1"]
    assert int(done.stdout.split()[-1]) > 0


# ---- pictures


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_that_of_the_run(name: str) -> None:
    """A picture that is checked in is what its run gives today, to the byte; else run `make pictures`."""
    assert PICTURES[name]() == (FOLDER / name).read_text()


def test_every_picture_is_made() -> None:
    """Each picture of the folder has a maker, and README shows only such pictures."""
    assert {path.name for path in FOLDER.glob("*.svg")} == set(PICTURES)
    shown = {target for picture, target in LINK.findall(ENGLISH) if picture}
    assert shown == {f"docs/pictures/{name}" for name in PICTURES}
