"""One problem by one arm: base alone, draft alone, SpecReason as in the paper, and ours, all on the same prompt."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.settings import Role, Settings
from specreason_graph.contract.state import Ended, SpecReasonState
from specreason_graph.endpoint.ids import Ids, size
from specreason_graph.generation.bill import Bill, no_usage
from specreason_graph.generation.passage import Bounds, Passage, collect
from specreason_graph.judging.catalog import Catalog
from specreason_graph.loop.graph import create_specreason
from specreason_graph.loop.reached import looked_at, seen
from specreason_graph.loop.report import Report, report
from specreason_graph.models.conversation import chat_messages, digest, question_hash
from specreason_graph.models.pair import Pair
from specreason_graph.models.presets import Preset
from specreason_graph.tools.bench.chance import RandomAcceptance
from specreason_graph.tools.bench.decode import Decoder
from specreason_graph.tools.bench.grading import graded
from specreason_graph.tools.bench.outcome import Arm, Outcome, chosen_by, parts_of
from specreason_graph.tools.bench.problems import Problem


@dataclass(frozen=True, slots=True)
class Arms:
    """What every arm runs on; `settings` are those of ours, the others take their budgets and sampling from it.

    All are asked for a box, which is what is graded. Arms with `+decode` need the `decoder`.
    """

    pair: Pair
    preset: Preset
    catalog: Catalog
    settings: Settings
    decoder: Decoder | None = None

    async def run(self, arm: Arm, problem: Problem, sample: int) -> Outcome:
        """Have one arm answer, and grade what it wrote.

        Raises:
            ConfigError: settings that can't work on this pair.
            EndpointError: a server failed.
        """
        settings = self.settings.overridden(by={"seed": self.settings.seed + sample, "boxed": True})
        method, _, decodes, _ = parts_of(arm)
        if decodes and self.decoder is None:
            raise ConfigError(f"arm: {arm!r} needs a server of base that decodes speculatively")
        decoder = self.decoder if decodes else None
        pair = self.pair if decoder is None else decoder.pair
        if decoder is not None:
            await decoder.begin()
        if method in ("base", "draft"):
            role: Role = "base" if method == "base" else "draft"
            text, found, first = await self._alone(pair, role, problem, settings)
        else:
            text, found, first = await self._loop(pair, problem, settings.overridden(by=chosen_by(arm)))
        given, right = graded(problem, text)
        return Outcome(
            problem=problem.id,
            mark=problem.mark,
            arm=arm,
            sample=sample,
            expected=problem.answer,
            given=given,
            right=right,
            question=problem.text,
            answer=found["answer"],
            ended=found["ended"] or "finished",
            seconds=found["seconds"],
            first_step_seconds=first,
            steps=found["steps"],
            usage=found["usage"],
            decoded=None if decoder is None else await decoder.counted(arm),
        )

    async def _alone(
        self, pair: Pair, role: Role, problem: Problem, settings: Settings
    ) -> tuple[str, Report, float | None]:
        """Reasoning in one generation, then the answer where that did not give it: as `finalize` does."""
        messages, preset = [problem.message], self.preset
        pair = pair.pinned(question_hash(messages))
        began, first, endpoint = time.perf_counter(), None, pair.endpoint(role)
        conversation, images = await seen(pair, messages, {})
        opened = await pair.opening(role, chat_messages(conversation, preset, boxed=True), preset, images=images)
        bill = Bill()
        opening = await looked_at(endpoint, role, opened, bill)
        context = (await endpoint.card()).context
        sampling = preset.sampling(settings, seed=int(digest([settings.seed, role])[:7], 16))
        text = ""

        def watch(piece: str) -> None:
            nonlocal text, first
            text += piece
            if first is None and preset.boundary in text.lstrip():
                first = time.perf_counter() - began

        async def write(prompt: Ids, tokens: int, *, reasoning: bool) -> Passage:
            bounds = Bounds(min(tokens, context - size(prompt)))
            close = (await pair.closings(role, preset)).marker if reasoning else None
            # No loop is cut: a model alone is what a server's user gets.
            return await collect(endpoint, prompt, bounds, sampling, close=close, on_text=watch)

        room = context - opening.tokens - settings.answer_budget
        parts = [await write(opening.ids, min(settings.reasoning_budget, room), reasoning=True)]
        if parts[0].cut or preset.kind == "thinking":
            cue = preset.wording(boxed=True).answer_cue
            text += cue
            behind = opening.ids.plus([*parts[0].ids, *(await endpoint.encode(cue, control=True)).ids])
            parts.append(await write(behind, settings.answer_budget, reasoning=False))
        seconds = time.perf_counter() - began
        bill.used(role, [part.end.usage for part in parts if part.end], seconds)
        ended: Ended = "budget" if parts[0].cut else "finished"
        found = Report(
            answer=text,
            steps=[],
            ended=ended,
            usage=bill.on_top_of(no_usage()),
            seconds=seconds,
            question=problem.text,
            models={},
            judge=None,
            policy=None,
        )
        return text, found, first

    async def _loop(self, pair: Pair, problem: Problem, settings: Settings) -> tuple[str, Report, float | None]:
        graph = create_specreason(
            pair=pair,
            settings=settings,
            presets=self.catalog.presets.values(),
            judges=self.catalog.judges.values(),
            policies=[*self.catalog.policies.values(), RandomAcceptance()],
        ).compile()
        state: Mapping[str, Any] = {}
        began, first = time.perf_counter(), None  # now: a user compiles the graph once
        async for part in graph.astream(
            {"messages": [problem.message]},
            stream_mode=["custom", "values"],
            version="v2",
        ):
            if part["type"] == "values":
                state = cast(Mapping[str, Any], part["data"])
            elif first is None and cast(Any, part["data"])["event"] in ("step_accepted", "step_regenerated"):
                first = time.perf_counter() - began
        found = report(cast(SpecReasonState, state))
        text = "".join(step["text"] for step in found["steps"])
        if self.preset.kind == "thinking" or found["ended"] != "finished":
            text += found["answer"] or ""
        return text, Report({**found, "seconds": time.perf_counter() - began}), first
