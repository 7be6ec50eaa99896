"""A study as data: its file checked and resolved, its runs, their fingerprints, and the forest of segments that trains them.

Knows no torch and no Snakemake; the Snakefile, each program and a notebook read a study through this package.
"""

from temporal_shortcuts.study.declared import Claim
from temporal_shortcuts.study.model import Study, Variant, load_resolved, study_of
from temporal_shortcuts.study.resolving import resolve
from temporal_shortcuts.study.segments import RECIPE, Run, Segment, Trajectory, canonical, forest

__all__ = [
    "RECIPE",
    "Claim",
    "Run",
    "Segment",
    "Study",
    "Trajectory",
    "Variant",
    "canonical",
    "forest",
    "load_resolved",
    "resolve",
    "study_of",
]
