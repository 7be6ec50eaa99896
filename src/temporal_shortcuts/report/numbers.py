"""How numbers are written, in texts and figures: percent, points with a sign, intervals, p-values."""

from __future__ import annotations

import math

MINUS = "\N{MINUS SIGN}"
NOTHING = "–"
"""Written for a missing number."""
MOST_N = 10_000
"""Where the search for a sample size ends (`statistics.MOST_N`)."""


def missing(number: float | None) -> bool:
    return number is None or math.isnan(number)


def percent(fraction: float | None) -> str:
    """0.9198 -> 91.98 %"""
    return NOTHING if missing(fraction) else f"{100 * fraction:.2f} %"


def points(difference: float | None) -> str:
    """A difference in points with its sign: 0.07 -> +0.07"""
    return NOTHING if missing(difference) else f"{difference:+.2f}".replace("-", MINUS)


def plain(number: float | None, decimals: int = 2) -> str:
    """A number with a fixed number of decimals and a proper minus."""
    return NOTHING if missing(number) else f"{number:,.{decimals}f}".replace("-", MINUS)


def mean_sd(mean: float, sd: float) -> str:
    """Fractions -> 71.92 ± 0.57 %; the mean alone where one seed gives no deviation."""
    if missing(mean):
        return NOTHING
    return percent(mean) if missing(sd) else f"{100 * mean:.2f} ± {100 * sd:.2f} %"


def interval(low: float, high: float) -> str:
    """[−0.19, +0.50]"""
    return NOTHING if missing(low) or missing(high) else f"[{points(low)}, {points(high)}]"


def difference(mean: float, low: float, high: float) -> str:
    """A mean difference with its interval, or alone where one pair gives none: +0.22 [−0.23, +0.67]"""
    return points(mean) if missing(low) or missing(high) else f"{points(mean)} {interval(low, high)}"


def p_value(p: float) -> str:
    if missing(p):
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_is(p: float) -> str:
    """A p value within a sentence: p = 0.012, or p < 0.001."""
    return f"p {p_value(p)}" if p < 0.001 else f"p = {p_value(p)}"


def seeds_needed(n: float) -> str:
    """The n of an undecided claim; the search ends at 10,000."""
    return NOTHING if missing(n) else f"{int(n):,}" + (" or more" if n >= MOST_N else "")
