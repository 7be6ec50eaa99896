"""A live view of what is training: runs, epochs, accuracy so far, time left. It only reads, and can be stopped at any time."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
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

    def look() -> watch.View:
        return watch.look(load_resolved(args.study), args.study.parent, args.work, time.time())

    try:
        if args.once or not console.is_terminal:
            _print(console, look, None if args.once else every)
        else:
            _show(console, look, every)
    except KeyboardInterrupt:
        pass


def _print(console: Console, look: Callable[[], watch.View], every: float | None) -> None:
    while True:
        view = look()
        if console.is_terminal:
            console.print(watch.picture(view))
        else:
            print(*watch.lines(view), sep="\n", flush=True)
        if every is None or view.finished:
            return
        time.sleep(every)


def _show(console: Console, look: Callable[[], watch.View], every: float) -> None:
    view = look()
    with Live(watch.picture(view), console=console, auto_refresh=False) as live:
        while not view.finished:
            time.sleep(every)
            view = look()
            live.update(watch.picture(view), refresh=True)


if __name__ == "__main__":
    errors.main(program)
