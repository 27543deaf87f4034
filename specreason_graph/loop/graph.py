"""SpecReason as a LangGraph graph: the whole loop on one screen.

START → draft_step → judge ──accept──→ draft_step …
                       ├──reject──→ regenerate ──→ draft_step …
                       ├──unsure──→ judge, which waits for a person
                       └──over──→ finalize → END
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Literal

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START
from langgraph.runtime import Runtime

from specreason_graph.contract.errors import ConfigError, SpecReasonError
from specreason_graph.contract.settings import Settings, settings_in
from specreason_graph.contract.state import SpecReasonInput, SpecReasonOutput, SpecReasonState, Update
from specreason_graph.judging.catalog import builtin
from specreason_graph.judging.policy import NamedPolicy
from specreason_graph.loop.compiled import Uncompiled
from specreason_graph.loop.kept_images import kept
from specreason_graph.loop.opened import TimeIsUp, opened
from specreason_graph.loop.run import Run
from specreason_graph.loop.so_far import SoFar, cleared
from specreason_graph.loop.tracing import Edge
from specreason_graph.models.defaults import default_pairs
from specreason_graph.models.pair import Pair
from specreason_graph.models.presets import Judge, Preset
from specreason_graph.nodes import draft_step, finalize, judge, regenerate


def create_specreason(
    *,
    pair: Pair | None = None,
    pairs: Mapping[str, Pair] | None = None,
    settings: Settings | None = None,
    presets: Iterable[Preset] = (),
    judges: Iterable[Judge] = (),
    policies: Iterable[NamedPolicy] = (),
) -> Uncompiled:
    """The SpecReason loop (arXiv 2504.07891), uncompiled: compile it with your own checkpointer, or as a subgraph.

    Args:
        pair: the models to run on; without one, those of the `SPECREASON_…` environment.
        pairs: more of them, by the name that a run's `settings.pair` may choose.
        settings: defaults that a run's context overrides, knob by knob: `Settings` or a mapping of them; in the context
            of a graph around it, what is at `specreason`.
        presets: your own presets, beside the built-in ones.
        judges: your own judges.
        policies: policies of your own, such as a fitted one (`load_policy`); `settings.policy` names one.

    Raises:
        ConfigError: no pair is given or configured.

    Example:
        async with Pair(config) as pair:
            graph = create_specreason(pair=pair).compile()
            result = await graph.ainvoke({"messages": [("user", "What is 12 * 13?")]})
            print(result["messages"][-1].text)
    """
    known = {**(pairs or {}), **({"default": pair} if pair else {})} or default_pairs()
    defaults, catalog = settings or Settings(), builtin().extended(presets, judges, policies)

    def node(body: Callable[[SpecReasonState, Run], Awaitable[Update]]) -> Callable[..., Awaitable[Update]]:
        async def run_node(state: SpecReasonState, config: RunnableConfig, runtime: Runtime[Settings]) -> Update:
            try:
                chosen = defaults.overridden(by=settings_in(runtime.context))
                _check_can_wait(chosen, runtime)
                async with opened(state, chosen, known, catalog, runtime.stream_writer, config) as run:
                    begins_anew = run.fresh and body is not draft_step  # a message came while the run was paused
                    update = run.parked(cleared(run.identity) if begins_anew else await body(state, run))
            except TimeIsUp as late:
                update = late.unanswered() if body is finalize else late.ended()
            except SpecReasonError as error:
                error.steps = SoFar.of(state, defaults).steps
                raise
            return kept(state, update)

        return run_node

    graph = Uncompiled(SpecReasonState, Settings, input_schema=SpecReasonInput, output_schema=SpecReasonOutput)
    graph.add_node("draft_step", node(draft_step))
    graph.add_node("judge", node(judge))
    graph.add_node("regenerate", node(regenerate))
    graph.add_node("finalize", node(finalize))
    graph.add_edge(START, "draft_step")
    graph.add_conditional_edges(
        "draft_step",
        Edge(after_draft),
        {"drafted": "judge", "base's turn": "regenerate", "over": "finalize"},
    )
    graph.add_conditional_edges(
        "judge",
        Edge(after_judge),
        {"accept": "draft_step", "reject": "regenerate", "unsure": "judge", "over": "finalize"},
    )
    graph.add_conditional_edges("regenerate", Edge(after_regenerate), {"kept": "draft_step", "over": "finalize"})
    graph.add_conditional_edges("finalize", Edge(after_finalize), {"answered": END, "asked anew": "draft_step"})
    return graph


def after_draft(state: SpecReasonState) -> Literal["drafted", "base's turn", "over"]:
    """Where a drafted step goes; base's own turns draft none."""
    if state["specreason_ended"] is not None:
        return "over"
    return "base's turn" if state["specreason_pending"] is None else "drafted"


def after_judge(state: SpecReasonState) -> Literal["accept", "reject", "unsure", "over"]:
    """On the acceptance threshold: `judge` leaves a rejected step pending, and one that a person has to decide on."""
    if state["specreason_ended"] is not None:
        return "over"
    pending = state["specreason_pending"]
    if pending is None:
        return "accept"
    return "unsure" if pending["status"] == "unsure" else "reject"


def after_regenerate(state: SpecReasonState) -> Literal["kept", "over"]:
    """Back to the draft model, until the reasoning has ended."""
    return "kept" if state["specreason_ended"] is None else "over"


def after_finalize(state: SpecReasonState) -> Literal["answered", "asked anew"]:
    """To the end, but for a run whose conversation has grown while it was paused: the new question begins a run."""
    return "answered" if state["specreason_done"] else "asked anew"


def _check_can_wait(settings: Settings, runtime: Runtime[Settings]) -> None:
    if settings.ask_band is not None and runtime.execution_info and runtime.execution_info.thread_id is None:
        raise ConfigError(
            "ask_band: a run can only wait for a person on a thread that is kept; compile the graph with a checkpointer"
        )
