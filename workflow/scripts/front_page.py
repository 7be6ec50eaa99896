"""README.in.md -> README.md: the text that people write, with numbers from the studies' tables."""

import argparse
from pathlib import Path

from temporal_shortcuts.errors import main
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.report import prose


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), help="the folder of the studies' results")
    parser.add_argument("texts", nargs="+", type=Path, help="such as README.in.md README.zh.in.md")
    arguments = parser.parse_args()
    for page, content in [prose.front_page(text, arguments.results) for text in arguments.texts]:
        write_atomically(page, content)


if __name__ == "__main__":
    main(program)
