"""`python -m tests.support.make_vectors` writes the vectors of spec/vectors anew; their schema is by hand.

One line per vector, so that a changed vector is a changed line.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.make_vectors import ctl, errors, flits, messages, packing, requests
from tests.support.make_vectors.derivations import DERIVATIONS

CHAPTERS = (flits, ctl, messages, packing, errors, requests)
DIRECTORY = Path(__file__).resolve().parents[3] / "spec" / "vectors"


def document(chapter: Any) -> dict[str, Any]:
    """One file: its chapter, its flags, its vectors with the derivations that belong to them."""
    name = chapter.__name__.rpartition(".")[2]
    vectors = list(chapter.vectors())
    ids = Counter(vector["id"] for vector in vectors)
    if twice := [key for key, count in ids.items() if count > 1]:
        raise ValueError(f"{name}: twice: {twice}")
    derived = DERIVATIONS.get(name, {})
    if unknown := derived.keys() - ids.keys():
        raise ValueError(f"{name}: derivations of no vector: {sorted(unknown)}")
    for vector in vectors:
        if vector["id"] in derived:
            vector["notes"] = [line.strip() for line in derived[vector["id"]].strip().splitlines()]
    used = {flag for vector in vectors for flag in vector["flags"]}
    return {
        "chapter": name,
        "section": chapter.SECTION,
        "about": chapter.ABOUT,
        "schema": "schema.json",
        "flags": {flag: chapter.FLAGS[flag] for flag in sorted(used)},
        "count": len(vectors),
        "vectors": vectors,
    }


def files() -> dict[str, str]:
    """File name -> text."""
    return {f"{document['chapter']}.json": _text(document) for document in map(document, CHAPTERS)}


def _text(document: dict[str, Any]) -> str:
    head = json.dumps(document | {"vectors": []}, indent=1)
    lines = ",\n".join("  " + json.dumps(vector) for vector in document["vectors"])
    return head.replace('"vectors": []', f'"vectors": [\n{lines}\n ]') + "\n"


def main() -> None:
    """Writes the files that differ."""
    DIRECTORY.mkdir(exist_ok=True)
    for name, text in files().items():
        path = DIRECTORY / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")


if __name__ == "__main__":
    main()
