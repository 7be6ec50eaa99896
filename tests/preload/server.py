"""Runs Python programs without the seconds that importing torch, Snakemake and seaborn takes: it has imported them, and forks.

A child then is as the program would be, started by itself: in its folder, with its environment, outputs and module path, and with the
copy of our package that these name. It never trains itself, since torch's autograd does not survive a fork.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import random
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import threading
from typing import NoReturn

LIBRARIES = """
    jinja2 matplotlib.pyplot numpy pandas pydantic rich.console rich.progress safetensors.torch scipy.stats seaborn snakemake.cli
    snakemake.executors.local statsmodels.stats.power torch torchvision.datasets yaml
"""


def serve(address: str) -> None:
    for name in LIBRARIES.split():
        importlib.import_module(name)
    gc.freeze()
    ready, running = selectors.DefaultSelector(), set[int]()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        ready.register(listener, selectors.EVENT_READ)
        ready.register(0, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            for key, _ in ready.select():
                if key.fileobj == 0:
                    return  # those who started it are gone
                if key.fileobj is listener:
                    running.add(start(listener, ready))
                elif key.data[0] in running:  # of two events of one child, the first ends it
                    running.remove(key.data[0])
                    end(*key.data, ready, killed=key.fileobj is key.data[1])


def start(listener: socket.socket, ready: selectors.BaseSelector) -> int:
    """Fork a child for the next program."""
    connection = listener.accept()[0]
    length, outputs, _, _ = socket.recv_fds(connection, 4, 3)
    message = b""
    while len(message) < int.from_bytes(length, "big"):
        message += connection.recv(1 << 20)
    child = os.fork()
    if child == 0:
        run(outputs, **json.loads(message))
    for descriptor in outputs:
        os.close(descriptor)
    ended = os.pidfd_open(child)
    for each in (connection, ended):
        ready.register(each, selectors.EVENT_READ, (child, connection, ended))
    return child


def end(child: int, connection: socket.socket, ended: int, ready: selectors.BaseSelector, killed: bool) -> None:
    """The child has ended, or the process that it stands for was `killed`: so is the child."""
    if killed:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not killed:
        connection.send(str(status).encode())
    for each in (connection, ended):
        ready.unregister(each)
    connection.close()
    os.close(ended)


def run(outputs: list[int], words: list[str], folder: str, environment: dict[str, str]) -> NoReturn:
    """Be the program `python WORDS`."""
    status = 1
    try:
        for number, descriptor in enumerate(outputs):
            os.dup2(descriptor, number)
        os.closerange(3, 256)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        random.seed()
        tempfile.tempdir = None
        sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in environment
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
        paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
        is_module = words[0] == "-m"
        sys.path[:] = [folder if is_module else os.path.dirname(os.path.abspath(words[0])), *paths, *sys.path]
        sys.argv = words[is_module:]
        if is_module:
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(words[0], run_name="__main__")
        status = 0
    except SystemExit as exit_:
        status = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        if isinstance(exit_.code, str):
            print(exit_.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(status)


if __name__ == "__main__":
    del sys.path[0]  # this folder
    serve(sys.argv[1])
