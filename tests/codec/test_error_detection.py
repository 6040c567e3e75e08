"""HSL 2.4: errors of few bits are always detected [HSL-FLT-006].

By syndromes, which is exhaustive but believes that the CRC is linear; and through the decoders, which believe
nothing.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hsl._generated.constants import ErrorCode
from hsl.codec import reference
from hsl.codec.crc import crc32c_reference, crc64xz
from hsl.codec.flit import FORMATS
from hsl.errors import CodecError
from hsl.native import ffi, lib
from tests.codec.cases import V2, V3

Syndromes = NDArray[Any]  # (n,) uint32 for L64, uint64 for B256
Flits = NDArray[np.uint8]  # (n, bytes of a flit)
GOLDEN = {"L64": V2, "B256": V3}
CRC = {"L64": crc32c_reference, "B256": crc64xz}
SEED = 2024


def syndromes(form: str) -> Syndromes:
    """What each flipped bit of a flit changes in (CRC of the body) xor (CRC stored).

    The CRC is affine, so an error goes undetected iff the syndromes of its bits cancel out.
    """
    at, size = FORMATS[form].crc_offset, FORMATS[form].bytes
    clean = CRC[form](bytes(at))
    found = []
    for bit in range(8 * size):
        flipped = (1 << bit).to_bytes(size, "little")
        found.append(CRC[form](flipped[:at]) ^ clean ^ int.from_bytes(flipped[at:], "little"))
    return np.array(found, dtype={"L64": np.uint32, "B256": np.uint64}[form])


def pairs(single: Syndromes) -> Syndromes:
    """(n (n - 1) / 2,) the syndromes of all errors of two bits."""
    first, second = np.triu_indices(len(single), 1)
    return single[first] ^ single[second]


def triples(single: Syndromes) -> Iterator[Syndromes]:
    """The syndromes of all errors of three bits, those with the same first bit together."""
    for first in range(len(single) - 2):
        yield single[first] ^ pairs(single[first + 1 :])


class Known:
    """A set of syndromes; asking for many at once is quick, because few pass the first 24 bits."""

    def __init__(self, values: Syndromes) -> None:
        self._values = np.sort(values)
        self._low = np.zeros(1 << 24, dtype=np.bool_)
        self._low[values & 0xFFFFFF] = True

    def count(self, wanted: Syndromes) -> int:
        """How many of `wanted` are in the set."""
        likely = wanted[self._low[wanted & 0xFFFFFF]]
        places = np.minimum(np.searchsorted(self._values, likely), len(self._values) - 1)
        return int(np.count_nonzero(self._values[places] == likely))


def undetected(single: Syndromes) -> dict[int, int]:
    """Weight, 1 to 5 -> how many errors of it are not detected.

    Of 4 bits: two pairs with equal syndromes; of 5: a pair and a triple. They have no bit in common when no
    error of 3 bits or less is undetected.
    """
    two = np.sort(pairs(single))
    known = Known(two)
    return {
        1: int(np.count_nonzero(single == 0)),
        2: int(np.count_nonzero(two == 0)),
        3: known.count(single),
        4: int(np.count_nonzero(two[1:] == two[:-1])),
        5: sum(known.count(three) for three in triples(single)),
    }


def test_weight_1_to_5_on_l64() -> None:
    """Of all 2.9e11 errors of 1 to 5 bits in an L64 flit none is undetected."""
    single = syndromes("L64")
    assert len(single) == 512
    assert undetected(single) == dict.fromkeys(range(1, 6), 0)


def test_weight_1_to_5_on_b256() -> None:
    """Of 2048 bits: no two pairs cancel out, and no odd number of bits does, since every syndrome is odd."""
    single = syndromes("B256")
    assert len(single) == 2048
    two = np.sort(pairs(single))
    assert np.count_nonzero(two == 0) == 0
    assert np.count_nonzero(two[1:] == two[:-1]) == 0
    assert all(int(syndrome).bit_count() % 2 for syndrome in single)


def test_a_planted_weakness_is_found() -> None:
    """When the syndromes of 1 to 5 bits cancel out, that is counted."""
    single = syndromes("L64")[:64]
    for bits, weight in (([8], 1), ([7, 9], 2), ([1, 2, 3], 3), ([4, 40, 57, 60], 4), ([0, 5, 6, 30, 63], 5)):
        weak = single.copy()
        weak[bits[0]] = np.bitwise_xor.reduce(single[bits[1:]])
        assert undetected(weak)[weight] > 0


def test_a_weight_6_error_is_accepted() -> None:
    """The distance is 6 and no more: there are 6 bits of V2 that can flip and the flit is good."""
    count = 180  # bits drawn from 512: neighbours alone have none
    drawn = np.random.default_rng(SEED).permutation(512)[:count]
    single = syndromes("L64")[drawn]
    three = np.concatenate(list(triples(single)))
    order = np.argsort(three, kind="stable")
    at = next(at for at in np.flatnonzero(three[order][1:] == three[order][:-1]))
    places = [[i, *rest] for i in range(count - 2) for rest in _pairs_after(i, count)]
    bits = {int(drawn[place]) for place in (*places[order[at]], *places[order[at + 1]])}
    assert len(bits) == 6
    damaged = int.from_bytes(V2, "little") ^ sum(1 << bit for bit in bits)
    flit = reference.decode_flit(damaged.to_bytes(64, "little"), "L64")
    assert flit != reference.decode_flit(V2, "L64")


def _pairs_after(first: int, count: int) -> Iterator[tuple[int, int]]:
    """In the order of `pairs`."""
    return ((i, j) for i in range(first + 1, count) for j in range(i + 1, count))


ALL = 0  # errors asked for: every one
CHUNK = 1 << 16  # flits


def places(form: str, weight: int, count: int) -> NDArray[np.int64]:
    """(n, weight) the bits of ALL errors of 1 or 2 bits, or of `count` drawn ones."""
    bits = 8 * FORMATS[form].bytes
    if count == ALL:
        return np.stack(np.triu_indices(bits, 1), axis=1) if weight == 2 else np.arange(bits)[:, None]
    drawn = np.sort(np.random.default_rng(SEED).integers(0, bits, (count + count // 10, weight)), axis=1)
    return drawn[np.all(np.diff(drawn, axis=1) > 0, axis=1)][:count]  # no bit twice


def damaged(form: str, weight: int, count: int) -> Iterator[Flits]:
    """The golden flit with these errors, in parts of CHUNK flits at most."""
    whole = np.frombuffer(GOLDEN[form], dtype=np.uint8)
    drawn = places(form, weight, count)
    for at in range(0, len(drawn), CHUNK):
        part = drawn[at : at + CHUNK]
        flits = np.tile(whole, (len(part), 1))
        rows = np.arange(len(part))
        for column in part.T:
            flits[rows, column // 8] ^= (1 << column % 8).astype(np.uint8)
        yield flits


def accepted_by_reference(flits: Flits, form: str) -> int:
    """How many decode, or are refused for another reason than the CRC."""
    accepted = 0
    for data in flits:
        try:
            reference.decode_flit(data.tobytes(), form)
        except CodecError as error:
            accepted += error.code != ErrorCode.CRC
        else:
            accepted += 1
    return accepted


def accepted_by_native(flits: Flits, form: str) -> int:
    """The same, all in one call."""
    record, room = ffi.typeof("hsl_flit_t"), 4 * FORMATS[form].granules  # a few good flits
    found, messages = ffi.new("hsl_flit_t[]", len(flits)), ffi.new("hsl_message_t[]", room)
    state, count = ffi.new("hsl_unpacker_t *"), ffi.new("size_t *")
    decoded = lib.hsl_decode(
        lib.hsl_format(FORMATS[form].bytes), ffi.from_buffer(flits), flits.nbytes, state, ffi.NULL,
        found, len(flits), messages, room, 0, count,
    )  # fmt: skip
    assert decoded == len(flits), "good flits filled the room for messages"
    records = np.frombuffer(ffi.buffer(found), dtype=np.uint8).reshape(len(flits), ffi.sizeof(record))
    return int(np.count_nonzero(records[:, ffi.offsetof(record, "fault", "code")] != ErrorCode.CRC))


# Each gives the number of flits that it accepts.
DECODERS: dict[str, Callable[[Flits, str], int]] = {
    "reference": accepted_by_reference,
    "native": accepted_by_native,
}
# Decoder -> weight and number of the errors that it is asked about, in each format.
ASKED = {
    "reference": ((1, ALL), (2, 2_000), (3, 500), (4, 500), (5, 500)),
    "native": ((1, ALL), (2, ALL), (3, 350_000), (4, 350_000), (5, 350_000)),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("decoder", "weight", "count"),
    [(decoder, *asked) for decoder in DECODERS for asked in ASKED[decoder]],
)
def test_through_the_decoder(decoder: str, weight: int, count: int, form: str) -> None:
    """A flit with 1 to 5 flipped bits is refused for its CRC."""
    bits = 8 * FORMATS[form].bytes
    seen = 0
    for flits in damaged(form, weight, count):
        assert DECODERS[decoder](flits, form) == 0, f"seed {SEED}"
        seen += len(flits)
    assert seen == (count or math.comb(bits, weight))


def test_what_is_damaged() -> None:
    """The errors have as many flipped bits as they should, and no two of ALL are the same."""
    whole = np.frombuffer(V2, dtype=np.uint8)
    for weight, count in ((1, ALL), (2, ALL), (4, 1000)):
        flits = np.concatenate(list(damaged("L64", weight, count)))
        flipped = np.unpackbits(flits ^ whole, axis=1).sum(axis=1)
        assert set(flipped.tolist()) == {weight}
        assert count or len({flit.tobytes() for flit in flits}) == len(flits)


@pytest.mark.parametrize("decoder", DECODERS)
def test_undamaged_flits_are_accepted(decoder: str) -> None:
    """Of good and damaged flits the good ones are counted."""
    for form, whole in GOLDEN.items():
        good = np.tile(np.frombuffer(whole, dtype=np.uint8), (5, 1))
        good[1, 3] ^= 4
        assert DECODERS[decoder](good, form) == 4
