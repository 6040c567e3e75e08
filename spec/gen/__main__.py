"""`python -m spec.gen` checks the specification and writes the generated files; `--check` writes nothing.

Exit 1 when the specification is refused, or, with --check, when a file would change.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from spec.gen import (
    emit_c,
    emit_c_codec,
    emit_dot,
    emit_header,
    emit_json,
    emit_litmus,
    emit_python,
    emit_sv,
    emit_text,
)
from spec.gen.check import check_data, check_prose
from spec.gen.check.prose import unwritten
from spec.gen.load import ROOT, Spec, SpecError, load

EMITTERS = (
    emit_python.emit,
    emit_c.emit,
    emit_c_codec.emit,
    emit_text.emit,
    emit_dot.emit,
    emit_json.emit,
    emit_header.emit,
    emit_sv.emit,
    emit_litmus.emit,
)


def main(argv: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m spec.gen", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file would change")
    parser.add_argument(
        "--spec", type=Path, default=ROOT, metavar="DIR", help="another specification; output goes beside it"
    )
    args = parser.parse_args(argv)
    try:
        spec = load(args.spec.resolve())
    except SpecError as error:
        print(error)
        return 1
    refusals = check_data(spec)
    changed = [] if refusals else generate(spec, write=not args.check)
    refusals += [] if refusals else check_prose(spec)
    for refusal in refusals:
        print(refusal)
    for path in changed:
        print(f"{'stale' if args.check else 'wrote'} {path}")
    if args.check and not refusals:
        for file, ids in unwritten(spec).items():
            print(f"not written: text/{file}: {' '.join(ids) or 'no requirements'}")
    return 1 if refusals or (args.check and changed) else 0


def generate(spec: Spec, *, write: bool) -> list[str]:
    """The generated files that differ from what stands there, by path; writes them if told."""
    project = spec.root.parent
    outputs = {path: text for emit in EMITTERS for path, text in emit(spec).items()}
    changed = [path for path, text in outputs.items() if not _same(project / path, text)]
    for path in changed if write else []:
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(outputs[path], encoding="utf-8")
    return changed


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
