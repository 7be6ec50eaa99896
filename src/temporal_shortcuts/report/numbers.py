"""How numbers are written, in texts and figures: percent, points with a sign, intervals, p-values."""

from __future__ import annotations

import math

from temporal_shortcuts.study.outputs import MOST_N

MINUS = "\N{MINUS SIGN}"
NOTHING = "–"
"""Written for a missing number."""
MOST_DECIMALS = 6
"""Tables hold six significant digits."""


def missing(number: float | None) -> bool:
    return number is None or math.isnan(number)


def percent(fraction: float | None) -> str:
    """0.9198 -> 91.98 %"""
    return NOTHING if missing(fraction) else f"{100 * fraction:.2f} %"


def decimals(*values: float, limits: tuple[float, ...] = (0.0,)) -> int:
    """Decimals, two or more, with which every value is seen to lie on its side of each limit: 0.004 is not shown as 0.00."""
    known = [value for value in values if not missing(value)]
    limits = tuple(limit for limit in limits if not missing(limit))

    def tells(digits: int) -> bool:
        pairs = [(value, limit) for value in known for limit in limits if abs(value - limit) > 5 * 10.0**-MOST_DECIMALS]
        return all(round(value, digits) != round(limit, digits) for value, limit in pairs)

    return next(digits for digits in range(2, MOST_DECIMALS + 1) if digits == MOST_DECIMALS or tells(digits))


def points(difference: float | None, digits: int | None = None) -> str:
    """A difference in points with its sign, and as many decimals as show it: 0.07 -> +0.07, 0.004 -> +0.004, 0 -> 0.00"""
    if missing(difference):
        return NOTHING
    text = f"{difference:+.{digits or decimals(difference)}f}"
    return (text if float(text) else text[1:]).replace("-", MINUS)


def plain(number: float | None, decimals: int = 2) -> str:
    """A number with a fixed number of decimals and a proper minus."""
    return NOTHING if missing(number) else f"{number:,.{decimals}f}".replace("-", MINUS)


def mean_sd(mean: float, sd: float) -> str:
    """Fractions -> 71.92 ± 0.57 %; the mean alone where one seed gives no deviation."""
    if missing(mean):
        return NOTHING
    return percent(mean) if missing(sd) else f"{100 * mean:.2f} ± {100 * sd:.2f} %"


def interval(low: float, high: float, digits: int | None = None) -> str:
    """[−0.19, +0.50]"""
    if missing(low) or missing(high):
        return NOTHING
    digits = digits or decimals(low, high)
    return f"[{points(low, digits)}, {points(high, digits)}]"


def difference(mean: float, low: float, high: float, margin: float = math.nan, unit: str = "") -> str:
    """A mean difference with its interval, or alone where one pair gives none: +0.22 [−0.23, +0.67]

    All three have as many decimals as show on which side of 0, and of a margin, each of them lies: +0.010 [+0.004, +0.016]
    """
    digits = decimals(mean, low, high, limits=(0.0, margin, -margin))
    alone = points(mean, digits) + unit
    return alone if missing(low) or missing(high) else f"{alone} {interval(low, high, digits)}"


def p_value(p: float) -> str:
    if missing(p):
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def seeds_needed(n: float) -> str:
    """The n of an undecided claim; the search ends at 10,000."""
    return NOTHING if missing(n) else f"{int(n):,}" + (" or more" if n >= MOST_N else "")
