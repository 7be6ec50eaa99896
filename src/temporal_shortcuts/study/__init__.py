"""A study as data: its file checked and resolved, its runs, their fingerprints, and the forest of segments that trains them.

Knows no torch and no Snakemake; the Snakefile, each program and a notebook read a study through this package.
"""

from temporal_shortcuts.study.model import (
    RECIPE,
    Run,
    Segment,
    Study,
    Trajectory,
    canonical,
    forest,
    load_resolved,
    resolve,
)

__all__ = ["RECIPE", "Run", "Segment", "Study", "Trajectory", "canonical", "forest", "load_resolved", "resolve"]
