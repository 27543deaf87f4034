"""`POST /tokenize` and `/detokenize`: everything about text, chat templates included."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt

from specreason_graph.testing.images import expanded, seen
from specreason_graph.testing.model import ScriptedModel
from specreason_graph.testing.request import Refusal, parsed
from specreason_graph.testing.template import render
from specreason_graph.testing.tokenizer import IMAGE


class Function(BaseModel):
    """What is called, or can be: `arguments` are JSON text, other fields are the template's."""

    model_config = ConfigDict(extra="allow")

    name: str


class FunctionOf(BaseModel):
    """A tool, or a call of one."""

    model_config = ConfigDict(extra="allow")

    type: Literal["function"]
    function: Function


class ImageUrl(BaseModel):
    """Where an image is: a data URL."""

    url: str


class Part(BaseModel):
    """A part of a message."""

    type: Literal["text", "image_url"]
    text: str = ""
    image_url: ImageUrl | None = None


class Message(BaseModel):
    """One message; `name` and `tool_call_id` are taken, and no template of these has them."""

    role: str
    content: str | list[Part] | None = None
    reasoning: str | None = None
    tool_calls: list[FunctionOf] | None = None


class TokenizeRequest(BaseModel):
    """The body of `POST /tokenize`: a prompt, or the messages of a conversation."""

    prompt: str | None = None
    messages: list[Message] | None = None
    tools: list[FunctionOf] | None = None
    add_special_tokens: bool | None = None
    add_generation_prompt: bool = True
    return_token_strs: bool | None = False
    chat_template_kwargs: dict[str, Any] | None = None


class DetokenizeRequest(BaseModel):
    """The body of `POST /detokenize`."""

    tokens: list[NonNegativeInt]


def tokenized(model: ScriptedModel, context: int, body: dict[str, Any], *, sees: bool = False) -> dict[str, Any]:
    """The ids of a text or a conversation, images in it expanded.

    Raises:
        Refusal: the body is not of that shape, or holds an image and the model takes none.
    """
    request = parsed(TokenizeRequest, body)
    images = [seen(url) for message in request.messages or () for url in _urls(message)]
    if images and not sees:
        raise Refusal("At most 0 image(s) may be provided in one prompt.")
    if request.messages is not None:
        special = request.add_special_tokens is True  # the template spells BOS itself
        text = render(
            model.template,
            [{**message.model_dump(), "content": _text(message)} for message in request.messages],
            add_generation_prompt=request.add_generation_prompt,
            bos=model.tokenizer.bos,
            variables=request.chat_template_kwargs,
            tools=[tool.model_dump() for tool in request.tools or ()],
            knows_tools=model.knows_tools,
        )
    elif request.prompt is not None:
        text, special = request.prompt, request.add_special_tokens is not False
    else:
        raise Refusal("Field required", kind="Bad Request", param="body.prompt")
    ids = model.tokenizer.encode(text, special=special)
    if images:
        ids = [token for token, _ in expanded(model.tokenizer, ids, images)]
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


def _urls(message: Message) -> list[str]:
    parts = message.content if isinstance(message.content, list) else []
    return [part.image_url.url for part in parts if part.image_url is not None]


def _text(message: Message) -> str | None:
    if not isinstance(message.content, list):
        return message.content
    return "".join(IMAGE if part.type == "image_url" else part.text for part in message.content)
