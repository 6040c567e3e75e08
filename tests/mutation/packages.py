"""The modules that are mutated, and the tests that try a mutant of each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["PACKAGES", "Package"]

SESSION: Final = ("tests/test_session.py", "tests/test_session_bond.py", "tests/test_session_strangers.py")
# Where other packages' tests are looked for. Tests that start processes of `hsl` are left out: they are slow,
# and the tests beside the source must find what they find.
WIDER: Final = (
    "tests/codec",
    "tests/differential",
    "tests/link",
    "tests/agents",
    "tests/engine",
    "tests/transport",
    "tests/capture",
    "tests/emulator",
    "tests/verify",
    "tests/perf",
    *SESSION,
)


class Package(NamedTuple):
    """A part of the sources, the tests that mirror it, and its share of a run."""

    sources: tuple[str, ...]  # files or folders
    tests: tuple[str, ...]
    per_minute: float  # mutants that are sampled for each minute of the budget
    imports: str = ""  # a pattern: a test file that has it is one of the wider tests

    def files(self, root: Path) -> list[str]:
        """Return the source files, relative to `root`."""
        return found(root, self.sources, ("*.py", "*.c", "*.h"))

    def own_tests(self, root: Path) -> list[str]:
        """Return the test files that mirror the package."""
        return found(root, self.tests, ("test_*.py",))

    def wider_tests(self, root: Path) -> list[str]:
        """Return the test files of other packages that import this one."""
        if not self.imports:
            return []
        own, pattern = set(self.own_tests(root)), re.compile(self.imports)
        files = [file for file in found(root, WIDER, ("test_*.py",)) if file not in own]
        return [file for file in files if pattern.search((root / file).read_text())]


def found(root: Path, names: tuple[str, ...], patterns: tuple[str, ...]) -> list[str]:
    """Return the files that are named, and those in the folders that are named, relative to `root`."""
    paths: set[Path] = set()
    for name in names:
        path = root / name
        paths.update([path] if path.is_file() else (each for p in patterns for each in path.rglob(p)))
    return sorted(str(path.relative_to(root)) for path in paths)


def mirrored(name: str, per_minute: float) -> Package:
    """Return the package `hsl.NAME`, whose tests are in `tests/NAME`."""
    return Package((f"hsl/{name}",), (f"tests/{name}",), per_minute, rf"\bhsl\.{name}\b")


PACKAGES: Final[dict[str, Package]] = {
    "codec": mirrored("codec", 1.5),
    "link": mirrored("link", 3.5),
    "agents": mirrored("agents", 5.0),
    "engine": mirrored("engine", 2.5),
    "transport": mirrored("transport", 2.0),
    "capture": mirrored("capture", 1.5),
    "verify": mirrored("verify", 3.0),
    "session": Package(("hsl/session.py",), SESSION, 0.5, r"\bhsl\.session\b"),
    "native": Package(
        ("native/src",),
        ("tests/codec",),
        1.0,
        r"\bhsl\.codec\.(native|batch|engines)\b|fuzz_codec_differential",
    ),
}
