"""A real evaluation harness on the gateway: lm-eval, on problems of our own, since its data sets need a hub."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage

from specreason_graph import Pair, Settings, create_specreason
from specreason_graph.judging.catalog import builtin
from specreason_graph.testing import Script, ScriptedServer
from specreason_graph.testing.model import Odds, ScriptedModel
from specreason_graph.testing.structure import Structure
from specreason_graph.tools.bench.arms import Arms
from specreason_graph.tools.bench.problems import Problem

from .served import KEY, served

PROBLEMS: list[dict[str, Any]] = [
    {"question": "How many legs have 3 cows?", "steps": ["3 cows, 4 legs each.", "3 * 4 = 12."], "answer": "12"},
    {"question": "How many legs have 2 hens?", "steps": ["2 hens, 2 legs each.", "2 * 2 = 4."], "answer": "4"},
    {"question": "How many wheels have 5 cars?", "steps": ["5 cars, 4 wheels each.", "5 * 4 = 20."], "answer": "20"},
    {"question": "How many legs have 300 cows?", "steps": ["4 legs each.", "300 * 4 = 1,200."], "answer": "1200"},
]
SAID = {"How many wheels have 5 cars?": "21", "How many legs have 300 cows?": "1,200"}
"""What the models answer where it is not the answer as it stands: one is wrong, one is read differently."""
GRADED = {  # by the harness (its regular expression takes the first digits), and by the bench
    "How many legs have 3 cows?": (True, True),
    "How many legs have 2 hens?": (True, True),
    "How many wheels have 5 cars?": (False, False),
    "How many legs have 300 cows?": (False, True),
}

TASK = """
task: legs
dataset_path: json
dataset_kwargs: {data_files: {test: PROBLEMS}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["\\nQ:"], max_gen_toks: 32768, temperature: 0}
filter_list:
  - name: number
    filter: [{function: regex, regex_pattern: "(\\\\d+)"}, {function: take_first}]
metric_list: [{metric: exact_match}]
"""


def by_question(server: ScriptedServer, scripts: dict[str, Script]) -> ScriptedServer:
    """Have a server say another script for each question: a script itself does not know what it is asked."""
    of = server.model
    models = {question: ScriptedModel(of.tokenizer, of.template, script) for question, script in scripts.items()}

    def speak(prompt: Sequence[int], structure: Structure | None = None) -> Iterator[tuple[int, Odds]]:
        text = of.tokenizer.spell(prompt).decode()
        return next(model for question, model in models.items() if question in text).speak(prompt, structure)

    of.speak = speak  # type: ignore[method-assign]
    return server


def servers() -> list[ScriptedServer]:
    scripts = {
        it["question"]: Script(it["steps"], answer=f"The answer is {SAID.get(it['question'], it['answer'])}.")
        for it in PROBLEMS
    }
    nobody = Script(["?"])
    return [
        by_question(ScriptedServer(nobody, template="think", model=f"scripted-{role}"), scripts)
        for role in ("base", "draft")
    ]


async def harness(folder: Path, url: str) -> list[dict[str, Any]]:
    """Run `lm-eval` as its users do."""
    (folder / "problems.jsonl").write_text("".join(json.dumps(problem) + "\n" for problem in PROBLEMS))
    (folder / "legs.yaml").write_text(TASK.replace("PROBLEMS", str(folder / "problems.jsonl")))
    command = ["-m", "lm_eval", "run", "--tasks", "legs", "--include_path", ".", "--output_path", "out"]
    command += ["--model", "local-chat-completions", "--apply_chat_template", "--log_samples", "--model_args"]
    command += [f"model=specreason,base_url={url}/v1/chat/completions,num_concurrent=2,max_retries=1"]
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub"), "OPENAI_API_KEY": KEY}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=folder, env=os.environ | offline, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return samples_in(folder)


def samples_in(folder: Path) -> list[dict[str, Any]]:
    """What the harness has written, in the order of the problems."""
    [file] = folder.glob("out/**/samples_legs_*.jsonl")
    return sorted(map(json.loads, file.read_text().splitlines()), key=lambda sample: sample["doc_id"])


async def test_the_harness_reads_the_answers_that_the_graph_and_the_bench_give(tmp_path: Path) -> None:
    """Guards figures made through the gateway: only the grading may differ, and where it does is known."""
    base, draft = servers()
    settings = Settings(temperature=0)
    async with served(base, draft) as it, Pair(it.servers.config) as pair:
        samples = await harness(tmp_path, it.url)
        graph = create_specreason(pair=pair, settings=settings).compile()
        arms = Arms(pair, builtin().presets["thinking"], builtin(), settings)
        for sample, problem in zip(samples, PROBLEMS, strict=True):
            question = problem["question"]
            state = await graph.ainvoke({"messages": [HumanMessage(question)]})
            outcome = await arms.run("ours", Problem(question, question, problem["answer"]), 0)
            assert sample["resps"] == [[state["specreason_answer"]]]
            assert sample["resps"] == [[f"The answer is {outcome['given']}."]]
            assert (bool(sample["exact_match"]), outcome["right"]) == GRADED[question]
