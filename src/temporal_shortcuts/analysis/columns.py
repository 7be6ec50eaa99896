"""What every column of every table holds, so that what is text stays text however much it looks like a number.

A column that is not here cannot be read: whoever adds one to a table names it here.
"""

from __future__ import annotations

from temporal_shortcuts.study.columns import AVERAGED, COLUMNS, WITH_CARRY
from temporal_shortcuts.study.endpoints import ENDPOINTS
from temporal_shortcuts.study.varied import KEYS

_TEXT = """
variant against reference label fingerprint weights_final endpoint kind design
measure statement outcome
id text test than verdict variances not_tested
study setting smaller larger beside untested instruction_set
"""
_NUMBERS = """
seed epochs best_epoch stable_epoch diverged_epoch
n diverged published chance stable_epoch_mean stable_epoch_sd stable_epoch_min stable_epoch_max tolerance
null_arm mean_difference sd_difference t_low t_high bca_low bca_high p_t p_sign_flip p_holm detectable_difference
pair_correlation published_difference n_seeds n_images low high
margin estimate level p p_margin needed_n smallest_n stage
effect effect_low effect_high df sd sd_low sd_high ratio difference n_low n_high runs n_of_effect family n_first_own n_first_moderated
seeds branches mean sd_within sd_between share_within
reached pairs difference_low difference_high
images flop against_n against_mean against_sd from to n_smaller n_larger shared_seeds change p_permutation
"""
TEXT = frozenset(_TEXT.split())
"""Columns of words and names; a missing one is empty."""
NUMBERS = frozenset(
    (
        *_NUMBERS.split(),
        *(*COLUMNS, *AVERAGED, WITH_CARRY, *ENDPOINTS, *KEYS),
        *(f"{name}_{what}" for name in ENDPOINTS for what in ("mean", "sd")),
    )
)
"""Columns of numbers, true and false among them; a missing one is nan."""
TEXT_OF = {"claims.csv": {"published"}}
"""Columns that hold text in one table only: a claim's published value is a phrase, a variant's is a number."""


def is_text(table: str, column: str) -> bool | None:
    """Whether a column of a table (`claims.csv`) holds text; None for one that no table of this project has."""
    if column in TEXT or column in TEXT_OF.get(table, ()):
        return True
    return False if column in NUMBERS else None
