"""The import contracts of pyproject.toml, and the one rule that they cannot say."""

import ast
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The only places that may import the extension.
NATIVE_IMPORTERS = {"native.py", "shm.py"}


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    """Run the contracts on the `hsl` of `tree`; -S, lest the editable install put the checkout first.

    The installed packages stand behind the standard library: one of them may be a backport of a part of it.
    """
    path = f"import sys; sys.path.append({sysconfig.get_path('purelib')!r}); "
    code = f"{path}from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-S", "-c", code, "--no-cache"],
        cwd=tree,
        env={"PYTHONPATH": str(tree), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the package and its contracts, to plant a breach in."""
    shutil.copytree(ROOT / "hsl", tmp_path / "hsl", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_contracts_are_kept() -> None:
    """Every package imports only what lies below it, and the core has no I/O, clock, randomness or log."""
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("line", ["import socket", "import hsl.cli", "from time import monotonic"])
def test_breach_is_seen(tree: Path, line: str) -> None:
    """A forbidden import in the codec breaks a contract, and the report names the module."""
    with (tree / "hsl/codec/crc.py").open("a") as module:
        module.write(f"\n{line}\n")
    done = lint_imports(tree)
    assert done.returncode == 1
    assert "hsl.codec.crc -> " in done.stdout


def test_unknown_package_is_refused(tree: Path) -> None:
    """A package that stands in no layer breaks the contract: it must be given a place."""
    (tree / "hsl/newcomer.py").write_text("")
    done = lint_imports(tree)
    assert done.returncode == 1
    assert "newcomer" in done.stdout


def native_imports(package: Path) -> Iterator[str]:
    """The files below `package` that import hsl._native in any spelling."""
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import(names):
                    names_seen = {alias.name for alias in names}
                case ast.ImportFrom(module=module, names=names):
                    names_seen = {module or "", *(f"{module}.{alias.name}" for alias in names)}
                case _:
                    continue
            if "hsl._native" in names_seen:
                yield path.name


def test_extension_has_few_importers(tree: Path) -> None:
    """Only modules named native.py, and transport/shm.py, import hsl._native."""
    assert set(native_imports(ROOT / "hsl")) <= NATIVE_IMPORTERS
    (tree / "hsl/breach.py").write_text("from hsl import _native")
    assert "breach.py" in set(native_imports(tree / "hsl"))
