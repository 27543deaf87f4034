"""Tokens as they come, cut into the steps of a reasoning."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from specreason_graph.endpoint.protocol import End, Token, Usage, boundaries
from specreason_graph.generation.cycle import in_circles
from specreason_graph.generation.passage import Closer, Passage

BLANK_TRIES = 3
"""How often a model that opens with blank lines may go on behind them."""


class Cutter:
    """What a model writes, step by step; a step that is whole waits to be taken.

    Blank lines are no step: the model goes on behind them, and they become the step's beginning. A model that has
    written nothing else after some tries gives a step of blank text.

    Args:
        boundary: what ends a step.
        closers: texts that close the reasoning.
        loop_tokens: so many of one cycle cut a step as a loop; None: nothing does.
        one: whether there is to be one step only. What comes behind it is not looked at.
        wrote: called with the tokens of each step, and the seconds that they took behind the first one.
    """

    def __init__(
        self,
        boundary: str,
        closers: Sequence[Closer],
        loop_tokens: int | None,
        *,
        one: bool,
        wrote: Callable[[int, float], None],
    ) -> None:
        self.whole: deque[Passage] = deque()
        """Steps that wait to be taken."""
        self.open = Passage()
        """The one that is being written."""
        self.closed = False
        """Whether the reasoning is over, or goes in circles: no more is wanted."""
        self.wasted = 0
        """Tokens of which nobody has taken anything."""
        self._boundaries = boundaries(boundary)
        self._closers = closers
        self._loop_tokens = loop_tokens
        self._one = one
        self._searched, self._blanks = 0, 0
        self._wrote = wrote
        self._came, self._since, self._last = 0, 0.0, 0.0
        self._opened_at = time.perf_counter()

    def requested(self) -> None:
        """Another request begins: what its first token takes is not the model's pace."""
        self._came = 0

    def add(self, token: Token) -> None:
        """Put a token where it belongs: the one that completes a boundary is the last of its step."""
        before = len(self.open.text)
        self.open.add(token)
        self._came, self._last = self._came + 1, time.perf_counter()
        if self._came == 1:
            self._since = self._last
        if self.whole and self._one:
            return
        lost = self.open.closed(self._closers)
        if lost is not None:
            self.wasted += lost
            self.closed = True
            self.cut()
            return
        if any(it in self.open.text[max(self._searched, before - len(it) + 1) :] for it in self._boundaries):
            self._searched = len(self.open.text)
            self._blanks += 1
            if self.open.text.strip() or self._blanks == BLANK_TRIES:
                self.open.end = End("boundary", Usage())
                self.cut()
        elif in_circles(self.open.tokens, self.open.text, self._loop_tokens):
            self.open.loops = self.closed = True
            self.cut()

    def ended(self, end: End) -> None:
        """The server has stopped: what is open is a step, but for what it wrote behind the boundary it stopped at."""
        if self.whole and self._one:
            return
        says = bool(self.open.text.strip()) if end.why == "boundary" else bool(self.open.tokens)
        if says or end.why in ("close", "end_of_turn"):
            self.open.end = end
            self.cut()

    def cut(self) -> None:
        """What is open is a step."""
        self.told()
        self.whole.append(self.taken())
        self._searched, self._blanks = 0, 0

    def told(self) -> None:
        """Say what was written since this was last said."""
        self._wrote(self._came - 1, self._last - self._since)
        self._came, self._since = 1, self._last

    def taken(self) -> Passage:
        """The step that is open, as far as it is; another one is begun."""
        opened, self.open = self.open, Passage()
        opened.began, opened.ended = self._opened_at, time.perf_counter()
        self._opened_at = opened.ended
        return opened

    def waste(self) -> None:
        """Nobody takes what is here."""
        self.wasted += sum(passage.written for passage in (*self.whole, self.open))
        self.whole.clear()
        self.open = Passage()

    def untaken(self) -> tuple[float, float]:
        """When what is here was written, until now if it still is; by `time.perf_counter`."""
        began = self.whole[0].began if self.whole else self._opened_at
        ended = time.perf_counter() if self.open.tokens or not self.whole else self.whole[-1].ended
        return began, ended
