"""A vision-language model that is made here: Qwen2-VL's architecture in small, with random weights.

    python -m tests.real_vllm.seeing            # makes what is not there yet, and says where

Its tokenizer is that of the Qwen2.5 pair, which has the tokens of Qwen2-VL. It is float32, so that values may be
compared closely.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from . import environment

CONTEXT = 1024
"""Tokens that it is served with."""

SIDE = 28
"""Pixels of a square that becomes one token."""

MOST_TOKENS = 1024
"""Of an image; a larger one is made smaller first."""

_TORCHVISION = "torchvision==0.28.0"  # the one for the vLLM environment's torch; of its code, images take the resizing

_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' or 'image_url' in part %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As Qwen2-VL's."""

_MAKE = """
import json, sys, torch
from pathlib import Path
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

target, seed, layers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
torch.manual_seed(seed)
text = dict(
    vocab_size=151936, hidden_size=128, intermediate_size=256, num_hidden_layers=layers, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=4096, bos_token_id=151643, eos_token_id=151645,
    initializer_range=0.1, tie_word_embeddings=True,
    rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
)
vision = dict(depth=2, embed_dim=64, hidden_size=128, num_heads=2, mlp_ratio=2, initializer_range=0.1)
config = Qwen2VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True)
model = Qwen2VLForConditionalGeneration(config).to(torch.float32)
model.generation_config.update(eos_token_id=151645, pad_token_id=151643, bos_token_id=151643)
model.save_pretrained(target)
"""


def model(name: str) -> Path:
    """A model's folder: `seeing-base`, or `seeing-draft`, which has other weights."""
    return environment.home() / name


def imports() -> Path:
    """What has to be on the server's PYTHONPATH: torchvision, which only models with images ask for."""
    return environment.home() / "torchvision"


def make() -> None:
    """Make whatever is not there yet; the environment is (`environment.make`)."""
    if not imports().exists():
        _unpack_torchvision()
    for name, seed, layers in (("seeing-base", 1, 4), ("seeing-draft", 2, 2)):
        if not model(name).exists():
            half = model(f"{name}.part")
            shutil.rmtree(half, ignore_errors=True)
            run(environment.python(), "-c", _MAKE, half, str(seed), str(layers))
            complete(half)
            half.rename(model(name))


def complete(folder: Path) -> None:
    """What a served model has beside its weights."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(environment.model("qwen2.5-coder-0.5b") / name, folder / name)
    (folder / "chat_template.jinja").write_text(_TEMPLATE)
    processor = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2VLProcessor",
        "patch_size": SIDE // 2,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "min_pixels": 4 * SIDE**2,
        "max_pixels": MOST_TOKENS * SIDE**2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=1))


def _unpack_torchvision() -> None:
    """Beside the environment and not in it: the wheel is built for CUDA, and models of text do better without.

    Its compiled operators can't be loaded, so what is registered of them is left out; no image needs them.
    """
    half = imports().with_suffix(".part")
    shutil.rmtree(half, ignore_errors=True)
    run(environment.python(), "-m", "pip", "download", "--quiet", "--no-deps", "--dest", half, _TORCHVISION)
    for wheel in half.glob("*.whl"):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(half)
        wheel.unlink()
    (half / "torchvision" / "_meta_registrations.py").write_text("")
    half.rename(imports())


def run(*command: str | Path) -> None:
    """Run a command of the vLLM environment, which has torchvision beside it; what it warns of is told if it fails."""
    env = {**os.environ, "PYTHONPATH": str(imports())}
    done = subprocess.run([*map(str, command)], env=env, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"failed: {' '.join(map(str, command))[:80]}\n{done.stderr[-3000:]}")


if __name__ == "__main__":
    make()
    print(f"models that see: {model('seeing-base')}, {model('seeing-draft')}")
