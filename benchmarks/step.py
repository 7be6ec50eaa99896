"""Measure steps of training in a process of their own, as a training job takes them; `bench.py` starts it, once or side by side.

Says `ready` when everything is warm, waits for a line on standard input, so that processes side by side are measured together,
and prints one line of JSON. Images are random: their content costs nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from typing import Any

SIZE = 2048
"""Rows of the square matrices whose product is the measure of what the machine reaches."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["fp32", "tf32", "bf16"], default="fp32")
    parser.add_argument("--contiguous", action="store_true", help="weights and images not in channels_last")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="of measuring")
    parser.add_argument("--kinds", default="none", help="shortcuts, by turns: none,batch_res,epoch_res")
    parser.add_argument("--instruction-set", choices=["avx2", "avx512", "native"], default="avx2")
    parser.add_argument("--matmul", choices=["torch", "numpy"], help="measure this library's product of two matrices")
    parser.add_argument(
        "--started", type=float, help="time.time() when the process was started: measure the start only"
    )
    args = parser.parse_args()
    times = {"python and the package": time.time()}

    from temporal_shortcuts.training import numerics

    os.environ["OPENBLAS_NUM_THREADS"] = str(args.threads)
    numerics.pin("native" if args.matmul else args.instruction_set)
    with numerics.importing():
        import torch

    times["torch"] = time.time()
    device = numerics.prepare(args.device, args.precision)
    torch.set_num_threads(args.threads)
    if args.matmul:
        result = matmul(args.matmul, args.seconds)
    else:
        trainers = {kind: trainer(args, kind, device) for kind in args.kinds.split(",")}
        times["images and network"] = time.time()
        for one in trainers.values():
            one._train_step()
        times["the first step"] = time.time()
        if args.started:
            result = {
                name: then - before
                for (name, then), before in zip(times.items(), [args.started, *times.values()], strict=False)
            }
        else:
            result = steps(trainers, args.seconds)
    print(json.dumps(result | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)


def trainer(args: argparse.Namespace, kind: str, device: Any) -> Any:
    """A run in its second epoch of training, so that every kind has what it carries."""
    import numpy as np
    import torch

    from temporal_shortcuts.data.images import Images
    from temporal_shortcuts.study import Segment, Trajectory
    from temporal_shortcuts.study.declared import Protocol
    from temporal_shortcuts.training.trainer import Trainer

    draw = np.random.default_rng(0)
    pictures = draw.integers(0, 256, (args.images, 3, 32, 32), dtype=np.uint8)
    labels = (np.arange(args.images) % 10).astype(np.uint8)
    images = Images(pictures, labels, pictures, labels, tuple("0123456789"))
    shortcut = None if kind == "none" else {"kind": kind, "strength": 0.05, "onset": 0, "accounting": "corrected"}
    varied = ("width", "compile", "precision", "device", "instruction_set")
    settings = Protocol(**{key: getattr(args, key) for key in varied}).model_dump()
    one = Trainer(Segment(Trajectory(0, settings, "random", shortcut), 0, 2, True, None), images, device)
    if args.contiguous:
        one.network.to(memory_format=torch.contiguous_format)
        batch = one.batches.training_batch

        def contiguous(step: int) -> tuple[torch.Tensor, torch.Tensor]:
            images, labels = batch(step)
            return images.contiguous(), labels

        one.batches.training_batch = contiguous
    one.network.train()
    for epoch in (0, 1):
        one.epoch = epoch
        one._start_epoch()
        one.batches.start_epoch(epoch)
        if shortcut is not None and epoch == 0:
            one._train_step()
            one.recorded = one.shortcut.state()
    return one


def steps(trainers: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Seconds of a step, by turns of the kinds; the share of the input; floating-point operations an image."""
    from statistics import median

    import torch
    from torch.utils.flop_counter import FlopCounterMode

    for one in trainers.values():
        one._train_step()
    print("ready", flush=True)
    sys.stdin.readline()
    on_gpu = next(iter(trainers.values())).device.type == "cuda"
    at_once = 20 if on_gpu else 1  # a GPU works off a queue, which training never waits for
    taken: dict[str, list[float]] = {kind: [] for kind in trainers}
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop or not all(taken.values()):
        for kind, one in trainers.items():
            one.step = 1
            before = time.perf_counter()
            for _ in range(at_once):
                one._train_step()
            if on_gpu:
                torch.cuda.synchronize()
            taken[kind].append((time.perf_counter() - before) / at_once)
    one = next(iter(trainers.values()))
    before = time.perf_counter()
    for step in range(10):
        one.batches.training_batch(step)
    batch = (time.perf_counter() - before) / 10
    images, labels = one.batches.training_batch(0)
    with FlopCounterMode(display=False) as counter:
        torch.nn.functional.cross_entropy(one.network(images), labels).backward()
    return {
        "step": {kind: median(times) for kind, times in taken.items()},
        "input": batch,
        "flop_per_image": counter.get_total_flops() / len(images),
    }


def matmul(library: str, seconds: float) -> dict[str, Any]:
    """Floating-point operations a second in products of two square matrices: torch's are MKL's, numpy's OpenBLAS's."""
    import numpy as np
    import torch

    one, other = torch.rand(SIZE, SIZE), torch.rand(SIZE, SIZE)
    if library == "numpy":
        one, other = np.asarray(one), np.asarray(other)
    one @ other
    print("ready", flush=True)
    sys.stdin.readline()
    products, before = 0, time.perf_counter()
    while time.perf_counter() - before < seconds:
        one @ other
        products += 1
    return {"flops": products * 2 * SIZE**3 / (time.perf_counter() - before)}


# -- for those that start it -------------------------------------------------------------------------------------------

MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "67108864",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""As workflow/rules/common.smk gives it to training jobs."""


def measured(jobs: int, *arguments: str, timeout: float | None = None) -> list[dict[str, Any]]:
    """What `jobs` processes of this program measure side by side: they wait for each other when they are warm.

    Raises `RuntimeError` where one of them fails, or they have not ended after `timeout` seconds; none is left running.
    """
    command = [sys.executable, __file__, *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env=os.environ | MALLOC, **pipes) for _ in range(jobs)]
    late = threading.Timer(timeout or threading.TIMEOUT_MAX, lambda: [process.kill() for process in processes])
    late.daemon = True
    late.start()
    try:
        for process in processes:
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(f"{' '.join(command)} ended with status {process.wait()}")
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        ends = [process.communicate()[0] for process in processes]
        for process in processes:
            if process.returncode:
                raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}")
        return [json.loads(end) for end in ends]
    finally:
        late.cancel()
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
