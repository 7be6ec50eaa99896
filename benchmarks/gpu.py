"""A study on a bare machine with a GPU: is it exact there, how fast are its steps, then the study itself, seed by seed.

    python benchmarks/gpu.py --study studies/full.yaml --wheels wheels --out out --minutes 25

Needs torch and what else the machine has; packages that it lacks come as wheels in a folder. The same command goes on where an
earlier one ended: what is measured stands in the folder `out`, and so does each run's record as soon as it is whole, as the
repository's `results/` has them, and all of these in one records.tar.gz. docs/running.md says how the wheels are fetched, and what to
do with the records.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from temporal_shortcuts.errors import main  # noqa: E402
from temporal_shortcuts.files import write_atomically  # noqa: E402

STEP = Path(__file__).with_name("step.py")
PRECISIONS, LAYOUTS, COMPILED, JOBS = (
    ("fp32", "tf32", "bf16"),
    ("channels_last", "contiguous"),
    (False, True),
    (1, 2, 4),
)
RECORD = (".csv", ".json", ".correct.npy")


def program() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what it started is ended, as for Ctrl-C
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=ROOT / "config.yaml", help="the study's file")
    parser.add_argument("--wheels", type=Path, help="folder of wheels of what the machine lacks")
    parser.add_argument("--out", type=Path, default=Path("build/gpu/out"), help="where records and measurements go")
    parser.add_argument("--work", type=Path, default=Path("build/gpu"), help="for packages, data, states and logs")
    parser.add_argument("--minutes", type=float, default=24 * 60.0, help="after which it stops, to be gone on with")
    parser.add_argument("--jobs", type=int, help="training jobs at once; as many as were quickest if not given")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement of speed")
    parser.add_argument(
        "--speed-minutes", type=float, default=3.0, help="for all of them; the study's own way comes first"
    )
    parser.add_argument("--skip", nargs="*", default=[], choices=["exact", "speed", "study"], help="parts to leave out")
    parser.add_argument("--epoch", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    for name in ("study", "out", "work"):
        setattr(args, name, getattr(args, name).absolute())
    if args.epoch:
        print(json.dumps(one_epoch(args.study, args.work)))
        return
    end = time.monotonic() + 60 * args.minutes
    equip(args.wheels, args.work)
    study = read(args.study, args.work)
    say(f"{study.name}: {len(study.runs)} runs, {study.epochs_trained} epochs to train; records go to {args.out}")
    show_gpu(study.protocol.device)
    snakemake(args, end, "data")
    if "exact" not in args.skip:
        check_exact(args, end)
    if "speed" not in args.skip:
        measure_speed(args, study, end)
    if "study" not in args.skip:
        train(args, study, end)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


class TimeIsUp(SystemExit):
    """Raised after `--minutes`; the same command goes on."""

    def __init__(self) -> None:
        say("the time is up; the same command goes on from here")
        super().__init__(0)


# -- the machine -------------------------------------------------------------------------------------------------------


def equip(wheels: Path | None, work: Path) -> None:
    """Install the wheels into a folder of their own, without any index, and have this process and its children find them."""
    site = work / "site"
    if wheels is not None and not (site / "complete").is_file():
        files = sorted(map(str, wheels.glob("*.whl")))
        if not files:
            sys.exit(f"error: {wheels} holds no wheels; fetch them as docs/running.md says.")
        say(f"{len(files)} wheels are installed into {site}")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--upgrade"]
        if status := subprocess.run([*pip, "--target", str(site), *files]).returncode:
            sys.exit(
                f"error: pip ended with status {status}, see above: are the wheels of this Python, {sys.version.split()[0]}?"
            )
        (site / "complete").touch()
    places = [str(ROOT / "src"), *([str(site)] if site.is_dir() else [])]
    sys.path[:0] = places
    os.environ["PYTHONPATH"] = os.pathsep.join([*places, *filter(None, [os.environ.get("PYTHONPATH")])])


def show_gpu(device: str) -> None:
    if device != "cpu" and shutil.which("nvidia-smi"):
        query = "name,driver_version,memory.total"
        done = subprocess.run(
            ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"], capture_output=True, text=True
        )
        say(done.stdout.strip() or done.stderr.strip())


def read(file: Path, work: Path) -> Any:
    """The study, its results and work in the work folder: a bare machine need not be able to write elsewhere."""
    from temporal_shortcuts import catalogue

    return catalogue.read_study(file, placed(work))


def placed(work: Path) -> dict[str, Any]:
    return {"results": str(work / "results"), "work": str(work / "work")}


def command(args: argparse.Namespace, *targets: str, jobs: int = 1) -> list[str]:
    """Snakemake from the clone; `jobs` share the GPU."""
    settings = [f"{key}={value}" for key, value in placed(args.work).items()] + [f"jobs_per_gpu={jobs}"]
    options = ["--cores", str(max(jobs, 1)), "--resources", f"gpu={jobs}", "--configfile", str(args.study)]
    return [sys.executable, "-m", "snakemake", *targets, *options, "--config", *settings]


def snakemake(args: argparse.Namespace, end: float, *targets: str, jobs: int = 1) -> None:
    """Run Snakemake to its end, copying each record that becomes whole meanwhile; interrupted when the time is up."""
    process = subprocess.Popen(command(args, *targets, jobs=jobs), cwd=ROOT, start_new_session=True)
    try:
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.5)
            collect(args)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait()
        collect(args)
    if process.returncode and time.monotonic() < end:
        sys.exit(f"error: Snakemake ended with status {process.returncode}; its last lines are above.")
    if time.monotonic() >= end:
        raise TimeIsUp


def collect(args: argparse.Namespace) -> None:
    """Copy records that are whole: the table is written last, here as there, so where it is the others are."""
    results, copies, packed = args.work / "results", args.out / "results", args.out / "records.tar.gz"
    new = [one for one in results.glob("*/records/*/*.csv") if not (copies / one.relative_to(results)).is_file()]
    for declared in results.glob("*/declared.json"):
        copy = copies / declared.relative_to(results)
        if not copy.is_file():  # the first one counts
            write_atomically(copy, declared.read_bytes())
    for table in new:
        copy = copies / table.relative_to(results)
        for suffix in reversed(RECORD):
            write_atomically(copy.with_suffix(suffix), table.with_suffix(suffix).read_bytes())
        say(f"a record more: {copy.relative_to(args.out)}")
    tables = list(copies.glob("*/records/*/*.csv"))
    if tables and not (packed.is_file() and packed.stat().st_mtime_ns > max(one.stat().st_mtime_ns for one in tables)):
        with tarfile.open(packed.with_suffix(".writing"), "w:gz") as archive:  # for where few files come back
            archive.add(copies, "results")
        packed.with_suffix(".writing").replace(packed)


# -- 1: is it exact? ---------------------------------------------------------------------------------------------------


def check_exact(args: argparse.Namespace, end: float) -> None:
    """One epoch of the benchmark in two fresh processes: the same bytes of weights?"""
    file = args.out / "exact.json"
    if file.is_file():
        say(f"epoch 1 was trained twice: {'equal' if json.loads(file.read_text())['equal'] else 'DIFFERENT'} weights")
        return
    found = []
    for turn in (1, 2):
        here = [sys.executable, __file__, "--epoch", "--study", str(args.study), "--work", str(args.work)]
        done = subprocess.run(here, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(
                "error: one epoch of the benchmark failed; an operation without a deterministic form is named above."
            )
        found.append(json.loads(done.stdout.splitlines()[-1]))
        say(f"epoch 1, process {turn}: {found[-1]['seconds']:.1f} s, weights {found[-1]['weights'][:16]}")
        if time.monotonic() >= end:
            raise TimeIsUp
    equal = found[0]["weights"] == found[1]["weights"]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"equal": equal, "epochs": found}) + "\n")
    say("equal weights" if equal else "DIFFERENT weights: records from here do not repeat bit for bit")


def one_epoch(file: Path, work: Path) -> dict[str, Any]:
    """Hash of the benchmark's weights after its first epoch, in seconds of training and evaluation."""
    from temporal_shortcuts import catalogue
    from temporal_shortcuts.study import Segment
    from temporal_shortcuts.training import numerics

    study = catalogue.read_study(file, placed(work))
    settings = study.variants[study.benchmark].settings
    numerics.pin(settings.instruction_set)

    from temporal_shortcuts.data.images import open_images
    from temporal_shortcuts.training.trainer import Trainer, weights_hash

    device = numerics.prepare(settings.device, settings.precision)
    images = open_images(work / "work" / "data" / study.data_folder, study.data.checksum)
    trajectory = study.variant_runs(study.benchmark)[0].trajectory
    trainer = Trainer(Segment(trajectory, 0, study.epochs, True, None), images, device)
    started = time.perf_counter()
    trainer.train_epoch()
    seconds = time.perf_counter() - started
    environment = numerics.environment(device, settings.instruction_set, settings.precision)
    return {"weights": weights_hash(trainer.network), "seconds": seconds} | environment


