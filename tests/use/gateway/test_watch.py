"""`/runs`: what goes on, for a person in a browser, with the gateway's key and off unless it is asked for."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import CONTRAST, WIDTHS
from langchain_core.messages import HumanMessage
from playwright.async_api import Browser, async_playwright, expect
from pydantic import SecretStr
from serving import Held

from specreason_graph.testing import ScriptedServer
from specreason_graph.use.gateway import Keys
from specreason_graph.use.gateway.seen import SeenRuns
from specreason_graph.use.page.build import run_page

from .served import BASE, DRAFT, KEY, asking, served, slow, until

OTHER = "another key"
KEYS = Keys({"tester": SecretStr(KEY), "other": SecretStr(OTHER)})


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium on this machine (apt-get install chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def test_nothing_is_kept_or_shown_unless_it_is_asked_for() -> None:
    async with served() as it, it.http as http:
        await http.post("/v1/chat/completions", json=asking())
        assert it.gateway.seen is None
        assert (await http.get("/runs")).status_code == 404
        no = await http.get("/runs", headers={"Authorization": "Basic Og=="})
        assert (no.status_code, no.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_run_can_be_read_and_viewed_when_it_is_over(stream: bool) -> None:
    async with served(seen=10) as it, it.http as http:
        await http.post("/v1/chat/completions", json=asking(stream=stream))
        assert it.gateway.seen is not None
        [run] = it.gateway.seen.of("tester")
        assert run.status == "answered"
        record = (await http.get(f"/runs/{run.id}/record")).json()
        assert (record["question"], record["answer"]) == ("How many legs have 3 cows?", "There are 12 legs.")
        assert [step["source"] for step in run_page(record).model_dump()["steps"]] == ["draft", "base", "draft"]
        page = await http.get(f"/runs/{run.id}")
        assert "There are 12 legs." in page.text
        assert page.headers["cache-control"] == "no-store"
        again = await http.get(f"/runs/{run.id}", headers={"If-None-Match": page.headers["etag"]})
        assert (again.status_code, again.text) == (304, "")


@pytest.mark.parametrize("path", ["/runs", "/runs/x", "/runs/x/record", "/runs/"])
@pytest.mark.parametrize("sent", ["", "Basic", "Basic !!", "Basic eDp3cm9uZw==", "Bearer wrong", "Basic /w=="])
async def test_without_its_key_nothing_is_told(path: str, sent: str) -> None:
    async with served(seen=10) as it, httpx.AsyncClient(base_url=it.url) as http:
        no = await http.get(path, headers={"Authorization": sent} if sent else {})
    assert (no.status_code, no.headers["www-authenticate"]) == (401, 'Basic realm="specreason"')


async def test_a_browser_s_password_opens_nothing_but_the_runs() -> None:
    async with served(seen=10) as it, httpx.AsyncClient(base_url=it.url, auth=("", KEY)) as http:
        assert (await http.get("/runs")).status_code == 200
        assert (await http.get("/v1/models")).status_code == 401
        assert (await http.post("/v1/chat/completions", json=asking())).status_code == 401


async def test_a_key_sees_its_own_runs_alone() -> None:
    async with served(seen=10, keys=KEYS) as it, it.http as http:
        await http.post("/v1/chat/completions", json=asking())
        assert it.gateway.seen is not None
        [run] = it.gateway.seen.of("tester")
        headers = {"Authorization": f"Bearer {OTHER}"}
        assert "How many legs" in (await http.get("/runs")).text
        assert "How many legs" not in (await http.get("/runs", headers=headers)).text
        assert (await http.get(f"/runs/{run.id}", headers=headers)).status_code == 404
        assert (await http.get(f"/runs/{run.id}/record", headers=headers)).status_code == 404


async def test_a_client_that_leaves_has_stopped_its_run() -> None:
    async with served(Held(BASE), DRAFT, seen=10) as it, it.http as http:
        leaving = asyncio.create_task(http.post("/v1/chat/completions", json=asking()))
        seen = it.gateway.seen
        assert seen is not None
        await until(lambda: list(seen.of("tester")))
        leaving.cancel()
        [run] = seen.of("tester")
        await until(lambda: run.status == "stopped")


async def test_a_drafted_step_is_shown_while_it_waits() -> None:
    pending = {"drafted": {"text": "3 * 4 = 11 legs.\n\n"}, "verdict": None, "status": "drafted"}
    state: Any = {"messages": [HumanMessage("How many legs?")], "specreason_pending": pending}
    async with served(seen=10) as it, it.http as http:
        assert it.gateway.seen is not None
        run = it.gateway.seen.begin("tester", "default")
        run.told(state)
        page = (await http.get(f"/runs/{run.id}")).text
        assert "3 * 4 = 11 legs." in page
        assert "being judged" in page
        run.ended(answered=False)
        assert "being judged" not in (await http.get(f"/runs/{run.id}")).text


class Followed:
    """The pace of whoever looks: a token comes when somebody has looked so often since the one before."""

    at_once, looks = 1, 0

    def __init__(self, often: int) -> None:
        self.often = often

    def begin(self, uncached: int, sequences: int, *, place: int = 0, ago: float = 0.0) -> Followed:
        return self

    async def until(self, token: int, *, last: int | None) -> None:
        before = self.looks
        while self.looks < before + self.often:  # noqa: ASYNC110 - whoever looks waits for nothing
            await asyncio.sleep(0.001)

    def close(self) -> None:
        """Nobody waits."""


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_being_written_grows(stream: bool) -> None:
    """Guards long steps and answers: who follows a run sees each token, and reads nothing twice."""
    seen: dict[str, list[str]] = {"draft": [], "base": [], "answer": []}
    paces = Followed(4), Followed(1)  # so that base has not written its step by the time that it is waited for
    base, draft = (
        ScriptedServer(script, template="think", model=role, pace=pace)
        for script, role, pace in zip((BASE, DRAFT), ("base", "draft"), paces, strict=True)
    )
    async with served(base, draft, seen=10) as it, it.http as http:
        assert it.gateway.seen is not None
        asked = asyncio.create_task(http.post("/v1/chat/completions", json=asking(stream=stream)))
        while not asked.done():
            await asyncio.sleep(0.005)
            for pace in paces:
                pace.looks += 1
            for run in it.gateway.seen.of("tester"):
                found = run.so_far()
                assert [it["text"] for it in found["pending"]] == list({it["text"]: 0 for it in found["pending"]})
                for text in (text for text in found["pending"] if text["status"] == "writing"):
                    seen[text["role"]].append(text["text"])
                seen["answer"].append(found["answer"] or "")
        await asked
        [run] = it.gateway.seen.of("tester")
        assert run.so_far() == {**run.report(), "pending": []}
    assert all(len(set(texts)) > 3 for texts in seen.values())
    assert [text for text in seen["answer"] if not "There are 12 legs.".startswith(text)] == []


def test_old_runs_make_room_and_those_that_go_on_stay() -> None:
    seen = SeenRuns(2)
    first, second = seen.begin("a", "default"), seen.begin("a", "default")
    second.ended(answered=True)
    third = seen.begin("a", "default")
    assert list(seen.of("a")) == [third, first]
    fourth = seen.begin("a", "default")
    assert list(seen.of("a")) == [fourth, third]


async def test_a_page_follows_its_run_as_it_is_written(tmp_path: Path) -> None:
    """From the list to the answer, without a word to anybody but the gateway."""
    pictures = Path(os.environ.get("SPECREASON_PICTURES", tmp_path))
    wrong: list[str] = []
    async with served(slow(BASE, 0.12), slow(DRAFT, 0.12, role="draft"), seen=10) as it, chromium() as browser:
        credentials: Any = {"username": "", "password": KEY}
        page = await browser.new_page(http_credentials=credentials)
        page.on("request", lambda request: None if request.url.startswith(it.url) else wrong.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        await page.goto(f"{it.url}/runs")
        await expect(page.locator("tbody")).to_contain_text("none yet")
        async with it.http as http:
            asked = asyncio.create_task(http.post("/v1/chat/completions", json=asking(stream=True)))
            await page.get_by_role("link", name="How many legs have 3 cows?").click()
            await expect(page.locator(".eyebrow").first).to_contain_text("running")
            await expect(page.locator("li.step[data-step]").first).to_be_visible(timeout=20_000)
            slider = page.get_by_role("slider")
            await slider.fill("4.5")
            await expect(page.locator("li.step[data-step]").nth(2)).to_be_visible(timeout=20_000)
            assert await slider.input_value() == "4.5"
            await expect(page.locator("section.answer")).to_contain_text("There are 12 legs.", timeout=20_000)
            await expect(page.locator(".eyebrow").first).to_contain_text("answered")
            await asked
        for width in WIDTHS:
            for name, address in {"live": page.url, "runs": f"{it.url}/runs"}.items():
                shot = await browser.new_page(http_credentials=credentials, viewport={"width": width, "height": 900})
                await shot.goto(address)
                assert await shot.evaluate("document.documentElement.scrollWidth") <= width
                assert await shot.evaluate(CONTRAST) == []
                await shot.screenshot(path=pictures / f"{name}-{width}.png", full_page=True)
                await shot.close()
    assert not wrong
