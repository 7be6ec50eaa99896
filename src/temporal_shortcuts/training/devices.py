"""Which of a machine's GPUs a job takes: slots, handed out by locks that the kernel releases when a job ends, however it ends.

A cluster's scheduler gives each job its own GPU; there this module does nothing. It imports no torch, since the choice must
stand in the environment before torch sees the devices.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from temporal_shortcuts.files import locking

SCHEDULERS = ("SLURM_JOB_ID", "KUBERNETES_SERVICE_HOST", "PBS_JOBID", "LSB_JOBID")
"""Variables that say that a scheduler has chosen the GPU already."""


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; none under a cluster's scheduler."""
    if any(name in os.environ for name in SCHEDULERS):
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [device.strip() for device in named.split(",") if device.strip()]
    return sorted(
        (path.name[6:] for path in Path("/dev").glob("nvidia*") if re.fullmatch(r"\d+", path.name[6:])), key=int
    )


@contextmanager
def gpu_slot(
    devices: list[str], jobs_per_gpu: int, say: Callable[[str], None], folder: Path | None = None
) -> Iterator[str | None]:
    """Wait for a free slot of one of `devices`, show only that GPU to this process, and hold the slot; yields the device.

    Slots are files of the machine, so that jobs of several studies and clones share its GPUs. GPUs fill one job each before any
    gets a second. Yields None, and changes nothing, without devices.
    """
    if not devices:
        yield None
        return
    folder = folder or Path(tempfile.gettempdir()) / f"temporal-shortcuts-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    waited = False
    while True:
        for turn in range(jobs_per_gpu):
            for device in devices:
                with (folder / f"gpu-{device.replace('/', '-')}-{turn}.lock").open("w") as file:
                    try:
                        with locking(folder):
                            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        continue
                    os.environ["CUDA_VISIBLE_DEVICES"] = device
                    yield device
                    return
        if not waited:
            say(f"all {len(devices) * jobs_per_gpu} slots of the GPUs {', '.join(devices)} are taken; waiting for one")
            waited = True
        time.sleep(1)
