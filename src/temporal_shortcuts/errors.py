"""How the project speaks of a mistake: one sentence, exit status 2, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable


class UserError(Exception):
    """Something that the user can mend. The message is one sentence that names the key or file and what to do."""


def main(program: Callable[[], None]) -> None:
    """Run a program; a `UserError` or a failure of the file system ends it with one sentence and exit status 2."""
    try:
        program()
    except UserError as error:
        sys.exit(_complain(str(error)))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(_complain(f"{where}{error.strerror or error}; mend that and run the same command again."))


def _complain(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return 2