# -- 2: how fast? ------------------------------------------------------------------------------------------------------


def measure_speed(args: argparse.Namespace, study: Any, end: float) -> None:
    """speed.csv: images a second of training steps, by precision, memory format, compilation and jobs at once."""
    from step import measured

    file, columns = args.out / "speed.csv", ["precision", "format", "compiled", "jobs", "images_per_second"]
    file.parent.mkdir(parents=True, exist_ok=True)
    known = list(csv.DictReader(file.open())) if file.is_file() else []
    done = {tuple(row[name] for name in columns[:-1]) for row in known}
    device, width = study.protocol.device, study.protocol.width
    own, given = study.protocol.precision, PRECISIONS if device == "cuda" else ("fp32",)
    precisions = sorted(given, key=lambda one: one != own)  # the study's own first, compiled ways last
    until = min(end, time.monotonic() + 60 * args.speed_minutes)
    with file.open("a", newline="") as out:
        if not known:
            csv.writer(out).writerow(columns)
        for compiled, precision, layout, jobs in itertools.product(COMPILED, precisions, LAYOUTS, JOBS):
            way = (precision, layout, compiled, jobs)
            if tuple(map(str, way)) in done:
                continue
            if time.monotonic() + 3 * args.seconds >= until:
                say("the time for measuring speed is up; the ways that are left are measured by a later call")
                break
            options = ["--device", "cuda" if device == "cuda" else "cpu", "--width", str(width)]
            options += ["--precision", precision, "--seconds", str(args.seconds)]
            options += ["--contiguous"] * (layout == "contiguous") + ["--compile"] * compiled
            try:
                found = measured(jobs, *options, timeout=until - time.monotonic())
                speed = sum(128 / one["step"]["none"] for one in found)
            except (RuntimeError, ValueError) as error:
                if time.monotonic() >= until:
                    say("the time for measuring speed is up; the ways that are left are measured by a later call")
                    break
                speed = 0.0
                say(f"{', '.join(map(str, way))}: cannot be measured here ({error})")
            csv.writer(out).writerow([*way, f"{speed:.5g}"])
            out.flush()
            say(
                f"{precision}, {layout}, {'compiled' if compiled else 'eager'}, {jobs} jobs: {speed:,.0f} images a second"
            )


