"""Files stay small: one that grows past its limit is about two nouns."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST = 500  # lines
SUFFIXES = (".py", ".pyi", ".c", ".h")
GENERATED = ("hsl/_generated/", "spec/generated/", "native/generated/")


def sizes() -> dict[str, int]:
    """Return the number of lines of each file of source that is written by hand."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [name for name in listed.stdout.split() if name.endswith(SUFFIXES)]
    found = [name for name in names if not name.startswith(GENERATED) and (ROOT / name).exists()]
    return {name: (ROOT / name).read_text().count("\n") for name in found}


def test_files() -> None:
    """A file has at most 500 lines."""
    found = sizes()
    assert len(found) > 400
    assert {name: size for name, size in found.items() if size > MOST} == {}
