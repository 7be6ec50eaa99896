"""Downloads against a server on loopback that fails in every way: a file is whole or not there, and the user is told why."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from made_data import CIFAR_CLASSES, MADE, cifar_files, digest, good_files, md5, official_cifar10, refusal, sha256, tar
from torchvision import datasets

from temporal_shortcuts.data.downloads import Expected, Patience, fetch
from temporal_shortcuts.data.images import checksum, open_images
from temporal_shortcuts.data.sources import load, prepare
from temporal_shortcuts.errors import UserError

ROOT = Path(__file__).parents[1]
CONTENT = bytes(range(256)) * 2000
EXPECTED = Expected(sha256(CONTENT), len(CONTENT))
QUICK = Patience(rounds=2, delay=0.01, connect=5.0, silence=0.4)

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each path with the next of its answers; the last one stays."""

    def do_GET(self) -> None:
        server: Any = self.server
        with server.lock:
            server.requests.append(self.path)
            answers = server.answers[self.path]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        answer(self)

    def start(self, status: int, **headers: Any) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


def whole(content: bytes = CONTENT, **headers: Any) -> Answer:
    def answer(handler: Handler) -> None:
        handler.start(200, Content_Length=len(content), **headers)
        handler.wfile.write(content)

    return answer


def status(code: int) -> Answer:
    return lambda handler: handler.start(code, Content_Length=0)


def redirect(path: str) -> Answer:
    return lambda handler: handler.start(302, Location=path, Content_Length=0)


