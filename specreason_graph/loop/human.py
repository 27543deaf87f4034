"""What a person does to a run: decide on a step that the judge is unsure of, or change one that was kept."""

from __future__ import annotations

from typing import Self

from langgraph.types import interrupt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from specreason_graph.contract.errors import ConfigError, in_one_line
from specreason_graph.contract.events import Whose
from specreason_graph.contract.state import Choice, Edit, Pending, Step, Update, Verdict
from specreason_graph.generation.ledger import encode_step, step_ids
from specreason_graph.loop.bounds import room, why_ended
from specreason_graph.loop.record import human_step, ids_of
from specreason_graph.loop.run import Run


class Question(Whose):
    """What a waiting run shows: the value of its interrupt."""

    index: int
    text: str
    """The drafted step."""
    verdict: Verdict
    """What the judge made of it, with all evidence."""
    threshold: float
    choices: list[Choice]
    problem: str | None
    """Why the text of the last answer can't be used; None the first time."""


class Resume(BaseModel):
    """What it goes on with: `Command(resume={"decision": "edit", "text": "…"})`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decision: Choice = Field(description="Keep the step, have base write it, or put a text of your own in its place")
    text: str | None = Field(default=None, description="The step, of an edit")

    @model_validator(mode="after")
    def _edits_have_a_text(self) -> Self:
        if (self.decision == "edit") != bool(self.text and self.text.strip()):
            raise ValueError("an edit, and only an edit, has a text")
        return self


_CHOICES: list[Choice] = ["accept", "reject", "edit"]


def is_unsure(run: Run, verdict: Verdict) -> bool:
    """Whether a person should decide; a step without a score was rejected for what it is."""
    band, score = run.settings.ask_band, verdict["score"]
    return band is not None and score is not None and band[0] <= score <= band[1]


async def persons_decision(run: Run, pending: Pending, verdict: Verdict) -> tuple[Choice, Step | None]:
    """What a person decided, and the step that they wrote; stops the run where nobody has decided yet.

    Raises:
        ConfigError: it was resumed with something else; it still waits for an answer then.
    """
    drafted = pending["drafted"]
    question = Question(
        **run.emit.whose,
        index=len(run.steps),
        text=drafted["text"],
        verdict=verdict,
        threshold=run.policy.threshold,
        choices=_CHOICES,
        problem=None,
    )
    while True:
        try:
            given = interrupt(question, response_schema=Resume)
        except ValidationError as error:
            why = in_one_line(error, Resume)
            raise ConfigError(f"resume: {why}; give {{'decision': 'accept' | 'reject' | 'edit', 'text': …}}") from error
        try:
            own = await persons_step(run, given.text, before=drafted["text"], rejected=pending) if given.text else None
        except ConfigError as error:  # raised, it would be raised for every later answer, too: this one is kept
            question["problem"] = str(error)
        else:
            return given.decision, own


async def persons_step(run: Run, text: str, *, before: str, rejected: Pending | None = None) -> Step:
    """A person's step in the place of one that read `before`: a drafted one, or one that was kept.

    Raises:
        ConfigError: it does not fit the models' contexts.
    """
    closes = rejected is not None and rejected["drafted"]["closes"]
    whole = text.strip() + ("" if closes else run.preset.boundary)
    ids = await ids_of(run, whole, (await encode_step(run.pair.base, whole)).ids)
    for role in ("base", "draft"):
        if len(step_ids(ids, role)) > (left := room(run, role)):
            raise ConfigError(f"text: the step is longer than the {left} tokens left in {role}'s context")
    return human_step(run, whole, before, rejected, ids)


def edited(index: int, text: str | None = None) -> Update:
    """An update that puts `text` in the place of a kept step (None: deletes it) and drops what followed.

    Give it to a checkpoint of the run from before its answer; the run then goes on from there.

    Example:
        fork = await graph.aupdate_state(checkpoint, edited(3, "3 * 4 = 12 legs."), as_node="judge")
        await graph.ainvoke(None, fork)
    """
    return {
        "specreason_edit": Edit(index=index, text=text),
        "specreason_pending": None,
        "specreason_ended": None,
    }


async def edited_steps(run: Run, edit: Edit) -> list[Step]:
    """The kept steps with such an edit made.

    Raises:
        ConfigError: there is no such step, or nothing could follow it.
    """
    if run.fresh or not 0 <= edit["index"] < len(run.steps):
        kept = "a run that is over or has not begun" if run.fresh else f"a run with {len(run.steps)} steps"
        raise ConfigError(f"specreason_edit: {kept} has no step {edit['index']}; choose a checkpoint that has it")
    before = run.steps[edit["index"]]["text"]
    steps = run.steps[: edit["index"]]
    if edit["text"] is not None:
        steps = [*steps, await persons_step(run.behind(steps), edit["text"], before=before)]
        ended = why_ended(run.behind(steps))
        if ended not in (None, "deadline"):
            raise ConfigError(f"specreason_edit: no step can follow the one with this text ({ended})")
    return steps
