"""A copy of the project's tree, the faults that are planted in it, and the programs that run there.

A planted fault is a file `tests/mutants/NAME.patch`: lines of `Key: value`, an empty line, and a unified diff
for `patch -p1`. The keys: `Mutant`, the name; `Rule`, the rule that the fault breaks; `Test`, a test that
must catch it, as pytest's node id or as `ctest:NAME` (may be repeated); `Tool`, an `hsl` command that must
find it too (may be repeated).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = ["MUTANTS", "ROOT", "Mutant", "MutantTree", "copied", "mutants"]

ROOT = Path(__file__).parents[2]
MUTANTS = ROOT / "tests" / "mutants"
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "build", "__pycache__", ".*_cache", ".hypothesis", "*.so")
BUILD_SECONDS = 120.0
TOOL_SECONDS = 900.0
# The editable install maps `hsl` to the checkout: in the copy its finder must go.
SITE = """import sys
sys.meta_path[:] = [each for each in sys.meta_path if not type(each).__module__.startswith("_editable_")]
sys.path.insert(0, {tree!r})
"""


class Mutant(NamedTuple):
    """A planted fault: its name, the rule that it breaks, the tests and the commands that catch it."""

    name: str
    rule: str
    tests: tuple[str, ...]
    tools: tuple[str, ...]
    path: Path

    @classmethod
    def read(cls, path: Path) -> Mutant:
        """Read the header of a patch. Raises ValueError for a key that is missing or unknown."""
        found: dict[str, list[str]] = {"Mutant": [], "Rule": [], "Test": [], "Tool": []}
        for line in path.read_text().split("\n\n")[0].splitlines():
            key, colon, value = line.partition(": ")
            if not colon or key not in found:
                raise ValueError(f"{path.name}: {line!r}: expected one of {', '.join(found)}, and a value")
            found[key].append(value.strip())
        if found["Mutant"] != [path.stem] or len(found["Rule"]) != 1 or not found["Test"]:
            raise ValueError(f"{path.name}: expected `Mutant: {path.stem}`, one Rule, and at least one Test")
        return cls(path.stem, found["Rule"][0], tuple(found["Test"]), tuple(found["Tool"]), path)


def mutants() -> list[Mutant]:
    """Read all planted faults, in the order of their names."""
    return [Mutant.read(path) for path in sorted(MUTANTS.glob("*.patch"))]


class MutantTree:
    """A copy of the tree at `root`, in which programs import `hsl` and `tests` from the copy."""

    def __init__(self, root: Path) -> None:
        site = root / ".site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(SITE.format(tree=str(root)))
        self.root = root
        self.environment = os.environ | {
            "PYTHONPATH": str(site),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, *command: str, seconds: float = BUILD_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run a command in the copy; stdout and stderr are one text. Raises TimeoutExpired."""
        return subprocess.run(
            command,
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )

    def ctest(self, name: str) -> subprocess.CompletedProcess[str]:
        """Build the C tests in the copy with sanitizers and run the one with this name."""
        define = ("-DHSL_TESTS=ON", "-DHSL_SANITIZE=ON", "-DHSL_EXTENSION=OFF", "-DCMAKE_BUILD_TYPE=Debug")
        for command in (
            ("cmake", "-S", "native", "-B", "build/mutant", "-G", "Ninja", *define),
            ("cmake", "--build", "build/mutant", "--target", f"test_{name}"),
        ):
            built = self.run(*command)
            if built.returncode:
                raise ValueError(f"the copy cannot be built:\n{built.stdout}")
        return self.run("ctest", "--test-dir", "build/mutant", "--output-on-failure", "-R", f"^{name}$")

    def patch(self, path: Path, *options: str) -> None:
        """Apply a patch to the copy. Raises ValueError when it does not fit the tree of today."""
        done = self.run("patch", "-p1", "--fuzz=0", "--no-backup-if-mismatch", *options, "-i", str(path))
        if done.returncode:
            raise ValueError(f"{path.name} does not fit:\n{done.stdout}")

    @contextmanager
    def planted(self, mutant: Mutant) -> Iterator[None]:
        """Hold a planted fault in the copy. Raises ValueError when the patch does not fit."""
        self.patch(mutant.path)
        try:
            yield
        finally:
            self.patch(mutant.path, "--reverse")

    def found_by(self, tool: str, seconds: float = TOOL_SECONDS) -> str:
        """Return the last line of an `hsl` command that ends with 1. Raises ValueError for another end."""
        program, *arguments = tool.split()
        if program != "hsl":
            raise ValueError(f"{tool}: expected a command of hsl")
        done = self.run(sys.executable, "-m", "hsl", *arguments, seconds=seconds)
        if done.returncode != 1:
            raise ValueError(
                f"{tool} does not find the fault (exit {done.returncode}):\n{done.stdout[-2000:]}"
            )
        return (done.stdout.strip() or tool).splitlines()[-1]


@contextmanager
def copied(source: Path = ROOT) -> Iterator[MutantTree]:
    """Copy a tree as it is now to a folder that goes away at the end; the built extension comes along."""
    with tempfile.TemporaryDirectory(prefix="hsl-mutant-") as folder:
        root = Path(folder) / "tree"
        shutil.copytree(source, root, ignore=LEFT_OUT)
        native = importlib.util.find_spec("hsl._native")
        if native is not None and native.origin is not None:
            shutil.copy(native.origin, root / "hsl")
        yield MutantTree(root)
