"""Train one segment of a study: from the state of its parent, if it has one, to the state that it is named after."""

from __future__ import annotations

import argparse
from pathlib import Path

from temporal_shortcuts import errors


def program() -> None:
    # Imported here, where an interruption of the seconds that they take is spoken of as any other.
    from temporal_shortcuts.study import load_resolved
    from temporal_shortcuts.study.checks import check_full_batches
    from temporal_shortcuts.training import devices, numerics

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, required=True, help="results/<study>/study.json")
    parser.add_argument("--state", required=True, help="name of the state to make")
    parser.add_argument("--data", type=Path, required=True, help="folder of the prepared data")
    parser.add_argument("--work", type=Path, required=True, help="folder for states and progress")
    parser.add_argument("--checkpoint-minutes", type=float, default=5.0)
    parser.add_argument("--force-environment", action="store_true", help="go on with a state of another environment")
    parser.add_argument("--jobs-per-gpu", type=int, default=1, help="jobs that share one GPU of this machine")
    args = parser.parse_args()
    study = load_resolved(args.study)
    if args.state not in study.segments:
        raise errors.UserError(
            f"{args.study} has no segment {args.state}: the study has changed; run the same command again."
        )
    segment = study.segments[args.state]
    numerics.pin(segment.settings["instruction_set"])
    runs = ", ".join(f"{run.variant} seed {run.seed}" for run in study.sharers[segment.state])
    say(f"epochs {segment.start + 1} to {segment.stop} of {runs}")
    found = [] if segment.settings["device"] == "cpu" else devices.gpus()
    with devices.gpu_slot(found, args.jobs_per_gpu, say):
        with numerics.importing():
            from temporal_shortcuts.data.images import open_images
            from temporal_shortcuts.training.job import train_segment

        states, images = args.work / "states", open_images(args.data, study.data.checksum)
        check_full_batches(study, len(images.train_images))
        train_segment(
            segment,
            images,
            args.work,
            states / f"{segment.parent}.state" if segment.parent else None,
            states / f"{segment.state}.state",
            force=args.force_environment,
            checkpoint_minutes=args.checkpoint_minutes,
            say=say,
        )


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    errors.main(program)
