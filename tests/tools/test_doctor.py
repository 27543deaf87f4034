"""What the doctor says of a pair: each way of being wrong has its line and its fix, and stops no other line."""

from collections.abc import Mapping
from typing import Any

import pytest

from specreason_graph.contract.settings import Settings
from specreason_graph.judging.catalog import builtin
from specreason_graph.models.presets import Judge
from specreason_graph.testing import Fault, Pace, Script, ScriptedServer, scripted_pair
from specreason_graph.tools.doctor import Check, Diagnosis, diagnose
from specreason_graph.tools.forecast import Speculation

STEP = "There are 3 cows of 4 legs each, so 3 * 4 = 12 legs."
PACES = {"base": Pace(seconds_per_token=0.01), "draft": Pace()}
PHRASES = Judge(
    name="phrases",
    source="here",
    kind="labels",
    threshold=1,
    request="Is the last reasoning step good?",
    prefill="{open}It is ",
    labels=("a bad step", "a good step"),
)


def server(role: str, script: Script | None = None, **options: Any) -> ScriptedServer:
    standard: dict[str, Any] = {"template": "think", "context": 16384, "model": role, "pace": PACES[role]}
    return ScriptedServer(script or Script([STEP, "So 12."], scores=[7.4]), **{**standard, **options})


async def examined(
    base: ScriptedServer | None = None,
    draft: ScriptedServer | None = None,
    endpoints: Mapping[str, Mapping[str, Any]] | None = None,
    preset: str | None = "thinking",
    **settings: Any,
) -> Diagnosis:
    """A diagnosis; `endpoints` changes how a role's server is reached."""
    async with scripted_pair(base or server("base"), draft or server("draft")) as servers:
        changed: dict[str, Any] = {"preset": preset} | {
            role: getattr(servers.config, role).model_copy(update=dict(update))
            for role, update in (endpoints or {}).items()
        }
        config, catalog = servers.config.model_copy(update=changed), builtin().extended(judges=[PHRASES])
        return await diagnose(config, Settings(**settings), catalog, "How many legs have 3 cows?", lambda _: None)


def line(diagnosis: Diagnosis, name: str, role: str | None = None) -> Check:
    [found] = [check for check in diagnosis.checks if (check.name, check.role) == (name, role)]
    return found


def of(diagnosis: Diagnosis, state: str) -> set[tuple[str, str | None]]:
    return {(check.name, check.role) for check in diagnosis.checks if check.state == state}


async def test_a_pair_that_works_has_no_other_line() -> None:
    diagnosis = await examined()
    assert {check.state for check in diagnosis.checks} == {"ok"}, diagnosis.checks
    assert diagnosis.ok
    assert all(check.fix is None for check in diagnosis.checks)
    assert "vLLM 0.32.0" in line(diagnosis, "server", "base").found
    assert "in blocks of 16" in line(diagnosis, "prefix cache", "draft").found
    assert "opens the think block" in line(diagnosis, "template", "base").found


async def test_the_step_and_its_judging_are_real() -> None:
    """Through the nodes, so that what is shown is what a run would see."""
    diagnosis = await examined(threshold=8)
    assert diagnosis.step is not None
    assert diagnosis.judge is not None
    assert diagnosis.step["text"] == f"{STEP}\n\n"
    assert (diagnosis.judge["label_probs"] or {})["8"] == pytest.approx(0.36)
    assert (diagnosis.judge["accepted"], diagnosis.judge["score"], diagnosis.judge["threshold"]) == (False, 7.0, 8.0)
    assert "rejected, 7.00 against 8" in line(diagnosis, "judge call").found
    assert diagnosis.ok, "a rejected step is no fault of the servers"


async def test_a_likelihood_judge_shows_the_tokens_it_asked_about() -> None:
    diagnosis = await examined(judge="likelihood", spots=4)
    assert diagnosis.judge is not None
    assert diagnosis.judge["label_probs"] is None
    assert len(diagnosis.judge["spots"] or ()) == 4
    assert "asks for none" in line(diagnosis, "labels").found


async def test_an_unreachable_base_does_not_hide_what_the_draft_is() -> None:
    diagnosis = await examined(endpoints={"base": {"base_url": "http://127.0.0.1:9"}})
    assert of(diagnosis, "wrong") == {("server", "base")}
    assert "--base-url" in (line(diagnosis, "server", "base").fix or "")
    assert {check.state for check in diagnosis.checks if check.role == "draft"} == {"ok"}
    assert "needs: base server" in line(diagnosis, "judge call").found
    assert (diagnosis.step, diagnosis.judge) == (None, None)


