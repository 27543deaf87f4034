"""Pages in a browser."""

from browser import browser, open_html  # noqa: F401
