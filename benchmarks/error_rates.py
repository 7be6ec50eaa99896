"""How often the verdicts of the study `decide` are wrong, and how often there is one: simulated, for docs/statistics.md.

    python benchmarks/error_rates.py [--draws 4000]

Claims, endpoints, seeds and margin are those of studies/decide.yaml. A paired difference has a standard deviation of 0.2 points, of the
last five epochs' mean 0.6. Variants share their seeds' luck and the benchmark, so the claims are not independent. A verdict is wrong
where it says supported or contradicted and the truth is the opposite or on the limit, and where it says negligible and the true
difference is the margin or more.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from temporal_shortcuts.analysis.statistics import resolution
from temporal_shortcuts.analysis.verdicts import VERDICTS, decide
from temporal_shortcuts.api import read_study
from temporal_shortcuts.study import Claim

STUDY = read_study(Path(__file__).parents[1] / "studies" / "decide.yaml").resolved
MARGIN, BENCHMARK = STUDY["margin"], STUDY["benchmark"]
CLAIMS = [{"endpoint": STUDY["endpoint"], "margin": MARGIN} | claim for claim in STUDY["claims"]]
DEVIATION, NOISY = 0.2, {"last5": 3.0}
"""Points, of a paired difference; and how many times as much it is at an endpoint that swings."""
ACCURACY, LUCK = 74.0, 0.5
"""Percent of the benchmark, and the standard deviation that a seed's variants have in common."""

Truth = Mapping[Any, float]
"""True differences from the benchmark in points, by variant, or by variant and endpoint; 0 where none is named."""
OTHERS = [name for name in STUDY["variants"] if name != BENCHMARK]
SCENARIOS: dict[str, Truth] = {
    "nothing differs": {},
    "small effects, 0.1": dict.fromkeys(OTHERS, 0.1),
    "small effects of either sign, 0.15": {name: 0.15 * (-1) ** i for i, name in enumerate(OTHERS)},
    "all on the margin, above": dict.fromkeys(OTHERS, MARGIN),
    "all on the margin, below": dict.fromkeys(OTHERS, -MARGIN),
    "large ones, on the margin, none": {
        **dict.fromkeys(("lr_0.001", "lr_0.1"), -10.0),
        "batch_res_late": MARGIN,
        "epoch_res_late": -MARGIN,
    },
    "as the pilot suggests": {
        "lr_0.001": -10.0,
        "lr_0.1": -3.0,
        "batch_res_start": -0.6,
        "epoch_res_start": -0.8,
        "batch_res_late": -0.5,
        "epoch_res_late": -0.6,
        **dict.fromkeys([("epoch_res_late", "averaged_with_carry"), ("epoch_res_late", "re_estimated")], 0.0),
        ("batch_res_late", "re_estimated"): 0.0,
    },
}
"""The accuracies themselves stay far above the threshold of a claim that a variant does not converge."""


def true_difference(truth: Truth, variant: str, endpoint: str) -> float:
    return truth.get((variant, endpoint), truth.get(variant, 0.0))


def draw(
    rng: np.random.Generator, truth: Truth, deviation: float, images: int
) -> dict[str, dict[str, dict[int, float]]]:
    """Accuracies in percent, in whole test images, by endpoint, variant and seed."""
    step, values = 100 / images, {}
    luck = {seed: rng.normal(0, LUCK) for seed in STUDY["seeds"]}
    for endpoint in dict.fromkeys(claim["endpoint"] for claim in CLAIMS):
        spread = deviation * NOISY.get(endpoint, 1.0) / sqrt(2)
        values[endpoint] = {}
        for name, variant in STUDY["variants"].items():
            mean = ACCURACY + true_difference(truth, name, endpoint)
            exact = {seed: mean + luck[seed] + rng.normal(0, spread) for seed in variant["seeds"]}
            values[endpoint][name] = {seed: step * np.floor(x / step + rng.random()) for seed, x in exact.items()}
    return values


def is_wrong(claim: Mapping[str, Any], verdict: str, truth: Truth) -> bool:
    """Whether a verdict contradicts the truth: a difference of 0 has no sign, and one of the margin is not within it."""
    margin, endpoint = claim["margin"], claim["endpoint"]
    if claim["test"] == "fails_to_converge":
        return verdict == "supported"
    others = claim.get("among") or [claim["than"]]
    own = true_difference(truth, claim["variant"], endpoint)
    difference = min(own - true_difference(truth, other, endpoint) for other in others)
    within = margin is not None and abs(difference) < margin - 1e-9
    if verdict == "undecided":
        return False
    if verdict == "negligible":
        return not within
    if claim["test"] == "negligible":
        return (verdict == "supported") != within
    signed = -difference if claim["test"] == "not_better" else difference
    return signed <= 1e-9 if verdict == "supported" else signed >= -1e-9


def simulate(
    truth: Truth,
    draws: int,
    seed: int,
    *,
    deviation: float = DEVIATION,
    images: int = 10_000,
    margin: float | None = MARGIN,
) -> tuple[float, dict[str, Counter[str]]]:
    """The share of studies with a wrong verdict, and how often each claim got which; another margin scales the truth with it.

    Without a margin the claims that are about one are left out.
    """
    rng, wrong = np.random.default_rng(seed), 0
    truth = {name: difference * (margin or MARGIN) / MARGIN for name, difference in truth.items()}
    family = [claim | {"margin": margin} for claim in CLAIMS if margin is not None or claim["test"] != "negligible"]
    found: dict[str, Counter[str]] = {claim["id"]: Counter() for claim in family}
    claims = [Claim.model_validate(claim) for claim in family]
    for _ in range(draws):
        verdicts = decide(claims, draw(rng, truth, deviation, images), resolution(images))
        for claim, verdict in zip(family, verdicts, strict=True):
            found[claim["id"]][verdict] += 1
        wrong += any(is_wrong(claim, verdict, truth) for claim, verdict in zip(family, verdicts, strict=True))
    return wrong / draws, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=4_000)
    draws = parser.parse_args().draws
    print("| truth | margin | test images | sd of a difference | any wrong verdict |\n| --- | --- | --- | --- | --- |")
    for index, (name, truth) in enumerate(SCENARIOS.items()):
        for margin, images, deviation in settings(name):
            rate, _ = simulate(truth, draws, index, deviation=deviation, images=images, margin=margin)
            shown = f"{margin:.2g}" if margin else "none"
            print(f"| {name} | {shown} | {images:,} | {deviation:.2g} | {100 * rate:.1f} % |", flush=True)
    for name in ("nothing differs", "as the pilot suggests"):
        print(f"\n| {name} | {' | '.join(VERDICTS)} |\n| --- | --- | --- | --- | --- |")
        for claim, count in simulate(SCENARIOS[name], draws, 100)[1].items():
            print(f"| {claim} | {' | '.join(f'{100 * count[verdict] / draws:.0f} %' for verdict in VERDICTS)} |")


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
