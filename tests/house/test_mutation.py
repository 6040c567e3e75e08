"""The mutation tester: what it mutates, what becomes of a mutant, and that nothing is left behind."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from tests.mutation import __main__ as command
from tests.mutation import trial
from tests.mutation.bench import opened
from tests.mutation.mutants import Mutant, changes, sample, skeleton
from tests.mutation.packages import PACKAGES, Package

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "tests/mutation/report.schema.json").read_text())
TOY = Package(("hsl/toy.py",), ("tests/toy",), 100.0)
SOURCE = '''
"""Three functions: one that is tested, one that a fault makes hang, and one that no test calls."""
import logging

log = logging.getLogger(__name__)
__all__ = ["larger", "untested", "zero"]


def larger(a: int | None, b: int) -> int:
    """Return the larger of 1 and 2."""
    assert a is not None and b != 7
    log.info("%s and %s", a + 1, b)
    return max(a, b)


def zero(count: int) -> int:
    while count > 0:
        count -= 1
    return 0


def untested(value: int) -> int:
    return value + 1
'''
TEST = """
from hsl.toy import larger, zero

def test_larger():
    assert larger(1, 2) == 2

def test_zero():
    assert zero(3) == 0
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with one module and its tests; copies of it are made below `copies`, and tests end quickly."""
    root = tmp_path / "toy"
    for name, text in {"hsl/__init__.py": "", "hsl/toy.py": SOURCE, "tests/toy/test_toy.py": TEST}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (tmp_path / "copies").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "copies"))
    monkeypatch.setattr(trial, "TEST_SECONDS", 0.5)
    return root


@pytest.fixture
def mutate(toy: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command, for the toy."""
    monkeypatch.setattr(command, "ROOT", toy)
    monkeypatch.setattr(command, "PACKAGES", {"toy": TOY})

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(command.main, ["--budget", "5", "--processes", "1", *arguments])

    return run


def line_of(text: str) -> int:
    return SOURCE[: SOURCE.index(text)].count("\n") + 1


def test_a_run(mutate: Callable[..., Result], toy: Path, tmp_path: Path) -> None:
    """A run counts mutants that are killed, that hang and that survive, and writes the survivors as JSON."""
    path = tmp_path / "report.json"
    done = mutate("--json", str(path))
    assert done.exit_code == 0, f"survivors are no failure: {done.output}"
    found = json.loads(path.read_text())
    jsonschema.validate(found, SCHEMA)
    counts = found["packages"]["toy"]
    assert counts["killed"] >= 1
    assert counts["timeout"] >= 1, "a mutant that hangs is killed by its time"
    lines = [each["line"] for each in found["survivors"]]
    assert line_of("value + 1") in lines, "no test calls the function"
    assert line_of("max(a, b)") not in lines, "a test asks for the larger number"
    assert found["survivors"][-1]["tests"] == {}, "no test reaches the line"
    judged = counts["killed"] + counts["timeout"] + counts["survived"]
    assert counts["score"] == round(100 * (judged - counts["survived"]) / judged, 1)
    assert "toy" in done.stdout
    assert "ran 5 of 5 mutants" in done.stderr, "progress is told"
    assert (toy / "hsl/toy.py").read_text() == SOURCE, "only copies are mutated"
    assert not list((tmp_path / "copies").iterdir()), "the copies are removed"


def test_a_fault_in_the_tree(mutate: Callable[..., Result], toy: Path) -> None:
    """Tests that fail without a mutant are an error that names them."""
    with (toy / "tests/toy/test_toy.py").open("a") as file:
        file.write("\ndef test_wrong():\n    assert larger(1, 2) == 3\n")
    done = mutate()
    assert done.exit_code == 3
    assert "tests fail without a fault: tests/toy/test_toy.py::test_wrong" in done.stderr


