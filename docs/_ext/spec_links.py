"""Link what a page says of the specification: "clause 3.4", "(3.4 F2)", chapters, requirements."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.util import logging

REQUIREMENT = r"HSL-[A-Z]{2,4}-\d{3}"
CLAUSE = r"[1-6](?:\.\d+)+"
REFERENCE = re.compile(
    rf"\b{REQUIREMENT}\b|\b[Cc]hapter \d+\b|(?:(?<=clause )|(?<=clauses )|(?<=HSL )|(?<=\()){CLAUSE}\b"
    rf"|(?<=\d, ){CLAUSE}(?=[,)]| and )"
)
HEADING = re.compile(rf"(?:(Chapter \d+)\.|({CLAUSE})) ")
LEFT_ALONE = (nodes.reference, nodes.title, nodes.literal, nodes.FixedTextElement, nodes.raw)

Places = dict[str, tuple[str, str]]


def places(app: Sphinx) -> Places:
    """Return the document and the anchor of every clause, chapter and requirement that was read."""
    found: Places = app.env.__dict__.setdefault("spec_places", {})
    return found


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Remember the places in a chapter; give each row of a table of requirements an anchor."""
    docname = app.env.current_document.docname
    if not docname.startswith("spec/text/"):
        return
    for section in doctree.findall(nodes.section):
        if title := HEADING.match(section.next_node(nodes.title).astext() + " "):
            places(app)[title[1] or title[2]] = docname, section["ids"][0]
    for entry in doctree.findall(nodes.entry):
        name = entry.astext()
        if re.fullmatch(REQUIREMENT, name) and name not in places(app):
            entry["ids"].append(name.lower())
            places(app)[name] = docname, name.lower()


def link(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Replace each reference in the text of a page by a link; warn of an unknown requirement."""
    for text in list(doctree.findall(nodes.Text)):
        if not any(isinstance(parent, LEFT_ALONE) for parent in ancestors(text)):
            pieces = list(split(app, docname, text))
            if len(pieces) > 1:
                text.parent.replace(text, pieces)


def ancestors(node: nodes.Node) -> Iterator[nodes.Node]:
    """Yield the parents of `node`, the nearest first."""
    while (parent := node.parent) is not None:
        yield parent
        node = parent


def split(app: Sphinx, docname: str, text: nodes.Text) -> Iterator[nodes.Node]:
    """Yield the pieces of `text`, with links where a reference has a place elsewhere."""
    done, string = 0, str(text)
    for match in REFERENCE.finditer(string):
        place = places(app).get(match[0].capitalize() if match[0][0] == "c" else match[0])
        if place is None:
            if match[0].startswith("HSL-"):
                logging.getLogger(__name__).warning("unknown requirement %s", match[0], location=text.parent)
            continue
        target, anchor = place
        if anchor not in getattr(text.parent.parent, "attributes", {}).get("ids", ()):  # not to itself
            yield nodes.Text(string[done : match.start()])
            page = "" if target == docname else app.builder.get_relative_uri(docname, target)
            yield nodes.reference("", match[0], internal=True, refuri=f"{page}#{anchor}")
            done = match.end()
    yield nodes.Text(string[done:])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with sphinx."""
    for name in ("hsl-hex", "hsl-frame"):
        app.add_lexer(name, TextLexer)
    app.connect("doctree-read", collect)
    app.connect("doctree-resolved", link)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
