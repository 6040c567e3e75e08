"""The link state machine: the table of HSL 3.2.3 is run cell by cell, it is not written down again here.

A cell is a list of action codes and a next state. Each code is a function of `hsl.link.actions`, found by
its name in LINK_ACTIONS. An action returns None, and the cell goes on; or a state, and the cell ends
there: it is how a code goes elsewhere than its cell says ("else P4, stay"; "DEAD instead"). A state is
entered once, by whom comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from hsl._generated.constants import LinkState
from hsl._generated.tables import LINK_ACTIONS, LINK_ROWS
from hsl.link import actions
from hsl.link.classify import Input

if TYPE_CHECKING:
    from hsl.link.link import Link

__all__ = ["dispatch"]

Action = Callable[["Link", "Input", int], LinkState | None]

# "i" ignores, "-" cannot happen and is ignored if it does.
_NO_ACTION: Final = ("i", "-")


def _action(code: str) -> Action:
    action: Action = getattr(actions, "drop" if code == "c" else LINK_ACTIONS[code])
    return action


# Event -> by state: the actions of the cell and the next state.
_CELLS: Final = {
    row.event: tuple(
        (tuple(_action(code) for code in cell.actions if code not in _NO_ACTION), cell.next)
        for cell in row.cells
    )
    for row in LINK_ROWS
}


def dispatch(link: Link, got: Input, now: int) -> None:
    """Run the cell of `got.event` in the state of `link`. HSL 3.2.3 [HSL-LNK-042]."""
    link.coverage[got.event, link.state] += 1
    cell_actions, next_state = _CELLS[got.event][link.state]
    for action in cell_actions:
        end = action(link, got, now)
        if end is not None:
            next_state = end
            break
    if next_state is not None and next_state is not link.state:
        link.enter(next_state, got.event, now)
