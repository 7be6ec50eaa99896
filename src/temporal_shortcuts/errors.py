"""How the project speaks of a mistake: one sentence, exit status 2, no traceback."""

from __future__ import annotations

import errno
import faulthandler
import re
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

_SPACE = "free some space on its disk"
_PERMISSION = "give this user permission to write there"
_REMEDIES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EROFS: "make its file system writable",
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
}
_NO_MEMORY = re.compile(
    "out of memory|allocate memory|bad_alloc|could not create a primitive$|failed to map segment", re.I
)
"""What torch, a GPU's driver, oneDNN and the dynamic linker say of it; none of them raises MemoryError."""


_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU)
"""Signals by which a system, a scheduler or a terminal that is closed ends a program."""


class UserError(Exception):
    """Something that the user can fix. The message is one sentence that names the key or file and what to do."""


def main(program: Callable[[], T]) -> T:
    """What a program returns; a `UserError`, a failure of the file system or a lack of memory ends it with one sentence and status 2.

    An interruption (Ctrl-C) ends it with one sentence and status 130. A signal that ends or crashes it is named on standard error, so
    in a job's log; only SIGKILL leaves nothing.
    """
    if not faulthandler.is_enabled():
        with suppress(OSError, ValueError, RuntimeError):  # of a standard error that is no file
            faulthandler.enable(all_threads=False)
    before = {number: signal.signal(number, _end) for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL}
    try:
        return program()
    except KeyboardInterrupt:
        sys.exit(_complain("interrupted; the same command goes on from here.", 130))
    except Exception as error:
        leave(error)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave(error: Exception) -> NoReturn:
    """End with the sentence of an error, or raise it where it is the program's own."""
    sentence = _sentence(error)
    if sentence is None:
        raise error
    sys.exit(_complain(sentence, 2))


def _end(number: int, _: Any) -> None:
    """Say which signal it was, and die of it."""
    _complain(f"ended by {signal.Signals(number).name}; the same command goes on from here.", 0)
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def _sentence(error: Exception) -> str | None:
    """What to say of an error, or None for one that is the program's own."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError) or (
        isinstance(error, (OSError, RuntimeError, ImportError)) and _NO_MEMORY.search(str(error))
    ):
        return (
            f"out of memory ({' '.join(str(error).split())[:200] or 'in Python'}); close other programs or run fewer jobs "
            "at once (a smaller --cores), and run the same command again, which goes on from the last saved state."
        )
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        remedy = _REMEDIES.get(error.errno or 0, "fix that")
        return f"{where}{error.strerror or error}; {remedy} and run the same command again."
    return None


def _complain(sentence: str, status: int) -> int:
    with suppress(OSError):  # the log may be on the disk that is full; the status says that something is wrong
        print(f"error: {sentence}", file=sys.stderr, flush=True)
    return status