def truncated(handler: Handler) -> None:
    """Half of what was promised."""
    handler.start(200, Content_Length=len(CONTENT))
    handler.wfile.write(CONTENT[: len(CONTENT) // 2])


def chunks_that_end_early(handler: Handler) -> None:
    handler.protocol_version = "HTTP/1.1"
    handler.start(200, Transfer_Encoding="chunked", Connection="close")
    handler.wfile.write(b"%x\r\n" % 1000 + CONTENT[:1000] + b"\r\n")
    handler.close_connection = True


def unannounced(content: bytes) -> Answer:
    """Without a length, so that nothing but the content shows whether it is the whole."""

    def answer(handler: Handler) -> None:
        handler.start(200)
        handler.wfile.write(content)

    return answer


def stalled(sent: int) -> Answer:
    """Some bytes, then silence; with none, not even an answer."""

    def answer(handler: Handler) -> None:
        server: Any = handler.server
        if sent:
            handler.start(200, Content_Length=len(CONTENT))
            handler.wfile.write(CONTENT[:sent])
            handler.wfile.flush()
        server.over.wait(60)

    return answer


def hung_up(handler: Handler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[str] = []
        self.lock = threading.Lock()
        self.over = threading.Event()

    def gives(self, path: str, *answers: Answer) -> str:
        """The address that answers so."""
        self.answers[path] = list(answers)
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The client may hang up."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with Server() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


@pytest.fixture
def dead() -> str:
    """An address that refuses connections."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}/file"


def left(cache: Path) -> list[str]:
    return [path.name for path in cache.iterdir()] if cache.exists() else []


# what ends well

ENDS_WELL: dict[str, tuple[Answer, ...]] = {
    "at once": (whole(),),
    "500 then fine": (status(500), whole()),
    "429 then fine": (status(429), whole()),
    "without a length": (unannounced(CONTENT),),
}


@pytest.mark.parametrize("answers", ENDS_WELL.values(), ids=ENDS_WELL.keys())
def test_ends_well(answers: tuple[Answer, ...], server: Server, tmp_path: Path) -> None:
    file = fetch([server.gives("/file", *answers)], EXPECTED, tmp_path / "cache", QUICK)
    assert file.read_bytes() == CONTENT
    assert left(tmp_path / "cache") == [file.name]
    assert len(server.requests) == len(answers)
    assert fetch(["http://127.0.0.1:9/never"], EXPECTED, tmp_path / "cache", QUICK) == file  # and once is enough


def test_mirrors_are_asked_in_turn_and_none_again_that_does_not_have_it(
    server: Server, dead: str, tmp_path: Path
) -> None:
    missing, broken = server.gives("/missing", status(404)), server.gives("/broken", truncated)
    (tmp_path / "cache").mkdir()
    sentence = refusal(fetch, [dead, missing, broken], EXPECTED, tmp_path / "cache", QUICK, watched=tmp_path)
    for url, reason in ((dead, "no connection"), (missing, "HTTP 404"), (broken, "the connection ended")):
        assert f"{url}: {reason}" in sentence
    assert server.requests == ["/missing", "/broken", "/broken"]
    urls = [dead, missing, server.gives("/good", whole()), server.gives("/spare", whole())]
    assert fetch(urls, EXPECTED, tmp_path / "cache", QUICK).read_bytes() == CONTENT
    assert server.requests[3:] == ["/missing", "/good"]


def test_waiting_grows_from_round_to_round(server: Server, tmp_path: Path) -> None:
    url = server.gives("/file", status(500), status(500), status(500), whole())
    start = time.monotonic()
    fetch([url], EXPECTED, tmp_path / "cache", Patience(rounds=4, delay=0.1, connect=5.0, silence=5.0))
    assert time.monotonic() - start >= 0.1 + 0.2 + 0.4


def test_a_damaged_file_in_the_cache_is_replaced(server: Server, tmp_path: Path) -> None:
    url = server.gives("/file", whole())
    file = fetch([url], EXPECTED, tmp_path / "cache", QUICK)
    for content in (CONTENT[:1000], CONTENT[:-1] + b"\0", b""):
        file.write_bytes(content)
        assert fetch([url], EXPECTED, tmp_path / "cache", QUICK).read_bytes() == CONTENT
    assert len(server.requests) == 4


# what does not

ENDS_BADLY: dict[str, tuple[Answer, str]] = {
    "404": (status(404), "HTTP 404"),
    "truncated": (truncated, "the connection ended before the file did"),
    "chunks that end early": (chunks_that_end_early, "the connection ended before the file did"),
    "another file": (whole(b"<html>please log in</html>"), f"26 bytes instead of {len(CONTENT)}"),
    "wrong checksum": (whole(CONTENT[:-1] + b"\0"), "sha256 "),
    "longer": (whole(CONTENT + b"\0"), f"{len(CONTENT) + 1} bytes instead of {len(CONTENT)}"),
    "silent": (stalled(0), "silent for 0.4 s"),
    "stalled": (stalled(70_000), "silent for 0.4 s"),
    "hung up": (hung_up, "no connection"),
    "redirected in a circle": (redirect("/file"), "redirects"),
}


@pytest.mark.parametrize(("answer", "says"), ENDS_BADLY.values(), ids=ENDS_BADLY.keys())
def test_ends_badly(answer: Answer, says: str, server: Server, tmp_path: Path) -> None:
    url = server.gives("/file", answer)
    (tmp_path / "cache").mkdir()
    start = time.monotonic()
    sentence = refusal(fetch, [url], EXPECTED, tmp_path / "cache", QUICK, watched=tmp_path)
    assert time.monotonic() - start < 5
    assert sentence.startswith(f"data.urls: no address gave the archive ({url}: ")
    assert says in sentence
    assert "name it as data.path" in sentence
    assert "run the demo study, which needs no download" in sentence
    assert left(tmp_path / "cache") == []
    if says != "HTTP 404":  # which is final
        server.gives("/file", answer, whole())
        assert fetch([url], EXPECTED, tmp_path / "cache", QUICK).read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["file:///etc/passwd", "data.tar", ""])
def test_addresses_of_another_kind(url: str, tmp_path: Path) -> None:
    sentence = refusal(fetch, [url], EXPECTED, tmp_path / "cache", QUICK, watched=tmp_path)
    assert f"data.urls: {url!r} does not begin with https:// or http://" in sentence


def test_a_full_disk_is_not_the_mirrors_fault(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: str, mode: str) -> Any:
        return open("/dev/full", mode.replace("w+", "w"))

    monkeypatch.setattr("pooch.downloaders.open", full, raising=False)
    with pytest.raises(OSError, match="No space left") as caught:
        fetch([server.gives("/file", whole())], EXPECTED, tmp_path / "cache", QUICK)
    assert caught.value.errno == 28
    assert server.requests == ["/file"]
    assert left(tmp_path / "cache") == []


# a process that is killed while it downloads

FETCH = """
import sys
from pathlib import Path
from temporal_shortcuts.data.downloads import Expected, Patience, fetch
fetch([sys.argv[1]], Expected(), Path(sys.argv[2]), Patience(rounds=1, silence=60.0))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_while_downloading(how: int, server: Server, tmp_path: Path) -> None:
    """Also where nothing is known of the file: what was there of it is not taken for it."""
    url = server.gives("/file", stalled(200_000), whole())
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", FETCH, url, str(tmp_path / "cache")]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 30
        while not any(path.stat().st_size >= 65536 for path in (tmp_path / "cache").glob("*")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(how)
    assert process.returncode != 0
    file = fetch([url], Expected(), tmp_path / "cache", QUICK)
    assert server.requests == ["/file", "/file"]
    assert file.read_bytes() == CONTENT


# through the sources


def test_cifar10_from_the_second_mirror(
    server: Server, dead: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    official_cifar10(cifar_files()[0], monkeypatch)
    archive = tar(tmp_path / "cifar-10-python.tar.gz", cifar_files()[0])
    content = archive.read_bytes()
    urls = [dead, server.gives("/cut", whole(content[:-10])), server.gives("/good", whole(content))]
    data = {"source": "cifar10", "name": "CIFAR-10", "checksum": md5(archive), "urls": urls, "images_per_class": None}
    prepare(data, tmp_path / "cache", tmp_path / "data", QUICK)
    assert open_images(tmp_path / "data", md5(archive)).classes == CIFAR_CLASSES
    assert checksum(load(data | {"urls": [dead]}, tmp_path / "cache", QUICK)).startswith("sha256:")  # from the cache


FASHION = {"source": "torchvision", "dataset": "FashionMNIST"}


@pytest.fixture
def fashion(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A small FashionMNIST on the server, which torchvision takes for the whole; its files by their path there."""
    made = tmp_path / "made"
    MADE["FashionMNIST"](made, monkeypatch)
    files, resources = {}, []
    for file in sorted((made / "FashionMNIST" / "raw").iterdir()):
        content = gzip.compress(file.read_bytes())
        files[f"/{file.name}.gz"] = content
        resources.append((f"{file.name}.gz", digest(content)))
        server.gives(f"/{file.name}.gz", whole(content))
    monkeypatch.setattr(datasets.FashionMNIST, "resources", resources)
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
    return files


def test_a_set_of_torchvision_is_downloaded_once(server: Server, fashion: dict[str, bytes], tmp_path: Path) -> None:
    images = load(FASHION | {"path": str(tmp_path / "not there")}, tmp_path / "cache", QUICK)
    assert checksum(images) == checksum(load(FASHION | {"path": str(tmp_path / "made")}, tmp_path / "cache", QUICK))
    asked = len(server.requests)
    assert checksum(load(FASHION, tmp_path / "cache", QUICK)) == checksum(images)
    assert len(server.requests) == asked
    assert sorted(left(tmp_path / "cache" / "torchvision")) == ["FashionMNIST", "FashionMNIST.lock"]


@pytest.mark.parametrize("bad", [status(500), stalled(70_000), whole(b"<html>")])
def test_a_set_of_torchvision_in_a_later_round(
    bad: Answer, server: Server, fashion: dict[str, bytes], tmp_path: Path
) -> None:
    path, content = list(fashion.items())[2]
    server.gives(path, bad, bad, whole(content))  # a round asks once or twice
    patience = Patience(rounds=3, delay=0.01, connect=5.0, silence=0.4)
    assert load(FASHION, tmp_path / "cache", patience).classes == tuple(datasets.FashionMNIST.classes)
    server.gives(path, bad)
    with pytest.raises(UserError, match=r"data\.dataset: torchvision could not download FashionMNIST .*data\.path"):
        load(FASHION, tmp_path / "other", QUICK)
    assert left(tmp_path / "other" / "torchvision") == ["FashionMNIST.lock"]


def test_a_set_of_torchvision_after_a_kill(server: Server, fashion: dict[str, bytes], tmp_path: Path) -> None:
    """An unpacked file that is cut short looks whole to torchvision."""
    raw = tmp_path / "cache" / "torchvision" / "FashionMNIST.part" / "FashionMNIST" / "raw"
    shutil.copytree(tmp_path / "made" / "FashionMNIST" / "raw", raw)
    (raw / "train-images-idx3-ubyte").write_bytes(b"cut short")
    load(FASHION, tmp_path / "cache", QUICK)
    root = tmp_path / "cache" / "torchvision" / "FashionMNIST"
    (root / "FashionMNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(b"damaged later")
    with pytest.raises(UserError, match="FashionMNIST: torchvision finds no whole FashionMNIST there"):
        load(FASHION, tmp_path / "cache", QUICK)
    load(FASHION, tmp_path / "cache", QUICK)  # the same command downloads it again


def test_a_full_disk_is_not_torchvisions_fault(
    fashion: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", full)
    with pytest.raises(OSError, match="No space left"):
        load(FASHION, tmp_path / "cache", QUICK)


def test_a_copy_is_used_without_any_network_and_one_that_is_not_there_downloaded(
    server: Server, tmp_path: Path
) -> None:
    archive = tar(tmp_path / "mine.tar.xz", good_files())
    data = {"source": "image_folder", "urls": [server.gives("/file", whole(archive.read_bytes()))]}
    for path, asked in ((archive, []), (tmp_path / "other", ["/file"])):
        assert load(data | {"path": str(path)}, tmp_path / "cache", QUICK).classes == ("cat", "dog")
        assert server.requests == asked
        assert len(left(tmp_path / "cache")) == len(asked)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("path", [None, "no/such/copy.tar"])
def test_neither_a_copy_nor_an_address(path: str | None, tmp_path: Path) -> None:
    for urls in (None, []):
        data = {"source": "image_folder", "path": path, "urls": urls}
        sentence = refusal(load, data, tmp_path / "cache", QUICK, watched=tmp_path)
        assert sentence.startswith(f"data.path: {'no/such/copy.tar is not there' if path else 'none is given'}")
        assert "put a copy on this machine and name it as data.path, or run the demo study" in sentence


def test_a_truncated_archive_of_unknown_checksum(server: Server, tmp_path: Path) -> None:
    """Nothing but its content shows that it is not whole; it is removed, so the same command asks for it again."""
    content = tar(tmp_path / "images.tar.gz", good_files()).read_bytes()
    url = server.gives("/file", unannounced(content[: len(content) * 2 // 3]), unannounced(content))
    data = {"source": "image_folder", "urls": [url]}
    with pytest.raises(UserError, match="no whole tar or zip archive"):
        load(data, tmp_path / "cache", QUICK)
    assert left(tmp_path / "cache") == []
    assert load(data, tmp_path / "cache", QUICK).classes == ("cat", "dog")


def test_an_archive_checksum_is_checked(server: Server, tmp_path: Path) -> None:
    content = tar(tmp_path / "images.tar.gz", good_files()).read_bytes()
    data = {"source": "image_folder", "urls": [server.gives("/file", whole(content))]}
    wrong = data | {"archive_checksum": sha256(b"another")}
    (tmp_path / "cache").mkdir()
    sentence = refusal(load, wrong, tmp_path / "cache", QUICK, watched=tmp_path)
    assert f"{sha256(content).replace(':', ' ')} instead of" in sentence
    assert load(data | {"archive_checksum": sha256(content)}, tmp_path / "cache", QUICK).classes == ("cat", "dog")
