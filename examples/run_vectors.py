#!/usr/bin/env python3
"""Run the test vectors of spec/vectors through the receiver of your codec, in whatever language it is.

    python examples/run_vectors.py 'COMMAND OF YOUR RECEIVER' [VECTORS.json...]

COMMAND is started once. For each vector it gets one line on stdin:

    FORMAT CREDITS FLIT [FLIT...]

FORMAT is L64 or B256. CREDITS is - (no limit) or VC=N,VC=N: the messages that the sender may send; a VC that
is not named has none, and "." names none. Each FLIT is hex digits; "." is a flit of no bytes. COMMAND answers
with one line of JSON: {"fields": ...} or {"error": ...}, as a vector has them (spec/vectors/README.md).
Numbers that are 0 and names of opcodes may be left out. examples/receiver.py is such a command. Standard
library only.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[1] / "spec" / "vectors"
SHOWN = 10  # differences that are printed in full
DERIVED = {"op", "name", "caps"}  # an answer may leave them out: they follow from other members


def request(vector: dict[str, Any]) -> str:
    """Return the line that asks for what the receiver makes of `vector`."""
    limit = ",".join(f"{vc}={n}" for vc, n in vector["credits"].items()) if "credits" in vector else "-"
    return " ".join([vector["format"], limit or ".", *(flit or "." for flit in vector["bytes"])])


def plain(value: Any) -> Any:
    """Return `value` without members that are 0, false or null; a byte-enable mask of 0 stays."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: plain(item) for name, item in value.items() if item is not None}
    return {name: item for name, item in kept.items() if item != 0 or name == "be"}


def same(expected: Any, answered: Any) -> bool:
    """True if two values that `plain` returned agree."""
    if isinstance(expected, list) and isinstance(answered, list):
        return len(expected) == len(answered) and all(map(same, expected, answered))
    if not (isinstance(expected, dict) and isinstance(answered, dict)):
        return bool(expected == answered)
    both, either = expected.keys() & answered.keys(), expected.keys() | answered.keys()
    return either - both <= DERIVED and all(same(expected[name], answered[name]) for name in both)


def answer(line: str) -> Any:
    """Return the answer in a line; None if it is not JSON."""
    try:
        return plain(json.loads(line))
    except ValueError:
        return None


def main(command: str, *names: str) -> int:
    """Run the vectors of all files, or of `names`; return 0 if the receiver answers each as it must."""
    paths = [Path(name) for name in names] or sorted(VECTORS.glob("[!s]*.json"))
    vectors = [vector for path in paths for vector in json.loads(path.read_text())["vectors"]]
    lines = "".join(request(vector) + "\n" for vector in vectors)
    try:
        done = subprocess.run(shlex.split(command), input=lines.encode(), stdout=subprocess.PIPE, check=False)
    except (OSError, ValueError) as error:
        print(f"cannot start: {error}")
        return 1
    answers = done.stdout.decode("utf-8", "backslashreplace").splitlines()
    if len(answers) != len(vectors):
        print(f"{len(vectors)} vectors, {len(answers)} answers; exit code {done.returncode}")
        return 1
    wrong = 0
    for vector, line in zip(vectors, answers, strict=True):
        expected = {name: vector[name] for name in ("fields", "error") if name in vector}
        if not same(plain(expected), answer(line)):
            wrong += 1
            if wrong <= SHOWN:
                print(f"{vector['id']}: {vector['comment']}")
                print(f"  expected {json.dumps(expected)}\n  answered {line}")
    print(f"{len(vectors)} vectors, {wrong} answered wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) > 1 else __doc__)
