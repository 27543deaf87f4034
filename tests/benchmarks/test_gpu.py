"""The GPU benchmark measures what it says, and loses little when it is cut short."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gpu_calls import STEP, spots
from gpu_cells import PARTS, PLAIN, Extent, JudgeCall, Runs, Tokens, alone, cells, context_of
from gpu_models import boundary, models, shapes, with_decode
from gpu_results import Results
from gpu_runs import ForcedAcceptance
from gpu_tables import show
from real_vllm import environment
from real_vllm.servers import plan as real_plan
from rich.console import Console
from tools.launch.processes import Processes

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.evidence import Evidence
from specreason_graph.tools.launch import LaunchPlan
from specreason_graph.tools.launch.command import commands

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
ABOUT = {
    "base": "one",
    "draft": "other",
    "weights": "dummy",
    "forced": "acceptance is forced",
    "machine": {"cards": [{"name": "NVIDIA H100", "gib": 79.6}], "vllm": "0.32.0"},
    "settings": {"rounds": 3},
}
DUMMY = LaunchPlan(base="qwen2.5-32b", draft="qwen2.5-1.5b")


def evidence(place: int) -> Evidence:
    return Evidence(
        label_probs=None,
        label_mass=None,
        says_label=None,
        spots=None,
        unasked=None,
        draft_logprobs=[],
        tokens=20,
        place=place,
        ends=False,
        agreement=None,
    )


@pytest.mark.parametrize(
    ("name", "billions"),
    [("qwen2.5-32b", 32.8), ("qwen2.5-14b", 14.8), ("qwen2.5-7b", 7.6), ("qwen2.5-1.5b", 1.54), ("llama-70b", 70.6)],
)
def test_dummies_have_as_many_parameters_as_their_models_say(name: str, billions: float) -> None:
    assert shapes()[name].parameters / 1e9 == pytest.approx(billions, rel=0.005)


def test_a_dummy_is_a_folder_that_vllm_can_serve(tokenizer: Path, tmp_path: Path) -> None:
    served = models(DUMMY, tokenizer, tmp_path / "made", card_gib=79.6)
    config = json.loads((tmp_path / "made" / "qwen2.5-32b" / "config.json").read_text())
    assert (config["architectures"], config["num_hidden_layers"]) == (["Qwen2ForCausalLM"], 64)
    assert (tmp_path / "made" / "qwen2.5-1.5b" / "tokenizer.json").exists()
    for command in commands(served.plan):
        assert command.argv[command.argv.index("--load-format") + 1] == "dummy"
        assert command.model.endswith("-dummy"), "nobody may take it for the model"


def test_both_dummies_fit_one_card(tokenizer: Path, tmp_path: Path) -> None:
    base, draft = models(DUMMY, tokenizer, tmp_path, card_gib=79.6).plan.gpu_memory
    assert base is not None
    assert draft is not None
    assert base * 79.6 > shapes()["qwen2.5-32b"].gib + 5
    assert draft * 79.6 > shapes()["qwen2.5-1.5b"].gib + 2
    assert base + draft < 0.96


def test_a_dummys_steps_are_as_long_as_logged_ones(tokenizer: Path, tmp_path: Path) -> None:
    """They end at what about one token in 23 holds: streams go on behind it, as behind a real boundary."""
    served = models(DUMMY, tokenizer, tmp_path, card_gib=None)
    assert served.preset is not None
    assert served.preset.boundary == "on"
    assert boundary(["aon", "bxy", *(["?"] * 22)])[1] == pytest.approx(1 / 24)


def test_guesses_of_a_dummy_are_forced_too(tokenizer: Path, tmp_path: Path) -> None:
    """Dummies never guess each other's tokens, and vLLM takes the last of two configurations."""
    served = models(DUMMY, tokenizer, tmp_path, card_gib=None)
    argv = commands(with_decode(served, "draft_model", 4096))[0].argv
    config = json.loads(argv[len(argv) - argv[::-1].index("--speculative-config")])
    assert config["method"] == "draft_model"
    assert config["rejection_sample_method"] == "synthetic"
    assert "use_heterogeneous_vocab" not in config
    assert "synthetic" not in " ".join(commands(with_decode(served, "ngram", 4096))[0].argv)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"draft": "Qwen/Qwen3-0.6B"}, r"base, draft: .* take two of one kind"),
        ({"draft": "llama-70b"}, r"tokenizer: it has 151601 tokens, and llama-70b has room for 128256"),
    ],
)
def test_models_that_can_not_go_together_are_refused(
    plan: dict[str, str], message: str, tokenizer: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        models(DUMMY.model_copy(update=plan), tokenizer, tmp_path, card_gib=None)


def test_dummies_need_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tokenizer: .* --tokenizer"):
        models(DUMMY, None, tmp_path, card_gib=None)
    with pytest.raises(ConfigError, match=r"tokenizer: .* is not a tokenizer's folder"):
        models(DUMMY, tmp_path, tmp_path, card_gib=None)


def test_a_context_that_is_too_short_is_told_before_servers_are_started(tmp_path: Path) -> None:
    served = models(LaunchPlan(base="a", draft="b", max_model_len=4096), None, tmp_path, card_gib=None)
    with pytest.raises(ConfigError, match=r"max_model_len: 4096 is too little .* \(16896\)"):
        with_decode(served, None, context_of(Extent(), [JudgeCall(PLAIN, "score", 16384)]))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_forced_acceptance_is_exact_and_the_same_in_all_modes(share: float) -> None:
    policy, again = ForcedAcceptance(seed=3).at(share), ForcedAcceptance(seed=3).at(share)
    accepted = [policy.decide(evidence(place))[0] for place in range(100)]
    assert sum(accepted) == 100 * share
    assert accepted == [again.decide(evidence(place))[0] for place in range(100)]
    assert accepted != [ForcedAcceptance(seed=4).at(share).decide(evidence(place))[0] for place in range(100)]


@pytest.mark.parametrize("share", [0.25, 1.1, -0.1])
def test_shares_that_ten_steps_can_not_have_are_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"acceptance: .* % is no number of ten steps"):
        ForcedAcceptance(seed=0).at(share)


