"""A headless Chromium that opens a page, clicks, types and takes pictures: DevTools over a pipe, no driver to install.

Used by the explorer's tests, its benchmark and `scripts/draw_explorer.py`. WebGL is computed by the processor.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
NO_WEBGL = ("--disable-gpu", "--disable-3d-apis")
PATIENCE_S = 60.0
# DevTools speaks on descriptors 3 and 4, which may be any of ours until then.
_ON_3_AND_4 = """
import fcntl, os, sys
hears, says = (fcntl.fcntl(int(each), fcntl.F_DUPFD, 20) for each in sys.argv[1:3])
os.dup2(hears, 3), os.dup2(says, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def executable() -> str | None:
    """The browser that is installed, if one is."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """The one page of a browser, over DevTools messages that end in a zero byte.

    Attributes:
        complaints: what was logged as a warning or error, and exceptions that nothing caught.
        requests: URLs that were asked of a network.
    """

    def __init__(self, sends: int, hears: int) -> None:
        self._sends, self._hears, self._number, self._rest, self._session = sends, hears, 0, b"", ""
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **options: Any) -> dict[str, Any]:
        """One DevTools call: its result.

        Raises:
            RuntimeError: the browser refuses it.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": options}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._sends, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._hear()
            if heard.get("id") == self._number:
                if "error" in heard:
                    raise RuntimeError(f"{method}: {heard['error']['message']}")
                result: dict[str, Any] = heard["result"]
                return result
            self._notice(heard)

    def open(self, url: str, *, width: int = 1400, height: int = 900, dark: bool = False, still: bool = True) -> None:
        """Show a page in a window of this size and wait until its explorer is ready, or says why not."""
        self.resize(width, height)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        features += [{"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"}]
        self("Emulation.setEmulatedMedia", features=features)
        self("Page.navigate", url=url)
        self.wait("document.readyState == 'complete' && /ready|failed/.test(document.body.className)")

    def resize(self, width: int, height: int) -> None:
        """Give the window another size."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def ask(self, expression: str) -> Any:
        """The value of an expression, which may be a promise.

        Raises:
            RuntimeError: it throws.
        """
        found = self("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"].get("description", expression))
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until an expression is true.

        Raises:
            TimeoutError: it is not within a minute.
        """
        end = time.monotonic() + PATIENCE_S
        while not self.ask(expression):
            if time.monotonic() > end:
                raise TimeoutError(f"{expression} stays false; the page says {self.complaints}")
            time.sleep(0.05)

    def rest(self) -> None:
        """Wait until what is asked for has been drawn."""
        self.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")

    def click(self, x: float, y: float) -> None:
        """Press and release the left button at a point of the window."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self.rest()

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release a key, by its name in JavaScript."""
        codes = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9, "Enter": 13}
        for kind in ("rawKeyDown", "keyUp"):
            self(
                "Input.dispatchKeyEvent",
                type=kind, key=key, code=key, windowsVirtualKeyCode=codes.get(key, 0), modifiers=8 * shift,
            )  # fmt: skip
        self.rest()

    def picture(self, path: Path, *, quality: int | None = None) -> Path:
        """A picture of the window: PNG, or JPEG of a quality. Returns `path`."""
        kind = {"format": "png"} if quality is None else {"format": "jpeg", "quality": quality}
        path.write_bytes(base64.b64decode(self("Page.captureScreenshot", **kind)["data"]))
        return path

    def _hear(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._hears], [], [], PATIENCE_S)
            part = os.read(self._hears, 1 << 20) if ready else b""
            if not part:
                raise TimeoutError("the browser does not answer, or has ended")
            self._rest += part
        message, self._rest = self._rest.split(b"\0", 1)
        heard: dict[str, Any] = json.loads(message)
        return heard

    def _notice(self, event: dict[str, Any]) -> None:
        about = event.get("params", {})
        if event["method"] == "Runtime.exceptionThrown":
            self.complaints.append(str(about["exceptionDetails"].get("exception", about)))
        elif event["method"] == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning"):
            self.complaints.append(" ".join(str(each.get("value", each)) for each in about["args"]))
        elif event["method"] == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            if "GPU stall due to ReadPixels" not in about["entry"]["text"]:  # of the pictures that are taken here
                self.complaints.append(about["entry"]["text"])
        elif event["method"] == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"][:200])


@contextmanager
def browser(*, webgl: bool = True) -> Iterator[Page]:
    """A fresh browser with a profile of its own, ended with the block.

    Raises:
        FileNotFoundError: none is installed.
    """
    program = executable()
    if program is None:
        raise FileNotFoundError("no Chromium here; apt install chromium, or put google-chrome into PATH")
    hears, their_out = os.pipe()
    their_in, sends = os.pipe()
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = [
            "--headless=new",
            "--no-sandbox",
            "--no-first-run",
            "--disable-extensions",
            "--remote-debugging-pipe",
        ]
        options += [f"--user-data-dir={profile}", *(WEBGL if webgl else NO_WEBGL)]
        command = [sys.executable, "-c", _ON_3_AND_4, str(their_in), str(their_out), program, *options]
        process = subprocess.Popen(command, pass_fds=(their_in, their_out), stderr=subprocess.DEVNULL)
        os.close(their_in)
        os.close(their_out)
        try:
            yield Page(sends, hears)
        finally:
            _end(process, lambda: os.close(sends))
            os.close(hears)


def _end(process: subprocess.Popen[bytes], hang_up: Callable[[], None]) -> None:
    """The browser ends when its pipe does; otherwise it is made to."""
    hang_up()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
        return
    process.kill()
    process.wait()
