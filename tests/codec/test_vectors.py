"""Every vector of spec/vectors, through each engine of the codec; and bugs that they must catch."""

from types import SimpleNamespace
from typing import Any

import pytest

from hsl._generated import layouts
from hsl.codec import checks, ctl, native, reference
from hsl.codec.flit import FORMATS
from hsl.errors import HslError
from tests.support import vectors

VECTORS = vectors.load()
REFERENCE = SimpleNamespace(
    **vars(reference),
    decode_ctl=ctl.decode_ctl,
    encode_ctl=ctl.encode_ctl,
    check_request=checks.check_request,
)
# Engine -> what `tests.support.vectors.check` needs of it.
ENGINES: dict[str, Any] = {"reference": REFERENCE, "native": native}


def failures(engine: Any, chapter: str) -> dict[str, str]:
    """Ids of the vectors that `engine` fails, and why."""
    found = {}
    for vector in VECTORS[chapter]:
        try:
            vectors.check(engine, vector)
        except (AssertionError, HslError, LookupError, ValueError) as error:
            found[vector["id"]] = f"{type(error).__name__}: {error}"
    return found


@pytest.mark.parametrize("chapter", VECTORS)
@pytest.mark.parametrize("engine", ENGINES)
def test_vectors(engine: str, chapter: str) -> None:
    """Each vector is decoded to its fields or its error, and encoded to its bytes."""
    found = failures(ENGINES[engine], chapter)
    shown = "\n".join(f"{name}: {text}" for name, text in list(found.items())[:10])
    assert not found, f"{len(found)} of {len(VECTORS[chapter])} vectors of {chapter}\n{shown}"


@pytest.mark.parametrize("chapter", VECTORS)
@pytest.mark.parametrize("engine", ENGINES)
def test_completions(engine: str, chapter: str) -> None:
    """Each request is refused for its format as its vector says [HSL-TXN-005] [HSL-LNK-034]."""
    for vector in VECTORS[chapter]:
        vectors.check_completion(ENGINES[engine], vector)


# Planted bugs: the vectors must catch each of them.


def shifted_field(patch: pytest.MonkeyPatch) -> None:
    rows = [(name, shift + (name == "htxn"), mask) for name, shift, mask in layouts.B0_FIELDS]
    patch.setattr(layouts.B0, "rows", tuple(rows))


def unchecked_length(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reference, "malformed", lambda fields, info: checks.malformed(dict(fields, len=3), info))


def wrong_crc_span(patch: pytest.MonkeyPatch) -> None:
    form = FORMATS["B256"]
    patch.setitem(FORMATS, "B256", form._replace(crc=lambda data: form.crc(data[form.payload_offset :])))


PLANTED = {
    "shifted field": (shifted_field, "messages"),
    "unchecked length": (unchecked_length, "errors"),
    "wrong CRC span": (wrong_crc_span, "flits"),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_planted_bug_is_caught(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug planted in the reference fails vectors that it did not fail before."""
    plant, chapter = PLANTED[bug]
    plant(monkeypatch)
    assert failures(REFERENCE, chapter)