def test_what_others_are_compared_with_is_measured_before_them() -> None:
    wanted = cells(Extent(), PARTS, ["ngram"])
    assert len(set(wanted)) == len(wanted)
    for at, cell in enumerate(wanted):
        if isinstance(cell, Runs):
            assert alone(cell) in wanted[: at + 1]
        elif isinstance(cell, JudgeCall):
            assert Tokens(cell.decode, "base") in wanted[:at]
    decodes = [cell.decode for cell in wanted]
    assert decodes == sorted(decodes, key=["none", "ngram"].index), "servers are restarted once for each"


def test_the_likelihood_form_asks_all_over_the_step() -> None:
    assert (spots()[0], spots()[-1], len(set(spots()))) == (0, STEP - 1, 16)


def test_a_file_is_gone_on_with_where_it_was(tmp_path: Path) -> None:
    path, cell = tmp_path / "gpu.json", Tokens(PLAIN, "base")
    Results(path, ABOUT, "2026-01-01").add(cell, {"token_ms": 20.0})
    again = Results(path, ABOUT, "2026-01-02")
    assert cell in again
    assert again[cell]["token_ms"] == 20.0
    assert Tokens(PLAIN, "draft") not in again
    assert again.document["date"] == "2026-01-01"


def test_figures_of_two_machines_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    Results(path, ABOUT, "2026-01-01")
    with pytest.raises(ConfigError, match=r"out: .* was measured with another machine"):
        Results(path, {**ABOUT, "machine": {"cards": []}}, "2026-01-01")
    path.write_text("[]")
    with pytest.raises(ConfigError, match=r"out: .* is not a file of this benchmark"):
        Results(path, ABOUT, "2026-01-01")


