"""Prepare a study's data: download it or read a copy, check it, and write the arrays that training maps into memory."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from temporal_shortcuts import errors
from temporal_shortcuts.data import sources


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=json.loads, required=True, metavar="JSON", help="a study's data")
    parser.add_argument("--cache", type=Path, required=True, help="folder that keeps downloads")
    parser.add_argument("--output", type=Path, required=True, help="folder of the prepared data")
    args = parser.parse_args()
    sources.prepare(args.data, args.cache, args.output)


if __name__ == "__main__":
    errors.main(program)
