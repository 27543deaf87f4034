"""What is put behind a step to have base judge it, in the words of its own template."""

from __future__ import annotations

from dataclasses import dataclass

from specreason_graph.contract.errors import ConfigError
from specreason_graph.endpoint.protocol import Endpoint
from specreason_graph.models.presets import Judge, Preset
from specreason_graph.models.rendering import behind_assistant


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """What is put behind ledger + step to have base write a label."""

    suffix: list[int]
    labels: dict[str, int]
    """Label to the one token that it is there."""


async def judge_request(base: Endpoint, judge: Judge, preset: Preset) -> JudgeRequest:
    """The chat markup around the judge's request, derived from base's own template.

    Raises:
        ConfigError: a label is not one distinct token behind the pre-fill.
    """
    text = await behind_assistant(base, preset, [{"role": "user", "content": judge.request}])
    marker = preset.open.rstrip()
    if marker and text.rstrip().endswith(marker):  # the pre-fill opens the think block itself
        text = text.rstrip().removesuffix(marker)
    text += judge.prefill.replace("{open}", marker)
    suffix = (await base.encode(text, control=True)).ids
    labels: dict[str, int] = {}
    for label in judge.labels:
        ids = (await base.encode(text + label, control=True)).ids
        if ids[:-1] != suffix or ids[-1] in labels.values():
            raise ConfigError(
                f"judge {judge.name!r}: label {label!r} is not one distinct token of {base.name} behind "
                f"{judge.prefill!r}; change the labels or the pre-fill, or use judge `likelihood`"
            )
        labels[label] = ids[-1]
    return JudgeRequest(suffix, labels)
