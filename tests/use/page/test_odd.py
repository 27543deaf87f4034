"""Records that are odd: each is a page with the right figures, or is refused by the name of its field."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from playwright.sync_api import expect

from specreason_graph.contract.errors import ConfigError
from specreason_graph.judging.catalog import builtin
from specreason_graph.judging.policy import as_json
from specreason_graph.use.page.build import run_page
from specreason_graph.use.page.render import runs_html
from specreason_graph.use.page.times import Times
from specreason_graph.use.page.words import counted, took

from .conftest import Open
from .records import made_up, recorded

ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    10**400,
    1e308,
    math.nan,
    -math.inf,
    "",
    "x" * 30_000,
    "\x00<b>",
    [],
    [1],
    {},
    {"a": 1},
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a record; of long lists, the first."""
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, item in parts:
        yield from places(item, (*path, key))


def with_odd(record: dict[str, Any], path: tuple[Any, ...], odd: Any) -> dict[str, Any]:
    changed = copy.deepcopy(record)
    part: Any = changed
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = odd
    return changed


@pytest.mark.parametrize("policy", ["labels", "likelihood", "fitted"])
def test_whatever_stands_in_a_record_it_is_a_page_or_refused(policy: str) -> None:
    """A page that fails to be made says nothing of what is wrong."""
    record = made_up(2)
    fitted = as_json(builtin().policies["qwen2.5-coder"].at(None))
    record["policy"] = fitted if policy == "fitted" else {"name": "threshold"}
    if policy == "labels":
        record["judge"] = builtin().judges["paper"].model_dump(mode="json")
    for step in record["steps"]:
        step |= {"label_probs": {"0": 0.4, "9": 0.6}, "label_mass": 1.0, "says_label": True, "agreement": 1.0}
    record |= {"pending": [{"role": "base", "text": "so", "status": "writing"}]}
    made = 0
    for path in places(record):
        for odd in ODD:
            with suppress(ConfigError):
                page = run_page(with_odd(record, path, odd))
                runs_html([page], page.title)
                made += 1
    assert made > 200


def test_a_step_stands_at_its_index() -> None:
    """The page's script knows steps by it: two of one index would be shown each other's tokens."""
    record = made_up(3)
    record["steps"][2]["index"] = 1
    with pytest.raises(ConfigError, match=r"steps\.2\.index"):
        run_page(record)


def test_tokens_of_what_is_not_shown_are_not_told() -> None:
    """A text of a megabyte is cut short, and so is what is known of it."""
    record = made_up(1)
    step, words = record["steps"][0], 200_000
    step |= {"text": "word " * words, "draft_starts": [5 * at for at in range(words)], "draft_logprobs": [-0.5] * words}
    [drafted] = [step.drafted for step in run_page(record).steps]
    assert drafted is not None
    assert len(drafted.starts) == len(drafted.logprobs) < 5_000
    assert len(runs_html([run_page(record)], "A run").encode()) < 100_000


def test_a_threshold_that_no_score_reaches_is_the_slider_s_own(opened: Open) -> None:
    """10 of 9 rejects every step; the slider began at 9, and said that some were accepted."""
    record = made_up(3) | {"judge": builtin().judges["paper"].model_dump(mode="json")}
    for step in record["steps"]:
        step |= {"label_probs": {"9": 1.0}, "says_label": True, "threshold": 10.0, "score": 9.0, "accepted": False}
        step |= {"source": "base", "reject_reason": "score", "rejected_text": step["text"]}
    page = opened(record)
    expect(page.locator(".judging .value")).to_have_text("10.0")
    expect(page.locator(".judging .outcome")).to_contain_text("0 of 3 drafted steps accepted")
    expect(page.locator("li.changes")).to_have_count(0)


def test_where_the_threshold_was_another_one_meanwhile_the_page_begins_as_it_ran(opened: Open) -> None:
    """A run that was resumed with other settings."""
    record = made_up(6)
    for step in record["steps"][:3]:
        step["threshold"] = -3.0
    record["steps"][2] |= {"accepted": True, "source": "draft", "rejected_text": None, "reject_reason": None}
    page = opened(record)
    expect(page.locator(".judging .outcome")).to_contain_text("5 of 6 drafted steps accepted")
    expect(page.locator("li.changes")).to_have_count(0)
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("li.changes")).to_have_count(1)
    page.get_by_role("button", name="As it ran").click()
    expect(page.locator("li.changes")).to_have_count(0)


