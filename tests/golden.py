"""A few golden steps of training, whose numbers stand in golden.json: what the arithmetic was when its recipe got its version.

    PYTHONPATH=src python tests/golden.py [avx512]

adds this processor's hashes to the file, or, after model.RECIPE was raised, writes all anew. A hash that is there is not replaced.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

from temporal_shortcuts import errors
from temporal_shortcuts.study import model
from temporal_shortcuts.training import numerics

FILE = Path(__file__).parent / "golden.json"
SENTENCE = (
    "The training arithmetic gives other numbers than recipe {recipe} gave. If that was not meant, put it back; if it was, raise "
    "study.RECIPE, so that no old record passes for a new one, and run `PYTHONPATH=src python tests/golden.py`."
)


def environment(instruction_set: str = "avx2") -> str:
    """What a hash holds for: bits agree where these do."""
    import torch

    found = numerics.environment(torch.device("cpu"), instruction_set, "fp32")
    keys = ("processor", "instruction_set", "torch")
    return f"{platform.system()} {platform.machine()}, " + ", ".join(found[key] for key in keys)


def trajectories() -> dict[str, dict[str, Any]]:
    """Each kind of shortcut and the published network, by name: keywords of `tiny.train_alone`."""
    import tiny

    runs: dict[str, dict[str, Any]] = {kind: {"shortcut": tiny.KINDS[kind] | {"onset": 1}} for kind in tiny.KINDS}
    runs |= {kind: {"epochs": 3} | runs[kind] for kind in ("fading", "same_image")}
    runs["benchmark"] = {"width": 4}
    runs["published_network"] = {"model": "resnet18_published", "augmentation": {"crop_padding": 2, "flip": False}}
    return runs


def steps(name: str, work: Path) -> dict[str, Any]:
    """The losses and the hash of the final weights of two epochs, or as many as the kind needs, of three steps."""
    import tiny

    facts = tiny.read_facts(tiny.train_alone(work, **({"epochs": 2} | trajectories()[name])))
    losses = [row[key] for row in facts["rows"] for key in ("train_loss", "test_loss")]
    return {"losses": [loss.hex() for loss in losses], "hash": facts["final"]}


def program(instruction_set: str) -> None:
    import tempfile

    stored = json.loads(FILE.read_text()) if FILE.exists() else {}
    if stored.get("recipe") != model.RECIPE:
        stored = {"recipe": model.RECIPE, "losses": {}, "hashes": {}}
    hashes = stored["hashes"].setdefault(environment(instruction_set), {})
    for name in trajectories():
        with tempfile.TemporaryDirectory() as work:
            found = steps(name, Path(work))
        if hashes.setdefault(name, found["hash"]) != found["hash"]:
            raise errors.UserError(SENTENCE.format(recipe=model.RECIPE))
        if instruction_set == "avx2":  # which the losses are compared with everywhere, to 1 in 1,000
            stored["losses"].setdefault(name, found["losses"])
    FILE.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
    print(f"{FILE} holds the golden steps of {', '.join(stored['hashes'])}")


if __name__ == "__main__":
    chosen = "avx512" if sys.argv[1:] == ["avx512"] else "avx2"
    numerics.pin(chosen)
    sys.path.insert(0, str(Path(__file__).parent))
    errors.main(lambda: program(chosen))
