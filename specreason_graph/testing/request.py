"""What a completions request may say, and how vLLM 0.32 refuses the ones it can't serve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, NonNegativeInt, ValidationError

from specreason_graph.testing.structure import Structure
from specreason_graph.testing.tokenizer import ByteTokenizer

_Body = TypeVar("_Body", bound=BaseModel)


class Refusal(Exception):
    """A request that is answered with an error document; `value` is what `param` has that can't be."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "BadRequestError",
        param: str | None = None,
        value: object = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        if kind == "BadRequestError" and param is not None:
            message += f" (parameter={param})" if value is None else f" (parameter={param}, value={value})"
        self.document = {"error": {"message": message, "type": kind, "param": param, "code": status}}


class StreamOptions(BaseModel):
    """How a stream reports."""

    include_usage: bool | None = False


class CompletionRequest(BaseModel):
    """The body of `POST /v1/completions`; unknown fields are ignored, as by vLLM."""

    model: str | None = None
    prompt: list[NonNegativeInt] | list[list[NonNegativeInt]] | str | list[str]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    stop_token_ids: list[int] | None = None
    include_stop_str_in_output: bool = False
    logprobs: int | None = None
    return_tokens_as_token_ids: bool | None = None
    structured_outputs: Structure | None = None
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
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False, include_context=False, include_input=False)
        lines = [str(error | {"loc": f"body.{error['loc'][0] if error['loc'] else ''}"}) for error in errors]
        message = "\n  ".join([f"{len(lines)} validation error{'s' * (len(lines) > 1)}:", *lines])
        param = f"body.{errors[0]['loc'][0]}" if errors[0]["loc"] else "body"
        raise Refusal(message, kind="Bad Request", param=param) from None


def check(
    request: CompletionRequest, prompts: Sequence[Sequence[int]], *, context: int, vocabulary: int, max_logprobs: int
) -> None:
    """Refuse what vLLM refuses, in its words.

    Raises:
        Refusal: the request can't be served.
    """
    wanted = 16 if request.max_tokens is None else request.max_tokens
    _check_fields(request, wanted, context=context, vocabulary=vocabulary, max_logprobs=max_logprobs)
    if not prompts:
        raise Refusal("You must pass at least one prompt")
    for prompt in prompts:
        if not prompt:
            raise Refusal("The decoder prompt cannot be empty")
        if max(prompt) >= vocabulary:
            raise Refusal(f"Token id {max(prompt)} is out of vocabulary")
        if len(prompt) > context:
            at_least = "at least " if len(prompt) == context + 1 else ""
            raise Refusal(
                f"This model's maximum context length is {context} tokens. However, your prompt contains "
                f"{at_least}{len(prompt)} input tokens, which exceeds this limit even without any output tokens. "
                "Please reduce the length of the input prompt.",
                param="input_tokens",
                value=len(prompt),
            )
        room = min(wanted, context - len(prompt))  # vLLM clamps to what is left, but not to nothing
        if room < 1:
            raise Refusal(f"max_tokens must be at least 1, got {room}.", param="max_tokens", value=room)


def _check_fields(
    request: CompletionRequest, max_tokens: int, *, context: int, vocabulary: int, max_logprobs: int
) -> None:
    if request.stream_options and not request.stream:
        raise Refusal("Stream options can only be defined when `stream=True`.", param="stream_options")
    if "" in request.stops:
        raise Refusal("stop cannot contain an empty string.")
    if max_tokens > context:
        raise Refusal(
            f"max_tokens={max_tokens} cannot be greater than max_model_len={context}. "
            "Please request fewer output tokens.",
            param="max_tokens",
            value=max_tokens,
        )
    unknown = [token for token in request.stop_token_ids or () if not 0 <= token < vocabulary]
    if unknown:
        raise Refusal(
            f"token_id(s) {unknown} in stop_token_ids contain out-of-vocab token ids. Vocabulary size: {vocabulary}",
            param="stop_token_ids",
            value=unknown,
        )
    logprobs = 0 if request.logprobs is None else request.logprobs
    if logprobs < -1:
        raise Refusal("`logprobs` must be a positive value or -1.", param="logprobs", value=logprobs)
    logprobs = vocabulary if logprobs == -1 else logprobs
    if logprobs > max_logprobs:
        raise Refusal(
            f"Requested sample logprobs of {logprobs}, which is greater than max allowed: {max_logprobs}",
            param="logprobs",
            value=logprobs,
        )
