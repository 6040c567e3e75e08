"""Make the navigation from docs/index.md: each list of links below a heading becomes a hidden toctree."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

INDEX = "docs/index"
SECTION = re.compile(r"^## (.+)\n((?:(?!## ).*\n?)*)", re.MULTILINE)
PAGE = re.compile(r"^\* \[[^]]+\]\(([^)#:]+)\.md\)", re.MULTILINE)


def trees(text: str) -> str:
    """Return one toctree for each section of `text` that lists pages."""
    blocks = []
    for title, body in SECTION.findall(text):
        if pages := PAGE.findall(body):
            names = [
                "/" + posixpath.normpath(posixpath.join(posixpath.dirname(INDEX), page)) for page in pages
            ]
            blocks.append("\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *names, "```"]))
    return "\n\n".join(blocks)


def add_trees(app: Sphinx, docname: str, source: list[str]) -> None:
    """Append the toctrees to the index page."""
    if docname == INDEX:
        source[0] += "\n" + trees(source[0]) + "\n"


def add_front_page(app: Sphinx, exception: Exception | None) -> None:
    """Write index.html, which leads to the index page."""
    if exception is None and app.builder.format == "html":
        page = f'<!doctype html><meta http-equiv="refresh" content="0; url={INDEX}.html">'
        Path(app.outdir, "index.html").write_text(f'{page}<a href="{INDEX}.html">hsl</a>\n')


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with sphinx."""
    app.connect("source-read", add_trees)
    app.connect("build-finished", add_front_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
