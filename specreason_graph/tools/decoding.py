"""Speculative decoding inside base: a small model proposes tokens, and one pass of base keeps those it would have
written (Leviathan et al., arXiv 2211.17192). How many tokens such a pass gives, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

PROPOSED = 5
"""Tokens that are proposed a pass: what the paper's SpecReason+Decode uses (section 5.1)."""


class Decoding(BaseModel):
    """How base decodes speculatively."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens_a_pass: float = Field(ge=1, description="That a pass of base gives on average, its own one included")
    proposed: PositiveInt = Field(default=PROPOSED, description="Tokens proposed a pass")

    def seconds_a_token(self, base_token: float, proposed_token: float) -> float:
        """From one of base's tokens to the next, on average.

        Args:
            base_token: seconds of a pass of base.
            proposed_token: seconds of a pass of the model that proposes; 0 for n-grams, which need none.
        """
        return (base_token + self.proposed * proposed_token) / self.tokens_a_pass


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
