"""Requirement ids in code and tests."""

from spec.gen.load import load
from tests.spec import citations


def test_cited_ids_exist() -> None:
    """Each requirement id that code or a test names is in spec/requirements.toml."""
    known = {row["id"] for row in load().rows("requirements", "requirement")}
    assert not [(place, id_) for place, id_ in citations.citations(citations.CODE) if id_ not in known]


def test_no_reserved_requirement_is_cited() -> None:
    """No test or code cites an id that is reserved for a later edition: nothing can show that it is kept."""
    reserved = {row["id"] for row in load().rows("requirements", "requirement") if row["level"] == "RESERVED"}
    assert reserved
    assert not [(place, id_) for place, id_ in citations.citations(citations.CODE) if id_ in reserved]


def test_every_must_is_cited_or_listed() -> None:
    """Each MUST of a written chapter is cited by a test or stands in uncited.txt, and no id does both."""
    found, listed = set(citations.uncited(load())), set(citations.listed())
    remedy = "run `python -m tests.spec.citations`"
    assert sorted(listed - found) == [], f"listed as uncited, but cited or unknown: {remedy}"
    assert sorted(found - listed) == [], f"cited by no test and not listed: cite them, or {remedy}"
