"""A mesh neighbour that forges snoops and completions through real nodes and ports (HSL 5.4 T16, 6.3)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import LINE_BYTES, ErrorCode, Op, St
from hsl.agents.access import Access
from hsl.codec.message import Message
from tests.engine.cluster import HOST, MESH, Cluster, base

VICTIM, ATTACKER = 1, 2
CACHE = base(VICTIM) + 2
GUESSES = 16  # TXNs that are tried: the lowest free one is taken (2.6), so the first few hit
SAVED = b"secret!!"
FORGED = b"\x66" * LINE_BYTES


def say(mesh: Cluster, op: int, **fields: object) -> None:
    """The attacker sends a message of its own to the victim's cache."""
    message = Message(op, base(ATTACKER) + 2, CACHE, **fields)  # type: ignore[arg-type]
    node = mesh.nodes[ATTACKER]
    node._route(message)
    node.advance(mesh.loopback.now)


def victims_log(mesh: Cluster) -> list[ErrorCode]:
    """Codes in the victim's log of the port to the attacker."""
    log = mesh.nodes[VICTIM].error_logs[1]
    return [entry.code for entry in log.entries]


@pytest.mark.parametrize("op", [Op.SnpInv, Op.SnpShared, Op.SnpCur])
def test_a_neighbour_cannot_take_a_line_by_a_snoop(op: Op) -> None:
    """A snoop of a node that is not the home gets SnpRsp(I): no data, and the owner stays the owner.

    [HSL-SEC-011].
    """
    mesh = Cluster(2, MESH)
    mesh.store(VICTIM, HOST, SAVED)
    say(mesh, op, txn=1, len=3, addr=HOST)
    answers = {"SnpRsp", "SnpRspData"}
    mesh.run(lambda: bool(answers & mesh.sent(VICTIM).keys()))
    assert answers & mesh.sent(VICTIM).keys() == {"SnpRsp"}
    assert victims_log(mesh) == [ErrorCode.SRC_SPOOF]
    assert mesh.nodes[VICTIM].agents[CACHE].state_of(HOST) == "M"
    assert mesh.load(0, HOST) == SAVED


def test_a_neighbour_cannot_answer_for_the_home() -> None:
    """Completions of a node that was not asked, for each TXN, change nothing. [HSL-SEC-012]."""
    mesh = Cluster(2, MESH)
    mesh.store(0, HOST, SAVED)
    ticket = mesh.submit(VICTIM, Access("load", HOST, 8))
    for txn in range(GUESSES):
        say(mesh, Op.CmpData, txn=txn, len=3, data=FORGED, st=St.E, htxn=1)
    mesh.run(lambda: ticket.done)
    assert ticket.result() == SAVED
    mesh.run(lambda: len(victims_log(mesh)) == GUESSES)
    assert victims_log(mesh) == [ErrorCode.PROTO] * GUESSES
    assert mesh.nodes[VICTIM].connected, "the 17th in a window would end the port (6.3)"
    assert mesh.sent(VICTIM)["CmpAck"] == 1
