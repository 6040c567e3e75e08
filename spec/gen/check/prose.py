"""The chapters and the registry agree: every requirement is explained, none invented, every example holds."""

from __future__ import annotations

import re
from collections.abc import Iterator

from spec.gen import blocks, worked
from spec.gen.load import Refusal, Row, Spec, shown
from spec.gen.render import render
from spec.gen.render.markdown import BlockError

ID = re.compile(r"HSL-[A-Z]{3}-\d{3}")


def check(spec: Spec) -> Iterator[Refusal]:
    """All refusals about `text/*.md`, and about requirements whose chapter does not explain them."""
    known = {row["id"] for row in spec.rows("requirements", "requirement")}
    chapters = {chapter["file"]: chapter for chapter in spec.rows("requirements", "chapter")}
    for row in spec.rows("requirements", "requirement"):
        if not ID.fullmatch(row["id"]):
            yield row.refuse(f"{row['id']} is not of the form HSL-ABC-000", "id")
    for name, text in spec.prose.items():
        for line, problem in _chapter(spec, text, known):
            yield Refusal(shown(spec.root / "text" / name), line, problem)
        if name not in chapters:
            yield Refusal(
                shown(spec.root / "text" / name), 1, "no [[chapter]] of requirements.toml has this file"
            )
    yield from _unexplained(spec)
    yield from _sentence(spec)


def _chapter(spec: Spec, text: str, known: set[str]) -> Iterator[tuple[int, str]]:
    found, problems = blocks.parse(text)
    yield from problems
    for block in found:
        try:
            render(spec, block.kind, block.arguments)
        except BlockError as error:
            yield block.line, f"generated {block.kind}: {error}"
    for number, line in enumerate(text.splitlines(), 1):
        for identifier in blocks.REQUIREMENT_ID.findall(line):
            if identifier not in known:
                yield number, f"unknown requirement {identifier}"
    for example in blocks.examples(text):
        yield from worked.judge(spec, example)


def unwritten(spec: Spec) -> dict[str, list[str]]:
    """Requirement ids by the file of their chapter, for chapters that do not exist yet."""
    ids: dict[str, list[str]] = {}
    for chapter in spec.rows("requirements", "chapter"):
        if chapter["file"] not in spec.prose:
            ids[chapter["file"]] = [row["id"] for row in _of(spec, chapter)]
    return ids


def _of(spec: Spec, chapter: Row) -> Iterator[Row]:
    return (row for row in spec.rows("requirements", "requirement") if row["chapter"] == chapter["name"])


def _unexplained(spec: Spec) -> Iterator[Refusal]:
    for chapter in spec.rows("requirements", "chapter"):
        if chapter["file"] not in spec.prose:
            continue
        prose = "\n".join(line for _, line in blocks.prose_lines(spec.prose[chapter["file"]]))
        named = set(blocks.REQUIREMENT_ID.findall(prose))
        for row in _of(spec, chapter):
            if row["id"] not in named:
                yield row.refuse(f"{row['id']} without prose: text/{chapter['file']} does not name it", "id")


def _sentence(spec: Spec) -> Iterator[Refusal]:
    """The first chapter carries the sentence that says what this profile is not."""
    name = spec.rows("requirements", "chapter")[0]["file"]
    text = spec.prose.get(name)
    if text is not None and not any(block.kind == "sentence" for block in blocks.parse(text)[0]):
        yield Refusal(
            shown(spec.root / "text" / name), 1, "the first chapter does not carry the generated sentence"
        )
