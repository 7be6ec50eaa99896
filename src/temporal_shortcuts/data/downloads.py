"""Downloads through pooch: mirrors in turn, each tried several times, and a file that is whole or not there at all."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
import requests
import urllib3

from temporal_shortcuts.errors import UserError
from temporal_shortcuts.files import naming

WITHOUT_NETWORK = "put a copy on this machine and name it as data.path, or run the demo study, which needs no download"

_TRY_AGAIN = (408, 425, 429)
"""Answers of the kind 4xx that do not mean that asking again is useless."""


@dataclass(frozen=True)
class Expected:
    """What is known of a file before it is there."""

    checksum: str | None = None
    """`md5:...` or `sha256:...`"""
    size: int | None = None
    """bytes"""

    def complaint(self, path: Path) -> str | None:
        """What is wrong with a file, or None if nothing is."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"{size} bytes instead of {self.size}"
        if self.checksum is not None:
            algorithm, _, digest = self.checksum.partition(":")
            found = pooch.file_hash(str(path), alg=algorithm)
            if found != digest:
                return f"{algorithm} {found} instead of {digest}"
        return None


@dataclass(frozen=True)
class Patience:
    """How long a download is tried."""

    rounds: int = 3
    """Times that each mirror is asked."""
    delay: float = 2.0
    """Seconds before the second round; twice as many before each later one."""
    connect: float = 10.0
    """Seconds until a mirror must answer."""
    silence: float = 60.0
    """Seconds without a byte after which a download counts as stalled."""


PATIENCE = Patience()


class _AnotherFile(Exception):
    """A download came to its end, but it is not the file that is expected."""


def fetch(urls: Sequence[str], expected: Expected, cache: Path, patience: Patience = PATIENCE) -> Path:
    """The downloaded file, in `cache`; without any network if it is there already.

    A file gets its name there only after it came to its end with the expected size and checksum. Without an expected
    checksum its end is that of the HTTP answer, so the caller must check what is in it.
    Raises `UserError` with each address's last failure and what to do.
    """
    for url in urls:
        if not url.startswith(("https://", "http://")):
            raise UserError(f"data.urls: {url!r} does not begin with https:// or http://; correct it or use data.path.")
    name = expected.checksum or f"urls:{hashlib.sha256(chr(10).join(urls).encode()).hexdigest()}"
    file = cache / name.replace(":", "-")
    if file.is_file() and expected.complaint(file) is None:
        return file
    failures: dict[str, str] = {}
    waiting = list(urls)
    for attempt in range(patience.rounds):
        if attempt and waiting:
            time.sleep(patience.delay * 2 ** (attempt - 1))
        for url in tuple(waiting):
            try:
                _download(url, expected, file, patience)
            except (requests.RequestException, _AnotherFile) as error:
                failures[url] = _reason(error, patience)
                say(f"{url}: {failures[url]}")
                if _is_final(error):
                    waiting.remove(url)
            else:
                return file
    tried = "; ".join(f"{url}: {reason}" for url, reason in failures.items())
    raise UserError(f"data.urls: no address gave the archive ({tried}); {WITHOUT_NETWORK}.")


def _download(url: str, expected: Expected, file: Path, patience: Patience) -> None:
    def downloader(url: str, path: Any, manager: Any) -> None:
        timeout = patience.connect, patience.silence
        pooch.HTTPDownloader(chunk_size=1 << 16, timeout=timeout)(url, path, manager)
        complaint = expected.complaint(Path(path))
        if complaint:
            raise _AnotherFile(complaint)

    say(f"downloading {url}")
    pooch.get_logger().setLevel("WARNING")
    with naming(file):
        pooch.retrieve(url, expected.checksum, fname=file.name, path=file.parent, downloader=downloader)


def _is_final(error: Exception) -> bool:
    """Whether asking again is useless."""
    status = error.response.status_code if isinstance(error, requests.HTTPError) else 0
    return 400 <= status < 500 and status not in _TRY_AGAIN


def _reason(error: Exception, patience: Patience) -> str:
    if isinstance(error, requests.HTTPError):
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.ConnectTimeout):
        return f"no answer within {patience.connect:g} s"
    stalled = any(isinstance(cause, urllib3.exceptions.ReadTimeoutError) for cause in error.args)
    if stalled or isinstance(error, requests.ReadTimeout):
        return f"silent for {patience.silence:g} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection ended before the file did"
    if isinstance(error, requests.ConnectionError):
        return "no connection" if type(error) is requests.ConnectionError else f"no connection ({type(error).__name__})"
    return str(error) or type(error).__name__


def say(line: str) -> None:
    """Write a line where a job's log is."""
    print(line, file=sys.stderr, flush=True)