async def test_a_model_that_is_not_served_says_which_are() -> None:
    diagnosis = await examined(endpoints={"draft": {"model": "QwQ"}})
    assert of(diagnosis, "wrong") == {("model", "draft")}
    found = line(diagnosis, "model", "draft")
    assert "serves draft, not model 'QwQ'" in found.found
    assert "SPECREASON_DRAFT_MODEL" in (found.fix or "")
    assert line(diagnosis, "server", "draft").state == "ok"


@pytest.mark.parametrize(
    ("fault", "fix"), [(Fault("malformed"), "--dialect"), (Fault("status", status=404), "--draft-url")]
)
async def test_something_else_at_the_address_is_no_server(fault: Fault, fix: str) -> None:
    draft = server("draft")
    draft.fail(fault, path="/v1/models", times=None)
    diagnosis = await examined(draft=draft)
    assert fix in (line(diagnosis, "server", "draft").fix or "")


async def test_a_missing_key_is_asked_for() -> None:
    diagnosis = await examined(server("base", api_key="k"), endpoints={"base": {"api_key": None}})
    assert "SPECREASON_API_KEY" in (line(diagnosis, "server", "base").fix or "")


async def test_no_log_probs_are_one_line_not_one_for_each_measurement() -> None:
    base = server("base")
    base.fail(Fault("no_logprobs"), times=None)
    diagnosis = await examined(base)
    assert of(diagnosis, "wrong") == {("log-probs", "base")}
    assert "proxy" in (line(diagnosis, "log-probs", "base").fix or "")
    assert {("latency", "base"), ("judge call", None)} < of(diagnosis, "skipped")
    assert line(diagnosis, "labels").state == "ok"


async def test_too_few_log_probs_name_the_flag_and_stop_no_measurement() -> None:
    diagnosis = await examined(server("base", max_logprobs=5))
    assert of(diagnosis, "wrong") == {("top log-probs", "base")}
    assert "--max-logprobs 20" in (line(diagnosis, "top log-probs", "base").fix or "")
    assert of(diagnosis, "skipped") == {("judge call", None)}
    assert diagnosis.step is not None


async def test_a_prefix_cache_that_is_off_is_wrong() -> None:
    diagnosis = await examined(server("base", cache_blocks=0))
    assert of(diagnosis, "wrong") == {("prefix cache", "base")}
    assert "--no-enable-prefix-caching" in (line(diagnosis, "prefix cache", "base").fix or "")


@pytest.mark.parametrize(
    ("blocks", "prompt_tokens_per_second", "state", "says"),
    [(4096, 2e4, "ok", "on, by time"), (0, 2e4, "wrong", "off, by time"), (4096, 1e9, "warn", "can't be told")],
)
async def test_without_counts_the_prefix_cache_is_told_by_time_or_not_at_all(
    blocks: int, prompt_tokens_per_second: float, state: str, says: str
) -> None:
    pace = Pace(ttft=0.03, prompt_tokens_per_second=prompt_tokens_per_second)
    diagnosis = await examined(draft=server("draft", reports_cached=False, cache_blocks=blocks, pace=pace))
    counts, cache = line(diagnosis, "cached counts", "draft"), line(diagnosis, "prefix cache", "draft")
    assert (counts.state, "--enable-prompt-tokens-details" in (counts.fix or "")) == ("warn", True)
    assert (cache.state, says in cache.found) == (state, True), cache


async def test_labels_of_several_tokens_are_named_with_the_fix() -> None:
    diagnosis = await examined(judge="phrases")
    assert of(diagnosis, "wrong") == {("labels", None)}
    assert "'a bad step'" in line(diagnosis, "labels").found
    assert "likelihood" in (line(diagnosis, "labels").fix or "")


async def test_a_context_shorter_than_the_budgets_says_where_a_run_would_be_cut() -> None:
    short = await examined(draft=server("draft", context=3000))
    found = line(short, "context", "draft")
    assert (found.state, "--max-model-len" in (found.fix or ""), short.ok) == ("warn", True, True)
    budget = (found.fix or "").split()[1].rstrip(",")
    enough = await examined(draft=server("draft", context=3000), reasoning_budget=int(budget))
    assert line(enough, "context", "draft").state == "ok"


async def test_a_context_without_room_to_reason_is_wrong() -> None:
    diagnosis = await examined(server("base", context=1060))
    assert of(diagnosis, "wrong") == {("context", "base")}
    assert "--answer-budget" in (line(diagnosis, "context", "base").fix or "")


async def test_two_tokenizers_are_a_fact_not_a_fault() -> None:
    diagnosis = await examined(draft=server("draft", tokenizer="b"))
    assert (diagnosis.ok, of(diagnosis, "warn")) == (True, set())
    assert "different" in line(diagnosis, "tokenizers").found
    assert line(diagnosis, "judge call").state == "ok"


