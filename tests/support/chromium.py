"""The machine's Chromium without a screen or a network, in which a page may do nothing but read files and show them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Dialog, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def executable() -> str | None:
    """Where a Chromium is installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def start(path: str) -> Iterator[Browser]:
    """A running Chromium. Its sandbox refuses to start for root."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield chromium
        chromium.close()


@dataclass
class Visit:
    """A page that is open, and what it did that it must not: errors, warnings, dialogs, requests off the disk."""

    page: Page
    faults: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        """What a reader sees of the first such element."""
        return self.page.locator(selector).first.inner_text()

    def run(self, script: str) -> Any:
        """The value of a script in the page."""
        return self.page.evaluate(script)


@contextmanager
def visit(
    chromium: Browser,
    page: Path,
    *,
    hash: str = "",
    width: int = 1280,
    theme: Literal["light", "dark"] = "light",
    scripts: bool = True,
) -> Iterator[Visit]:
    """Open a page from the disk, offline. Who expects a fault takes it out of `faults`: any that is left fails."""
    context = chromium.new_context(
        offline=True, viewport={"width": width, "height": 800}, color_scheme=theme, java_script_enabled=scripts
    )
    found = Visit(context.new_page())
    watch(found)
    found.page.set_default_timeout(10_000)
    found.page.goto(page.as_uri() + hash)
    try:
        yield found
        assert found.faults == []
    finally:
        context.close()


def watch(found: Visit) -> None:
    """Remember what a page must not do."""

    def refuse(dialog: Dialog) -> None:
        found.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def check(request: Request) -> None:
        if not request.url.startswith("file://"):
            found.faults.append(f"request: {request.url}")

    found.page.on("console", lambda message: found.faults.append(f"console: {message.text}"))
    found.page.on("pageerror", lambda error: found.faults.append(f"error: {error}"))
    found.page.on("dialog", refuse)
    found.page.on("request", check)
