"""Put the studies' blocks between the markers of README files; a file in which nothing changes is left untouched."""

import argparse
from pathlib import Path

from temporal_shortcuts.errors import main
from temporal_shortcuts.report import splicing


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), help="the folder of the studies' results")
    parser.add_argument("files", nargs="+", type=Path, help="such as README.md README.zh.md")
    arguments = parser.parse_args()
    for path in arguments.files:
        changed = splicing.splice(path, arguments.results)
        print(f"{path}: {'updated' if changed else 'unchanged'}")


if __name__ == "__main__":
    main(program)
