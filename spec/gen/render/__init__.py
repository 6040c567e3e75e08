"""Contents of the generated blocks of the chapters, one function per kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from spec.gen.load import Spec
from spec.gen.render import layouts, machines, tables
from spec.gen.render.markdown import BlockError

Renderer = Callable[[Spec, tuple[str, ...]], Iterator[str]]
KINDS: dict[str, Renderer] = {**layouts.KINDS, **tables.KINDS, **machines.KINDS}


def render(spec: Spec, kind: str, arguments: tuple[str, ...]) -> list[str]:
    """The lines of a block; raises BlockError for an unknown kind or argument."""
    if kind not in KINDS:
        raise BlockError(f"unknown kind {kind}; known: {' '.join(sorted(KINDS))}")
    return list(KINDS[kind](spec, arguments))
