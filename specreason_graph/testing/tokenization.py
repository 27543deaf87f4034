"""`POST /tokenize` and `/detokenize`: everything about text, chat templates included."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, NonNegativeInt

from specreason_graph.testing.model import ScriptedModel
from specreason_graph.testing.request import Refusal, parsed
from specreason_graph.testing.template import render


class TokenizeRequest(BaseModel):
    """The body of `POST /tokenize`: a prompt, or the messages of a conversation."""

    prompt: str | None = None
    messages: list[dict[str, str]] | None = None
    add_special_tokens: bool | None = None
    add_generation_prompt: bool = True
    return_token_strs: bool | None = False
    chat_template_kwargs: dict[str, Any] | None = None


class DetokenizeRequest(BaseModel):
    """The body of `POST /detokenize`."""

    tokens: list[NonNegativeInt]


def tokenized(model: ScriptedModel, context: int, body: dict[str, Any]) -> dict[str, Any]:
    """The ids of a text or a conversation.

    Raises:
        Refusal: the body is not of that shape.
    """
    request = parsed(TokenizeRequest, body)
    if request.messages is not None:
        special = request.add_special_tokens is True  # the template spells BOS itself
        text = render(
            model.template,
            request.messages,
            add_generation_prompt=request.add_generation_prompt,
            bos=model.tokenizer.bos,
            variables=request.chat_template_kwargs,
        )
    elif request.prompt is not None:
        text, special = request.prompt, request.add_special_tokens is not False
    else:
        raise Refusal("Field required", kind="Bad Request", param="body.prompt")
    ids = model.tokenizer.encode(text, special=special)
    strings = model.tokenizer.strings(ids) if request.return_token_strs else None
    return {"count": len(ids), "max_model_len": context, "tokens": ids, "token_strs": strings}


def detokenized(model: ScriptedModel, body: dict[str, Any]) -> dict[str, Any]:
    """The text of some ids, control tokens spelled; vLLM passes over unknown ids.

    Raises:
        Refusal: the body is not of that shape.
    """
    known = len(model.tokenizer.spelling)
    raw = model.tokenizer.spell(i for i in parsed(DetokenizeRequest, body).tokens if i < known)
    return {"prompt": raw.decode(errors="replace")}
