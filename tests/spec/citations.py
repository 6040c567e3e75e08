"""Which requirements the tests cite. `python -m tests.spec.citations` rewrites `uncited.txt`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from spec.gen.load import ROOT, Spec, load

PROJECT = ROOT.parent
UNCITED = Path(__file__).with_name("uncited.txt")
HEAD = """\
# MUST requirements of written chapters that no test cites yet: one id a line. RESERVED ones are not open.
# Written by `python -m tests.spec.citations`.
# A test fails when an id here is cited, or an uncited one is missing.
"""
ID = re.compile(r"\bHSL-[A-Z]{3}-\d+")
CODE = ("hsl/**/*.py", "native/**/*.[ch]", "tests/**/*.py", "examples/**/*.py")
TESTS = ("tests/**/*.py", "native/tests/**/*.c")


def files(patterns: Iterable[str]) -> Iterator[Path]:
    """Files that people wrote, without the tests of the checker, which hold invented ids."""
    for pattern in patterns:
        for path in sorted(PROJECT.glob(pattern)):
            below = path.relative_to(PROJECT).as_posix()
            if (
                "/_generated/" not in below
                and "/generated/" not in below
                and not below.startswith("tests/spec/")
            ):
                yield path


def citations(patterns: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(place, id) of every requirement id in these files; place is `file:line`."""
    for path in files(patterns):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for identifier in ID.findall(line):
                yield f"{path.relative_to(PROJECT)}:{number}", identifier


def built(spec: Spec) -> list[str]:
    """The MUST ids of the chapters that are written."""
    written = {c["name"] for c in spec.rows("requirements", "chapter") if c["file"] in spec.prose}
    rows = spec.rows("requirements", "requirement")
    return [row["id"] for row in rows if row["level"] == "MUST" and row["chapter"] in written]


def uncited(spec: Spec) -> list[str]:
    """The MUST ids of written chapters that no test cites."""
    cited = {identifier for _, identifier in citations(TESTS)}
    return [identifier for identifier in built(spec) if identifier not in cited]


def listed() -> list[str]:
    """The ids in `uncited.txt`."""
    return [line for line in UNCITED.read_text().splitlines() if line and not line.startswith("#")]


if __name__ == "__main__":
    ids = uncited(load())
    UNCITED.write_text(HEAD + "".join(f"{identifier}\n" for identifier in ids))
    print(f"{len(ids)} of {len(built(load()))} MUST requirements are not cited by a test")
