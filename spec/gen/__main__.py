"""`python -m spec.gen` writes the generated files; `--check` only says which would change (exit 1)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from spec.gen import emit_python
from spec.gen.load import ROOT, load

EMITTERS = (emit_python.emit,)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m spec.gen", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file would change")
    args = parser.parse_args()
    spec = load()
    project = ROOT.parent
    stale = [
        path
        for emit in EMITTERS
        for path, text in emit(spec).items()
        if not _same(project / path, text) and (args.check or _write(project / path, text))
    ]
    for path in stale:
        print(f"{'stale' if args.check else 'wrote'} {path}")
    return 1 if stale and args.check else 0


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


def _write(path: Path, text: str) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return True


if __name__ == "__main__":
    sys.exit(main())
