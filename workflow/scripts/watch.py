"""A live view of what is training: runs, epochs, accuracy so far, time left. It only reads, and can be stopped at any time."""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext, suppress
from pathlib import Path

from rich.console import Console
from rich.live import Live

from temporal_shortcuts import errors
from temporal_shortcuts.study import load_resolved
from temporal_shortcuts.terminal import watch


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, required=True, help="results/<study>/study.json")
    parser.add_argument("--work", type=Path, default=Path("work"), help="the study's work folder")
    parser.add_argument("--once", action="store_true", help="one look")
    parser.add_argument("--every", type=float, metavar="SECONDS", help="default: 1 in a terminal, 60 in a log file")
    args = parser.parse_args()
    if not args.study.is_file():
        raise errors.UserError(f"{args.study} is not there: start the study with snakemake, or name another one.")
    console = Console()
    every = args.every or (1.0 if console.is_terminal else 60.0)
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def show() -> bool:
        """Show the study as it is, and whether there is more to see."""
        view = watch.look(load_resolved(args.study), args.study.parent, args.work, time.time())
        if live:
            live.update(watch.picture(view), refresh=True)
        else:
            print(*watch.lines(view), sep="\n", flush=True)
        return not view.finished

    with suppress(KeyboardInterrupt), live or nullcontext():
        while show() and not args.once:
            time.sleep(every)


if __name__ == "__main__":
    errors.main(program)
