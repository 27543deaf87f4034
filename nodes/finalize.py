"""`finalize`: the reasoning is closed and the answer written, in a budget of its own."""

from __future__ import annotations

import json
from functools import partial

from specreason_graph.contract.errors import ConfigError, MalformedResponse
from specreason_graph.contract.events import AnswerToken, ReasoningEnded
from specreason_graph.contract.state import SpecReasonState, Step, Update
from specreason_graph.endpoint.protocol import Form, Usage
from specreason_graph.generation.collect import Bounds, Collected, collect
from specreason_graph.generation.usage import used
from specreason_graph.loop.reply import Answer, Trimmed, answers_in_last_step, reply
from specreason_graph.loop.run import Run
from specreason_graph.loop.steps import drop

_AS_JSON = "The answer as JSON that satisfies this schema: {schema}\n\n"


async def finalize(state: SpecReasonState, run: Run) -> Update:
    """Have the answer written; an instruct model that ended its turn has given it in its last step already."""
    ended = state["specreason_ended"]
    assert ended is not None, "the edges lead here only when the reasoning has ended"
    run.emit(ReasoningEnded(event="reasoning_ended", ended=ended))
    for role in [*run.streams]:
        await drop(run, role)
    given = ended == "finished" and bool(run.steps) and answers_in_last_step(run.preset, run.settings)
    answer = _given(run, run.steps[-1]) if given else await _written(run)
    reasoning = "".join(step["text"] for step in (run.steps[:-1] if given else run.steps)).strip()
    models = {role: card.name for role, card in (await run.pair.cards()).items()}
    return {
        "messages": [reply(run, models, ended, reasoning, answer)],
        "specreason_answer": answer.text or None,
        "specreason_done": True,
    }


def _given(run: Run, step: Step) -> Answer:
    text = step["text"]
    for stop in run.settings.answer_stop:
        text = text.partition(stop)[0]
    _tell(run, Trimmed(), text)
    return Answer(text.strip(), len(step["ids"]["base"]), "stop")


async def _written(run: Run) -> Answer:
    """The answer behind the closed reasoning; an instruct model's reader should see the cue before it, too."""
    settings, role = run.settings, run.settings.answer_by
    endpoint = run.pair.endpoint(role)
    prompt = run.ledger(role).plus((await endpoint.encode(_cue(run), control=True)).ids)
    room = run.contexts[role] - len(prompt)
    if room < 1:
        raise ConfigError("answer_schema: behind this reasoning the context has no room for it; lower reasoning_budget")
    shown = run.preset.answer_cue if answers_in_last_step(run.preset, settings) else ""
    written = await collect(
        endpoint,
        prompt,
        Bounds(min(settings.answer_budget, room), _seconds(run)),
        run.sampling("finalize"),
        form=Form(settings.answer_schema, settings.answer_stop),
        on_text=partial(_tell, run, Trimmed(held=shown)),
    )
    _check_form(endpoint.name, run, written)
    request = written.end.usage if written.end else Usage(len(prompt), None, len(written.ids))
    run.usage = used(run.usage, role, [request], run.seconds() - run.spent)
    text = (shown + written.text).strip() if written.text.strip() else ""
    return Answer(text, request.completion_tokens, "length" if written.cut else "stop")


def _tell(run: Run, text: Trimmed, piece: str) -> None:
    told = text.add(piece)
    if told:
        run.emit(AnswerToken(event="answer_token", text=told))


def _cue(run: Run) -> str:
    """What has the answer begin: it closes the reasoning of thinking models, and tells all of a schema."""
    line = "" if not run.steps or run.steps[-1]["text"].endswith("\n") else "\n"
    schema = run.settings.answer_schema
    if schema is None:
        return line + run.preset.answer_cue
    close = run.preset.answer_cue if run.preset.kind == "thinking" else "\n"
    return line + close + _AS_JSON.format(schema=json.dumps(schema))


def _check_form(name: str, run: Run, written: Collected) -> None:
    """A server that does not know a field ignores it, so the effect is looked at."""
    if run.settings.answer_schema is None or written.end is None or written.end.why != "end_of_turn":
        return
    try:
        json.loads(written.text)
    except ValueError:
        raise MalformedResponse(
            f"{name} ignores answer_schema: its answer is no JSON (vLLM knows structured_outputs since 0.11)"
        ) from None


def _seconds(run: Run) -> float | None:
    """Seconds for the answer: what the deadline leaves, and its reserve at least."""
    left = run.seconds_left()
    return None if left is None else run.settings.answer_reserve + max(0.0, left)