def test_tables_say_what_was_forced_and_what_is_missing(tmp_path: Path) -> None:
    results = Results(tmp_path / "gpu.json", ABOUT, "2026-01-01")
    results.add(Tokens(PLAIN, "base"), {"first_token_ms": 25.0, "token_ms": 20.0, "timed_tokens": 300})
    results.add(JudgeCall(PLAIN, "score", 1024), {"ms": 30.0, "base_tokens": 1.5})
    ran = {"accepted": 5, "judged": 10}
    for at_once in (1, 8):
        results.add(Runs(PLAIN, "base", None, at_once), {"tokens_per_second": 50.0, "speedup": 1.0, **ran})
        results.add(Runs(PLAIN, "both", 50, at_once), {"tokens_per_second": 75.0, "speedup": 1.5, **ran})
    results.failed("decode draft_model", "base server ended while loading")
    console = Console(width=120)
    with console.capture() as captured:
        show(results.document, console)
    text = captured.get()
    for part in ("NVIDIA H100 (79.6 GiB), vLLM 0.32.0", "dummy weights", "acceptance is forced", "30.0 (1.5)"):
        assert part in text
    assert text.count("75.0 (x1.50)") == 3, "in the runs' table, and in the two rows of runs at once"
    assert "missing, decode draft_model: base server ended" in text


@pytest.fixture
def quick(tmp_path: Path) -> dict[str, Any]:
    """Arguments for as little as can be measured."""
    return {"--out": tmp_path / "gpu.json", "--context": 256, "--acceptance": 50, "--rounds": 1, "--calls": 2}


def measured(*arguments: object, **options: Any) -> dict[str, Any]:
    """Run the script, and read what it wrote."""
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    command += [str(part) for option in options.items() for part in option]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(Path(options["--out"]).read_text())  # type: ignore[no-any-return]


def test_the_script_measures_every_part_once(processes: Processes, quick: dict[str, Any], tmp_path: Path) -> None:
    """On scripted servers, whose figures mean nothing; a second call has nothing left to start servers for."""
    file = tmp_path / "plan.toml"
    table = {**processes.plan(), "python": sys.executable, "device": "cpu", "decode": "ngram"}
    file.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items()))
    first = measured(file, **quick)
    wanted = cells(Extent(contexts=(256,), acceptances=(50,)), PARTS, ["ngram"])
    assert len(first["cells"]) == len(wanted)
    assert first["about"]["weights"] == "real"
    assert first["failed"] == {}
    logs = sorted(tmp_path.glob("*.log"))
    assert measured(file, **quick) == first
    assert sorted(tmp_path.glob("*.log")) == logs
    assert processes.alive() == {}


@pytest.mark.real_vllm
@pytest.mark.timeout(900)
def test_the_script_runs_on_real_vllm(quick: dict[str, Any], tmp_path: Path) -> None:
    """On a CPU, with the small real pair: what a GPU costs minutes to find wrong."""
    file = tmp_path / "plan.toml"
    file.write_text(real_plan("qwen2.5-coder-0.5b", "smollm2-135m", log_dir=str(tmp_path)))
    parts = ("--part", "judge", "--part", "runs")
    found = measured(file, *parts, "--run-tokens", 32, **quick)
    assert found["about"]["machine"]["vllm"] == environment.VERSION
    runs = {cell["mode"]: cell for name, cell in found["cells"].items() if name.startswith("Runs")}
    assert all(0 < run["kept_tokens"] <= 32 for run in runs.values())
    judged = found["cells"]["JudgeCall/none/score/256"]
    assert judged["cached_tokens"] == 256
    assert judged["base_tokens"] > 1, "on a CPU, a judge's prompt is not free"


def test_a_dummy_draws_no_token_that_the_other_server_does_not_know(tokenizer: Path, tmp_path: Path) -> None:
    """Guards GPU time: 32B pads its vocabulary further than 1.5B, and one such token ends a run."""
    served = models(DUMMY, tokenizer, tmp_path, card_gib=None)
    sizes = [json.loads((Path(folder) / "config.json").read_text()) for folder in (served.plan.base, served.plan.draft)]
    assert (
        sizes[0]["vocab_size"]
        == sizes[1]["vocab_size"]
        <= min(shapes()[name].vocab_size for name in (DUMMY.base, DUMMY.draft))
    )
