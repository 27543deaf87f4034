"""Which models a GPU serves: real ones, or dummy weights of true sizes (`shapes.toml`) behind a tokenizer at hand.

A dummy model draws its tokens evenly from its vocabulary, so it writes no blank lines, and a step of it ends at two
letters that about one token in 23 holds. So its steps are as long as logged ones, and vary; and streams that run on
behind a step do so here, too.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from specreason_graph.contract.errors import ConfigError, checked
from specreason_graph.models.presets import Preset
from specreason_graph.tools.launch import LaunchPlan
from specreason_graph.tools.launch.command import commands
from specreason_graph.tools.profiles import profiles

STEP = 23
"""Tokens of a step: the mean of 2,070 logged ones."""
PROFILE = "h100-bf16"
"""Of the card and the pair that dummies stand for: what of theirs nobody has measured is as there."""
TOKENS_A_PASS = profiles()[PROFILE].tokens_a_pass
"""Of base with a draft model inside, where weights are dummies: forced, as acceptance is."""
_ROOM = 3.0  # GiB that the draft needs beside its weights
_SEQUENCES = 64  # at a time, where nothing else is asked for
BATCH = 2048
"""Tokens of a pass of dummies, as in the profiles; vLLM's default takes memory that 32B do not leave."""
_LEFT = 0.05  # of a card's memory, for what two CUDA contexts take beside what vLLM counts
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)


class Shape(BaseModel):
    """Sizes of a model, by the names of its config.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    model_type: str
    architecture: str
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    vocab_size: int
    max_position_embeddings: int
    rope_theta: float
    rms_norm_eps: float
    tie_word_embeddings: bool

    @property
    def parameters(self) -> int:
        """How many."""
        hidden, kv = self.hidden_size, self.hidden_size // self.num_attention_heads * self.num_key_value_heads
        biases = hidden + 2 * kv if self.model_type == "qwen2" else 0
        attention = 2 * hidden * hidden + 2 * hidden * kv + biases
        layer = attention + 3 * hidden * self.intermediate_size + 2 * hidden
        embeddings = self.vocab_size * hidden * (1 if self.tie_word_embeddings else 2)
        return embeddings + self.num_hidden_layers * layer + hidden

    @property
    def gib(self) -> float:
        """Memory of the weights in bf16."""
        return 2 * self.parameters / 2**30

    def config(self) -> dict[str, Any]:
        """Its config.json."""
        sizes = self.model_dump(exclude={"source", "architecture"})
        return {**sizes, "architectures": [self.architecture], "hidden_act": "silu", "dtype": "bfloat16"}


@dataclass(frozen=True, slots=True)
class Models:
    """What is served."""

    plan: LaunchPlan
    preset: Preset | None
    """None: the one that the plan or the models' names say."""
    dummy: bool


@cache
def shapes() -> dict[str, Shape]:
    """All that dummy weights can have, by name."""
    tables = tomllib.loads((Path(__file__).parent / "shapes.toml").read_text(encoding="utf-8"))
    return {name: Shape.model_validate(table) for name, table in tables.items()}


def models(
    plan: LaunchPlan,
    tokenizer: Path | None,
    folder: Path,
    card_gib: float | None,
    sequences: int = _SEQUENCES,
) -> Models:
    """The plan as it is for real models; for names of shapes, with folders of dummies and memory shared out by size.

    Args:
        plan: what is to be served; `base` and `draft` may be names of shapes.
        tokenizer: folder of a tokenizer with a chat template, for dummies.
        folder: where theirs are made.
        card_gib: memory of a card, None on a CPU.
        sequences: that a dummy's server takes at a time.

    Raises:
        ConfigError: one dummy and one real model, or no tokenizer that fits.
    """
    named = [name in shapes() for name in (plan.base, plan.draft)]
    if not any(named):
        return Models(plan, None, dummy=False)
    if not all(named):
        raise ConfigError(
            f"base, draft: {plan.base} and {plan.draft} are a dummy and a real model; take two of one kind (dummies "
            f"are {', '.join(shapes())})"
        )
    if tokenizer is None:
        raise ConfigError("tokenizer: dummy weights have none; name the folder of one with --tokenizer")
    vocabulary = _vocabulary(tokenizer)
    for name in (plan.base, plan.draft):
        _check_fits(name, shapes()[name], len(vocabulary))
    base, draft = _of_one_vocabulary(shapes()[plan.base], shapes()[plan.draft])
    changes: dict[str, Any] = {"base_name": f"{plan.base}-dummy", "draft_name": f"{plan.draft}-dummy"}
    for role, name, shape in (("base", plan.base, base), ("draft", plan.draft, draft)):
        changes[role] = str(_make(folder / name, shape, tokenizer))
        args = ["--load-format", "dummy", "--max-num-seqs", str(sequences), "--max-num-batched-tokens", str(BATCH)]
        changes[f"{role}_args"] = [*args, *getattr(plan, f"{role}_args")]
    if plan.shares_cards and card_gib and plan.base_gpu_memory is None and plan.draft_gpu_memory is None:
        share = round((draft.gib + _ROOM) / card_gib, 3)
        changes |= {"draft_gpu_memory": share, "base_gpu_memory": round(1 - _LEFT - share, 3)}
    return Models(changed(plan, changes), _preset(*boundary(vocabulary)), dummy=True)


