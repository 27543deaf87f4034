"""A log tells how far loading is, and the error that matters."""

from pathlib import Path

import pytest

from specreason_graph.tools.launch.log import Log

LINES = (
    (
        "(APIServer pid=8698) WARNING 11-25 16:08:43 [vllm.py:1703] Enforce eager set, disabling torch.compile",
        "starting",
    ),
    (
        "(Worker pid=8740) INFO 11-25 16:09:00 [cpu_model_runner.py:68] Starting to load model x...",
        "loading the weights",
    ),
    ("\rLoading safetensors checkpoint shards:  50% Completed | 1/2 [00:06<00:06]\r", "loading the weights"),
    (
        "(EngineCore pid=1) INFO 11-25 16:09:09 [kv_cache_utils.py:2327] GPU KV cache size: 87,296 tokens, ",
        "making room",
    ),
    ("Capturing CUDA graphs (decode, FULL):  50%|#####     | 1/2", "capturing CUDA graphs"),
    ("(APIServer pid=8698) INFO 11-25 16:09:15 [entry.py:140] Starting vLLM server on http://x:1", "opening its port"),
    ("(APIServer pid=8698) INFO 11-25 16:09:15 [launcher.py:195] Route: /load, Methods: GET", "opening its port"),
)

FAILURE = """\
(EngineCore pid=7) ERROR 11-25 16:08:53 [core.py:1402] Traceback (most recent call last):
(EngineCore pid=7) ERROR 11-25 16:08:53 [core.py:1402]   File "gpu_worker.py", line 542
(EngineCore pid=7) ERROR 11-25 16:08:53 [core.py:1402] torch.OutOfMemoryError: CUDA out of memory
(APIServer pid=6) Traceback (most recent call last):
(APIServer pid=6)   File "utils.py", line 1432
(APIServer pid=6) RuntimeError: Engine core initialization failed. See root cause above.
"""


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "base.log")


def test_each_line_moves_the_phase_on_and_others_leave_it(log: Log) -> None:
    with log.path.open("w") as file:
        for line, phase in LINES:
            file.write(f"{line}\n")
            file.flush()
            log.follow()
            assert log.phase.startswith(phase)
    assert log.line == "Starting vLLM server on http://x:1"


def test_the_error_shown_is_the_engines_not_that_of_the_server_which_misses_it(log: Log) -> None:
    log.path.write_text("noise\n" * 100 + FAILURE + "noise\n" * 100)
    shown = log.failure().splitlines()
    assert "torch.OutOfMemoryError: CUDA out of memory" in shown
    assert '  File "gpu_worker.py", line 542' in shown
    assert len(shown) == 15


def test_a_refused_argument_is_shown(log: Log) -> None:
    log.path.write_text("usage: api_server.py\n" * 40 + "api_server.py: error: unrecognized arguments: --act\n")
    assert log.failure().endswith("unrecognized arguments: --act")


def test_without_an_error_the_last_lines_are_shown(log: Log) -> None:
    log.path.write_text("".join(f"line {n}\n" for n in range(100)))
    assert log.failure().splitlines() == [f"line {n}" for n in range(85, 100)]
