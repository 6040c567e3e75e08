"""examples/raw_link.py drops and refuses what chapter 4 says, when it is all alone with a flit."""

from __future__ import annotations

from typing import Any

import pytest

from examples import raw_link
from examples.raw_flits import CAPS, CTL, ERR_FATAL, HELLO, L64, Flit, Gone, pack_ctl, pack_record, unpack_ctl
from examples.raw_peer import Peer

GUID, EPOCH = 9, 5  # own; of the other side
GOOD: dict[str, Any] = {"magic": b"HSL1", "guid": 7, "min_major": 1, "max_major": 1, "port": 3}


class Carrier:
    """A carrier that brings what a test gives, and keeps what is sent."""

    def __init__(self) -> None:
        self.coming, self.sent = list[bytes](), list[bytes]()

    def send(self, flit: bytes) -> None:
        """Keep a flit."""
        self.sent.append(flit)

    def frames(self, _: float) -> list[bytes]:
        """Return the flits that are to come."""
        return self.coming


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> tuple[Peer, Carrier]:
    """A link in DETECT, and its carrier."""
    carrier = Carrier()
    monkeypatch.setattr(raw_link, "Wire", lambda _: carrier)
    return Peer("unix:///nobody", guid=GUID), carrier


def received(op: int, epoch: int, peer: int, **fields: Any) -> list[bytes]:
    """Return a control flit as it comes."""
    return [Flit(CTL, payload=pack_ctl(op, epoch, peer, **fields)).pack(L64)]


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "CONFIG"),
        ({"min_major": 0, "max_major": 2}, "CONFIG"),
        ({"epoch": 0}, "DETECT"),
        ({"guid": GUID}, "DETECT"),
        ({"port": 0}, "DETECT"),
    ],
    ids=["good", "of-more-versions", "of-no-life", "reflected", "of-no-port"],
)
def test_a_hello_is_taken_or_dropped(ends: tuple[Peer, Carrier], fields: dict[str, Any], state: str) -> None:
    """A HELLO that names no other life is dropped. Rows 29 and 34 of the link's table."""
    link, carrier = ends
    carrier.coming = received(HELLO, **{"epoch": EPOCH, "peer": link.epoch} | GOOD | fields)
    link.step()
    assert (link.state, link.peer) == (state, EPOCH if state == "CONFIG" else 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"magic": b"HSLO", "port": 0},
        {"min_major": 0, "max_major": 0},
        {"min_major": 2, "max_major": 2},
        {"min_minor": 1, "max_minor": 1},
    ],
    ids=["first-edition", "older", "newer", "newer-minor"],
)
def test_another_edition_is_refused(ends: tuple[Peer, Carrier], fields: dict[str, Any]) -> None:
    """It is told so three times with code 9. HSL-LNK-004, HSL-LNK-045."""
    link, carrier = ends
    carrier.coming = received(HELLO, **{"epoch": EPOCH, "peer": link.epoch} | GOOD | fields)
    with pytest.raises(Gone, match="another edition"):
        link.step()
    told = [unpack_ctl(flit.payload) for flit in map(Flit.unpack, carrier.sent) if flit is not None]
    assert [body["error"] for op, *_, body in told if op == ERR_FATAL] == [9, 9, 9]


def test_a_pair_without_an_epoch_is_stale(ends: tuple[Peer, Carrier]) -> None:
    """EPOCH 0 is current for nobody, also before a HELLO has come. HSL-LNK-036."""
    link, carrier = ends
    carrier.coming = received(CAPS, 0, link.epoch, record=pack_record(link.caps))
    link.step()
    assert (link.state, link.result) == ("DETECT", {})
