"""Temporal shortcuts, reproduced. See README.md; without Snakemake, in a notebook: docs/adapting.md."""

from typing import Any

__all__ = ["load_network", "read_study", "train"]


def __getattr__(name: str) -> Any:
    """The functions of `temporal_shortcuts.notebook`, imported when they are asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from temporal_shortcuts import notebook

    return getattr(notebook, name)
