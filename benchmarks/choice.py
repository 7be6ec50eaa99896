"""How good is the candidate that an exploring study chooses? By each candidate's own standard deviation, and by the pooled one.

Simulated studies of 24 candidates and three pairs of seeds: true differences are normal with one standard deviation, what a seed adds with
another, which half of the candidates may have several times as large. Printed is the mean true difference of the chosen candidate, in
points; docs/statistics.md sums it up.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy import special

STUDIES, CANDIDATES, SEEDS = 20_000, 24, 3


def program() -> None:
    random = np.random.default_rng(0)
    heads = ["sd of true differences", "sd of a seed's", "of the other half's", "own sd", "pooled sd", "best there is"]
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for times, spread, noise in itertools.product((1, 3), (0.1, 0.2, 0.4), (0.15, 0.3)):
        truth = random.normal(0, spread, (STUDIES, CANDIDATES))
        own_noise = noise * np.where(np.arange(CANDIDATES) % 2, times, 1)[:, None]
        seen = truth[..., None] + own_noise * random.normal(0, 1, (STUDIES, CANDIDATES, SEEDS))
        mean, sd = seen.mean(-1), seen.std(-1, ddof=1)
        own = mean - special.stdtrit(SEEDS - 1, 0.975) * sd / SEEDS**0.5
        found = [np.take_along_axis(truth, bound.argmax(1)[:, None], 1).mean() for bound in (own, mean, truth)]
        print(f"| {spread} | {noise} | {noise * times:.2g} | {' | '.join(f'{value:+.2f}' for value in found)} |")


if __name__ == "__main__":
    program()
