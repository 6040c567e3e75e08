"""Both engines of the codec on the same input: same values, or same error, code, requirement and offset."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.targets import fuzz_codec_differential as target
from hsl.codec import reference
from hsl.codec.flit import FORMATS
from hsl.codec.message import Message
from tests.codec import cases
from tests.codec.strategies import likely_payloads, messages
from tests.support import bigint

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "fuzz/corpus/codec_differential"
FORMS = sorted(FORMATS)
MODE = {mode.__name__: index for index, mode in enumerate(target.MODES)}
FORM = {name: index for index, name in enumerate(FORMATS)}
# A byte for credits and one for the cut: without limit mostly.
KNOBS = st.tuples(st.one_of(st.just(255), st.integers(0, 255)), st.integers(0, 255)).map(bytes)

# Bytes of whole flits -> what arrives.
Damage = Callable[[st.DrawFn, bytes], bytes]


def untouched(draw: st.DrawFn, data: bytes) -> bytes:
    return data


def bit_flipped(draw: st.DrawFn, data: bytes) -> bytes:
    bits = draw(st.lists(st.integers(0, max(0, 8 * len(data) - 1)), min_size=1, max_size=5))
    word = int.from_bytes(data, "little")
    for bit in bits if data else []:
        word ^= 1 << bit
    return word.to_bytes(len(data), "little")


def truncated(draw: st.DrawFn, data: bytes) -> bytes:
    return data[: draw(st.integers(0, len(data)))]


def spliced(draw: st.DrawFn, data: bytes) -> bytes:
    """A piece of it goes missing, or comes twice."""
    first, second = draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))
    return data[:first] + data[second:]


DAMAGES = (untouched, bit_flipped, truncated, spliced)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("mode", ["raw_flits", "sealed_flits", "prot_flits"])
@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_flits_of_messages(form: str, mode: str, damage: Damage, data: st.DataObject) -> None:
    """Flits full of messages, whole or damaged, with or without a CRC that fits, decode alike."""

    @st.composite
    def inputs(draw: st.DrawFn) -> bytes:
        sent = draw(st.lists(messages(), max_size=8))
        flits = damage(draw, b"".join(cases.flits_of(sent, form)))
        return bytes([MODE[mode], FORM[form]]) + draw(KNOBS) + flits

    target.test_one_input(data.draw(inputs()))


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_likely_granules(form: str, data: st.DataObject) -> None:
    """Granules that begin like messages and are none, with any SOM map, end in the same error."""
    shape = FORMATS[form]
    flits = b""
    for _ in range(data.draw(st.integers(1, 3))):
        som = data.draw(st.integers(0, (1 << 30) - 1)).to_bytes(4, "little") if shape.has_som else b""
        payload = data.draw(likely_payloads(shape.payload_bytes))
        flits += bytes([1, 0, 0, 0]) + som + payload + bytes(shape.crc_bytes)
    target.test_one_input(bytes([MODE["prot_flits"], FORM[form]]) + data.draw(KNOBS) + flits)


@pytest.mark.parametrize("mode", MODE)
@given(data=st.binary(max_size=1024), form=st.sampled_from(FORMS), knobs=KNOBS)
def test_random_bytes(mode: str, data: bytes, form: str, knobs: bytes) -> None:
    """Any bytes are the same flits, messages, CTL and errors to both engines, in both directions."""
    target.test_one_input(bytes([MODE[mode], FORM[form]]) + knobs + data)


@given(data=st.binary(max_size=300))
def test_any_input(data: bytes) -> None:
    """The fuzz target takes any bytes."""
    target.test_one_input(data)


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_corpus(path: Path) -> None:
    """Every input of the corpus is the same to both engines."""
    target.test_one_input(path.read_bytes())


def test_corpus_is_there() -> None:
    """The corpus has inputs of every mode and format."""
    seen = {(data[0] % len(MODE), data[1] % len(FORM)) for data in (p.read_bytes() for p in CORPUS.iterdir())}
    assert seen == {(mode, form) for mode in MODE.values() for form in FORM.values()}


def test_batch_counts_messages() -> None:
    """The comparison of batches sees the messages: of V2 and of V3."""
    form = FORMATS["L64"]
    assert target.compare_batch([cases.V1, cases.V2], form, None, 1) == 1
    assert target.compare_batch([cases.V3], FORMATS["B256"], None, 0) == 2


# Planted in the reference: what a difference looks like.


def lose_txn(monkeypatch: pytest.MonkeyPatch) -> None:
    original = reference._message
    monkeypatch.setattr(reference, "_message", lambda *args: original(*args)._replace(txn=0))


def other_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    original = reference._broken
    monkeypatch.setattr(reference, "_broken", lambda code, req, at, text: original(code, req, at + 1, text))


def other_requirement(monkeypatch: pytest.MonkeyPatch) -> None:
    original = reference._broken
    monkeypatch.setattr(reference, "_broken", lambda code, req, at, text: original(code, "HSL-X", at, text))


PLANTED = {"a value": lose_txn, "an offset": other_offset, "a requirement": other_requirement}


@pytest.mark.parametrize("what", PLANTED)
def test_difference_is_seen(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One field, one offset or one requirement that differs fails the comparison."""
    broken = cases.flits_of([Message(0x20, txn=5, len=3)], "L64")[0][:20] + b"\x01" + bytes(43)
    data = bytes([MODE["prot_flits"], FORM["L64"], 255, 255]) + bigint.l64(b"\1\0\0\0", broken[4:60])
    target.test_one_input(data)
    PLANTED[what](monkeypatch)
    with pytest.raises(AssertionError, match="reference: "):
        target.test_one_input(data)
