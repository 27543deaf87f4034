"""What a completions request may say, and how vLLM 0.32 refuses the ones it can't serve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from specreason_graph.testing.tokenizer import ByteTokenizer

_Body = TypeVar("_Body", bound=BaseModel)


class Refusal(Exception):
    """A request that is answered with an error document."""

    def __init__(
        self, message: str, *, status: int = 400, kind: str = "BadRequestError", param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.document = {"error": {"message": message, "type": kind, "param": param, "code": status}}


class StreamOptions(BaseModel):
    """How a stream reports."""

    include_usage: bool | None = False


class CompletionRequest(BaseModel):
    """The body of `POST /v1/completions`; unknown fields are ignored, as by vLLM."""

    model: str | None = None
    prompt: list[int] | list[list[int]] | str | list[str]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    stop_token_ids: list[int] | None = None
    include_stop_str_in_output: bool = False
    logprobs: int | None = None
    return_tokens_as_token_ids: bool | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None

    @property
    def stops(self) -> list[str]:
        """The stop strings."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    def prompts(self, tokenizer: ByteTokenizer) -> list[list[int]]:
        """The prompts as ids."""
        match self.prompt:
            case str(text):
                return [tokenizer.encode(text, special=True)]
            case [int(), *_]:
                return [list(self.prompt)]  # type: ignore[arg-type]  # the union's members are of one kind
        return [tokenizer.encode(p, special=True) if isinstance(p, str) else list(p) for p in self.prompt]  # type: ignore[arg-type]


def parsed(model: type[_Body], body: dict[str, Any]) -> _Body:
    """A request's body as `model`.

    Raises:
        Refusal: a field is missing or of the wrong type.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        field = str(error.errors()[0]["loc"][0])
        raise Refusal(str(error), kind="Bad Request", param=field) from None


def check_ids(ids: Sequence[int], vocabulary: int) -> None:
    """Refuse ids that are none.

    Raises:
        Refusal: an id is beyond the vocabulary.
    """
    for token in (max(ids, default=0), min(ids, default=0)):
        if not 0 <= token < vocabulary:
            raise Refusal(f"Token id {token} is out of vocabulary")


def check(
    request: CompletionRequest, prompts: Sequence[Sequence[int]], *, context: int, vocabulary: int, max_logprobs: int
) -> None:
    """Refuse what vLLM refuses, in its words.

    Raises:
        Refusal: the request can't be served.
    """
    if request.stream_options and not request.stream:
        raise Refusal("Stream options can only be defined when `stream=True`.", param="stream_options")
    wanted = 16 if request.max_tokens is None else request.max_tokens
    if wanted > context:
        raise Refusal(
            f"max_tokens={wanted} cannot be greater than max_model_len={context}. Please request fewer output tokens.",
            param="max_tokens",
        )
    if not prompts:
        raise Refusal("You must pass at least one prompt")
    for prompt in prompts:
        if not prompt:
            raise Refusal("The decoder prompt cannot be empty")
        check_ids(prompt, vocabulary)
        if len(prompt) > context:
            raise Refusal(
                f"This model's maximum context length is {context} tokens. However, your prompt contains "
                f"{len(prompt)} input tokens, which exceeds this limit even without any output tokens. "
                "Please reduce the length of the input prompt.",
                param="input_tokens",
            )
        room = min(wanted, context - len(prompt))  # vLLM clamps to what is left, but not to nothing
        if room < 1:
            raise Refusal(f"max_tokens must be at least 1, got {room}.", param="max_tokens")
    if request.logprobs is not None and request.logprobs > max_logprobs:
        raise Refusal(
            f"Requested sample logprobs of {request.logprobs}, which is greater than max allowed: {max_logprobs}",
            param="logprobs",
        )
