"""The draft as a decoder of base, as the doctor tries it."""

import pytest

from specreason_graph.testing import Script
from specreason_graph.tools.forecast import Speculation

from .examining import examined, line, server


async def test_the_draft_is_tried_as_a_decoder_of_base() -> None:
    """At each of base's tokens, whether the draft would have written it: two that say the same always would."""
    diagnosis = await examined()
    assert isinstance(diagnosis.speculation, Speculation)
    assert diagnosis.speculation.decoding.tokens_a_pass > 4
    assert "roughly estimated" in line(diagnosis, "speculation").found
    other = await examined(draft=server("draft", Script(["So there are 12.", "The end."])))
    assert isinstance(other.speculation, Speculation)
    assert other.speculation.decoding.tokens_a_pass < 2


async def test_a_draft_of_another_tokenizer_is_no_decoder() -> None:
    diagnosis = await examined(draft=server("draft", tokenizer="b"))
    assert "another tokenizer" in str(diagnosis.speculation)
    assert line(diagnosis, "speculation").state == "ok"


async def test_what_bases_server_counts_of_its_decoding_is_believed() -> None:
    """And base alone is reckoned back from it: a pass as long as it takes, for one token instead of four."""
    diagnosis = await examined(server("base", decodes=3))
    assert isinstance(diagnosis.speculation, Speculation)
    assert diagnosis.speculation.decoding.tokens_a_pass == pytest.approx(4, abs=0.3)
    assert diagnosis.speculation.decoding.proposed == 3
    assert "counted by base's server" in diagnosis.speculation.source
    assert diagnosis.timings is not None
    assert diagnosis.timings.base_token * diagnosis.rates["base"] == pytest.approx(4, abs=0.4)
