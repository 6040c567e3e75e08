"""A ticket: what it shows of an access, and how it hands out the result."""

import pytest

from hsl._generated.constants import Err
from hsl.agents.access import Access, Ticket
from hsl.errors import PoisonError, TransactionError


def ended(access: Access, data: bytes = b"", err: Err = Err.OK, poison: bool = False) -> Ticket:
    ticket = Ticket(access, 2, 0)
    ticket.finished, ticket.data, ticket.err, ticket.poison = 3000, data, err, poison
    return ticket


@pytest.mark.parametrize(
    ("ticket", "shown"),
    [
        (Ticket(Access("load", 0x40, 8), 2, 0), "Ticket(load 0x40 size 8, node 2, open)"),
        (
            ended(Access("load", 0x40, 8), bytes([42, *bytes(7)])),
            "Ticket(load 0x40 size 8, node 2, OK at 3000, data 2a00000000000000)",
        ),
        (
            ended(Access("store", 0x40, 2, b"\x01\x02")),
            "Ticket(store 0x40 size 2, node 2, OK at 3000, data 0102)",
        ),
        (
            ended(Access("load", 0x40, 64), bytes(range(64))),
            f"Ticket(load 0x40 size 64, node 2, OK at 3000, data {bytes(range(16)).hex()}...)",
        ),
        (
            ended(Access("load", 0x40, 1), b"\x07", poison=True),
            "Ticket(load 0x40 size 1, node 2, OK at 3000, data 07, poisoned)",
        ),
    ],
)
def test_repr_shows_the_data(ticket: Ticket, shown: str) -> None:
    """The repr of a ticket shows what was read or is written, up to 16 bytes of it, and its poison."""
    assert repr(ticket) == shown


def test_result_of_poison() -> None:
    """Poisoned data are a PoisonError, which is a TransactionError with the code DATA. HSL 6.1."""
    with pytest.raises(PoisonError) as caught:
        ended(Access("load", 0x40, 1), b"\x07", poison=True).result()
    assert isinstance(caught.value, TransactionError)
    assert caught.value.code == Err.DATA
