"""Hypothesis strategies for messages and granule streams."""

from typing import Any

from hypothesis import strategies as st

from hsl.codec.message import Message
from tests.codec.cases import BITS, UNKNOWN_REQUESTS, USES, is_class_b, uses


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Any message that the codec carries, also requests that their receiver refuses."""
    op = draw(st.sampled_from((*USES, *UNKNOWN_REQUESTS)))
    fields: dict[str, Any] = {}
    for name in sorted(uses(op) - {"data"}):
        fields["x" if name == "x8" else name] = draw(st.integers(0, (1 << BITS[name]) - 1))
    if op >> 5 == 3 or op == 0xA1:
        fields["len"] = 3
    if op >> 5 == 3:
        fields["addr"] &= ~63
    elif not is_class_b(op) and draw(st.booleans()):
        fields["be"] = draw(st.integers(0, (1 << 64) - 1))
    if "data" in uses(op):
        size = 8 << fields["len"]
        fields["data"] = draw(st.binary(min_size=size, max_size=size))
    return Message(op, **fields)


@st.composite
def likely_payloads(draw: st.DrawFn, size: int) -> bytes:
    """Payloads of granules whose first byte is often a known opcode, so that parsing gets far."""
    granule = st.one_of(
        st.binary(min_size=8, max_size=8),
        st.just(bytes(8)),
        st.builds(
            lambda op, rest: bytes([op]) + rest,
            st.sampled_from(sorted(USES)),
            st.binary(min_size=7, max_size=7),
        ),
    )
    return b"".join(draw(st.lists(granule, min_size=size // 8, max_size=size // 8)))
