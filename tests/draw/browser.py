"""Chromium without a window, driven by the DevTools protocol over two pipes.

A test asks a page for values and presses its keys. What the page wrote to its console, and what its
policy refused, is kept."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 60
FLAGS = (
    "--headless",
    "--no-sandbox",  # the tests are root, in namespaces of their own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-pipe",
)


class Browser:
    """A page in a browser.

    Args:
        to, since: pipes to the browser and from it.

    Attributes:
        errors: what went wrong in the page since it was opened.
    """

    def __init__(self, to: int, since: int) -> None:
        self._to, self._since = to, since
        self._ids = itertools.count(1)
        self._rest = b""
        self.errors: list[str] = []
        self._session = ""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(self, path: Path) -> None:
        """Open a file and wait until it is loaded."""
        self.errors.clear()
        self._call("Page.navigate", url=f"file://{path}")
        self.value(
            "new Promise(done => document.readyState === 'complete' "
            "? done(1) : addEventListener('load', () => done(1)))"
        )

    def value(self, expression: str) -> Any:
        """Value of an expression in the page."""
        found = self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key, by its name in the DOM."""
        codes = {"Tab": 9, "Enter": 13, "ArrowLeft": 37, "ArrowRight": 39, "Escape": 27}
        about = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        self._call("Input.dispatchKeyEvent", type="rawKeyDown", **about)
        self._call("Input.dispatchKeyEvent", type="keyUp", **about)

    def look(self, width: int, scheme: str = "light", height: int = 800) -> None:
        """Set the window's size, and light or dark; nothing is animated."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self._call("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, path: Path) -> None:
        """Write what is seen to a PNG file."""
        data = self._call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def _call(self, method: str, **arguments: Any) -> dict[str, Any]:
        ident = next(self._ids)
        message: dict[str, Any] = {"id": ident, "method": method, "params": arguments}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == ident:
                assert "error" not in answer, answer["error"]
                found: dict[str, Any] = answer["result"]
                return found
            self._note(answer)

    def _message(self) -> dict[str, Any]:
        with DefaultSelector() as selector:
            selector.register(self._since, EVENT_READ)
            while b"\0" not in self._rest:
                assert selector.select(SECONDS), "the browser does not answer"
                data = os.read(self._since, 1 << 16)
                assert data, "the browser has ended"
                self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        about = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.errors.append(str(about["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if about["type"] in ("error", "warning"):
                self.errors.append(str(about["args"]))
            case "Log.entryAdded" if about["entry"]["level"] in ("error", "warning"):
                self.errors.append(about["entry"]["text"])
            case "Network.requestWillBeSent" if about["request"]["url"][:5] not in (
                "file:",
                "about",
                "data:",
            ):
                self.errors.append(f"asked for {about['request']['url']}")


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser; without one the test is skipped."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        theirs, to = os.pipe()
        since, answers = os.pipe()
        process = subprocess.Popen(
            # The browser reads its descriptor 3 and writes to 4.
            ["sh", "-c", f'exec "$@" 3</dev/fd/{theirs} 4>/dev/fd/{answers}', "sh", program, *FLAGS,
             f"--user-data-dir={folder}"],
            pass_fds=(theirs, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": folder},
        )  # fmt: skip
        os.close(theirs)
        os.close(answers)
        try:
            yield Browser(to, since)
        finally:
            os.close(to)
            os.close(since)
            process.terminate()
            process.wait(SECONDS)
