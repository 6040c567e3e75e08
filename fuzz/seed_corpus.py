"""Writes the first corpus of each target, from the vectors and from numbers: `python -m fuzz.seed_corpus`.

A file for each kind of vector, chapter by chapter; what fuzzing finds beyond it is added by hand.
"""

from __future__ import annotations

import json
import random
import zlib
from pathlib import Path
from typing import Any

from fuzz.targets import fuzz_encode
from fuzz.targets.fuzz_codec_differential import MODES
from hsl._generated.constants import FlitType, Op
from hsl.cli.flit_json import decode_document
from hsl.codec.flit import FORMATS, Flit
from hsl.codec.message import Message
from hsl.codec.reference import Packer, encode_flit

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "fuzz/corpus"
SIZES = (60, 400, 3000)  # of inputs of numbers: what an input does is decided as it is read
NO_LIMIT, WHOLE = 255, 0
FULL_FLITS = 40
MODE = {mode.__name__: index for index, mode in enumerate(MODES)}
FORM = {name: index for index, name in enumerate(FORMATS)}


def kind(vector: dict[str, Any]) -> tuple[Any, ...]:
    """Vectors of one kind differ in numbers only."""
    error = vector.get("error", {})
    return vector["format"], vector["result"], error.get("requirement"), tuple(vector["flags"])


def full_flits(form: str) -> bytes:
    """Flits that are full to the last granule: more than the native codec puts together at once."""
    numbers = iter(range(4096))
    packer = Packer()
    flits = []
    for seq in range(FULL_FLITS):
        payload, som = packer.fill(lambda: Message(Op.Cmp, txn=next(numbers)), form)
        flits.append(encode_flit(Flit(form, FlitType.PROT, seq=seq, payload=payload, som=som)))
    return b"".join(flits)


def inputs() -> dict[str, bytes]:
    """Name -> bytes of the inputs."""
    found: dict[str, bytes] = {}
    for path in sorted((ROOT / "spec/vectors").glob("*.json")):
        vectors = json.loads(path.read_text("utf-8")).get("vectors", [])
        for vector in {kind(vector): vector for vector in reversed(vectors)}.values():
            form, flits = FORM[vector["format"]], bytes.fromhex("".join(vector["bytes"]))
            limit = NO_LIMIT if "credits" not in vector else 0
            found[f"{path.stem}-{vector['id']}"] = bytes([MODE["raw_flits"], form, limit, WHOLE]) + flits
            if path.stem == "packing":
                for mode in ("sealed_flits", "prot_flits"):
                    name = f"{path.stem}-{vector['id']}-{mode}"
                    found[name] = bytes([MODE[mode], form, NO_LIMIT, 3]) + flits
            if path.stem == "ctl":
                shape = FORMATS[vector["format"]]
                found[f"ctl-{vector['id']}-payload"] = (
                    bytes([MODE["ctl"], form]) + flits[shape.payload_offset :]
                )
    for name, form in FORM.items():
        drawn = b"".join(zlib.crc32(bytes([form, i])).to_bytes(4, "little") for i in range(256))
        found[f"full-{name}"] = bytes([MODE["raw_flits"], form, NO_LIMIT, WHOLE]) + full_flits(name)
        found[f"encoded-{name}"] = bytes([MODE["encoded"], form]) + drawn
    return found


def encode_inputs() -> dict[str, bytes]:
    """Name -> bytes of the inputs of fuzz_encode: what decode prints, and numbers for the other modes."""
    found: dict[str, bytes] = {}
    for name, form in FORM.items():
        path = ROOT / "spec/vectors/packing.json"
        vectors = [each for each in json.loads(path.read_text("utf-8"))["vectors"] if each["format"] == name]
        flits = bytes.fromhex("".join(vectors[0]["bytes"]))
        text = json.dumps(decode_document(flits, name)).encode()
        found[f"text-{name}"] = bytes([0, form]) + text
        for mode in range(1, len(fuzz_encode.MODES)):
            for size in SIZES:
                rng = random.Random(f"{name} {mode} {size}")
                kind = fuzz_encode.MODES[mode].__name__
                found[f"{kind}-{name}-{size}"] = bytes([mode, form]) + rng.randbytes(size)
    return found


def main() -> None:
    """Write them all."""
    for folder, found in (("codec_differential", inputs()), ("encode", encode_inputs())):
        (CORPUS / folder).mkdir(parents=True, exist_ok=True)
        for name, data in found.items():
            (CORPUS / folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
