"""What a person sees: steps as they come, the answer, and what it took."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from specreason_graph.contract.events import Event
from specreason_graph.contract.state import Verdict
from specreason_graph.loop.report import Report, acceptance, draft_share
from specreason_graph.use.page.words import ENDINGS, REASONS


class Show:
    """Prints a run's events as they come."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._score = ""
        self._drafted = ""
        self._answering = False

    def __call__(self, event: Event) -> None:
        """Print one event."""
        match event["event"]:
            case "step_drafted":
                self._drafted = event["text"]
            case "step_judged":
                self._score = _score(event["verdict"])
            case "step_rejected":
                reason = REASONS.get(event["reason"], "") if event["reason"] else ""
                self._line(event["index"], "draft", "✗", "red", f"{self._drafted.strip()}\n({reason})", "dim")
            case "step_accepted":
                self._line(event["step"]["index"], "draft", "✓", "green", event["step"]["text"].strip(), "")
            case "step_regenerated" | "step_edited":
                self._score = ""
                step = event["step"]
                self._line(step["index"], step["source"], " ", "cyan", step["text"].strip(), "")
            case "answer_token":
                if not self._answering:
                    self._console.rule("answer", style="bold")
                self._answering = True
                self._console.print(event["text"], end="", markup=False, highlight=False)
            case "step_unsure" | "reasoning_ended":
                pass

    def summary(self, report: Report) -> None:
        """That there is no answer, where none was told, and the run in two lines."""
        if self._answering:
            self._console.print()
        else:
            self._console.rule("no answer", style="bold red")
        accepted, judged = acceptance(report["steps"])
        rate = f"{accepted} of {judged} drafts accepted" + (f" ({accepted / judged:.0%})" if judged else "")
        share = draft_share(report["steps"])
        if share is not None:
            rate += f", {share:.0%} of the kept tokens by the draft"
        end = ENDINGS[report["ended"]] if report["ended"] else "stopped"
        self._console.print(f"\n{len(report['steps'])} steps, {rate}; {end}; {report['seconds']:.1f} s", style="bold")
        usage = report["usage"]
        if usage:
            draft, base, judge = usage["draft"], usage["base"], usage["judge"]
            cached = judge["cached_tokens"]
            read = f"{judge['prompt_tokens']} read" + ("" if cached is None else f", {cached} of them from cache")
            self._console.print(
                f"tokens: draft {draft['completion_tokens']} ({draft['discarded_tokens']} discarded), "
                f"base {base['completion_tokens']}"
                + (f" ({base['discarded_tokens']} hedged in vain)" if base["discarded_tokens"] else "")
                + f", judge {read}",
                style="dim",
            )

    def _line(self, index: int, who: str, mark: str, color: str, text: str, style: str) -> None:
        row = Table.grid(padding=(0, 2))
        row.add_column(no_wrap=True)
        row.add_column()
        row.add_row(Text(f"{index + 1:>3} {who:<5} {mark} {self._score:>6}", style=color), Text(text, style=style))
        self._console.print(row, highlight=False)


def _score(verdict: Verdict) -> str:
    return "" if verdict["score"] is None else f"{verdict['score']:.2f}"
