"""The fuzz target of encoding: its corpus, any bytes, and a bug that it must find."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.targets import fuzz_encode as target
from hsl.codec import batch
from hsl.codec.flit import FORMATS

CORPUS = Path(__file__).parents[2] / "fuzz/corpus/encode"
INPUTS = sorted(CORPUS.iterdir())


def replay() -> None:
    for path in INPUTS:
        target.test_one_input(path.read_bytes())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_corpus(path: Path) -> None:
    """Every input of the corpus is encoded alike by both engines, or refused, and comes back as it was."""
    target.test_one_input(path.read_bytes())


@given(data=st.binary(max_size=600))
def test_any_bytes(data: bytes) -> None:
    """Any bytes are a document or arrays that encode, or are refused with a typed error."""
    target.test_one_input(data)


@pytest.mark.parametrize("mode", range(len(target.MODES)))
@given(data=st.binary(max_size=2000), form=st.integers(0, len(FORMATS) - 1))
def test_any_bytes_of_a_mode(mode: int, data: bytes, form: int) -> None:
    """So they are in each mode and format."""
    target.test_one_input(bytes([mode, form]) + data)


def test_the_corpus_reaches_what_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The corpus has documents and batches that are encoded, and some that are refused."""
    seen: Counter[str] = Counter()
    encoded, outcome = target.encoded, target.outcome

    def told_document(*arguments: Any) -> Any:
        found = encoded(*arguments)
        seen["document refused" if found == "refused" else "document"] += 1
        return found

    def told_batch(call: Any, *arguments: Any) -> Any:
        found = outcome(call, *arguments)
        if len(arguments) == 2:  # the batch: flits and messages
            taken = found[0] == "value" and found[1][1]
            seen["batch refused" if found[0] == "error" else "batch" if taken else "batch of nothing"] += 1
        return found

    monkeypatch.setattr(target, "encoded", told_document)
    monkeypatch.setattr(target, "outcome", told_batch)
    replay()
    assert seen.keys() >= {"document", "document refused", "batch", "batch refused"}, seen


def test_a_planted_bug_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder that writes into the arrays of its caller is caught by the corpus."""
    monkeypatch.setattr(batch, "_copy", lambda rows: rows)
    with pytest.raises(AssertionError, match="never changed"):
        replay()
