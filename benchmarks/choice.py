"""How good is the candidate that an exploring study chooses? By each candidate's own standard deviation, and by the pooled one.

Simulated studies of 25 candidates and three pairs of seeds: true differences are normal with one standard deviation, what a seed adds with
another. Printed is the mean true difference of the chosen candidate, in points: the table of docs/statistics.md.
"""

from __future__ import annotations

import numpy as np
from scipy import special

STUDIES, CANDIDATES, SEEDS = 20_000, 25, 3


def program() -> None:
    random = np.random.default_rng(0)
    print(
        "| sd of true differences | sd of a seed's | own sd | pooled sd | best there is |\n| --- | --- | --- | --- | --- |"
    )
    for spread in (0.1, 0.2, 0.4):
        for noise in (0.15, 0.3):
            truth = random.normal(0, spread, (STUDIES, CANDIDATES))
            seen = truth[..., None] + random.normal(0, noise, (STUDIES, CANDIDATES, SEEDS))
            mean, sd = seen.mean(-1), seen.std(-1, ddof=1)
            own = mean - special.stdtrit(SEEDS - 1, 0.975) * sd / SEEDS**0.5
            found = [np.take_along_axis(truth, bound.argmax(1)[:, None], 1).mean() for bound in (own, mean, truth)]
            print(f"| {spread} | {noise} | " + " | ".join(f"{value:+.2f}" for value in found) + " |")


if __name__ == "__main__":
    program()
