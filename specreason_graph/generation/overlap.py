"""The overlap of a run: what both its models are writing, and what that costs. Nodes say what they want of it.

Look-ahead: the draft goes on behind its step while base judges it. Hedge: base begins its own version of a step when
the draft does. Both are streams that go on; whether one still fits is seen by the ids behind which it goes on. The
judge decides all the same, also where base is done before it: what is kept does not depend on who was faster.
"""

from __future__ import annotations

from specreason_graph.contract.settings import Role
from specreason_graph.contract.state import Span, WrittenStep
from specreason_graph.endpoint.ids import Ids
from specreason_graph.generation.bill import Bill
from specreason_graph.generation.load import Load
from specreason_graph.generation.passage import Bounds
from specreason_graph.generation.stream import Stream, Wanted


class Overlap:
    """Both models' streams of one run: begun, handed out step by step, and dropped. One node at a time has it."""

    def __init__(self, load: Load) -> None:
        self.bill = Bill()
        self.zero = 0.0
        """When the run began, by `time.perf_counter`."""
        self._load = load
        self._streams: dict[Role, Stream] = {}
        self._thrown: list[Span] = []

    def goes_on_behind(self, role: Role, ids: Ids) -> bool:
        """Whether a model is writing behind these very ids already."""
        held = self._streams.get(role)
        return held is not None and held.goes_on and held.at == ids.fingerprint

    async def begin(self, role: Role, wanted: Wanted, *, hedges: bool = False) -> None:
        """Have a model write, base perhaps for nothing; whatever it was writing is dropped."""
        await self.drop(role)
        if role == "base":
            self._streams[role] = Stream(wanted, self._load.begun(hedges=hedges), self._load.wrote, self.zero)
        else:
            self._streams[role] = Stream(wanted, zero=self.zero)

    async def step(self, role: Role, bounds: Bounds) -> WrittenStep:
        """The next step of what a model is writing.

        Raises:
            EndpointError: the server failed before the step was whole.
        """
        stream = self._streams[role]
        step, requests = await stream.step(bounds)
        self.bill.used(role, requests, step["seconds"])
        if not stream.goes_on:
            await self.drop(role)
        return step

    def text(self, role: Role) -> str:
        """What there is of a model's next step."""
        stream = self._streams.get(role)
        return "" if stream is None else stream.text

    async def drop(self, *roles: Role) -> None:
        """Stop what these models are writing; what nobody took of it is discarded, and paid for."""
        held = {role: self._streams.pop(role) for role in roles or tuple(self._streams) if role in self._streams}
        for stream in held.values():
            stream.cancel()
        try:
            for stream in held.values():
                await stream.stopped()
        finally:  # also where whoever drops them is cancelled
            for role, stream in held.items():
                self._settle(role, stream)

    def forget(self) -> None:
        """The same at once, for streams that nobody came for, or whose event loop has ended, and they with it."""
        while self._streams:
            role, stream = self._streams.popitem()
            stream.cancel()
            self._settle(role, stream)

    def thrown_away(self) -> list[Span]:
        """When what nobody took was written, since this was last asked."""
        thrown, self._thrown = self._thrown, []
        return thrown

    def _settle(self, role: Role, stream: Stream) -> None:
        began, ended = stream.untaken()
        wasted, requests = stream.left()
        self.bill.used(role, requests)
        self.bill.discarded(role, wasted)
        if wasted:
            self._thrown.append(Span(role=role, began=began, ended=ended, tokens=wasted, used=False))
