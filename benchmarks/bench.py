"""`make bench`: how fast the pipeline is, beside a peer, in one run; writes benchmarks/results/.

Everything is a ratio of two measurements that were made one after the other on the same machine, with the absolute figures
beside it. Run it on an otherwise idle machine. The study and the steps are measured on two cores. Each part is written when it is
measured, in the place of what it measured before; `make bench PARTS="exactness steps"` measures these alone.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import report
import yaml
from step import MALLOC, measured

from temporal_shortcuts.catalogue import read_study
from temporal_shortcuts.training.numerics import _processor

HERE = Path(__file__).parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "bench"
RESULTS = HERE / "results"
ARCHIVE = ROOT / "data" / "cifar10-jpeg.tar.xz"
IMAGES_PER_CLASS = 200
LIBRARIES = {"torch": "torch's MKL", "numpy": "numpy's OpenBLAS"}
"""Whose products of matrices are measured: MKL does not serve every processor well."""
Row = dict[str, Any]


def row(part: str, what: str, value: float, unit: str, goal: str = "", met: bool | None = None) -> Row:
    print(f"{part:<9}  {what:<70}  {value:>10.3g} {unit}  {goal}", flush=True)
    return {"part": part, "what": what, "value": value, "unit": unit, "goal": goal, "met": met}


# -- 1: the study ------------------------------------------------------------------------------------------------------


def study() -> Iterator[Row]:
    """The seven published variants by this pipeline and by the textbook way: same data, epochs and updates.

    Three epochs are short, so that starting jobs weighs more than it does in the published fifty.
    """
    subset()
    for width, goal, turns in ((8, 2.5, 3), (16, None, 1)):
        work = yield from compared(width, 3, 2, goal, turns)
        jobs = (work / "benchmarks" / "segment").glob("*.tsv")
        peak = max(pd.read_csv(path, sep="\t")["max_rss"].max() for path in jobs)
        limit = ("at most 1000", peak <= 1000) if width == 8 else ("", None)
        yield row("memory", f"width {width}: peak of a training job of the study", peak, "MB", *limit)


def full8() -> Iterator[Row]:
    """The seven published variants in their full length at width 8, with one seed, timed whole: half an hour."""
    subset()
    yield from compared(8, 50, 41, 4.0)


def full16() -> Iterator[Row]:
    """The same at width 16: an hour."""
    subset()
    yield from compared(16, 50, 41, 2.5)


def compared(width: int, epochs: int, onset: int, goal: float | None, turns: int = 1) -> Generator[Row, None, Path]:
    """The study under AVX2 and, where there is it, AVX-512, each over the textbook's way, which takes what the processor has.

    Seconds are the median of so many turns, in each of which all are measured. Returns this pipeline's work folder under AVX2.
    """
    ours: dict[str, list[float]] = {one: [] for one in instruction_sets()}
    theirs, work = [], {}
    for _ in range(turns):
        for one, seconds in ours.items():
            taken, work[one] = pipeline(width, epochs, onset, one)
            seconds.append(taken)
        data = next((work["avx2"] / "data").iterdir())
        theirs.append(seconds_of(lambda data=data: textbook(data, width, epochs, onset)))
    length = f"width {width}, {epochs} epochs"
    yield row("study", f"{length}: the textbook way", median(theirs), "s")
    for one, seconds in ours.items():
        what, ratio = f"{length}{'' if one == 'avx2' else f', {one}'}", median(theirs) / median(seconds)
        yield row("study", f"{what}: this pipeline, two jobs at once", median(seconds), "s")
        bound = (f"at least {goal}", ratio >= goal) if goal else ("", None)
        yield row("study", f"{what}: textbook / pipeline", ratio, "x", *bound)
    return work["avx2"]


def pipeline(width: int, epochs: int, onset: int, instruction_set: str) -> tuple[float, Path]:
    """Seconds of this pipeline for so many epochs, and its work folder."""
    name = f"width{width}-epochs{epochs}-{instruction_set}"
    overlay, work = BUILD / f"{name}.yaml", BUILD / "work" / name
    for folder in (work, BUILD / "results" / name):  # of the turn before
        shutil.rmtree(folder, ignore_errors=True)
    config = yaml.safe_load((HERE / "study.yaml").read_text())
    places = {"extends": str(ROOT / "config.yaml"), "results": f"build/bench/results/{name}"}
    config |= places | {"work": str(work.relative_to(ROOT))}
    config["protocol"] |= {"width": width, "epochs": epochs, "instruction_set": instruction_set}
    for variant in config["variants"].values():
        variant["shortcut"]["onset"] = onset
    overlay.write_text(yaml.safe_dump(config))
    snakemake("data", "--configfile", str(overlay))
    return seconds_of(lambda: snakemake("records", "--configfile", str(overlay))), work


def instruction_sets() -> list[str]:
    """What a study can be pinned to on this processor: what it costs differs."""
    return ["avx2", *(["avx512"] if " avx512f" in Path("/proc/cpuinfo").read_text() else [])]


def subset() -> None:
    """The first images of each class in build/bench/images."""
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    taken: Counter[Path] = Counter()
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            path = Path(member.name)
            place = Path(*path.parts[-3:-1])
            if member.isfile() and path.suffix == ".jpg" and taken[place] < IMAGES_PER_CLASS:
                taken[place] += 1
                target = BUILD / "images" / place / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.extractfile(member).read())


def snakemake(*arguments: str, folder: Path = ROOT, options: tuple[str, ...] = ("--cores", "2")) -> str:
    command = [sys.executable, "-m", "snakemake", *arguments, *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout + done.stderr


def textbook(data: Path, width: int, epochs: int, onset: int) -> None:
    command = [sys.executable, str(HERE / "textbook.py"), "--data", str(data), "--width", str(width)]
    environment = {key: value for key, value in os.environ.items() if key not in MALLOC}
    command += ["--epochs", str(epochs), "--onset", str(onset)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)


def seconds_of(action: Any) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


# -- 2 to 5: the step --------------------------------------------------------------------------------------------------


def steps() -> Iterator[Row]:
    """Images a second at three widths, as a share of what the faster library's product of matrices reaches on the same threads."""
    ways = {"two jobs of one thread": (2, 1), "one job of two threads": (1, 2)}
    reached = dict.fromkeys(ways, 0.0)
    for way, (jobs, threads) in ways.items():
        for library, name in LIBRARIES.items():
            flops = sum(one["flops"] for one in measured(jobs, "--matmul", library, "--threads", str(threads)))
            reached[way] = max(reached[way], flops)
            yield row("step", f"product of matrices, {way}, {name}", flops / 1e9, "GFLOP/s")
    for width in (64, 16, 8):
        for way, (jobs, threads) in ways.items():
            for compiled in (False, True) if jobs == 2 else (False,):
                options = ["--width", str(width), "--threads", str(threads), "--seconds", "4"]
                found = measured(jobs, *options, *["--compile"] * compiled)
                speed = sum(128 / one["step"]["none"] for one in found)
                share = speed * found[0]["flop_per_image"] / reached[way]
                name = f"width {width}, {way}{', compiled' if compiled else ''}"
                yield row("step", f"{name}: images", speed, "1/s")
                yield row("step", f"{name}: share of the product of matrices", 100 * share, "%")
                if width == 8 and jobs == 2 and not compiled:
                    name, part = "augmentation and batching", 100 * found[0]["input"] / found[0]["step"]["none"]
                    yield row("input", f"width 8: {name}, share of a step", part, "%", "at most 3", part <= 3)


