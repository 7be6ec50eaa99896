"""`python starved.py MEGABYTES PROGRAM ...`: run a Python program that may take so much more address space than it has now."""

from __future__ import annotations

import resource
import runpy
import sys
from pathlib import Path


def main() -> None:
    has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = has + int(float(sys.argv[1]) * 1e6)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    sys.argv = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
