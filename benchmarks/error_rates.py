"""How often the verdicts of a study are wrong, and how often there is one: simulated, for docs/statistics.md.

    python benchmarks/error_rates.py [--draws 4000]

The study is declared as studies/decide.yaml is: seven published claims and two about the mechanism, ten seeds, six for the variants
from the start and for the learning rates, a margin of 0.3 points, a standard deviation of 0.2 points of a paired difference. The
claims share their benchmark, so they are not independent. A verdict is wrong where it says supported or contradicted and the truth
is the opposite or on the limit, and where it says negligible and the true difference is the margin or more.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from math import sqrt

import numpy as np

from temporal_shortcuts.analysis.statistics import resolution
from temporal_shortcuts.analysis.verdicts import VERDICTS, decide

MARGIN, DEVIATION, ACCURACY = 0.3, 0.2, 74.0
FEW, MANY = 6, 10
SEEDS = dict.fromkeys(("lr_small", "lr_large", "batch_start", "epoch_start"), FEW)
"""Seeds of a variant, where it hasn't `MANY`."""
CLAIMS = [
    {"id": "lr_best", "test": "best_of", "variant": "benchmark", "among": ["lr_small", "lr_large"]},
    {"id": "epoch_start_fails", "test": "fails_to_converge", "variant": "epoch_start", "threshold": 0.2},
    {"id": "batch_start_no_gain", "test": "not_better", "variant": "batch_start", "than": "benchmark"},
    {"id": "batch_late_gain", "test": "better", "variant": "batch_late", "than": "benchmark"},
    {"id": "epoch_late_no_gain", "test": "not_better", "variant": "epoch_late", "than": "benchmark"},
    {"id": "batch_later_is_better", "test": "better", "variant": "batch_late", "than": "batch_start"},
    {"id": "epoch_later_is_better", "test": "better", "variant": "epoch_late", "than": "epoch_start"},
    {"id": "epoch_with_carry", "test": "negligible", "variant": "epoch_with_carry", "than": "benchmark"},
    {"id": "late_re_estimated", "test": "negligible", "variant": "late_re_estimated", "than": "benchmark"},
]
VARIANTS = list(
    dict.fromkeys(name for claim in CLAIMS for name in ("benchmark", claim["variant"], *claim.get("among", [])))
)
Truth = Mapping[str, float]
"""True differences from the benchmark in points, at a margin of `MARGIN`, by variant; 0 where none is named."""

SCENARIOS: dict[str, Truth] = {
    "nothing differs": {},
    "small effects: 0.1 points": dict.fromkeys(VARIANTS[1:], 0.1),
    "effects of either sign: 0.15 points": {name: 0.15 * (-1) ** i for i, name in enumerate(VARIANTS[1:])},
    "all on the margin, above": dict.fromkeys(VARIANTS[1:], MARGIN),
    "all on the margin, below": dict.fromkeys(VARIANTS[1:], -MARGIN),
    "large, on the margin and none": {"lr_small": -10, "lr_large": -3, "batch_late": MARGIN, "epoch_late": -MARGIN},
    "as the pilot and the probe suggest": {
        "lr_small": -10,
        "lr_large": -3,
        "batch_start": -0.6,
        "epoch_start": -0.8,
        "batch_late": -0.5,
        "epoch_late": -0.6,
    },
}
"""For `fails_to_converge` the truth is the accuracy: the benchmark's with the difference, far above the threshold."""


def draw(rng: np.random.Generator, truth: Truth, deviation: float, images: int) -> dict[str, dict[int, float]]:
    """Accuracies in percent, in whole test images: a seed's luck, which its variants share, and each run's own."""
    luck, step = rng.normal(0, 0.5, MANY), 100 / images
    values = {}
    for name in VARIANTS:
        n = SEEDS.get(name, MANY)
        exact = ACCURACY + truth.get(name, 0.0) + luck[:n] + rng.normal(0, deviation / sqrt(2), n)
        values[name] = dict(enumerate((np.floor(exact / step + rng.random(n)) * step).tolist()))
    return values


