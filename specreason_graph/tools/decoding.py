"""Speculative decoding inside base: a small model proposes tokens, and one pass of base keeps those it would have
written (Leviathan et al., arXiv 2211.17192). How many tokens such a pass gives, and what it costs."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from math import ceil
from typing import NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

PROPOSED = 5
"""Tokens that are proposed a pass: what the paper's SpecReason+Decode uses (section 5.1)."""


_RATES = 10_000  # of acceptance that are tried for the one that gives so many tokens


class Decoding(BaseModel):
    """How base decodes speculatively."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens_a_pass: float = Field(ge=1, description="That a pass of base gives on average, its own one included")
    proposed: PositiveInt = Field(default=PROPOSED, description="Tokens proposed a pass")

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if self.tokens_a_pass > self.proposed + 1:
            raise ValueError(
                f"a pass gives {self.proposed} proposed tokens and one of its own at most, not {self.tokens_a_pass:g}"
            )
        return self

    @property
    def beyond(self) -> float:
        """Tokens that the pass in which a text ends gives behind its end, on average, and that are dropped.

        Where passes differ, long ones are the likelier to have the end in them. How they differ is reckoned with
        `expected_tokens`; if they come in runs, it is a little more.
        """
        at = bisect_left(
            range(_RATES + 1), self.tokens_a_pass, key=lambda at: expected_tokens(at / _RATES, self.proposed)
        )
        rate = at / _RATES
        return sum(n * rate**n for n in range(self.proposed + 1)) / self.tokens_a_pass

    def seconds_a_token(self, base_token: float, proposed_token: float) -> float:
        """From one of base's tokens to the next, on average.

        Args:
            base_token: seconds of a pass of base.
            proposed_token: seconds of a pass of the model that proposes; 0 for n-grams, which need none.
        """
        return (base_token + self.proposed * proposed_token) / self.tokens_a_pass


class Counts(NamedTuple):
    """What a server has counted of its speculative decoding since it was started."""

    passes: int
    """With proposals: n-grams that find nothing to propose are not among them, so their tokens a pass are fewer."""
    proposed: int
    """Tokens."""
    accepted: int
    """Tokens."""

    @property
    def decoding(self) -> Decoding | None:
        """Means over these passes; None before the first."""
        if not self.passes:
            return None
        return Decoding(tokens_a_pass=1 + self.accepted / self.passes, proposed=ceil(self.proposed / self.passes))


_COUNTED = re.compile(
    r"^vllm:spec_decode_num_(drafts|draft_tokens|accepted_tokens)_total(?:\{.*\})? (\d[\d.]*(?:e[+-]?\d+)?)$",
    re.MULTILINE,
)


def counts(metrics: str) -> Counts | None:
    """What vLLM's `/metrics` tell, added up over its engines; None where it does not decode speculatively."""
    found = dict.fromkeys(("drafts", "draft_tokens", "accepted_tokens"), 0)
    lines = _COUNTED.findall(metrics)
    for name, count in lines:
        found[name] += int(float(count))
    return Counts(*found.values()) if lines else None


def passes(matches: str, proposed: int = PROPOSED) -> Iterator[int]:
    """Tokens that each pass gives along one recorded text of base.

    Args:
        matches: a character a token of base's text: `1` where the proposing model would have written it, else `0`.
        proposed: tokens proposed a pass.
    """
    at = 0
    while at < len(matches):
        ahead = matches[at : at + proposed]
        kept = len(ahead) - len(ahead.lstrip("1"))
        given = min(kept + 1, len(matches) - at)
        yield given
        at += given


def tokens_a_pass(texts: Sequence[str], proposed: int = PROPOSED) -> float:
    """Mean over all passes of some texts, each as `passes` takes it; 1 without any."""
    given = [tokens for matches in texts for tokens in passes(matches, proposed)]
    return sum(given) / len(given) if given else 1.0


def expected_tokens(rate: float, proposed: int = PROPOSED) -> float:
    """Tokens a pass where each proposed token is accepted with the same probability, whatever came before.

    Real texts are not so: what is hard comes in a row, each token a pass of its own, and a pass of easy ones gives no
    more than all that was proposed. So `tokens_a_pass` of recorded texts is the better figure.
    """
    return sum(rate**n for n in range(proposed + 1))
