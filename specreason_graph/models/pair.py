"""A live pair of models: two clients, and what is looked up once and kept for all runs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from specreason_graph.contract.config import PairConfig
from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.settings import Role
from specreason_graph.endpoint import Endpoint, connect
from specreason_graph.endpoint.ids import Ids
from specreason_graph.endpoint.memo import Memo
from specreason_graph.endpoint.protocol import ChatMessage, Marker, ModelCard
from specreason_graph.generation.ledger import Opening
from specreason_graph.generation.live import LiveRuns
from specreason_graph.generation.passage import Closer
from specreason_graph.models.conversation import digest
from specreason_graph.models.images import NO_IMAGES, Images
from specreason_graph.models.judge_request import JudgeRequest, judge_request
from specreason_graph.models.presets import Judge, Preset
from specreason_graph.models.quoting import quotes
from specreason_graph.models.rendering import behind_assistant, knows_tools, tools_in_words, turns_in_words

_ASKED = ({"role": "user", "content": "?"},)
_TOKENIZER_PROBE = (
    "Step 12: 3.5 + 47 = x?\n\nSo “naïve” 你好 🙂.\n\n\n  def f(a_b):\n\treturn {'k': [1, 2]}</think><|im_end|>"
)
_ENDING = 8  # tokens that the marker which opens the reasoning has at most, at a template's end


@dataclass(frozen=True, slots=True)
class Closings:
    """What ends base's turn and the pair's reasoning, as token ids of one model."""

    end_of_turn: int
    marker: Marker | None


class Pair:
    """Base and draft. Use it as an async context manager, or call `aclose` when nothing is asked any more."""

    def __init__(self, config: PairConfig) -> None:
        self.config = config
        self.live = LiveRuns()
        self.base = connect("base", config.base, self.live.load.told)
        self.draft = connect("draft", config.draft)
        self.preset = config.preset
        self._same_tokenizer: Memo[str, bool] = Memo()
        self._opens: Memo[tuple[Hashable, ...], bool] = Memo()
        self._requests: Memo[tuple[Hashable, ...], JudgeRequest] = Memo()
        self._closings: Memo[tuple[Hashable, ...], Closings] = Memo()
        self._cues: Memo[tuple[Role, str], list[int]] = Memo()
        self._knows_tools: Memo[tuple[Hashable, ...], bool] = Memo()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close both clients' connections, in whatever thread's event loop they were opened."""
        await self.base.aclose()
        await self.draft.aclose()

    def endpoint(self, role: Role) -> Endpoint:
        """The client of one role."""
        return self.base if role == "base" else self.draft

    def pinned(self, session: str) -> Pair:
        """A view of the pair for one run: its requests keep to one server a role, and what is known is shared."""
        view = copy(self)
        view.base, view.draft = self.base.pinned(session), self.draft.pinned(session)
        return view

    async def cards(self) -> dict[Role, ModelCard]:
        """Both models' names and context lengths."""
        return {"base": await self.base.card(), "draft": await self.draft.card()}

    async def same_tokenizer(self) -> bool:
        """Whether both models read one text as the same ids: compared, not assumed."""
        return await self._same_tokenizer.get(_TOKENIZER_PROBE, self._compared)

    async def opening(
        self,
        role: Role,
        chat: Sequence[ChatMessage],
        preset: Preset,
        tools: Sequence[Mapping[str, Any]] = (),
        images: Images = NO_IMAGES,
    ) -> Opening:
        """The rendered conversation with the assistant's turn, and for thinking models the reasoning, open.

        Raises:
            ConfigError: its template can't tell it, or the model takes no images, and the preset has no words for one.
        """
        endpoint = self.endpoint(role)
        typed = await quotes(endpoint, chat, tools)
        if typed is not None:
            chat, tools = typed.hidden(chat), typed.hidden(tools)
        chat = await self._in_words(role, chat, preset)
        if tools and not await self.knows_tools(role, preset):
            chat, tools = tools_in_words(chat, tools, preset), ()
        ids = Ids(await endpoint.render(chat, preset.template, tools))
        if typed is not None or images.all:
            ids = await images.read(endpoint, await endpoint.decode(ids), typed, preset)
        return as_opening(ids.grown(await self._opener(role, ids, preset)))

    async def bridge(
        self, role: Role, following: Sequence[ChatMessage], preset: Preset, images: Images = NO_IMAGES
    ) -> Ids:
        """What stands between the end of a reply and where the next one begins, the messages that follow included."""
        endpoint = self.endpoint(role)
        typed = await quotes(endpoint, following)
        if typed is not None:
            following = typed.hidden(following)
        text = await behind_assistant(endpoint, preset, await self._in_words(role, following, preset))
        ids = await images.read(endpoint, text, typed, preset)
        return ids.grown(await self._opener(role, ids, preset))

    async def knows_tools(self, role: Role, preset: Preset) -> bool:
        """Whether this model's chat template takes tools and their turns."""
        key = (role, *preset.template.items())
        return await self._knows_tools.get(key, lambda: knows_tools(self.endpoint(role), preset))

    async def _in_words(self, role: Role, chat: Sequence[ChatMessage], preset: Preset) -> Sequence[ChatMessage]:
        """The conversation with calls and results in words, if it has such and the template can't tell them."""
        if not any(message["role"] == "tool" or "tool_calls" in message for message in chat):
            return chat
        return chat if await self.knows_tools(role, preset) else turns_in_words(chat, preset)

    async def _opener(self, role: Role, ids: Sequence[int], preset: Preset) -> list[int]:
        """What opens the reasoning behind some ids, where the template has not done that."""
        marker, ending = preset.open.rstrip(), list(ids[-_ENDING:])
        if not marker:
            return []

        async def opens() -> bool:
            return (await self.endpoint(role).decode(ending)).rstrip().endswith(marker)

        return [] if await self._opens.get((role, marker, *ending), opens) else await self.cue(role, preset.open)

    async def cue(self, role: Role, text: str) -> list[int]:
        """Ids of a text that a preset puts behind what a model has written; of few texts, so they are kept."""

        async def encoded() -> list[int]:
            return (await self.endpoint(role).encode(text, control=True)).ids

        return await self._cues.get((role, text), encoded)

    async def closings(self, role: Role, preset: Preset) -> Closings:
        """The ids that end a turn and close the reasoning, read off the model's own template and tokenizer.

        Raises:
            ConfigError: the preset's marker is not one token of this model.
        """
        key = (role, preset.close, *preset.template.items())
        return await self._closings.get(key, lambda: self._closed(role, preset))

    async def closers(self, role: Role, preset: Preset, tools: Sequence[str], *, boxed: bool) -> list[Closer]:
        """Texts that end the reasoning beside turn and marker: what opens a call, and the answer of instruct models.

        Args:
            role: whose tokens.
            preset: of the run.
            tools: names of those that may be called.
            boxed: whether the answer is asked for in a box.
        """
        closers = await self.openings(role, preset, tools)
        answers = preset.wording(boxed).close if preset.kind == "instruct" else ""
        if answers:
            closers.append(await self.closer(role, answers, begins_a_line=True))
        return closers

    async def openings(self, role: Role, preset: Preset, tools: Sequence[str]) -> list[Closer]:
        """What opens a call of some tools, in a model's tokens; nothing without tools."""
        openings = preset.tool_format.openings(tools).items() if tools else ()
        return [await self.closer(role, text, begins_with=before_name) for text, before_name in openings]

    async def closer(
        self, role: Role, text: str, *, begins_with: str | None = None, begins_a_line: bool = False
    ) -> Closer:
        """A text to be found in what a model writes; of one that holds a tool's name, `begins_with` is asked for."""
        begins_with = text if begins_with is None else begins_with
        ids = await self.cue(role, begins_with)
        return Closer(text, ids[0], len(ids) == 1 and text == begins_with, begins_a_line)

    async def judge_request(self, judge: Judge, preset: Preset) -> JudgeRequest:
        """The chat markup around the judge's request, derived from base's own template.

        Raises:
            ConfigError: a label is not one distinct token behind the pre-fill.
        """
        key = (judge.request, judge.prefill, judge.labels, preset.open, *preset.template.items())
        return await self._requests.get(key, lambda: judge_request(self.base, judge, preset))

    async def _compared(self) -> bool:
        base = await self.base.encode(_TOKENIZER_PROBE, control=True)
        draft = await self.draft.encode(_TOKENIZER_PROBE, control=True)
        return base.ids == draft.ids

    async def _closed(self, role: Role, preset: Preset) -> Closings:
        endpoint = self.endpoint(role)
        behind = await endpoint.encode(await behind_assistant(endpoint, preset, _ASKED), control=True)
        marker = None
        if preset.close and preset.kind == "thinking":  # a text is found where it is read
            ids = (await endpoint.encode(preset.close, control=True)).ids
            if len(ids) != 1:
                raise ConfigError(
                    f"preset {preset.name!r} closes reasoning with {preset.close!r}, which is {len(ids)} tokens of "
                    f"{endpoint.name}: use a model that knows the marker, or preset `instruct`"
                )
            marker = Marker(preset.close, ids[0])
        if not behind.ids:
            raise ConfigError(f"{endpoint.name}: its chat template does not end the assistant's turn")
        return Closings(behind.ids[0], marker)


def as_opening(ids: Ids) -> Opening:
    """A conversation's ids as what a run begins on; its hash is that of its images, too."""
    seen = [image.uuid for image in ids.images]
    return Opening(ids, digest([list(ids), seen] if seen else list(ids)))
