"""`POST /tokenize` and `/detokenize`: everything about text, chat templates included."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from specreason_graph.testing.model import ScriptedModel
from specreason_graph.testing.request import check_ids, parsed
from specreason_graph.testing.template import render


class TokenizeRequest(BaseModel):
    """The body of `POST /tokenize`: a prompt, or the messages of a conversation."""

    prompt: str = ""
    messages: list[dict[str, str]] | None = None
    add_special_tokens: bool | None = None
    add_generation_prompt: bool = True
    return_token_strs: bool | None = False
    chat_template_kwargs: dict[str, Any] | None = None


class DetokenizeRequest(BaseModel):
    """The body of `POST /detokenize`."""

    tokens: list[int]


def tokenized(model: ScriptedModel, context: int, body: dict[str, Any]) -> dict[str, Any]:
    """The ids of a text or a conversation.

    Raises:
        Refusal: the body is not of that shape.
    """
    request = parsed(TokenizeRequest, body)
    text, special = request.prompt, request.add_special_tokens is not False
    if request.messages is not None:  # the template spells BOS itself
        special = request.add_special_tokens is True
        text = render(
            model.template,
            request.messages,
            add_generation_prompt=request.add_generation_prompt,
            bos=model.tokenizer.bos,
            variables=request.chat_template_kwargs,
        )
    ids = model.tokenizer.encode(text, special=special)
    strings = model.tokenizer.strings(ids) if request.return_token_strs else None
    return {"count": len(ids), "max_model_len": context, "tokens": ids, "token_strs": strings}


def detokenized(model: ScriptedModel, body: dict[str, Any]) -> dict[str, Any]:
    """The text of some ids, control tokens spelled.

    Raises:
        Refusal: the body is not of that shape, or an id is unknown.
    """
    ids = parsed(DetokenizeRequest, body).tokens
    check_ids(ids, len(model.tokenizer.spelling))
    return {"prompt": model.tokenizer.spell(ids).decode(errors="replace")}
