"""The draft's least sure tokens found again in base's tokens, by the bytes of text they stand for."""

from specreason_graph.contract.state import Writing
from specreason_graph.endpoint.protocol import Encoded
from specreason_graph.judging.evidence import aligned


def writing(pieces: dict[str, float]) -> Writing:
    texts = list(pieces)
    starts = [sum(map(len, texts[:n])) for n in range(len(texts))]
    return Writing(
        text="".join(texts),
        ids=list(range(len(texts))),
        logprobs=list(pieces.values()),
        starts=starts,
        cut=False,
        closes=False,
        closing=None,
        cached_tokens=None,
        seconds=0.0,
    )


def test_a_base_token_is_as_unsure_as_the_least_sure_drafted_one_under_it() -> None:
    drafted = writing({"2 * ": -0.1, "5 =": -0.3, " 1": -4.0, "2": -0.5, ".": -0.6})
    tokens = aligned(drafted, Encoded([7, 8, 9], [7, 3, 1]))
    assert [(t.text, t.logprob) for t in tokens] == [("2 * 5 =", -0.3), (" 12", -4.0), (".", -0.6)]


def test_many_base_tokens_may_share_a_drafted_one() -> None:
    tokens = aligned(writing({"twelve": -2.0, " legs": -0.1}), Encoded([1, 2, 3], [3, 3, 5]))
    assert [(t.text, t.logprob) for t in tokens] == [("twe", -2.0), ("lve", -2.0), (" legs", -0.1)]


def test_places_are_bytes_not_characters() -> None:
    tokens = aligned(writing({"é=": -1.0, "漢": -3.0, "!": -0.1}), Encoded([1, 2, 3], [3, 3, 1]))
    assert [t.logprob for t in tokens] == [-1.0, -3.0, -0.1]
