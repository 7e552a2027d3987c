"""A real Chromium without a screen: finds it, or installs Debian's, and opens pages in it by Playwright.

``python -m tests.ops.chromium`` installs it where it is missing.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests import installing

PROGRAM = PACKAGE = "chromium"
MODULES = ("playwright", "axe_playwright_python")
FONTS = "fonts-dejavu-core"  # without any, a page has no letters
INSTALL_SECONDS = 300
POLL_SECONDS = 0.1
MISSING = (
    f"chromium or what drives it is missing: run `make ops` as root on Debian, or install {PACKAGE} and "
    "`pip install -e '.[ops]'`"
)
SCREENSHOTS = Path(__file__).parent / "screenshots"
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 375, "height": 740}
LOOKS: dict[str, dict[str, Any]] = {
    "desktop-light": {"viewport": DESKTOP, "color_scheme": "light"},
    "desktop-dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "is_mobile": True},
}


def need() -> None:
    """Skip the test where Chromium or Playwright is not; in CI that is a failure."""
    if shutil.which(PROGRAM) and all(map(find_spec, MODULES)):
        return
    if os.environ.get("CI") == "true":
        pytest.fail(MISSING)
    pytest.skip(MISSING)


@contextmanager
def chromium() -> Iterator[Any]:
    """Run Chromium; give Playwright's browser."""
    need()
    from playwright.sync_api import sync_playwright  # here: it may be missing

    with sync_playwright() as playwright:
        # its own sandbox does not start as root; what it opens here is our own page
        browser = playwright.chromium.launch(
            executable_path=shutil.which(PROGRAM), args=["--no-sandbox"]
        )
        yield browser
        browser.close()


class View:
    """A page opened in a way (one of ``LOOKS``), and all that went wrong in it."""

    def __init__(self, browser: Any, url: str, look: str) -> None:
        self.look = look
        self.page = browser.new_page(**LOOKS[look])
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(url, wait_until="domcontentloaded")

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def text(self, selector: str) -> str:
        """The text of an element as it is shown."""
        found: str = self.page.inner_text(selector)
        return found

    def texts(self, selector: str) -> list[str]:
        """The text of each such element."""
        found: list[str] = self.page.locator(selector).all_inner_texts()
        return found

    def wait(self, selector: str, seconds: float = 30.0) -> None:
        """Wait until the page has such an element that can be seen."""
        self.page.wait_for_selector(selector, timeout=1000 * seconds)

    def wait_state(self, state: str, seconds: float = 30.0) -> None:
        """Wait until the page shows the node in ``state``."""
        self.wait(f'#chain-card[data-is="{state}"]', seconds)

    def wait_other(self, selector: str, text: str, seconds: float = 30.0) -> None:
        """Wait until an element does not say ``text`` any more."""
        for _ in range(round(seconds / POLL_SECONDS)):
            if self.text(selector) != text:
                return
            self.page.wait_for_timeout(1000 * POLL_SECONDS)
        pytest.fail(f"{selector} still says {text!r} after {seconds} s")

    def shoot(self, name: str) -> None:
        """Keep a picture of the whole page."""
        SCREENSHOTS.mkdir(exist_ok=True)
        path = SCREENSHOTS / f"{name}-{self.look}.png"
        self.page.screenshot(path=path, full_page=True, animations="disabled")

    def overflow(self) -> int:
        """How many pixels of the page lie beside the screen."""
        found: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return found

    def close(self) -> None:
        """Leave the page."""
        self.page.close()


def install() -> None:
    """Install Debian's package where it is not there. Raises Missing."""
    installing.debian((PROGRAM,), (PACKAGE, FONTS), MISSING, INSTALL_SECONDS)


if __name__ == "__main__":
    installing.main(install)