def exactness() -> Iterator[Row]:
    """What equal bits on every processor cost: a step pinned to AVX2, against AVX-512 where there is it, and against no pin."""
    sets = [*instruction_sets(), "native"]
    for width in (8, 16):
        speed = {}
        for one in sets:
            options = ("--width", str(width), "--seconds", "8", "--instruction-set", one)
            speed[one] = sum(128 / job["step"]["none"] for job in measured(2, *options))
        for one in sets[1:]:
            name = "unpinned" if one == "native" else one
            yield row("exactness", f"width {width}: speed of a step, {name} / avx2", speed[one] / speed["avx2"], "x")


def price() -> Iterator[Row]:
    """What a temporal shortcut costs a step, kinds by turns in one process, and the memory of a job of each."""
    for width in (8, 16):
        found = measured(1, "--width", str(width), "--kinds", "none,batch_res,epoch_res", "--seconds", "8")[0]["step"]
        for kind, most in (("batch_res", 10), ("epoch_res", 15)):
            more = 100 * (found[kind] / found["none"] - 1)
            what = f"width {width}: {kind} over the benchmark's step"
            yield row("price", what, more, "%", f"at most {most}", more <= most)
    for width, most in ((8, 1000), (64, 4000)):
        for kind in ("none", "batch_res", "epoch_res"):
            peak = measured(1, "--width", str(width), "--kinds", kind, "--seconds", "0.1")[0]["peak_mb"]
            yield row("memory", f"width {width}: peak of a job, {kind}", peak, "MB", f"at most {most}", peak <= most)


def start() -> Iterator[Row]:
    """Seconds from a job's start to the end of its first step, and what they are made of."""
    found = []
    for _ in range(3):
        command = [sys.executable, str(HERE / "step.py"), "--started", str(time.time())]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | MALLOC)
        found.append(json.loads(done.stdout))
    best = min(found, key=lambda one: sum(value for name, value in one.items() if name != "peak_mb"))
    best.pop("peak_mb")
    total = sum(best.values())
    yield row("start", "from a job's start to the end of its first step", total, "s", "at most 5", total <= 5)
    for name, seconds in best.items():
        yield row("start", f"of these, {name}", seconds, "s")


