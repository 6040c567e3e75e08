"""docs/_ext: what each extension of sphinx makes of a page."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import click
import pytest
from docutils import nodes

from docs._ext.command_reference import reference
from docs._ext.contents import trees
from docs._ext.spec_links import LEFT_ALONE, link, split

UNKNOWN = f"HSL-LNK-{999}"  # in two pieces: an id in a test must be one that the specification has
PLACES = {
    "3.4": ("spec/text/05-go-back-n", "retry"),
    "3.4.2": ("spec/text/05-go-back-n", "window"),
    "Chapter 2": ("spec/text/02-flits", "flits"),
    "HSL-LNK-001": ("spec/text/04-bring-up", "hsl-lnk-001"),
}


def app() -> Any:
    """An application of sphinx that has read PLACES."""
    relative = SimpleNamespace(get_relative_uri=lambda source, target: f"../{target}.html")
    return SimpleNamespace(env=SimpleNamespace(spec_places=dict(PLACES)), builder=relative)


def linked(text: str, docname: str = "docs/faults") -> list[tuple[str, str]]:
    """The links that are made of a text: their words, and where they lead."""
    paragraph = nodes.paragraph("", text)
    section = nodes.section("", paragraph)
    pieces = list(split(app(), docname, paragraph.next_node(nodes.Text)))
    assert "".join(piece.astext() for piece in pieces) == text
    assert section.children == [paragraph]
    return [(piece.astext(), piece["refuri"]) for piece in pieces if isinstance(piece, nodes.reference)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clause 3.4 and 3.5", ["3.4"]),
        ("clauses 3.4, 3.4.2 and others", ["3.4", "3.4.2"]),
        ("it waits (3.4 F2)", ["3.4"]),
        ("HSL 3.4.2", ["3.4.2"]),
        ("chapter 2, Chapter 2", ["chapter 2", "Chapter 2"]),
        ("[HSL-LNK-001]", ["HSL-LNK-001"]),
        ("version 3.4 of 3.4 others", []),
        ("clause 3.9", []),
    ],
)
def test_references(text: str, words: list[str]) -> None:
    """Clauses, chapters and requirements are links to their place; a number that is no clause is none."""
    wanted = [PLACES[word.capitalize() if word[0] == "c" else word] for word in words]
    assert linked(text) == [
        (word, f"../{page}.html#{anchor}") for word, (page, anchor) in zip(words, wanted, strict=True)
    ]


def test_references_of_one_page() -> None:
    """A link to a place of the same page is an anchor alone."""
    assert linked("clause 3.4", "spec/text/05-go-back-n") == [("3.4", "#retry")]


def test_unknown_requirement(caplog: pytest.LogCaptureFixture) -> None:
    """A requirement that no chapter has is a warning, which ends the build; known ones are not."""
    with caplog.at_level(logging.WARNING):
        assert linked("[HSL-LNK-001], clause 3.9") != []
        assert caplog.messages == []
        assert linked(f"[{UNKNOWN}]") == []
    assert caplog.messages == [f"unknown requirement {UNKNOWN}"]


def test_what_is_left_alone() -> None:
    """Titles, code and links keep their text as it is."""
    for kind in (nodes.reference, nodes.title, nodes.literal, nodes.literal_block):
        assert issubclass(kind, LEFT_ALONE)
        document = nodes.paragraph("", "", kind("", "clause 3.4"), nodes.inline("", "clause 3.4"))
        link(app(), document, "docs/faults")
        found = [each for each in document.findall(nodes.reference) if each.get("refuri")]
        assert [each.parent.tagname for each in found] == ["inline"]


def test_contents() -> None:
    """Each section that lists pages is a tree of them, in order,; links in text are none."""
    text = "# T\n\n[x](x.md)\n\n## A\n\n* [a](a.md): words\n* [b](../spec/b.md)\n\n## B\n\nno [c](c.md)\n\n"
    text += "## C\n* [d](d.md)\n* [e](https://none.example/e.md)\n"
    captions = [line for line in trees(text).splitlines() if line.startswith((":caption", "/"))]
    assert captions == [":caption: A", "/docs/a", "/spec/b", ":caption: C", "/docs/d"]


def test_command_reference() -> None:
    """The reference has the help of each command and its subcommands, none of a hidden one, at 80 columns."""

    @click.group()
    def top() -> None:
        """Do much."""

    @top.group()
    def inner() -> None:
        """Do little."""

    @inner.command()
    @click.option("--size", help="words " * 30)
    def leaf(size: str) -> None:
        """Do it."""

    @top.command(hidden=True)
    def secret() -> None:
        """Hide."""

    parts = list(reference(top))
    assert [part.splitlines()[0] for part in parts] == ["### hsl", "### hsl inner", "### hsl inner leaf"]
    for part, words in zip(parts, ("Do much.", "Do little.", "Do it."), strict=True):
        assert words in part
        assert max(map(len, part.splitlines())) <= 80
