"""The program that checks what is promised about speed; nothing here asserts on the clock."""

import pytest

from hsl.codec.batch import BatchDecoder
from hsl.codec.flit import FORMATS
from tests.bench import claims, traffic


@pytest.mark.parametrize("mix", traffic.MIXES)
@pytest.mark.parametrize("form", sorted(FORMATS))
def test_both_decode_the_same(form: str, mix: str) -> None:
    """What is measured is the work of decoding all messages of the buffer, by either codec."""
    data = traffic.flits(form, 16 * 256, mix)
    expected = len(BatchDecoder(form).decode(data).messages)
    native = claims.Native(form, data)
    assert (native.decode(), native.faults()) == (expected, 0)
    assert claims.reference_decode(data, form) == expected


@pytest.mark.parametrize(("passes", "times", "code"), [(3.9, 1100.0, 0), (4.1, 1100.0, 1), (3.9, 900.0, 1)])
def test_exit_code(
    passes: float,
    times: float,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command fails when one of the two claims does not hold for L64."""
    monkeypatch.setattr(claims, "mixes", lambda form: "other traffic")
    monkeypatch.setattr(claims, "measure", lambda form: (passes, times, f"{form}: measured"))
    assert claims.main() == code
    assert ("DOES NOT HOLD" in capsys.readouterr().out) == bool(code)


def test_the_worst_mix_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the claim stands what flits full of the shortest message cost, and which mix costs the most."""
    monkeypatch.setattr(claims, "passes", lambda form, mix: ({"acks": 8.4}.get(mix, 2.0), 1e-8, 1e-9, 7.0))
    text = claims.mixes("L64")
    assert "acks 8.40 (7 messages" in text
    assert text.endswith("the most: acks")
    assert "busy" not in text
