"""Print the file of a study, given its name."""

import argparse
from pathlib import Path

from temporal_shortcuts import api, errors


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", help="its name, or that of its file without .yaml")
    print(api.declared_as(parser.parse_args().study, Path(__file__).parents[2])[0])


if __name__ == "__main__":
    errors.main(program)
