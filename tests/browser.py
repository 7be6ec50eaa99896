"""A headless Chromium, driven through its own debugging pipe: the standard library is enough."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
OPTIONS += ("--disable-component-update", "--no-first-run", "--remote-debugging-pipe", "--window-size=1280,900")
PATIENCE = 30.0


def installed() -> str | None:
    """The path of a Chromium, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page. `profile`: an empty folder for what a browser keeps."""

    def __init__(self, program: str, profile: Path):
        (theirs_read, ours_write), (ours_read, theirs_write) = os.pipe(), os.pipe()
        # the browser reads commands from descriptor 3 and writes answers to 4
        shell = f'exec "$@" 3<&{theirs_read} 4>&{theirs_write}'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "bash", program, *OPTIONS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(theirs_read, theirs_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_read)
        os.close(theirs_write)
        self.commands, self.answers = os.fdopen(ours_write, "wb", 0), os.fdopen(ours_read, "rb", 0)
        self.waiting = b""
        self.count = 0
        self.session: str | None = None
        (page,) = [one for one in self.send("Target.getTargets")["targetInfos"] if one["type"] == "page"]
        self.session = self.send("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=PATIENCE)
        self.commands.close()
        self.answers.close()

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol, and its result."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.commands.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._answer()
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                return answer["result"]

    def _answer(self) -> dict[str, Any]:
        while b"\0" not in self.waiting:
            part = self.answers.read(1 << 20)
            assert part, "the browser ended"
            self.waiting += part
        answer, _, self.waiting = self.waiting.partition(b"\0")
        return json.loads(answer)

    def evaluate(self, code: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.send("Runtime.evaluate", expression=code, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, code: str) -> Any:
        """The value of a JavaScript expression once it is true."""
        end = time.monotonic() + PATIENCE
        while not (value := self.evaluate(code)):
            assert time.monotonic() < end, f"waited in vain for {code}\n{self.evaluate('document.body.innerText')}"
            time.sleep(0.1)
        return value

    def open(self, path: Path) -> None:
        self.send("Page.navigate", url=path.absolute().as_uri())
        self.wait_for("document.readyState === 'complete'")

    def click(self, element: str) -> None:
        """Click what a JavaScript expression gives, once it is there."""
        self.wait_for(f"(() => {{ const e = {element}; if (e) e.click(); return !!e }})()")
