"""Pages in a real browser: Debian's Chromium, without a screen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
CUT_OFF = (
    "[...document.querySelectorAll('.step .head > *, .facts > *, .judging .controls > *, td, th, .point')]"
    ".filter((it) => it.scrollWidth > it.clientWidth + 1 && getComputedStyle(it).display !== 'inline')"
    ".map((it) => it.outerHTML)"
)
WIDTHS = [400, 1200, 2400]
_PICTURES = os.environ.get("SPECREASON_PICTURES")

OpenHtml = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One a module, since a test that runs coroutines can't have it beside its own event loop."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_html(browser: Browser, tmp_path: Path) -> Iterator[OpenHtml]:
    """Open a page; that it asks nobody for anything, and that nothing fails on it, is seen to."""
    pages: list[Page] = []
    wrong: list[str] = []

    def refused(dialog: Dialog) -> None:
        wrong.append(dialog.message)
        dialog.dismiss()

    def show(html: str, *, width: int = 1200, scheme: Any = "light") -> Page:
        file = tmp_path / "page.html"
        file.write_text(html, encoding="utf-8")
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        pages.append(page)
        page.on("request", lambda request: None if request.url == file.as_uri() else wrong.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("dialog", refused)
        page.goto(file.as_uri())
        return page

    yield show
    for page in pages:
        page.close()
    assert not wrong


def check_looks(page: Page, width: int) -> None:
    """Nothing is wider than the window or cut off, and every text stands out from what is behind it."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate(CUT_OFF) == []


def picture(page: Page, name: str, **options: Any) -> None:
    """Keep a picture to be looked at, where `SPECREASON_PICTURES` names a folder."""
    if _PICTURES:
        page.screenshot(path=Path(_PICTURES) / f"{name}.png", **options)
