"""Documents that `hsl codec encode` refuses, each with the place of the error."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsl.cli.exits import ExitCode
from tests.cli.test_codec import READ, document, run

FLIT: dict[str, Any] = {"format": "L64", "ft": 1}
# Document -> what the error says.
DOCUMENTS: dict[str, tuple[Any, str]] = {
    "no object": ([1], "flits: [1]; expected an array of objects"),
    "no format": ([{"ft": 1}], "L64 or B256"),
    "two formats": ([FLIT, FLIT | {"format": "B256"}], "one"),
    "no type": ([{"format": "L64"}], "flit 0, type: missing"),
    "type and ft": ([FLIT | {"type": "NOP"}], "'NOP' is not number 1"),
    "unknown key": ([FLIT | {"sequence": 1}], "unknown 'sequence'; expected ack,"),
    "wide seq": ([FLIT | {"seq": 1024}], "SEQ = 1024; expected 0..0x3ff"),
    "seq as text": ([FLIT | {"seq": "1"}], "expected an integer"),
    "seq as boolean": ([FLIT | {"seq": True}], "expected an integer"),
    "messages": ([FLIT | {"messages": {}}], "expected an array of objects"),
    "message in NOP": ([FLIT | {"ft": 0, "messages": [READ]}], "only a PROT"),
    "ctl in PROT": ([FLIT | {"ctl": {}}], "only a CTL"),
    "no ctl": ([FLIT | {"ft": 2}], "expected an object"),
    "no CTL op": ([FLIT | {"ft": 2, "ctl": {}}], "op: missing"),
    "seen": ([FLIT | {"ft": 2, "ctl": {"op": "NAK", "seen": 1}}], "neither true nor false"),
    "CTL field": ([FLIT | {"ft": 2, "ctl": {"op": "NAK", "exp": -1}}], "exp = -1"),
    "CAPS field": ([FLIT | {"ft": 2, "ctl": {"op": "CAPS", "record": {"window": 1 << 16}}}], "window"),
    "op": ([FLIT | {"messages": [{"op": "Read"}]}], "flit 0, message 0, op: unknown 'Read'; expected "),
    "no op": ([FLIT | {"messages": [{}]}], "op: missing"),
    "opcode": ([FLIT | {"messages": [READ | {"opcode": 0x21}]}], "is not number 33"),
    "st": ([FLIT | {"messages": [{"op": "Cmp", "st": "O"}]}], "expected I, S, E or M"),
    "field": ([FLIT | {"messages": [{"op": "Cmp", "address": 0}]}], "unknown 'address'; expected addr,"),
    "other class": ([FLIT | {"messages": [{"op": "Cmp", "addr": 64}]}], "ADDR in Cmp"),
    "data": ([FLIT | {"messages": [{"op": "CmpData", "data": "0x"}]}], "expected a string of hex bytes"),
    "no data": ([FLIT | {"messages": [{"op": "CmpData"}]}], "expected 8"),
    "be as text": ([FLIT | {"messages": [{"op": "WritePtl", "be": "1"}]}], "expected an integer"),
    "offset": ([FLIT | {"messages": [READ | {"offset": 5}]}], "granule"),
    "offset behind": ([FLIT | {"messages": [READ | {"offset": 60}]}], "granule"),
    "overlap": ([FLIT | {"messages": [READ, READ]}], "do not fit"),
    "too much": ([FLIT | {"messages": [{"op": "Cmp"}] * 8}], "do not fit"),
    "long unfinished": ([FLIT | {"unfinished": "00" * 64}], "do not fit"),
    "unfinished in NOP": ([FLIT | {"ft": 0, "unfinished": "00" * 8}], "do not fit"),
    "raw": ([{"format": "L64", "raw": 1}], "expected a string of hex bytes"),
    "no format at all": ([{"ft": 1}], "flit 0, format: missing"),
    "place in no flit": ([FLIT | {"messages": [READ | {"flit": []}]}], "flit: []; expected an integer"),
    "place in a boolean": (
        [FLIT | {"messages": [READ | {"flit": False}]}],
        "flit: false; expected an integer",
    ),
    "payload of PROT": ([FLIT | {"payload": "20"}], "only a PROT_S flit has payload"),
    "payload of CTL": ([FLIT | {"ft": 2, "ctl": {"op": "NAK"}, "payload": ""}], "only a PROT_S"),
    "epoch as boolean": ([FLIT | {"ft": 2, "ctl": {"op": "NAK", "epoch": True}}], "expected an integer"),
    "CTL field as boolean": ([FLIT | {"ft": 2, "ctl": {"op": "NAK", "exp": True}}], "expected an integer"),
    "credit as boolean": (
        [FLIT | {"ft": 2, "ctl": {"op": "INITFC", "credits": [True] * 7}}],
        "expected an integer",
    ),
    "CAPS field as boolean": (
        [FLIT | {"ft": 2, "ctl": {"op": "CAPS", "record": {"window": True}}}],
        "expected an integer",
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_bad_document(name: str) -> None:
    """A document that cannot be encoded is refused with the place and what was expected; exit 4."""
    flits, text = DOCUMENTS[name]
    result = run("encode", data=json.dumps(document(flits)))
    assert (result.exit_code, text in result.stderr) == (ExitCode.USAGE, True), result.stderr
    assert result.stdout == ""


def test_long_values_are_cut() -> None:
    """A value that cannot be used is shown by its beginning, whatever its size."""
    result = run("encode", data=json.dumps(document([FLIT | {"seq": ["x" * 100_000]}])))
    assert (result.exit_code, len(result.stderr) < 200) == (ExitCode.USAGE, True)


JSON_VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-2, 1 << 20), st.sampled_from(["Cmp", "L64", "NAK", "00", "x"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["format", "ft", "messages", "ctl", "op", "raw", "som", "len", "seen", "flit", "offset"]
            ),
            inner,
        ),
    ),
)


@given(JSON_VALUES, st.sampled_from([1, 2]))
def test_any_document(value: Any, ft: int) -> None:
    """Any JSON is encoded, or refused with an exit code: 0, 4 or 5."""
    flits = [{"format": "L64", "ft": ft} | value] if isinstance(value, dict) else value
    result = run("encode", data=json.dumps(document(flits)))
    assert result.exit_code in (ExitCode.OK, ExitCode.USAGE, ExitCode.NOTHING), result.stderr