def wrong(claim: Mapping[str, object], verdict: str, truth: Truth, margin: float | None) -> bool:
    """Whether a verdict contradicts the truth."""
    others = claim.get("among") or [claim.get("than")]
    if claim["test"] == "fails_to_converge":
        return verdict == "supported"
    difference = min(truth.get(claim["variant"], 0.0) - truth.get(other, 0.0) for other in others)
    if margin is not None and abs(abs(difference) - margin) < 1e-9 and claim["test"] == "negligible":
        return verdict != "undecided"  # on the limit
    if claim["test"] == "negligible":
        return verdict == ("contradicted" if abs(difference) < margin else "supported")
    if verdict == "negligible":
        return abs(difference) > margin - 1e-9
    signed = -difference if claim["test"] == "not_better" else difference
    return (verdict == "supported" and signed <= 1e-9) or (verdict == "contradicted" and signed >= -1e-9)


def simulate(
    truth: Truth,
    draws: int,
    seed: int,
    *,
    deviation: float = DEVIATION,
    images: int = 10_000,
    margin: float | None = MARGIN,
) -> tuple[float, dict[str, Counter[str]]]:
    """The share of studies with a wrong verdict, and how often each claim got which verdict."""
    rng, wrongs = np.random.default_rng(seed), 0
    truth = {name: difference * (margin or MARGIN) / MARGIN for name, difference in truth.items()}
    family = [
        {"endpoint": "e", "margin": margin, **claim}
        for claim in CLAIMS
        if margin is not None or claim["test"] != "negligible"
    ]
    found = {claim["id"]: Counter() for claim in family}
    for _ in range(draws):
        said = decide(family, {"e": draw(rng, truth, deviation, images)}, resolution(images))
        for claim, verdict in zip(family, said, strict=True):
            found[claim["id"]][verdict] += 1
        wrongs += any(wrong(claim, verdict, truth, margin) for claim, verdict in zip(family, said, strict=True))
    return wrongs / draws, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=4_000)
    draws = parser.parse_args().draws
    print("| truth | margin | test images | sd of a difference | any wrong verdict |\n| --- | --- | --- | --- | --- |")
    for index, (name, truth) in enumerate(SCENARIOS.items()):
        for margin, images, deviation in settings(name):
            rate, _ = simulate(truth, draws, index, deviation=deviation, images=images, margin=margin)
            print(
                f"| {name} | {f'{margin:.2g}' if margin else 'none'} | {images:,} | {deviation:.2g} | {100 * rate:.1f} % |",
                flush=True,
            )
    print("\n| claim, and its true difference | supported | contradicted | negligible | undecided |")
    print("| --- | --- | --- | --- | --- |")
    for name in ("nothing differs", "as the pilot and the probe suggest"):
        _, found = simulate(SCENARIOS[name], draws, 100)
        for claim, count in found.items():
            shares = " | ".join(f"{100 * count[verdict] / draws:.0f} %" for verdict in VERDICTS)
            print(f"| {name}: {claim} | {shares} |")


def settings(scenario: str) -> list[tuple[float | None, int, float]]:
    """Margin, test images and standard deviation: as declared, and where nothing differs or all is on the margin, other ones too."""
    declared = [(MARGIN, 10_000, DEVIATION)]
    if scenario != "nothing differs" and "all on" not in scenario:
        return declared
    none = [(None, 10_000, DEVIATION)] if scenario == "nothing differs" else []
    few = [
        (400 / images, images, 100 / images) for images in (64, 359, 1_000)
    ]  # a margin of four images, a deviation of one
    return [*declared, (MARGIN, 10_000, 0.05), (MARGIN, 10_000, 0.6), *few, *none]


if __name__ == "__main__":
    main()
