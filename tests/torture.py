"""Kill a study at random instants, again and again, and compare what it ends with: `python tests/torture.py --kills 50`.

Each round starts the same command, waits a random while, and sends SIGKILL to a training job, to Snakemake alone (its jobs go
on and meet the next Snakemake's), or to all of it. At last the command runs to its end, and every file is compared
with the committed one, or, on another kind of processor, with a run there without kills (`--against FOLDER`).
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--study", default="demo")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "torture")
    parser.add_argument("--against", type=Path, default=ROOT / "results", help="results of a run that was not killed")
    parser.add_argument("--longest", type=float, default=16.0, help="seconds until a kill, at most")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    chance = random.Random(args.seed)
    places = [f"results={args.folder}/results", f"work={args.folder}/work"]
    command = [
        "snakemake",
        "--cores",
        "2",
        "--quiet",
        "all",
        "--configfile",
        f"studies/{args.study}.yaml",
        "--config",
        *places,
    ]
    counts = dict.fromkeys(("a job", "Snakemake", "all"), 0)
    while sum(counts.values()) < args.kills:
        process = subprocess.Popen(
            command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(3, args.longest))
        victim = chance.choice(list(counts))
        jobs = _jobs(args.folder)
        if process.poll() is not None:
            print("the study was finished before the kill", flush=True)
            break
        if victim == "a job" and jobs:
            os.kill(chance.choice(jobs), signal.SIGKILL)
            time.sleep(chance.uniform(0, 3))
            os.killpg(process.pid, signal.SIGTERM)
        elif victim == "Snakemake":
            process.kill()
        else:
            victim = "all"
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        counts[victim] += 1
        states = len(list((args.folder / "work" / "segments").glob("*/*.state")))
        print(
            f"{sum(counts.values())}: killed {victim}, {len(jobs)} jobs were running, {states} states saved", flush=True
        )
    subprocess.run(command, cwd=ROOT, check=True)
    committed, made = (_files(folder / args.study) for folder in (args.against, args.folder / "results"))
    different = sorted(name for name in committed | made if committed.get(name) != made.get(name))
    print(f"kills: {counts}; {len(committed)} files, {len(different)} different {different[:5]}")
    sys.exit(bool(different))


def _jobs(folder: Path) -> list[int]:
    done = subprocess.run(["pgrep", "-f", f"scripts/train.py .*{folder}"], capture_output=True, text=True)
    return [int(line) for line in done.stdout.split()]


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


if __name__ == "__main__":
    main()
