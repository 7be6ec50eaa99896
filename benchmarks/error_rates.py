"""How often verdicts are wrong, and how often there is one: simulated, for docs/statistics.md. It prints tables.

    python benchmarks/error_rates.py decide [--draws 4000]
    python benchmarks/error_rates.py table  [--draws 20000]
    python benchmarks/error_rates.py limits [--draws 20000]

`decide`: the study studies/decide.yaml as declared. A paired difference has a standard deviation of 0.2 points, of the last five
epochs' mean 0.6. Variants share their seeds' luck and the benchmark, so the claims are not independent.

`table`: a table of so many arms with so many seeds each, all compared with one baseline that makes half of the variance, with own and
with moderated variances. An arm's differences have a standard deviation of 1 on average, log-normal over the arms with a coefficient
of variation, the spread. `limits` goes beyond its spreads.

A verdict is wrong where it says supported or contradicted and the truth is the opposite or no difference, and where it says negligible
and the true difference is the margin or more. Rates stand with their simulation error, one standard error.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from temporal_shortcuts.analysis import moderation
from temporal_shortcuts.analysis.moderation import Floats
from temporal_shortcuts.analysis.statistics import LEVEL, resolution
from temporal_shortcuts.analysis.verdicts import VERDICTS, decide
from temporal_shortcuts.catalogue import read_study
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


def of_decide(draws: int) -> None:
    print("| truth | margin | test images | sd of a difference | any wrong verdict |\n| --- | --- | --- | --- | --- |")
    for index, (name, truth) in enumerate(SCENARIOS.items()):
        for margin, images, deviation in settings(name):
            rate, _ = simulate(truth, draws, index, deviation=deviation, images=images, margin=margin)
            shown = f"{margin:.2g}" if margin else "none"
            print(f"| {name} | {shown} | {images:,} | {deviation:.2g} | {with_error(rate, draws)} |", flush=True)
    for name in ("nothing differs", "as the pilot suggests"):
        print(f"\n| {name} | {' | '.join(VERDICTS)} |\n| --- | --- | --- | --- | --- |")
        for claim, count in simulate(SCENARIOS[name], draws, 100)[1].items():
            print(f"| {claim} | {' | '.join(f'{100 * count[verdict] / draws:.0f} %' for verdict in VERDICTS)} |")


def with_error(rate: float, draws: int) -> str:
    return f"{100 * rate:.1f} ± {100 * sqrt(max(rate, 1 / draws) * (1 - rate) / draws):.1f} %"


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


# A table of arms ------------------------------------------------------------------------------------------------------

ARMS, SEEDS, SPREADS = (5, 10, 24), (3, 4, 5, 10), (0.0, 0.4, 0.8)
TRUTHS: dict[str, tuple[list[float], float | None]] = {
    "nothing differs": ([0.0], None),
    "nothing differs, a margin": ([0.0], 2.0),
    "mixed": ([0.0, 3.0, 0.0, -5.0], None),
    "half of them far": ([0.0, 10.0], None),
    "on the margin": ([2.0, -2.0], 2.0),
    "mixed, a margin": ([0.0, 2.0, 10.0, -2.0], 2.0),
}
"""True differences of the arms, by turns, and the margin, in standard deviations of a pair."""


def rejected(p: Floats, p_margin: Floats | None) -> tuple[Floats, Floats]:
    """`verdicts.step_down` for many studies at once: which limits and which margins are rejected, both `[studies, arms]`."""
    studies, arms = p.shape
    tests = p if p_margin is None else np.concatenate([p, p_margin], axis=1)
    order, row = tests.argsort(axis=1, kind="stable"), np.arange(studies)
    open_ = np.full((studies, arms), tests.shape[1] // arms)
    going, found = np.ones(studies, bool), np.zeros(tests.shape, bool)
    for index in order.T:
        going &= tests[row, index] * (open_ > 0).sum(axis=1) <= LEVEL
        found[row, index] = going
        open_[row, index % arms] -= 1
    return found[:, :arms], found[:, arms:] if p_margin is not None else np.zeros_like(p, bool)


@dataclass(frozen=True)
class Samples:
    """Studies of arms whose true differences are 0: mean difference, standard error and its degrees of freedom, `[studies, arms]`."""

    mean: Floats
    error: Floats
    df: Floats

    def verdicts(self, truth: Floats, margin: float | None) -> tuple[Floats, Floats, Floats]:
        """Where an arm is said to be above 0, below 0, and within the margin."""
        mean = self.mean + truth
        p = 2 * special.stdtr(self.df, -np.abs(mean) / self.error)
        p_margin = None if margin is None else special.stdtr(self.df, (np.abs(mean) - margin) / self.error)
        signed, within = rejected(p, p_margin)
        return signed & ~within & (mean > 0), signed & ~within & (mean < 0), within

    def wrong(self, truth: Floats, margin: float | None) -> float:
        """The share of studies with any wrong verdict."""
        above, below, within = self.verdicts(truth, margin)
        wrong = (above & (truth <= 0)) | (below & (truth >= 0)) | (within & (np.abs(truth) >= (margin or np.inf)))
        return float(wrong.any(axis=1).mean())


def sampled(
    rng: np.random.Generator, arms: int, n: int, spread: float, draws: int, outlier: float = 1.0
) -> dict[str, Samples]:
    """Both methods on the same draws. The first arm spreads `outlier` times as much."""
    log = np.log(1 + spread**2)
    deviation = np.exp(rng.normal(-log / 2, sqrt(log), (draws, arms, 1)))
    if outlier != 1:
        deviation[:, 0] *= outlier
    differences = deviation * (rng.normal(size=(draws, 1, n)) + rng.normal(size=(draws, arms, n))) / sqrt(2)
    mean, variance = differences.mean(axis=-1), differences.var(axis=-1, ddof=1)
    df = np.full(variance.shape, n - 1.0)
    lent, common = (value[:, None] for value in (moderation.borrowed(variance, df), moderation.fit(variance, df)[1]))
    moderated = (lent * common + df * variance) / (lent + df)
    return {
        "own": Samples(mean, np.sqrt(variance / n), df),
        "moderated": Samples(mean, np.sqrt(moderated / n), df + lent),
    }


def of_arms(arms: int, n: int, draws: int, seed: int = 0) -> dict[str, list[str]]:
    """The rows of the table in percent, by method: any wrong verdict for each spread, the worst of the truths; and of arms with a spread of
    0.4, how many are found whose difference is two standard deviations, and how many without a difference are shown to be within two."""
    rng = np.random.default_rng([seed, arms, n])
    rows: dict[str, list[str]] = {"own": [], "moderated": []}
    power: dict[str, list[str]] = {}
    for spread in SPREADS:
        for method, samples in sampled(rng, arms, n, spread, draws).items():
            rates = [samples.wrong(np.resize(truth, arms), margin) for truth, margin in TRUTHS.values()]
            rows[method].append(f"{100 * max(rates):.1f}")
            if spread == SPREADS[1]:
                found = samples.verdicts(np.full(arms, 2.0), None)[0].mean()
                equal = samples.verdicts(np.zeros(arms), 2.0)[2].mean()
                power[method] = [f"{100 * found:.0f}", f"{100 * equal:.0f}"]
    rows = {method: own + power[method] for method, own in rows.items()}
    return rows if moderation.borrowed_if_alike(arms, n) else {"own": rows["own"]}


def of_table(draws: int) -> None:
    heads = [
        "arms",
        "seeds",
        "variances",
        *(f"wrong at spread {spread:g}, %" for spread in SPREADS),
        "found, %",
        "equal, %",
    ]
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for arms, n in itertools.product(ARMS, SEEDS):
        for method, row in of_arms(arms, n, draws).items():
            print(f"| {arms} | {n} | {method} | {' | '.join(row)} |", flush=True)
    print(f"\nThe standard error of a wrong rate of 5 % is {100 * sqrt(LEVEL * (1 - LEVEL) / draws):.1g} points.")


def of_limits(draws: int) -> None:
    """Beyond the spreads of the table: the worst of the truths, over the seeds of the table, with moderated variances."""
    print("| arms | spread 1.2 | spread 2 | one arm spreads 10 times as much |\n| --- | --- | --- | --- |")
    for arms in ARMS:
        rows = [0.0] * 3
        for n in (n for n in SEEDS if moderation.borrowed_if_alike(arms, n)):
            rng = np.random.default_rng([arms, n])
            for index, (spread, outlier) in enumerate(((1.2, 1.0), (2.0, 1.0), (0.0, 10.0))):
                samples = sampled(rng, arms, n, spread, draws, outlier)["moderated"]
                worst = max(samples.wrong(np.resize(truth, arms), margin) for truth, margin in TRUTHS.values())
                rows[index] = max(rows[index], worst)
        print(f"| {arms} | {' | '.join(with_error(rate, draws) for rate in rows)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("decide", "table", "limits"))
    parser.add_argument("--draws", type=int)
    args = parser.parse_args()
    if args.part == "decide":
        of_decide(args.draws or 4_000)
    else:
        {"table": of_table, "limits": of_limits}[args.part](args.draws or 20_000)


if __name__ == "__main__":
    main()
