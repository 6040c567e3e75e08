"""The TU exponent of a peer is bounded (HSL 3.3.2): above the limit of the port the link ends with CFG."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hsl._generated.constants import MAX_TU_EXP, TU_EXP_LIMIT, CtlOp, ErrorCode, LinkState
from hsl._generated.layouts import CAPS_RECORD
from hsl.codec.ctl import decode_ctl, encode_ctl
from hsl.codec.reference import encode_flit
from hsl.errors import LinkError
from hsl.link.config import parse_caps
from tests.link.pair import TU, Pair, config, decode, is_ctl
from tests.support.sessions import FAST, calling, device, listening, run, warnings_of

# Exponent and limit of the own side, exponent of the peer, whether the link comes up.
CASES = [
    (6, None, TU_EXP_LIMIT, True),
    (6, None, TU_EXP_LIMIT + 1, False),
    (6, None, MAX_TU_EXP, False),
    (TU_EXP_LIMIT + 2, None, TU_EXP_LIMIT + 2, True),
    (TU_EXP_LIMIT + 2, None, TU_EXP_LIMIT + 3, False),
    (TU_EXP_LIMIT + 2, None, 6, True),
    (6, 10, 10, True),
    (6, 10, 11, False),
    (6, MAX_TU_EXP, MAX_TU_EXP, True),
]


@pytest.mark.parametrize(("own", "limit", "peer", "comes_up"), CASES)
def test_limit_of_the_result(own: int, limit: int | None, peer: int, comes_up: bool) -> None:
    """A result up to the limit is accepted; one above it ends in DEAD with code 10 [HSL-LNK-043]."""
    pair = Pair(
        config(1, tu_exp=own, tu_exp_limit=limit, handshake_tu_exp=6),
        config(2, tu_exp=peer, tu_exp_limit=MAX_TU_EXP, handshake_tu_exp=6),
    )
    pair.start().run(40 * TU)
    assert pair.a.state() is (LinkState.ACTIVE if comes_up else LinkState.DEAD), "HSL-LNK-043"
    assert (ErrorCode.CFG in pair.a.errors()) is not comes_up, "HSL-LNK-043: the code is CFG"
    sent = [ctl.body["error"] for _, ctl in pair.a.ctl(CtlOp.ERR_FATAL)]
    assert sent == ([] if comes_up else [ErrorCode.CFG] * 3)


@pytest.mark.parametrize("exponent", [MAX_TU_EXP + 1, 63, 64, 255])
def test_exponent_beyond_the_profile(exponent: int) -> None:
    """An exponent that the profile does not have is refused by a port with any limit [HSL-LNK-043]."""
    pair = Pair(config(1, tu_exp_limit=MAX_TU_EXP), config(2))

    def change(data: bytes) -> list[tuple[bytes, bool]]:
        if not is_ctl(CtlOp.CAPS)(data):
            return [(data, False)]
        flit = decode(data)
        ctl = decode_ctl(flit.payload)
        record = CAPS_RECORD.build(parse_caps(ctl.body["record"]) | {"tu_exp": exponent})
        payload = encode_ctl(ctl._replace(body=ctl.body | {"record": record}))
        return [(encode_flit(flit._replace(payload=payload)), False)]

    pair.b.hook = change
    pair.start().run(40 * TU)
    assert pair.a.state() is LinkState.DEAD, "HSL-LNK-043: at most 30"
    assert pair.a.errors()[-1] == ErrorCode.CFG


@pytest.mark.parametrize("uri", ["tcp://:0", "udp://:0"])
def test_next_honest_peer_is_served(uri: str, caplog: pytest.LogCaptureFixture) -> None:
    """A peer with too large an exponent is refused with CFG, and the next is served [HSL-LNK-043]."""

    async def body() -> None:
        one = await listening(device(1, tu_exp=FAST), uri, passive=True)
        slow: dict[str, Any] = {"tu_exp": MAX_TU_EXP, "handshake_tu_exp": FAST}
        two = await calling(device(2, **slow), one.uri)
        with pytest.raises(LinkError, match="ERR_FATAL"):
            await two.end()
        three = await calling(device(3, tu_exp=FAST), one.uri)
        await asyncio.gather(one.end(), three.end())
        assert one.device.got == three.device.got == 100, "HSL-LNK-043: the next peer is served"

    run(body())
    assert f"TU exponent {MAX_TU_EXP} is above {TU_EXP_LIMIT}" in warnings_of(caplog)[0]
