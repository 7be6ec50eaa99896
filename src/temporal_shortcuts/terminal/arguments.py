"""What Snakemake was asked for on its command line, where it needs another look."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from temporal_shortcuts.catalogue import Catalogue
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import Study
from temporal_shortcuts.study.outputs import CONFIRMING
from temporal_shortcuts.training import numerics


def check_touch(files: Iterable[str]) -> None:
    """Raise `UserError` if one of the files that --touch would mark as up to date was never made."""
    missing = [file for file in files if not Path(file).exists()]
    if missing:
        raise UserError(
            f"{missing[0]} is not made yet, nor are {len(missing) - 1} other files: --touch only marks what is there; "
            "run the same command without it."
        )


def check_confirming(file: Path) -> None:
    """Raise `UserError` if a file that a rule would write was written by hand: what confirms a study gets a name of its own."""
    if file.exists() and not file.read_bytes().startswith(CONFIRMING.encode()):
        raise UserError(
            f"{file}: it was written by hand, and the study that confirms another is made by a rule; give confirm.study another name, "
            "or move this file away."
        )


def check_device(study: Study, studies: Catalogue) -> None:
    """Raise `UserError` if this machine has not the processor or the GPU that the study needs, naming those that need no GPU."""
    numerics.check_processor(study.protocol.instruction_set)
    if study.protocol.device != "cuda":
        return
    import torch

    if not torch.cuda.is_available():
        others = [str(studies.files[name]) for name, other in studies.studies.items() if other.protocol.device == "cpu"]
        named = f", such as {', '.join(others)}" if others else ""
        raise UserError(
            f"protocol.device of the study {study.name} is cuda, but torch finds no GPU here: run it on a machine with one, "
            f"or give --configfile a study that runs on a CPU{named}."
        )


def is_filled(text: Path, results: Path) -> bool:
    """Whether the page made of a text says what the tables say; not so where it cannot be read or has a slip."""
    from temporal_shortcuts.report import prose

    try:
        return prose.is_current(text, results)
    except (UserError, OSError, ValueError):
        return False  # the job will say why
