"""Emits the generated blocks inside `spec/text/*.md`, and all chapters joined for the wheel."""

from __future__ import annotations

from spec.gen import blocks
from spec.gen.load import Spec
from spec.gen.render import render
from spec.gen.render.markdown import BlockError

PROSE = "hsl/_generated/prose.txt"


def emit(spec: Spec) -> dict[str, str]:
    """The chapters with their blocks filled in, and the joined prose; nothing when there is no chapter."""
    chapters = {name: fill(spec, text) for name, text in spec.prose.items()}
    files = {f"{spec.root.name}/text/{name}": text for name, text in chapters.items()}
    written = [
        chapter["file"] for chapter in spec.rows("requirements", "chapter") if chapter["file"] in chapters
    ]
    if written:
        files[PROSE] = "\n".join(chapters[name] for name in written)
    return files


def fill(spec: Spec, text: str) -> str:
    """A chapter whose well-formed blocks hold what the specification says; others stay as they are."""
    lines = text.splitlines()
    for block in reversed(blocks.parse(text)[0]):
        try:
            body = render(spec, block.kind, block.arguments)
        except BlockError:
            continue
        lines[block.line : block.line + len(block.body)] = body
    return "\n".join(lines) + "\n"
