"""Bonded ports under random loss, damage and death of links, from one seed each (HSL 4.6)."""

from __future__ import annotations

import random

import pytest

from tests.link.pair import TU, Lossy, Pair
from tests.link.test_bond import bonded, check_all_arrived, load

COUNT = 150
SEEDS = range(6)  # for each number of links; a seed that fails is the id of the test


def kill(pair: Pair, rng: random.Random, links: int) -> None:
    """Take one to all but one of the links away at random times, each at a random end."""
    for link in rng.sample(range(links), rng.randrange(1, links)):
        pair.run(rng.randrange(30 * TU))
        rng.choice((pair.a, pair.b)).port.disable_link(link, pair.now)


@pytest.mark.parametrize("links", [2, 3, 4])
@pytest.mark.parametrize("seed", SEEDS)
def test_random_faults_and_deaths(seed: int, links: int) -> None:
    """With flits lost and damaged at 2 % and links that die, each message arrives once and in order.

    [HSL-BND-003] [HSL-BND-004] [HSL-BND-008]
    """
    rng = random.Random(f"bond {seed} {links}")
    pair = bonded(links, window=rng.choice((3, 16, 64))).up()
    hooks = [Lossy(random.Random(rng.random()), 0.02) for side, _ in pair.sides for _ in side.wires]
    for wire, hook in zip((wire for side, _ in pair.sides for wire in side.wires), hooks, strict=True):
        wire.hook = hook
        wire.latency = rng.randrange(20, 400)
    load(pair, COUNT)
    kill(pair, rng, links)
    pair.settle()
    check_all_arrived(pair, COUNT)
    assert pair.a.port.alive == pair.b.port.alive != 0
