"""Every example runs as its first line says, on servers that the environment names."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from specreason_graph.testing import Script, ScriptedServer, scripted_pair
from specreason_graph.testing.pair import ScriptedPair

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
RIGHT = ["There are 168 seats.", "168 - 39 = 129.", "So 129 are free."]
WRONG = ["There are 168 seats.", "168 - 39 = 119.", "So 129 are free."]
CALLS = '<tool_call>\n{{"name": "{}", "arguments": {}}}\n</tool_call>'
ACTS = {
    "agent": [
        CALLS.format("unit_price", '{"item": "engine"}'),
        CALLS.format("product", '{"a": 5400, "b": 7}'),
        "7 engines cost 37800.",
    ],
    "as_a_tool": [CALLS.format("reason", '{"question": "What is 168 - 39?"}'), "So 129 are free."],
    "planner_in_an_agent": [CALLS.format("price", '{"part": "engine"}'), "An engine costs 5400."],
}
"""What the agents' models do, turn by turn; where they are asked without tools, the reasoning alone is theirs."""
SAYS = {
    "agent": r"5400[^~]+37800[^~]+7 engines cost 37800",
    "as_a_tool": r"  \[draft\] There are 168 seats\.[^~]+tools: [^~]+model: So 129 are free",
    "custom_domain": r"\[base +0.*\] 168 - 39 = 129.",
    "custom_policy": r"\[base +-\d.*\] 168 - 39 = 129.",
    "human_in_the_loop": "rejected, since nobody is here",
    "image": r"these models can't: messages: base endpoint .* takes no images",
    "planner_in_an_agent": r"plan: .+[^~]+5400[^~]+An engine costs 5400",
    "resume_after_a_kill": "killed; going on from the last kept step",
    "streaming": r"rejected \(score\)\n +base: 168 - 39 = 129.",
}


async def said_by(example: Path, servers: ScriptedPair, folder: Path) -> str:
    """What an example prints that runs to its end."""
    environment = {
        "SPECREASON_BASE_URL": servers.config.base.base_url,
        "SPECREASON_DRAFT_URL": servers.config.draft.base_url,
        "SPECREASON_PRESET": "instruct",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(example)),
        env={**os.environ, **environment},
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_is_short_and_says_how_it_is_run(example: Path) -> None:
    lines = example.read_text().splitlines()
    assert f"python examples/{example.name}:" in lines[0]
    assert len(lines) < 60


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
async def test_it_runs(example: Path, tmp_path: Path) -> None:
    scores: list[Any] = ["A", "C", "A"] if example.stem == "custom_domain" else [9, 3, 9]
    answer, cue = '{"all": 168, "free": 129}', "The answer as JSON"
    unlikely = {"1": 0.05, "9": 0.04}  # for base, but not unthinkable: a person may be asked
    base = Script(RIGHT, answer=answer, cue=cue, scores=scores, alternatives=unlikely)
    unsure = {"1": 0.6}  # as real drafts are where they are wrong; the judge asks about the least sure tokens only
    draft = Script(WRONG, answer=answer, cue=cue, confidence=lambda said, token: unsure.get(token, 0.9))
    if acts := ACTS.get(example.stem):
        then = [Script(RIGHT[:1], answer=act) for act in acts[1:]]
        base = draft = Script(RIGHT[:1], answer=acts[0], then=then)
    async with scripted_pair(base, draft, template="instruct") as servers:
        out = await said_by(example, servers, tmp_path)
    assert re.search(SAYS.get(example.stem, r"129"), out), out


async def test_the_image_is_seen_by_models_that_see(tmp_path: Path) -> None:
    """The script is told a question with the image's digits in its place."""
    script = Script([], answer="", asked=lambda question: Script([f"It says {question[:4]}."], answer="3 squares."))
    options: Any = {"template": "instruct", "sees": True, "scale_out": True}
    servers = [ScriptedServer(script, model=f"scripted-{role}", **options) for role in ("base", "draft")]
    async with scripted_pair(*servers) as running:
        out = await said_by(next(it for it in EXAMPLES if it.stem == "image"), running, tmp_path)
    assert re.search(r"It says [0-9a-f]{4}\.[^~]+3 squares", out), out
