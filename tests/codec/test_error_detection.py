"""HSL 2.4: errors of few bits are always detected [HSL-FLT-006].

By syndromes, which is exhaustive but believes that the CRC is linear; and through the decoders, which believe
nothing.
"""

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


def errors_of(form: str, weight: int, count: int) -> Flits:
    """The golden flit with errors of `weight` bits: all of them when `count` is 0, else so many drawn."""
    whole = np.frombuffer(GOLDEN[form], dtype=np.uint8)
    bits = 8 * len(whole)
    if count == 0:
        drawn = np.stack(np.triu_indices(bits, 1), axis=1) if weight == 2 else np.arange(bits)[:, None]
    else:
        rng = np.random.default_rng(SEED)
        drawn = np.sort(rng.integers(0, bits, (count, weight)), axis=1)
        drawn = drawn[np.all(np.diff(drawn, axis=1) > 0, axis=1)]  # no bit twice
    flits = np.tile(whole, (len(drawn), 1))
    rows = np.arange(len(drawn))
    for column in drawn.T:
        flits[rows, column // 8] ^= (1 << column % 8).astype(np.uint8)
    return flits


def accepted_by_reference(flits: Flits, form: str) -> int:
    """How many of damaged flits decode, or are refused for another reason than the CRC."""
    accepted = 0
    for data in flits:
        try:
            reference.decode_flit(data.tobytes(), form)
        except CodecError as error:
            accepted += error.code != ErrorCode.CRC
        else:
            accepted += 1
    return accepted


# Decoder, how many it can be asked; weight and count per format (0: all). Each gives the number it accepts.
DECODERS: dict[str, Callable[[Flits, str], int]] = {"reference": accepted_by_reference}
ASKED = {"reference": ((1, 0), (2, 2_000), (3, 500), (4, 500), (5, 500))}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("decoder", "weight", "count"),
    [(decoder, *asked) for decoder in DECODERS for asked in ASKED[decoder]],
)
def test_through_the_decoder(decoder: str, weight: int, count: int, form: str) -> None:
    """A flit with 1 to 5 flipped bits is refused for its CRC."""
    flits = errors_of(form, weight, count)
    assert len(flits) >= 0.9 * count
    assert len(flits) > 0
    assert DECODERS[decoder](flits, form) == 0, f"seed {SEED}"


def test_what_is_drawn() -> None:
    """All errors of 1 and 2 bits are all; those drawn have as many flipped bits as they should."""
    whole = np.frombuffer(V2, dtype=np.uint8)
    for weight, count, number in ((1, 0, 512), (2, 0, 130_816), (4, 1000, None)):
        flits = errors_of("L64", weight, count)
        flipped = np.unpackbits(flits ^ whole, axis=1).sum(axis=1)
        assert set(flipped.tolist()) == {weight}
        assert number is None or len({flit.tobytes() for flit in flits}) == number
    assert accepted_by_reference(whole[None, :], "L64") == 1
