"""Teaches a small vision-language model to read drawings, row by row. Runs in vLLM's environment (`drawn.make`).

    python teach.py MODEL TARGET DRAWINGS BATCHES

Tokens that the lessons never have get embeddings of zero: their logits are 0 whatever the model reads. So a softmax
over the tokens of the lessons and a constant is that over the whole vocabulary, at a thousandth of the cost.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoTokenizer, Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor

BATCH, RATE = 32, 2e-3


def main(source: Path, target: Path, drawings: Path, batches: int) -> None:
    """Teach, and save the model that came of it."""
    torch.manual_seed(0)
    lessons = [json.loads(line) for line in (drawings / "lessons.jsonl").read_text(encoding="utf-8").splitlines()]
    tokenizer = AutoTokenizer.from_pretrained(source)
    processor = Qwen2VLImageProcessor.from_pretrained(source)
    model = Qwen2VLForConditionalGeneration.from_pretrained(source, dtype=torch.float32)
    images = [Image.open(drawings / lesson["image"]).convert("RGB") for lesson in lessons]
    seen = processor(images=images, return_tensors="pt")
    pixels = seen["pixel_values"].view(len(lessons), -1, seen["pixel_values"].shape[-1])
    grids, place = seen["image_grid_thw"], model.config.image_token_id
    tokens_each = int(grids[0].prod()) // 4
    prompts = [_prompt(tokenizer, lesson["question"], tokens_each) for lesson in lessons]
    answers = [tokenizer(lesson["answer"] + "<|im_end|>").input_ids for lesson in lessons]
    used = torch.tensor(sorted({token for ids in (*prompts, *answers) for token in ids}))
    inside = {int(token): at for at, token in enumerate(used)}
    rest = math.log(model.config.text_config.vocab_size - len(used))
    table = model.get_input_embeddings()
    with torch.no_grad():
        kept = table.weight[used].clone() * 0.5
        table.weight.zero_()
        table.weight[used] = kept
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.0)
    average = None
    for step in range(1, batches + 1):
        falling = (1 + math.cos(math.pi * step / batches)) / 2
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, step / 100) * (0.05 + 0.95 * falling)
        chosen = torch.randint(len(lessons), (BATCH,)).tolist()
        longest = max(len(prompts[at]) + len(answers[at]) for at in chosen)
        ids = torch.full((BATCH, longest), tokenizer.eos_token_id)
        goal = torch.full((BATCH, longest), -100)
        for row, at in enumerate(chosen):
            whole = [*prompts[at], *answers[at]]
            ids[row, : len(whole)] = torch.tensor(whole)
            goal[row, len(prompts[at]) - 1 : len(whole) - 1] = torch.tensor([inside[token] for token in answers[at]])
        out = model.model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=pixels[chosen].reshape(-1, pixels.shape[-1]),
            image_grid_thw=grids[chosen],
            mm_token_type_ids=(ids == place).int(),
        ).last_hidden_state
        wanted = goal != -100
        logits = out[wanted] @ table.weight[used].T
        logits = torch.cat([logits, torch.full((len(logits), 1), rest)], dim=1)
        loss = torch.nn.functional.cross_entropy(logits, goal[wanted])
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            mask = torch.zeros(len(table.weight), 1)
            mask[used] = 1
            table.weight.grad.mul_(mask)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average = loss.item() if average is None else 0.98 * average + 0.02 * loss.item()
        if step % 100 == 0:
            print(f"{step} batches of {BATCH}, loss {average:.4f}", flush=True)
    model.save_pretrained(target)


def _prompt(tokenizer: Any, question: str, tokens: int) -> list[int]:
    """As the chat template has it, with the image before the text."""
    image = "<|vision_start|>" + "<|image_pad|>" * tokens + "<|vision_end|>"
    text = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        f"<|im_start|>user\n{image}{question}<|im_end|>\n<|im_start|>assistant\n"
    )
    return list(tokenizer(text).input_ids)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
