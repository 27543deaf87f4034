"""What the doctor finds of preset, templates, labels and tokenizers."""

from .examining import examined, line, of, server


async def test_labels_of_several_tokens_are_named_with_the_fix() -> None:
    diagnosis = await examined(judge="phrases")
    assert of(diagnosis, "wrong") == {("labels", None)}
    assert "'a bad step'" in line(diagnosis, "labels").found
    assert "likelihood" in (line(diagnosis, "labels").fix or "")


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