def test_each_key_moves_the_slider_by_a_step(opened: Open) -> None:
    """Where scores were near each other it has stayed where it was."""
    record = made_up(3)
    for step in record["steps"]:
        for spot in step["spots"]:
            spot["base_logprob"] = max(-1.9, spot["base_logprob"])
        step |= {"score": min(spot["base_logprob"] for spot in step["spots"]), "accepted": True, "source": "draft"}
        step |= {"rejected_text": None, "reject_reason": None}
    page = opened(record)
    slider = page.get_by_role("slider")
    slider.focus()
    values = []
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        values.append(float(slider.input_value()))
    assert values == pytest.approx([-1.95, -1.9, -1.85])


def test_a_likelihood_without_tokens_is_judged_by_its_score(opened: Open) -> None:
    """The script stopped at the first step without any."""
    record = made_up(3)
    for step in record["steps"]:
        step["spots"] = None
    assert run_page(record).judging is not None
    page = opened(record)
    expect(page.locator(".judging .outcome")).to_contain_text("2 of 3")
    expect(page.get_by_label("Judge by")).to_contain_text("the recorded score (this run)")


def test_a_step_changed_by_hand_does_not_say_that_the_draft_wrote_it(opened: Open) -> None:
    """An edit of a kept step: whoever wrote that is not recorded. And its lanes stay: a person has none."""
    record = made_up(3)
    record["steps"][1] |= {
        "source": "human", "accepted": None, "human": "edit", "score": None, "spots": None, "draft_tokens": 0,
        "rejected_text": "3 * 4 = 11", "text": "3 * 4 = 12", "spans": [], "draft_starts": [], "draft_logprobs": [],
    }  # fmt: skip
    page = opened(record)
    card = page.locator("#run-1-step-2")
    expect(card.locator("figcaption").first).to_have_text("It read before")
    expect(card.locator("figcaption").nth(1)).to_have_text("A person wrote instead")
    expect(card.locator("del")).to_have_text("11")
    times = run_page(record).times
    assert times is not None
    assert times.work


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0.00 s"), (3.456, "3.46 s"), (36.54, "36.5 s"), (119.97, "2 min"), (125, "2 min 5 s"),
        (7199.7, "2 h"), (12_000, "3 h 20 min"), (3.6e6, "1,000 h"),
    ],
)  # fmt: skip
def test_time_is_told_in_units_that_one_would_say(seconds: float, said: str) -> None:
    assert took(seconds) == said


def test_one_token_is_no_tokens() -> None:
    assert [counted(number, "token") for number in (0, 1, 2000)] == ["0 tokens", "1 token", "2,000 tokens"]


def timed(seconds: float) -> Times:
    times = run_page(made_up(2) | {"seconds": seconds}).times
    assert times is not None
    return times


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (10, ["0 s", "2 s", "4 s", "6 s", "8 s", "10 s"]),
        (600, ["0 min", "2 min", "4 min", "6 min", "8 min", "10 min"]),
        (4 * 3600, ["0 h", "1 h", "2 h", "3 h", "4 h"]),
        (400_000, ["0 h", "19 h", "38 h", "57 h", "76 h", "95 h"]),
    ],
)
def test_the_axis_has_round_marks(seconds: float, labels: list[str]) -> None:
    assert [tick.label for tick in timed(seconds).ticks] == labels


def test_work_before_the_beginning_is_drawn_from_it() -> None:
    """A clock that was set back, or a record that somebody has made."""
    record = made_up(2)
    record["steps"][0]["spans"][0]["began"] = -5.0
    times = run_page(record).times
    assert times is not None
    assert times.work[0].began == 0


def test_steps_that_were_accepted_by_chance_are_compared_with_no_threshold() -> None:
    """A control accepts below its rate: `0.86 ≥ 0.6`, and rejected as too likely to be bad, was no reason."""
    record = made_up(3) | {"policy": {"name": "random"}}
    for step, score in zip(record["steps"], (0.1, 0.5, 0.86), strict=True):
        step |= {"score": score, "threshold": 0.6, "reject_reason": "probability" if score > 0.6 else None}
    page = run_page(record)
    assert [(step.score, step.why) for step in page.steps] == [(None, ""), (None, ""), (None, "by chance")]
    assert page.judging is None


def test_base_alone_has_a_page_of_its_answer() -> None:
    page = run_page({"answer": "12", "steps": [], "ended": "finished", "seconds": 3.0, "question": "?"})
    assert (page.judging, page.times, page.accepted, page.judged, page.draft_share) == (None, None, 0, 0, None)
    assert page.answer == "12"


def test_what_a_stopped_run_had_waiting_is_not_said_to_go_on() -> None:
    pending = [{"role": "draft", "text": "so", "status": "drafted"}]
    record = recorded() | {"answer": None, "ended": None, "pending": pending}
    assert [it.waits_for for it in run_page(record).pending] == ["not judged yet"]
    assert [it.waits_for for it in run_page(record, goes_on=True).pending] == ["being judged"]
