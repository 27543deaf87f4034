"""What speculative decoding gives inside base: as its server counts it, or as the draft would have proposed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from specreason_graph.contract.config import Dialect
from specreason_graph.contract.errors import EndpointError
from specreason_graph.endpoint.http import Http
from specreason_graph.endpoint.protocol import Endpoint
from specreason_graph.tools.decoding import PROPOSED, Counts, Decoding, counts, tokens_a_pass
from specreason_graph.tools.doctor.case import Case
from specreason_graph.tools.doctor.check import Finding
from specreason_graph.tools.forecast import Speculation

_HOW: Mapping[Dialect, str] = {
    "vllm": "`--decode draft_model`",
    "llamacpp": "`--model-draft` of llama.cpp's server",
}
_CHUNK = 16  # prompts a request


async def counted(case: Case) -> Counts | None:
    """What base's server has counted so far; None where it does not decode speculatively, or does not tell."""
    config = case.endpoint("base")
    http = Http("base", config)
    try:
        return counts(await http.text("/metrics")) if config.dialect == "vllm" else None
    except EndpointError:  # metrics may be closed to clients, and nothing else needs them
        return None
    finally:
        await http.aclose()


async def speculation(case: Case) -> Finding:
    """How many tokens a pass of base gives, or would give: a fact, any number is fine."""
    if case.counts is not None and (decoding := case.counts.decoding) is not None:
        source = f"counted by base's server in {case.counts.passes} passes since it was started"
        case.speculation = Speculation(decoding, 0.0, "the speculative decoding that base's server does", source)
        return Finding("ok", f"base decodes so: {decoding.tokens_a_pass:.1f} tokens a pass, {source}")
    if not await case.pair.same_tokenizer():
        case.speculation = "the draft has another tokenizer than base, so it can't propose tokens as it is"
        return Finding("ok", case.speculation)
    found = await matches(case.pair.draft, await case.prompt("draft"), case.written)
    decoding = Decoding(tokens_a_pass=tokens_a_pass([found]))
    source = f"roughly estimated: the draft would have written {found.count('1')} of {len(found)} tokens of base"
    case.speculation = Speculation(decoding, 1 / case.rates["draft"], _HOW[case.endpoint("base").dialect], source)
    return Finding("ok", f"about {decoding.tokens_a_pass:.1f} tokens a pass of {PROPOSED} proposed, {source}")


async def matches(draft: Endpoint, prompt: Sequence[int], written: Sequence[int]) -> str:
    """`1` for each token of base's text that the draft finds likeliest there, else `0`; as `passes` takes it."""
    prompts = [[*prompt, *written[:at]] for at in range(len(written))]
    chunks = [prompts[at : at + _CHUNK] for at in range(0, len(prompts), _CHUNK)]
    readings = [reading for chunk in chunks for reading in (await draft.read(chunk, top=1)).items]
    return "".join(str(int(reading.likeliest == own)) for reading, own in zip(readings, written, strict=True))
