"""Writes a page."""

from __future__ import annotations

from pathlib import Path

from specreason_graph.contract.errors import SpecReasonError


def write_page(path: Path, html: str) -> None:
    """Write it.

    Raises:
        SpecReasonError: it can't be written, as on a disk that is full.
    """
    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:  # of a full disk it has no name of the file
        raise SpecReasonError(f"can't write the page {path}: {error.strerror}") from None
