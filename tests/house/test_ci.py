"""`.ci/run`, with every command it calls replaced by a stub that writes down how it was called."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TARGETS = [
    "host",
    "venv",
    "test",
    "lint",
    "types",
    "drift",
    "layers",
    "coverage",
    "ctest",
]  # steps that are called so
STUB = '#!/bin/sh\necho "$HSL_CI $(basename "$0") $*" >> "$CALLS"\ncase "$*" in "$FAIL") exit 9;; esac\n'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with `.ci/run` in it and stubs of what it calls in `bin`."""
    (tmp_path / "bin").mkdir()
    for name in ("apt-get", "make"):
        stub = tmp_path / "bin" / name
        stub.write_text(STUB)
        stub.chmod(0o755)
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    return tmp_path


def run(tree: Path, fail: str = "nothing") -> tuple[subprocess.CompletedProcess[str], list[str]]:
    calls = tree / "calls"
    environment = {"PATH": f"{tree / 'bin'}:{os.environ['PATH']}", "CALLS": str(calls), "FAIL": fail}
    done = subprocess.run(
        ["bash", tree / ".ci/run"], env=environment, capture_output=True, text=True, timeout=60
    )
    return done, calls.read_text().splitlines()


def test_every_step_in_order(tree: Path) -> None:
    """CI updates apt first, runs `make test`, then all other checks, and tells the seconds of each."""
    done, calls = run(tree)
    assert done.returncode == 0, done.stderr
    assert calls[0] == "1 apt-get -q update"
    made = [call.removeprefix("1 make ") for call in calls if "make " in call and "apt-get" not in call]
    assert made == [*TARGETS, "shortmodels"]
    assert re.findall(r"\d+ s  (\w+)", done.stdout)[-len(made) - 1 :] == [*TARGETS, "models", "in"]


@pytest.mark.parametrize("name", ["test", "lint", "types", "drift", "layers", "coverage", "ctest"])
def test_first_failure_ends_it(tree: Path, name: str) -> None:
    """The first step that fails is named and ends the run with its status."""
    done, calls = run(tree, fail=name)
    assert done.returncode == 9
    assert calls[-1] == f"1 make {name}"
    assert f"FAILED: {name} (exit 9)" in done.stdout


def test_the_models_are_a_step(tree: Path) -> None:
    """A model that is not clean fails the run, under the name of the step."""
    done, calls = run(tree, fail="shortmodels")
    assert (done.returncode, calls[-1]) == (9, "1 make shortmodels")
    assert "FAILED: models (exit 9)" in done.stdout


def test_tools_of_the_tests_are_installed() -> None:
    """What a `tool` marker names, CI installs: where HSL_CI=1, a missing tool is a failure."""
    script = (ROOT / ".ci/run").read_text()
    for path in (ROOT / "tests").rglob("test_*.py"):
        if path.name != "test_external_tools.py":
            for package in re.findall(r"mark\.tool\([^)]*apt=\"([^\"]+)\"", path.read_text()):
                assert package in script.split(), f"{path}: {package}"
