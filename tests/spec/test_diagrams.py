"""The state diagrams of the link say what its table says, and graphviz can draw them."""

from __future__ import annotations

import re
import subprocess

import pytest

from hsl._generated.constants import LinkState
from hsl._generated.tables import LINK_ROWS
from spec.gen.emit_dot import DIAGRAMS, MOVES, emit
from spec.gen.load import ROOT, load

FILES = emit(load())
EDGE = re.compile(r'^  (\w+) -> (\w+) \[label = "([^"]+)"\];$', re.MULTILINE)


def arrows() -> list[tuple[str, str, str]]:
    """(from, to, labels) of all diagrams."""
    return [edge for text in FILES.values() for edge in EDGE.findall(text)]


def test_arrows_are_the_cells() -> None:
    """Every cell that changes the state is on exactly one arrow, and nothing else is."""
    drawn = [
        (int(number), source, target)
        for source, target, label in arrows()
        for number in re.split(r" |\\n", label)
    ]
    wanted = []
    for row in LINK_ROWS:
        for state in LinkState:
            cell = row.cells[state]
            moves = [MOVES[code] for code in cell.actions if code in MOVES]
            following = cell.next.name if cell.next is not None else moves[0] if moves else state.name
            if following != state.name:
                wanted.append((row.number, state.name, following))
    assert sorted(drawn) == sorted(wanted)


def test_every_state_is_drawn() -> None:
    """Both diagrams together show all states."""
    ends = {state for source, target, _ in arrows() for state in (source, target)}
    assert ends == {state.name for state in LinkState}
    assert len(FILES) == len(DIAGRAMS)


@pytest.mark.tool("dot", apt="graphviz")
@pytest.mark.parametrize("path", FILES)
def test_graphviz_draws_them(path: str) -> None:
    """Graphviz takes each file as it is checked in, and draws a node for each state that it names."""
    done = subprocess.run(
        ["dot", "-Tsvg", str(ROOT.parent / path)], capture_output=True, text=True, timeout=60, check=True
    )
    for state in set(re.findall(r"^  ([A-Z]\w+)(?: \[penwidth = 2\])?;$", FILES[path], re.MULTILINE)):
        assert f">{state}</text>" in done.stdout
    assert done.stderr == ""