# -- 6 and 7: the graph ------------------------------------------------------------------------------------------------


def graph() -> Iterator[Row]:
    """The dry run of studies of 7 variants with more and more seeds, and the reading of the Snakefile."""
    bare = seconds_of(lambda: subprocess.run([sys.executable, "-c", "import snakemake.cli"], check=True))
    read = seconds_of(lambda: snakemake("--list-rules", "--configfile", "studies/demo.yaml", options=()))
    more = read - bare
    yield row("graph", "Snakemake reads the Snakefile, over its own start", more, "s", "at most 2", more <= 2)
    command = [sys.executable, "-X", "importtime", "-m", "snakemake", "--list-rules", "--configfile"]
    times = subprocess.run([*command, "studies/demo.yaml"], cwd=ROOT, capture_output=True, text=True).stderr
    torch = sum(line.rsplit("|", 1)[-1].strip() == "torch" for line in times.splitlines())
    yield row("graph", "imports of torch while the Snakefile is read", torch, "", "none", torch == 0)
    for runs in (10, 100, 1000, 10_000):
        config = yaml.safe_load((ROOT / "studies" / "demo.yaml").read_text())
        config |= {"study": f"runs{runs}", "seeds": list(range(runs // 5)), "claims": []}
        config |= dict.fromkeys(("results", "work"), "build/bench/graph") | {"extends": str(ROOT / "config.yaml")}
        config["variants"] |= dict.fromkeys(("lr_0.001", "lr_0.1"))
        overlay = BUILD / f"runs{runs}.yaml"
        overlay.parent.mkdir(parents=True, exist_ok=True)
        overlay.write_text(yaml.safe_dump(config))
        words = ("--configfile", str(overlay), "--quiet", "all")
        taken = seconds_of(lambda words=words: snakemake(*words, options=("-n", "--cores", "2")))
        goal = "at most 120" if runs == 10_000 else ""
        yield row("graph", f"snakemake -n, {runs} runs", taken, "s", goal, taken <= 120 if goal else None)


def sharing() -> Iterator[Row]:
    """Epochs that the records show, for each epoch that is trained."""
    for name in ("config.yaml", "studies/laptop.yaml", "studies/sweep.yaml"):
        one = read_study(ROOT / name)
        shown, trained = one.epochs_shown, one.epochs_trained
        what, ratio = f"{name}: {shown} epochs shown, {trained} trained", shown / trained
        goal = ("at least 3", ratio >= 3) if "sweep" in name else ("", None)
        yield row("sharing", what, ratio, "x", *goal)


PARTS = {part.__name__: part for part in (sharing, start, graph, price, exactness, steps, study)}
BY_NAME = {part.__name__: part for part in (full8, full16)}
"""Too long for every run."""


def plan(names: list[str], archive: Path = ARCHIVE) -> tuple[list[str], dict[str, str]]:
    """Which of the named parts, or of all, can be measured here; and for each other one why it cannot."""
    wanted = names or list(PARTS)
    here = Path(os.path.relpath(archive))
    why = f"{here}, the images that it is timed with, is not there"
    lacking = {} if archive.is_file() else dict.fromkeys(("study", *BY_NAME), why)
    return [name for name in wanted if name not in lacking], {name: lacking[name] for name in wanted if name in lacking}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        choices=[[], *PARTS, *BY_NAME],
        help=f"of {', '.join([*PARTS, *BY_NAME])}; without any, all but the last two",
    )
    names, left_out = plan(parser.parse_args().parts)
    for name, reason in left_out.items():
        print(f"{name} is left out: {reason}", flush=True)
    for name in names:
        began = time.perf_counter()
        rows = pd.DataFrame((PARTS | BY_NAME)[name]())
        print(f"{name}: {(time.perf_counter() - began) / 60:.1f} minutes", flush=True)
        report.add(RESULTS, name, rows, machine())
    if names:
        print(f"To look at: {os.path.relpath(RESULTS)}/README.md")


def machine() -> str:
    """The processor as it calls itself, with its family and model where it tells them: others have the same name."""
    path = Path("/proc/cpuinfo")
    told = re.findall(r"^(cpu family|model)\s*: (\d+)$", path.read_text() if path.is_file() else "", re.MULTILINE)[:2]
    model = ", ".join(f"{key.removeprefix('cpu ')} {value}" for key, value in told)
    return f"{os.cpu_count()} cores of {_processor()}{f' ({model})' if model else ''}"


if __name__ == "__main__":
    main()
