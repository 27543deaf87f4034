"""What a scripted server counts, in Prometheus' text format and under vLLM's names."""

from __future__ import annotations

import math
from collections.abc import Sequence

from specreason_graph.testing.record import Record

_LABELS = '{engine="0",model_name="scripted"}'


def metrics(records: Sequence[Record], proposed: int) -> str:
    """The counters that clients read; those of speculative decoding only where tokens are proposed.

    A prompt's first token comes with its prefill. Every pass behind that gives one token more than were proposed, but
    for the last one, whose proposals may go beyond the end.

    Args:
        records: of all completions requests.
        proposed: tokens a pass, each of which is right.
    """
    counts = {"generation_tokens": sum(record.tokens for record in records)}
    if proposed:
        decoded = [max(record.tokens - len(record.prompts), 0) for record in records]
        drafts = sum(math.ceil(tokens / (proposed + 1)) for tokens in decoded)
        counts["spec_decode_num_drafts"] = drafts
        counts["spec_decode_num_draft_tokens"] = drafts * proposed
        counts["spec_decode_num_accepted_tokens"] = sum(decoded) - drafts
    return "".join(
        f"# HELP vllm:{name}_total Scripted.\n# TYPE vllm:{name}_total counter\nvllm:{name}_total{_LABELS} {count}.0\n"
        for name, count in counts.items()
    )
