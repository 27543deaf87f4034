"""`finalize`: the reasoning is closed and the answer written, in a budget of its own."""

from __future__ import annotations

import json

from specreason_graph.contract.errors import MalformedResponse, NoRoom
from specreason_graph.contract.events import AnswerToken, ReasoningEnded
from specreason_graph.contract.state import SpecReasonState, Step, Update
from specreason_graph.endpoint.protocol import Form, Usage
from specreason_graph.generation.passage import Passage, collect
from specreason_graph.loop.bounds import answer_bounds
from specreason_graph.loop.cue import cue
from specreason_graph.loop.reply import Answer, Told, answers_in_last_step, reply, until
from specreason_graph.loop.run import Run


async def finalize(state: SpecReasonState, run: Run) -> Update:
    """Have the answer written; an instruct model that ended its turn has given it in its last step already."""
    ended = state["specreason_ended"]
    assert ended is not None, "the edges lead here only when the reasoning has ended"
    run.emit(ReasoningEnded(event="reasoning_ended", ended=ended))
    await run.overlap.drop()
    given = ended == "finished" and bool(run.steps) and answers_in_last_step(run.preset, run.settings)
    answer = _given(run, run.steps[-1]) if given else await _written(run)
    reasoning = "".join(step["text"] for step in (run.steps[:-1] if given else run.steps)).strip()
    models = {role: card.name for role, card in (await run.pair.cards()).items()}
    return {
        "messages": [reply(run.steps, run.usage(), run.clock.seconds(), models, ended, reasoning, answer)],
        "specreason_answer": answer.text or None,
        "specreason_done": True,
    }


def _given(run: Run, step: Step) -> Answer:
    text = until(step["text"], run.settings.answer_stop)
    _tell(run, text.strip())
    return Answer(text.strip(), step["draft_tokens" if step["source"] == "draft" else "base_tokens"], "stop")


async def _written(run: Run) -> Answer:
    """The answer behind the closed reasoning; an instruct model's reader should see the cue before it, too."""
    settings, role = run.settings, run.settings.answer_by
    endpoint = run.pair.endpoint(role)
    mid_line = bool(run.steps) and not run.steps[-1]["text"].endswith("\n")
    prompt = run.ledger(role).plus(await cue(run.pair, run.live, settings, run.preset, mid_line=mid_line))
    bounds = answer_bounds(run, len(prompt))
    if bounds.tokens < 1:
        raise NoRoom(f"answer_by: behind this reasoning {role}'s context has no room for an answer; take the other one")
    shown = run.preset.answer_cue if answers_in_last_step(run.preset, settings) else ""
    told = Told(held=shown, stops=settings.answer_stop)
    written, usage = Passage(), Usage()
    if bounds.seconds != 0:
        try:
            await collect(
                endpoint,
                prompt,
                bounds,
                run.sampling("finalize"),
                form=Form(settings.answer_schema, settings.answer_stop),
                on_text=lambda piece: _tell(run, told.add(piece)),
                into=written,
            )
        finally:
            usage = written.end.usage if written.end else Usage(len(prompt), None, written.received)
            run.bill.used(role, [usage], run.clock.seconds() - run.clock.spent)
    _check_form(endpoint.name, run, written)
    _tell(run, told.rest())
    text = until(written.text, settings.answer_stop)
    answer = (shown + text).strip() if text.strip() else ""
    return Answer(answer, usage.completion_tokens, "length" if written.cut else "stop")


def _tell(run: Run, text: str) -> None:
    if text:
        run.emit(AnswerToken(event="answer_token", text=text))


def _check_form(name: str, run: Run, written: Passage) -> None:
    """A server that does not know a field ignores it, so the effect is looked at."""
    if run.settings.answer_schema is None or written.end is None or written.end.why != "end_of_turn":
        return
    try:
        json.loads(written.text)
    except ValueError:
        raise MalformedResponse(
            f"{name} ignores answer_schema: its answer is no JSON (vLLM knows structured_outputs since 0.11)"
        ) from None
