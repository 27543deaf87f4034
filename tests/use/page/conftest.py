"""Pages in a real browser: Debian's Chromium, without a screen."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from specreason_graph.use.page.build import run_page
from specreason_graph.use.page.render import runs_html

CHROMIUM = shutil.which("chromium")
Open = Callable[..., Page]


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
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open the page of some records; that it asks nobody for anything, and that nothing fails on it, is seen to."""
    pages: list[Page] = []
    wrong: list[str] = []

    def show(*records: dict[str, Any], width: int = 1200, scheme: Any = "light") -> Page:
        return shown(runs_html([run_page(record) for record in records], "Runs"), width, scheme)

    def shown(html: str, width: int, scheme: Any) -> Page:
        file = tmp_path / "page.html"
        file.write_text(html, encoding="utf-8")
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        pages.append(page)
        page.on("request", lambda request: request.url == file.as_uri() or wrong.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        page.goto(file.as_uri())
        return page

    yield show
    for page in pages:
        page.close()
    assert not wrong