def quickest_jobs(args: argparse.Namespace, study: Any) -> int:
    """Jobs at once with which the study's own precision was quickest; 1 where it was not measured."""
    file, protocol = args.out / "speed.csv", study.protocol
    rows = list(csv.DictReader(file.open())) if file.is_file() else []
    own = protocol.precision, "channels_last", str(protocol.compile)
    speeds = {
        int(row["jobs"]): float(row["images_per_second"])
        for row in rows
        if (row["precision"], row["format"], row["compiled"]) == own
    }
    return max(speeds, key=lambda jobs: speeds[jobs]) if speeds else 1


# -- 3: the study ------------------------------------------------------------------------------------------------------


def train(args: argparse.Namespace, study: Any, end: float) -> None:
    """Each seed's runs together, so that they share what they have in common, and a seed is whole before the next begins."""
    jobs = args.jobs or quickest_jobs(args, study)
    results = args.work / "results" / study.name
    for seed in sorted({run.seed for run in study.runs}):
        own = [run for run in study.runs if run.seed == seed]
        missing = [run for run in own if not (args.out / "results" / study.name / run.record).is_file()]
        say(f"seed {seed}: {len(own) - len(missing)} of {len(own)} records are there")
        if missing:
            snakemake(args, end, *(str(results / run.record) for run in missing), jobs=jobs)
    say(f"all {len(study.runs)} records are in {args.out / 'results' / study.name}")


if __name__ == "__main__":
    main(program)