def with_decode(served: Models, decode: str | None, context: int) -> LaunchPlan:
    """The plan with this speculative decoding inside base, or without any.

    A draft model of dummy weights would never guess right: vLLM is told how many tokens of a guess to accept.

    Args:
        served: what is served.
        decode: a value of `LaunchPlan.decode`.
        context: tokens that both must hold, where the plan itself does not say.

    Raises:
        ConfigError: the plan's own contexts are shorter.
    """
    plan = served.plan
    if plan.max_model_len is not None and plan.max_model_len < context:
        raise ConfigError(
            f"max_model_len: {plan.max_model_len} is too little for what is to be measured ({context}); raise it, or "
            "lower --context and --run-tokens"
        )
    changes: dict[str, Any] = {"max_model_len": plan.max_model_len or context, "decode": decode}
    if decode is None:
        changes |= {"decode_model": None, "decode_tokens": None}
    plan = changed(plan, changes)
    if served.dummy and decode == "draft_model" and plan.device == "gpu":  # vLLM on a CPU can't be told
        argv = commands(plan)[0].argv
        config = json.loads(argv[argv.index("--speculative-config") + 1])
        forced = {"rejection_sample_method": "synthetic", "synthetic_acceptance_length": TOKENS_A_PASS}
        plan = changed(plan, {"base_args": [*plan.base_args, "--speculative-config", json.dumps({**config, **forced})]})
    return plan


def changed(plan: LaunchPlan, changes: dict[str, Any]) -> LaunchPlan:
    """The plan with changes, checked again.

    Raises:
        ConfigError: it can't work any more.
    """
    return checked(LaunchPlan, {**plan.model_dump(exclude_unset=True), **changes})


def _of_one_vocabulary(base: Shape, draft: Shape) -> tuple[Shape, Shape]:
    """Base draws from its padding, too, and the draft's server refuses ids that are beyond its own."""
    size = {"vocab_size": min(base.vocab_size, draft.vocab_size)}
    return base.model_copy(update=size), draft.model_copy(update=size)


def boundary(vocabulary: Iterable[str]) -> tuple[str, float]:
    """The two letters that end a step of a dummy, and which share of the tokens holds them: about 1 in `STEP`."""
    tokens = list(vocabulary)
    held = Counter(pair for token in tokens for pair in {token[at : at + 2] for at in range(len(token) - 1)})
    letters = [pair for pair in held if pair.isascii() and pair.isalpha() and pair.islower()]
    best = min(letters, key=lambda pair: (abs(held[pair] / len(tokens) - 1 / STEP), pair))
    return best, held[best] / len(tokens)


def _preset(ends: str, share: float) -> Preset:
    return Preset(
        name="dummy",
        source=f"dummy weights draw tokens evenly, and a step ends at {ends!r}, which {share:.1%} of the tokens hold",
        kind="instruct",
        boundary=ends,
        answer_cue="The final answer is ",
    )


def _vocabulary(tokenizer: Path) -> set[str]:
    try:
        table = json.loads((tokenizer / "tokenizer.json").read_text(encoding="utf-8"))
        config = json.loads((tokenizer / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"tokenizer: {tokenizer} is not a tokenizer's folder ({error})") from None
    if "chat_template" not in config and not (tokenizer / "chat_template.jinja").exists():
        raise ConfigError(f"tokenizer: {tokenizer} has no chat template; take an instruct or reasoning model's")
    return {*table["model"]["vocab"], *(token["content"] for token in table["added_tokens"])}


def _check_fits(name: str, shape: Shape, tokens: int) -> None:
    """A tokenizer of fewer tokens would leave some that a dummy draws without a text; vocabularies are only padded."""
    if not 0.98 * shape.vocab_size <= tokens <= shape.vocab_size:
        raise ConfigError(
            f"tokenizer: it has {tokens} tokens, and {name} has room for {shape.vocab_size}; take one of {shape.source}"
        )


def _make(folder: Path, shape: Shape, tokenizer: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(shape.config(), indent=2), encoding="utf-8")
    for name in _TOKENIZER:
        if (tokenizer / name).exists():
            shutil.copyfile(tokenizer / name, folder / name)
    return folder