def test_a_test_in_real_time(mutate: Callable[..., Result], toy: Path, tmp_path: Path) -> None:
    """A test that fails under coverage and passes without it is left out of the run, which says so."""
    with (toy / "tests/toy/test_toy.py").open("a") as file:
        file.write("\nimport sys\ndef test_slow():\n    assert sys.gettrace() is None\n")
    done = mutate("--json", str(tmp_path / "report.json"))
    assert done.exit_code == 0, done.output
    assert (
        "1 tests fail under coverage alone and were left out: tests/toy/test_toy.py::test_slow" in done.stderr
    )


def test_an_interrupt(mutate: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """^C in the middle of the run ends it with 2, and the copies are removed."""

    def interrupt(meters: command.Meters, what: str, done: int, total: int) -> None:
        assert list((tmp_path / "copies").iterdir()), "the run is in its middle"
        raise KeyboardInterrupt

    monkeypatch.setattr(command.Meters, "show", interrupt)
    done = mutate()
    assert (done.exit_code, done.stderr) == (2, "mutation: interrupted\n")
    assert not list((tmp_path / "copies").iterdir())


def test_a_missing_tool(mutate: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool that is missing ends the run with the line that installs it."""
    monkeypatch.setattr(command, "PACKAGES", {"native": PACKAGES["native"]})
    monkeypatch.setattr(shutil, "which", lambda name: None)
    done = mutate()
    assert done.exit_code == 3
    assert "cmake, ninja, ctest missing; install: make venv" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("--budget", "0"), ("--seed", "-1"), ("--package", "nothing"), ("what",)]
)
def test_wrong_arguments(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong arguments end with 4, before anything is copied."""
    monkeypatch.setattr("sys.argv", ["mutation", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.command()
    assert ended.value.code == 4


def test_same_seed_same_sample(toy: Path) -> None:
    """A sample follows from the seed and the sources: one mutant of a line, and another seed draws others."""

    def drawn(seed: int) -> list[Mutant]:
        return sample(ROOT, "capture", PACKAGES["capture"], seed, 10)

    assert drawn(1) == drawn(1), "the same seed draws the same"
    assert drawn(1) != drawn(2)
    places = [(each.file, each.line) for each in drawn(1)]
    assert len(set(places)) == 10


@pytest.mark.parametrize(
    "text", ["Return the larger", "__all__", "assert a", "log.info", "def larger", "import logging", "Three"]
)
def test_what_is_not_mutated(toy: Path, text: str) -> None:
    """Docstrings, exports, assertions, log lines and declarations are left alone."""
    lines = {each.line for each in sample(toy, "toy", TOY, 1, 1000)}
    assert line_of(text) not in lines


def test_words_for_people_are_not_mutated() -> None:
    """Annotations, prose and the text of a repr do not make a mutant."""
    same = (
        'x: int = 1\nraise ValueError("is wrong 1")\nclass A:\n    def __repr__(self):\n        return "1"\n'
    )
    other = same.replace("int", "str").replace("wrong 1", "wrong 2").replace('"1"', '"2"')
    assert skeleton(same) == skeleton(other)
    assert skeleton(same) != skeleton(same.replace("= 1", "= 2"))


def test_comments_of_c_are_not_mutated() -> None:
    """C is mutated line by line, without comments and directives."""
    text = "#define N 4\n// return 1;\n/* a < 1 */\nint f(int a) {\n    return a < 1;\n}\n"
    assert set(changes(text, ".c")) == {5}


def test_nothing_outlives_a_job(toy: Path) -> None:
    """When the time of a job is over, processes that left its group end too."""
    with opened(toy) as bench:
        script = "setsid sleep 60 & echo $! > pid; wait"
        answer = bench.ask("command", 2.0, command=["sh", "-c", script])
        assert answer["status"] == "timeout"
        pid = int((bench.root / "pid").read_text())
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("name", PACKAGES)
def test_packages_have_sources_and_tests(name: str) -> None:
    """Each package has sources to mutate, and tests of its own."""
    assert PACKAGES[name].files(ROOT)
    assert PACKAGES[name].own_tests(ROOT)
