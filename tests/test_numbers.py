"""How numbers are written: with as many digits as show on which side of a limit they lie."""

from __future__ import annotations

from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_shortcuts.report.numbers import MINUS, difference, interval, points


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.07, "+0.07"),
        (-0.004, "−0.004"),
        (0.0, "0.00"),
        (-0.0, "0.00"),
        (0.00012, "+0.0001"),
        (-1e-12, "0.00"),
        (nan, "–"),
    ],
)
def test_a_difference_is_never_a_signed_zero(value: float, written: str) -> None:
    assert points(value) == written


def test_an_interval_shows_on_which_side_of_0_and_of_the_margin_it_ends() -> None:
    assert difference(0.01, 0.004, 0.016) == "+0.010 [+0.004, +0.016]"
    assert difference(0.22, -0.23, 0.67) == "+0.22 [−0.23, +0.67]"
    assert difference(0.1, -0.0962, 0.2962, margin=0.3) == "+0.100 [−0.096, +0.296]"
    assert difference(0.1, -0.1, 0.2962) == "+0.10 [−0.10, +0.30]", "without a margin nothing is decided by it"
    assert difference(-0.3, -0.3, -0.3, margin=0.3) == "−0.30 [−0.30, −0.30]", "on the margin to the digit"
    assert difference(0.0, nan, nan, unit=" points") == "0.00 points"
    assert interval(-0.001, 0.5) == "[−0.001, +0.500]"


@given(st.floats(-100, 100).filter(lambda value: abs(value) > 1e-5))
def test_what_is_written_has_the_sign_of_what_is_meant(value: float) -> None:
    written = float(points(value).replace(MINUS, "-"))
    assert written * value > 0
    assert written == pytest.approx(value, abs=0.005)