async def test_a_preset_that_goes_by_the_models_names_says_so() -> None:
    models = server("base", model="QwQ-32B"), server("draft", model="DeepSeek-R1-Distill-Qwen-1.5B")
    found = line(await examined(*models, preset=None), "preset").found
    assert found == "qwq-32b+r1-1.5b (thinking): models' names hold 'QwQ-32B' and 'R1-Distill-Qwen-1.5B'"


async def test_no_preset_for_these_names_still_leaves_the_servers_measured() -> None:
    diagnosis = await examined(preset=None)
    assert of(diagnosis, "wrong") == {("preset", None)}
    assert (line(diagnosis, "preset").fix or "").startswith("name one: `thinking`")
    assert {("context", "base"), ("latency", "draft"), ("cost ratio", None)} < of(diagnosis, "ok")


async def test_an_instruct_preset_on_a_model_that_thinks_is_warned_of() -> None:
    """By the template where that opens the block, by the step where the model does."""
    by_template = await examined(preset="instruct")
    assert {("template", "base"), ("template", "draft")} <= of(by_template, "warn")
    draft = server("draft", template="qwen3")
    by_step = await examined(server("base", template="qwen3"), draft, preset="instruct")
    found = line(by_step, "draft step")
    assert (found.state, "--preset thinking" in (found.fix or "")) == ("warn", True), found


async def test_who_opens_the_think_block_is_told() -> None:
    diagnosis = await examined(server("base", template="qwen3"))
    assert "we open the block" in line(diagnosis, "template", "base").found


async def test_a_judge_that_says_no_label_is_warned_of() -> None:
    script = Script([STEP], scores=[{"The": 0.6, "9": 0.3}])
    found = line(await examined(server("base", script)), "judge call")
    assert (found.state, "--judge likelihood" in (found.fix or "")) == ("warn", True)
    assert "30%" in found.found


async def test_a_draft_that_writes_nothing_is_wrong() -> None:
    diagnosis = await examined(draft=server("draft", Script(lambda _: "")))
    assert of(diagnosis, "wrong") == {("draft step", None)}
    left_out = {("decoding", "draft"), ("cost ratio", None), ("speculation", None), ("judge call", None)}
    assert left_out == of(diagnosis, "skipped")


async def test_a_draft_that_is_hardly_faster_is_warned_of() -> None:
    diagnosis = await examined(draft=server("draft", pace=PACES["base"]))
    assert "can't win" in line(diagnosis, "cost ratio").found
    assert of(diagnosis, "warn") == {("cost ratio", None)}


async def test_the_draft_is_tried_as_a_decoder_of_base() -> None:
    """At each of base's tokens, whether the draft would have written it: two that say the same always would."""
    diagnosis = await examined()
    assert isinstance(diagnosis.speculation, Speculation)
    assert diagnosis.speculation.decoding.tokens_a_pass > 4
    assert "roughly estimated" in line(diagnosis, "speculation").found
    other = await examined(draft=server("draft", Script(["So there are 12.", "The end."])))
    assert isinstance(other.speculation, Speculation)
    assert other.speculation.decoding.tokens_a_pass < 2


async def test_a_draft_of_another_tokenizer_is_no_decoder() -> None:
    diagnosis = await examined(draft=server("draft", tokenizer="b"))
    assert "another tokenizer" in str(diagnosis.speculation)
    assert line(diagnosis, "speculation").state == "ok"


async def test_what_bases_server_counts_of_its_decoding_is_believed() -> None:
    """And base alone is reckoned back from it: a pass as long as it takes, for one token instead of four."""
    diagnosis = await examined(server("base", decodes=3))
    assert isinstance(diagnosis.speculation, Speculation)
    assert diagnosis.speculation.decoding.tokens_a_pass == pytest.approx(4, abs=0.3)
    assert diagnosis.speculation.decoding.proposed == 3
    assert "counted by base's server" in diagnosis.speculation.source
    assert diagnosis.timings is not None
    assert diagnosis.timings.base_token * diagnosis.rates["base"] == pytest.approx(4, abs=0.4)


@pytest.mark.parametrize(
    ("settings", "overlap"),
    [({}, "both"), ({"hedge": False}, "look_ahead"), ({"look_ahead": False, "hedge": False}, "sequential")],
)
async def test_the_overlap_is_that_of_a_run(settings: dict[str, Any], overlap: str) -> None:
    assert (await examined(**settings)).overlap == overlap


async def test_it_says_which_models_take_images() -> None:
    """A pair of text is none the worse for it."""
    text = await examined()
    assert line(text, "images", "base").found == "none: serves a model that takes no images"
    seeing = await examined(server("base", sees=True, scale_out=True), server("draft", sees=True))
    assert line(seeing, "images", "base").found == "taken"
    assert "--enable-scale-out" in line(seeing, "images", "draft").found
