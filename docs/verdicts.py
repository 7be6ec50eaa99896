"""Draws docs/verdicts.svg, the figure of docs/statistics.md: how an interval's place makes the verdict.

python docs/verdicts.py
"""

from pathlib import Path

MARGIN = 0.3
ROWS = [
    (0.62, 0.2, "supported", "better"),
    (0.34, 0.2, "supported", "better, by how much is open"),
    (-0.6, 0.22, "contradicted", "worse"),
    (0.02, 0.17, "negligible", "no difference that matters"),
    (0.17, 0.1, "negligible", "better, but too little to matter"),
    (0.2, 0.52, "undecided", "anything is possible: more seeds"),
]
"""Estimate and half width in points, verdict on "A is better than B", and what that says of A."""
COLOURS = {"supported": "#1b7837", "contradicted": "#b2182b", "negligible": "#2166ac", "undecided": "#6b6b6b"}
WIDTH, LEFT, RIGHT, TOP, STEP = 830, 30, 430, 64, 34


def x(points: float) -> float:
    """Where a difference lies across, from -1 to +1."""
    return round(LEFT + (points + 1) / 2 * (RIGHT - LEFT), 1)


def text(left: float, top: float, content: str, more: str = "") -> str:
    return f'<text x="{left:g}" y="{top:g}" {more}>{content}</text>'


def row(top: float, estimate: float, half: float, verdict: str, meaning: str) -> list[str]:
    colour = COLOURS[verdict]
    low, high = x(estimate - half), x(estimate + half)
    line = f'<path d="M{low} {top}H{high}M{low} {top - 6}v12M{high} {top - 6}v12" stroke="{colour}" stroke-width="2.5" fill="none"/>'
    return [
        line,
        f'<circle cx="{x(estimate)}" cy="{top}" r="5" fill="{colour}"/>',
        text(RIGHT + 20, top + 5, verdict, f'fill="{colour}" font-weight="bold"'),
        text(RIGHT + 130, top + 5, meaning),
    ]


def picture() -> str:
    bottom = TOP + STEP * len(ROWS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 46}" width="{WIDTH}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="14" fill="#222">',
        "<title>Four verdicts on the claim that A is better than B, by where the interval of the difference lies</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<rect x="{x(-MARGIN)}" y="{TOP - 20}" width="{x(MARGIN) - x(-MARGIN):g}" height="{bottom - TOP + 8}" fill="#d8e6f3"/>',
        f'<path d="M{x(0)} {TOP - 20}V{bottom - 12}" stroke="#222" stroke-dasharray="4 3"/>',
        f'<path d="M{x(-1)} {bottom - 12}H{x(1)}" stroke="#222"/>',
        text(x(0), TOP - 30, "too small to matter (margin)", 'text-anchor="middle"'),
        text(RIGHT + 20, TOP - 30, "verdict on “A is better than B”"),
    ]
    for index, one in enumerate(ROWS):
        parts += row(TOP + STEP * index, *one)
    for value, label in ((-1, "−1"), (-MARGIN, "−0.3"), (0, "0"), (MARGIN, "+0.3"), (1, "+1")):
        parts.append(text(x(value), bottom + 6, label, 'text-anchor="middle"'))
    parts.append(text(x(0), bottom + 30, "A − B, percentage points of test accuracy", 'text-anchor="middle"'))
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(picture(), encoding="utf-8")
