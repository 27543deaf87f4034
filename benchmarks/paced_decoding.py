"""The decoder inside base: which of its tokens a draft model would have proposed right, as measured on real models."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from random import Random
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from specreason_graph.contract.errors import ConfigError
from specreason_graph.testing import Decoder
from specreason_graph.tools.decoding import passes, tokens_a_pass
from specreason_graph.tools.profiles import Profile

ACCEPTED = Path(__file__).parent / "accepted_tokens.json"


class Accepted(BaseModel):
    """What was measured: texts of base, token by token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: dict[str, Any]
    """Where it comes from; `placeholder` is true where nothing was measured."""
    proposed: PositiveInt
    """Tokens proposed a pass."""
    runs: tuple[Annotated[str, Field(pattern="^[01]+$")], ...] = Field(min_length=1)
    """Texts as `passes` takes them."""

    def of(self, problem: int) -> str:
        """The text for a recorded problem; they come again where there are fewer."""
        return self.runs[problem % len(self.runs)]

    @property
    def whole(self) -> str:
        """All texts, one behind the other."""
        return "".join(self.runs)

    def figures(self) -> dict[str, Any]:
        """What there is, for people and scripts."""
        return {
            "tokens_a_pass": tokens_a_pass(self.runs, self.proposed),
            "matches": self.whole.count("1") / len(self.whole),
            "proposed": self.proposed,
            "texts": len(self.runs),
            "tokens": len(self.whole),
            "about": self.about,
        }


def accepted(path: Path = ACCEPTED) -> Accepted:
    """The measured texts.

    Raises:
        ConfigError: the file holds none.
    """
    try:
        return Accepted.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise ConfigError(f'decode: {path} must hold "about", "proposed" and "runs" of 0 and 1: {error}') from error


def drawn(matches: str, seed: int) -> int:
    """A place in a text, drawn from the seed."""
    return Random(seed).randrange(len(matches))


def decoder(profile: Profile, matches: str, proposed: int, start: int = 0) -> Decoder:
    """One for texts that begin, prompt included, at a place in `matches`, which comes again behind its end.

    The draft proposes, at its pace.
    """
    gives = _gives(matches, proposed)
    return Decoder(gives[start:] + gives[:start], proposed, proposed * profile.step("draft"))


@cache
def _gives(matches: str, proposed: int) -> tuple[int, ...]:
    around = matches * (2 + proposed // len(matches))
    return tuple(next(passes(around[place : place + proposed + 1], proposed)) for place in range(len(matches)))
