"""A real browser: Debian's headless Chromium, driven by its DevTools protocol over pipes.

Methods are the protocol's own (https://chromedevtools.github.io/devtools-protocol):
``ask("Page.navigate", url=...)``. It loads nothing from any network.
"""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import pytest

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE = 60.0  # seconds
PRINTS = 5  # tries
PHONE = {"width": 360, "height": 780, "deviceScaleFactor": 2, "mobile": True}
DESK = {"width": 1100, "height": 800, "deviceScaleFactor": 1, "mobile": False}

_QUIET = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip


class Browser:
    """One tab of one browser. A context manager."""

    def __init__(self) -> None:
        assert PROGRAM is not None
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        command = [PROGRAM, *_QUIET, *sandbox, f"--user-data-dir={self._profile.name}"]
        self._program = subprocess.Popen(
            ["/bin/bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", *command],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._numbers = itertools.count(1)
        self._unread = b""
        self._session: str | None = None
        self.heard: list[dict[str, Any]] = []  # events, in their order
        tab = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for part in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{part}.enable")
        self.ask("Page.setLifecycleEventsEnabled", enabled=True)

    def ask(self, method: str, **parameters: Any) -> Any:
        """Return what the browser answers."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            self.heard.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def await_event(self, method: str) -> dict[str, Any]:
        """Return the next new event of a kind."""
        while not any(one.get("method") == method for one in self.heard):
            self.heard.append(self._next())
        at = next(at for at, one in enumerate(self.heard) if one.get("method") == method)
        parameters: dict[str, Any] = self.heard.pop(at)["params"]
        return parameters

    def open(self, path: Path, screen: dict[str, Any] | None = None, scheme: str = "light") -> None:
        """Show a file on a screen, in the colour scheme that its user prefers."""
        self.ask("Emulation.setDeviceMetricsOverride", **(screen or DESK))
        likes = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", features=likes)
        self.heard.clear()
        loader = self.ask("Page.navigate", url=path.as_uri())["loaderId"]
        # The page before it may load itself again in the same moment.
        while (event := self.await_event("Page.lifecycleEvent"))["loaderId"] != loader or (
            event["name"] != "load"
        ):
            pass

    def tell(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self, *, whole: bool = True) -> bytes:
        """Return the page as a PNG; ``whole``: also what is below the screen."""
        answer = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])

    def print(self) -> bytes:
        """Return the page as it is printed on A4, a PDF."""
        # A printer that is busy for a moment is Chromium's fault and not the page's.
        for left in reversed(range(PRINTS)):
            try:
                answer = self.ask("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)
                break
            except AssertionError as error:
                if not left or "Printing failed" not in str(error):
                    raise
        return base64.b64decode(answer["data"])

    @property
    def complaints(self) -> list[str]:
        """The browser's complaints about the page: what its policy forbids, and errors."""
        said = [one for one in self.heard if one.get("method") == "Log.entryAdded"]
        return [one["params"]["entry"]["text"] for one in said]

    @property
    def loaded(self) -> list[str]:
        """The addresses that the page had the browser ask for."""
        asked = [one for one in self.heard if one.get("method") == "Network.requestWillBeSent"]
        return [one["params"]["request"]["url"] for one in asked]

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._unread:
            left = end - time.monotonic()
            assert left > 0, "the browser is silent"
            assert select.select([self._in], [], [], left)[0], "the browser is silent"
            piece = os.read(self._in, 1 << 20)
            assert piece, "the browser has ended"
            self._unread += piece
        message, self._unread = self._unread.split(b"\0", 1)
        answer: dict[str, Any] = json.loads(message)
        return answer

    def close(self) -> None:
        """End it."""
        self._program.kill()
        self._program.wait()
        os.close(self._in)
        os.close(self._out)
        self._profile.cleanup()

    def __enter__(self) -> Self:
        """Be open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


def is_here() -> bool:
    """Return whether there is a browser; on CI there has to be."""
    if PROGRAM is None and os.environ.get("CI"):
        pytest.fail("Chromium is not installed: apt-get install chromium")
    return PROGRAM is not None
