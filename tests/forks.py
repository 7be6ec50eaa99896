"""Real processes without the seconds that importing torch takes: a server that has imported it forks a child for each program.

The server never trains, since torch's autograd does not survive a fork. A child can be told a moment at which it sends itself a
signal, such as SIGKILL; the moments are

    step E S, stepped E S       before and after step S of epoch E (epochs completed before it)
    evaluated E                 after an evaluation
    half FILE                   a state file's temporary is half written
    written FILE                it is whole, but has not its name yet
    replaced FILE               it has its name
    cleared                     the segment's own states are removed, its output is there
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from preload.server import run

ROOT = Path(__file__).parents[1]
TRAIN = ROOT / "workflow" / "scripts" / "train.py"


class Forks:
    """The side of the tests. A context manager; leaving it ends the server."""

    def __enter__(self) -> Forks:
        command = [sys.executable, str(Path(__file__))]
        self.server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stdin.close()
        self.server.wait()

    def start(self, *arguments: object, log: Path, at: str | None = None, send: int = signal.SIGKILL) -> int:
        """Start a Python program in a child that sends itself a signal at a moment, if one is given; its process id."""
        child = {"arguments": list(map(str, arguments)), "log": str(log), "at": at, "send": int(send)}
        return self._ask({"start": child})

    def wait(self, child: int) -> int:
        """Wait until a child ends, or stops: its exit status, or minus the signal."""
        return self._ask({"wait": child})

    def run(self, *arguments: object, log: Path, at: str | None = None) -> int:
        return self.wait(self.start(*arguments, log=log, at=at))

    def _ask(self, question: Any) -> int:
        print(json.dumps(question), file=self.server.stdin, flush=True)
        return json.loads(self.server.stdout.readline())


def serve() -> None:
    import safetensors.torch
    import tiny

    _, right = tiny.trainer_of(tiny.tiny_study()).evaluate()  # all that is loaded late is loaded now
    safetensors.torch.save({"right": right})
    for line in sys.stdin:
        question = json.loads(line)
        if "start" in question:
            answer = os.fork() or be_child(**question["start"])
        else:
            _, status = os.waitpid(question["wait"], os.WUNTRACED)
            answer = -os.WSTOPSIG(status) if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status)
        print(json.dumps(answer), flush=True)


def be_child(arguments: list[str], log: str, at: str | None, send: int) -> NoReturn:
    """Run a program as `python arguments` would, with both outputs to the log."""
    watch(lambda moment: moment == at, lambda: signal.raise_signal(send), Path(log).with_suffix(".moments"))
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    run([os.open(os.devnull, os.O_RDONLY), file, file], arguments, os.getcwd(), dict(os.environ))


def watch(is_it: Callable[[str], bool], act: Callable[[], None], moments: Path) -> None:
    """Call `act` at the moment that `is_it` names, and write down each moment of this process."""
    from temporal_shortcuts.training.states import Checkpoints
    from temporal_shortcuts.training.trainer import Trainer

    step, evaluate, clear, fsync, replace = (
        Trainer._train_step,
        Trainer.evaluate,
        Checkpoints.clear,
        os.fsync,
        os.replace,
    )

    def reach(moment: str) -> None:
        with moments.open("a") as file:
            file.write(f"{moment}\n")
        if is_it(moment):
            act()

    def watched_step(self: Trainer) -> None:
        reach(f"step {self.epoch} {self.step}")
        step(self)
        reach(f"stepped {self.epoch} {self.step}")

    def watched_evaluate(self: Trainer) -> Any:
        result = evaluate(self)
        reach(f"evaluated {self.epoch}")
        return result

    def watched_fsync(descriptor: int) -> None:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
        if ".state." not in name:
            return fsync(descriptor)
        name, whole = name[1:].rsplit(".", 1)[0], os.fstat(descriptor).st_size
        if is_it(f"half {name}"):
            os.ftruncate(descriptor, whole // 2)
        reach(f"half {name}")
        fsync(descriptor)
        return reach(f"written {name}")

    def watched_replace(source: Any, target: Any, **options: Any) -> None:
        replace(source, target, **options)
        if str(target).endswith(".state"):
            reach(f"replaced {Path(target).name}")

    def watched_clear(self: Checkpoints) -> None:
        clear(self)
        reach("cleared")

    Trainer._train_step, Trainer.evaluate, Checkpoints.clear = watched_step, watched_evaluate, watched_clear
    os.fsync, os.replace = watched_fsync, watched_replace


if __name__ == "__main__":
    serve()
