"""Whole runs on the embedded pair beyond ASCII: no run ends because a likely token is half a character."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from specreason_graph import Pair, Settings, create_specreason
from specreason_graph.models.embedded import embedded_pair
from specreason_graph.models.weights import pull

pytestmark = [pytest.mark.real_models, pytest.mark.timeout(300)]

QUESTIONS = [
    "小明有3个苹果，又买了4个。他现在有几个苹果？请用中文一步一步地回答。",
    "把“龘靐齉爩”这四个字各写两遍，每行一个字。",
    "一个长方形的长是7米，宽是4米。面积是多少？请用中文回答。",
    "لدى أحمد ٣ كتب واشترى ٤ كتب أخرى. كم كتابًا لديه الآن؟ أجب بالعربية خطوة بخطوة.",
    "اكتب الأعداد من واحد إلى خمسة بالكلمات، كل عدد في سطر.",
    "ما ناتج ٧ × ٦؟ أجب بالعربية.",
    "Count these and answer with emoji only: 🦄🦄🦄 and 🐙🐙.",
    "Write one emoji for each of: cow, hen, house, train, heart with an arrow, family of four.",
    "Repeat three times, one a line: 👩‍👩‍👧‍👦 🏳️‍🌈 🧑🏽‍🚀",
    "Let 𝑥 + 3 = 7. Solve for 𝑥, and write every letter as 𝑥, 𝑦 or 𝑧.",
    "Simplify (𝒂 + 𝒃)² and write it with bold letters 𝒂 and 𝒃.",
    "If 𝔸 = {1, 2} and 𝔹 = {2, 3}, what is 𝔸 ∪ 𝔹? Use the letters 𝔸 and 𝔹.",
]
SHORT = Settings(reasoning_budget=40, answer_budget=12, step_tokens=20, temperature=0.0)


async def test_questions_in_any_script_come_to_their_end() -> None:
    """Each step's text is what its ids spell, and every spot has a log-probability; four at a time, to be quick."""
    with embedded_pair(pull(), context=768, slots=4) as config:
        async with Pair(config) as pair:
            graph = create_specreason(pair=pair, settings=SHORT).compile()
            at_once = asyncio.Semaphore(4)

            async def ask(question: str) -> Any:
                async with at_once:
                    return await graph.ainvoke({"messages": [HumanMessage(question)]})

            states = await asyncio.gather(*map(ask, QUESTIONS))
            for state in states:
                assert state["specreason_done"]
                assert state["specreason_steps"]
                for step in state["specreason_steps"]:
                    assert await pair.base.decode(step["ids"]["base"]) == step["text"]
                    assert "\ufffd" not in step["text"]
                    assert all(spot["base_logprob"] <= 0 for spot in step["spots"] or [])
