"""The libFuzzer target of the C decoder: it builds, runs over the corpus, and finds a bug that is planted."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "fuzz/corpus/codec_differential"
RUNS = 5000
# A message that is one granule short of whole is taken for whole.
PLANTED = ("src/run.h", "granules - 1 < run->end - at;", "granules - 1 < run->end - at + 1;")

pytestmark = [pytest.mark.tool("clang", apt="clang"), pytest.mark.tool("clang", apt="libclang-rt-dev")]


def run(*command: str | Path, code: int = 0) -> str:
    """The output of a command that must end with `code`."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def build(tree: Path) -> Path:
    """The target of the sources in `tree`, under both sanitizers."""
    options = ["-DCMAKE_C_COMPILER=clang", "-DHSL_FUZZ=ON", "-DHSL_SANITIZE=ON", "-DHSL_WERROR=ON"]
    run("cmake", "-S", tree / "native", "-B", tree / "build", "-G", "Ninja", *options)
    run("cmake", "--build", tree / "build")
    return tree / "build/fuzz/fuzz_decode"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The sources that the target needs, to plant a bug in."""
    for folder in ("native", "fuzz"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_target_finds_nothing(tree: Path) -> None:
    """A few thousand inputs that grow from the corpus end without a finding."""
    options = (f"-runs={RUNS}", "-seed=1", f"-artifact_prefix={tree}/")
    shown = run(build(tree), *options, tree / "fuzz/corpus/codec_differential")
    done = re.search(r"Done (\d+) runs", shown)
    assert done is not None, shown
    assert int(done[1]) >= RUNS


def test_target_finds_a_planted_bug(tree: Path) -> None:
    """A decoder that takes a granule too many is found with the corpus alone."""
    file, there, planted = PLANTED
    text = (tree / "native" / file).read_text()
    assert there in text
    (tree / "native" / file).write_text(text.replace(there, planted))
    findings = f"-artifact_prefix={tree}/"
    run(build(tree), "-runs=0", findings, tree / "fuzz/corpus/codec_differential", code=77)
