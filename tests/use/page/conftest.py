"""Pages of runs in a browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browser import OpenHtml, browser, open_html  # noqa: F401
from playwright.sync_api import Page

from specreason_graph.use.page.build import run_page
from specreason_graph.use.page.render import runs_html

Open = Callable[..., Page]


@pytest.fixture
def opened(open_html: OpenHtml) -> Open:  # noqa: F811
    """Open the page of some records."""

    def show(*records: dict[str, Any], **options: Any) -> Page:
        return open_html(runs_html([run_page(record) for record in records], "Runs"), **options)

    return show
