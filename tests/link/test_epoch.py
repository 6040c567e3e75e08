"""BSNs of a direction of a bonded port where they wrap (HSL 4.2, 4.6).

No test can send the 2^32 flits that bring a port there, so the epoch is asked itself.
"""

from __future__ import annotations

import pytest

from hsl._generated.constants import FlitType
from hsl.codec.flit import Flit
from hsl.link.epoch import BSN_MASK, Report, Resume, TransmitEpoch
from hsl.link.replay import ReplaySender


@pytest.mark.parametrize("before", range(8))
def test_missing_list_over_the_wrap(before: int) -> None:
    """The missing list is ascending by BSN modulo 2^32, oldest first, also over the wrap [HSL-BND-005]."""
    tx = TransmitEpoch(0b111)
    tx.next_bsn = (-before) & BSN_MASK
    senders = {link: ReplaySender() for link in range(3)}
    sent = []
    for number in range(9):
        bsn, flit = tx.label(), Flit("L64", FlitType.PROT, seq=number // 3)
        senders[tx.turn].store(flit, bsn)
        sent.append((tx.turn, bsn))
        tx.pass_turn()
    tx.lost = {1: senders[1], 2: senders[2]}
    resume = tx.propose(Report(0b111, 0b001, (0,) * 8))
    assert isinstance(resume, Resume)
    wanted = [bsn for link, bsn in sent if link != 0]
    assert [bsn for bsn, _ in resume.missing] == wanted, "HSL-BND-005: order of BSNs over the wrap"
