"""Pages made of templates: one file each, that names no address and in which nothing runs but its own script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any, NamedTuple

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from specreason_graph.use.page.model import Drafted, RunPage
from specreason_graph.use.page.words import counted, took

_HERE = "specreason_graph.use.page"
_STYLES = ("base.css", "run.css", "steps.css", "times.css", "tables.css", "report.css")
_SCRIPTS = ("decide.js", "slider.js", "heat.js", "page.js")
_LIVE = ("live.js",)  # first: it keeps the page as it was sent


class Script(NamedTuple):
    """What a page may run."""

    text: Markup
    may_run: str
    """The same as a content security policy names it."""


def runs_html(runs: Sequence[RunPage], title: str, *, live: bool = False) -> str:
    """One HTML file of some runs, one below the other; a live one asks its server for what is new."""
    return html("runs.html.j2", title=title, runs=runs, data=[_for_script(run) for run in runs], live=live)


def html(template: str, package: str = _HERE, *, live: bool = False, **values: Any) -> str:
    """A page; every value is text on it, whatever it holds.

    Args:
        template: its name.
        package: whose folder `templates` has it, beside ours.
        live: whether it asks its server for what is new; any other asks nobody for anything.
        values: what it shows.
    """
    return _environment(package).get_template(template).render(live=live, **values)


@cache
def _environment(package: str) -> Environment:
    """The templates, with the styles and the scripts that a page carries."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in (package, _HERE)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":")}  # some hundred kB of a long run
    made.globals |= {
        "styles": Markup("".join(map(_own, _STYLES))),
        "scripts": {False: _script(*_SCRIPTS), True: _script(*_LIVE, *_SCRIPTS)},
        "percent": lambda part, whole: f"{100 * part / whole:.3f}%",
        "figure": lambda form, number: (form % number).replace("-", "−"),
        "took": took,
        "counted": counted,
    }
    return made


def _script(*names: str) -> Script:
    text = f'"use strict";\n{{\n{"".join(map(_own, names))}}}\n'  # a block, so that its names are its own
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Script(Markup(text), f"'sha256-{digest}'")


def _own(name: str) -> str:
    return (files(_HERE) / "templates" / name).read_text(encoding="utf-8")


def _for_script(run: RunPage) -> dict[str, Any]:
    """What the page's script needs: how to judge again, and the drafted steps' tokens."""
    return {
        "judging": None if run.judging is None else run.judging.model_dump(exclude_defaults=True),
        "drafted": {step.index: _tokens(step.drafted) for step in run.steps if step.drafted is not None},
    }


def _tokens(drafted: Drafted) -> dict[str, Any]:
    """In few characters: where tokens begin by how far behind the one before, log-probabilities in hundredths."""
    steps = [after - before for before, after in pairwise([0, *drafted.starts])]
    asked = [
        (it.start, it.length, _hundredths(it.base), _hundredths(it.draft), int(it.at_most), _hundredths(it.lead))
        for it in drafted.asked
    ]
    return {"starts": steps, "logprobs": [_hundredths(logprob) for logprob in drafted.logprobs], "asked": asked}


def _hundredths(value: float | None) -> int | None:
    return None if value is None else round(100 * value)
