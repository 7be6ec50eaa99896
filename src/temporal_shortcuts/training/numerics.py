"""What decides the last bit of a number: the instruction set, the threads, the random numbers, the environment.

Nothing here keeps running state. Each random draw comes from a generator of its own, made from what it is for, so that
resuming, branching and the order of jobs cannot change it. Import this module and call `pin` before torch is imported.
"""

from __future__ import annotations

import gc
import hashlib
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from temporal_shortcuts.errors import UserError

if TYPE_CHECKING:
    import torch

# MKL, which multiplies the matrices of the last layer, takes its AVX2 branch on Intel's processors only; COMPATIBLE is the one branch
# that others take too.
_PINS = {
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "COMPATIBLE"},
    "avx512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "ATEN_CPU_CAPABILITY": "avx512", "MKL_CBWR": "COMPATIBLE"},
    "native": {},
}
_NEEDS = {"avx2": ("avx2", "fma"), "avx512": ("avx512f", "avx512bw", "avx512dq", "avx512vl"), "native": ()}
"""Of an x86-64 processor, as Linux names its abilities."""
_CPU = Path("/proc/cpuinfo")
_ALWAYS = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def pin(instruction_set: str) -> None:
    """Pin the processor's instruction set (`avx2`, `avx512` or `native`) and one thread for this process.

    The libraries read these variables once, when they are loaded, so torch must not be imported yet; if it is, they must have
    been set already. Raises `UserError` otherwise, and if the processor does not have the instructions.
    """
    check_processor(instruction_set)
    wanted = _PINS[instruction_set] | _ALWAYS
    if "torch" in sys.modules and any(os.environ.get(key) != value for key, value in wanted.items()):
        raise UserError(
            f"torch was imported before the instruction set could be pinned to {instruction_set}: "
            f"call temporal_shortcuts.training.numerics.pin({instruction_set!r}) first, in a fresh process."
        )
    os.environ.update(wanted)


def check_processor(instruction_set: str) -> None:
    """Raise `UserError` if this processor lacks instructions that the set has: a job would die of SIGILL.

    Where the system does not say what its processor has, nothing is refused.
    """
    has = _described("flags")
    missing = [name for name in _NEEDS[instruction_set] if has is not None and name not in has.split()]
    if missing:
        raise UserError(
            f"protocol.instruction_set is {instruction_set}, but this processor ({_processor()}) has no {missing[0]}: run it on a machine "
            "that has, or set protocol.instruction_set to avx2 or native, which makes records of its own."
        )


@contextmanager
def importing() -> Iterator[None]:
    """To import torch in: Python looks for no garbage meanwhile, nor later among what was imported, as it does when a program ends.

    That is half a second of a job.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def prepare(device: str, precision: str) -> torch.device:
    """Set torch up for exact runs and return the device: deterministic algorithms, one thread, the precision's switches."""
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("protocol.device is cuda, but torch finds no GPU here: run on a machine with one, or set cpu.")
    torch.set_num_threads(1)
    # the same switch as use_deterministic_algorithms(True), which imports the compiler first: two seconds and 100 MB a job
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    return torch.device(device)


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A fresh CPU generator for one purpose of one seed, such as `generator(0, "order", 12)`."""
    import torch

    digest = hashlib.sha256("/".join(map(str, ("temporal-shortcuts", seed, *purpose))).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def environment(device: torch.device, instruction_set: str, precision: str) -> dict[str, Any]:
    """What was found rather than declared. `INSISTED` names the keys that a resumed job must find unchanged."""
    import numpy
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return {
        "device": name,
        "instruction_set": instruction_set,
        "numpy": numpy.__version__,
        "precision": precision,
        "processor": _processor(),
        "python": platform.python_version(),
        "system": platform.system(),
        "torch": torch.__version__,
    }


INSISTED = ("torch", "device", "instruction_set", "precision")


def _processor() -> str:
    return _described("model name") or platform.processor() or platform.machine()


def _described(key: str) -> str | None:
    """What Linux says of the first processor, or None."""
    try:
        lines = _CPU.read_text().splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), None)
