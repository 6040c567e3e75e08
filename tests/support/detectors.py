"""The nets that a bug in a codec must not slip through: vectors, differential test, fuzz corpus.

`python -m tests.support.detectors ENGINE [EXTENSION]` runs them on an engine, with another build of the
extension if one is given, and prints the names of those that caught something.
"""

import importlib.util
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path

from hsl.errors import CodecError

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "fuzz/corpus/codec_differential"
SEED = 20
ROUNDS = 600


def by_vectors(engine: str) -> bool:
    """True if a vector is decoded or encoded otherwise than it says."""
    from hsl.codec.engines import engine as engine_of
    from tests.support import vectors

    for vector in (vector for chapter in vectors.load().values() for vector in chapter):
        try:
            vectors.check(engine_of(engine), vector)
        except (AssertionError, ArithmeticError, LookupError, ValueError, CodecError):
            return True
    return False


def by_differential(engine: str) -> bool:
    """True if the engines differ on flits of drawn messages, some of them damaged."""
    from fuzz.targets.fuzz_codec_differential import MODES, test_one_input
    from hsl.codec.flit import FORMATS
    from tests.codec import cases

    rng, drawn = random.Random(SEED), list(cases.field_cases())
    for number in range(ROUNDS):
        form = number % len(FORMATS)
        shape = list(FORMATS.values())[form]
        flits = bytearray(b"".join(cases.flits_of(rng.sample(drawn, 6), shape.name)))
        kind, at = rng.randrange(3), shape.payload_offset
        if kind == 0:
            flits[rng.randrange(len(flits))] ^= 1 << rng.randrange(8)
        elif kind == 1:  # a granule that begins like a message and is none
            flits[at : at + 8] = bytes([rng.choice(list(cases.USES))]) + rng.randbytes(7)
        mode = rng.randrange(len(MODES) - 2)
        try:
            test_one_input(bytes([mode, form, 255, rng.randrange(256)]) + flits)
        except AssertionError:
            return True
    return False


def by_fuzz(engine: str) -> bool:
    """True if the engines differ on an input of the corpus."""
    from fuzz.targets.fuzz_codec_differential import test_one_input

    for path in sorted(CORPUS.iterdir()):
        try:
            test_one_input(path.read_bytes())
        except AssertionError:
            return True
    return False


DETECTORS: dict[str, Callable[[str], bool]] = {
    "vectors": by_vectors,
    "differential": by_differential,
    "fuzz": by_fuzz,
}


def caught(engine: str) -> list[str]:
    """The detectors that caught something in `engine`."""
    return [name for name, detector in DETECTORS.items() if detector(engine)]


def load_extension(path: str) -> None:
    """Make `hsl._native` the extension at `path`, before anything has imported it."""
    spec = importlib.util.spec_from_file_location("hsl._native", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["hsl._native"] = module


if __name__ == "__main__":
    if len(sys.argv) > 2:
        load_extension(sys.argv[2])
    print(json.dumps(caught(sys.argv[1])))
