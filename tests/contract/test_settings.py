"""Settings that can't work are refused with a message that names the field."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.settings import Settings, settings_in


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threshold", 11),
        ("threshold", "high"),
        ("score_method", "mode"),
        ("reasoning_budget", 0),
        ("answer_budget", -1),
        ("step_tokens", 0),
        ("max_steps", 0),
        ("first_steps", -1),
        ("base_steps_after_reject", 0),
        ("deadline", 0),
        ("temperature", -0.1),
        ("top_p", 0),
        ("spots", 0),
        ("answer_by", "judge"),
        ("ask_band", (8, 5)),
        ("ask_band", (5, 11)),
        ("ask_band", 5),
    ],
)
def test_impossible_values_name_the_field(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=field):
        Settings().overridden({field: value})


def test_a_deadline_must_leave_time_to_reason() -> None:
    with pytest.raises(ConfigError, match="answer_reserve"):
        Settings().overridden({"deadline": 5.0, "answer_reserve": 5.0})


def test_a_run_overrides_only_what_it_sets() -> None:
    build = Settings(threshold=5, max_steps=7)
    assert build.overridden(Settings(max_steps=9)) == Settings(threshold=5, max_steps=9)
    assert build.overridden(None) == build


def test_what_is_no_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="treshold"):
        Settings().overridden({"treshold": 2.0})


class Told(TypedDict, total=False):
    """A parent's context."""

    policy: str
    specreason: Any


@dataclass
class Held:
    """Another."""

    deadline: str = "2026-12-01"
    specreason: Any = None


class Modelled(BaseModel):
    """And another."""

    temperature: str = "warm"
    specreason: Settings | None = None


@pytest.mark.parametrize(
    "context",
    [
        Settings(threshold=3),
        Told(policy="refunds", specreason={"threshold": 3}),
        Told(specreason=Settings(threshold=3)),
        MappingProxyType({"specreason": {"threshold": 3}}),
        Held(specreason={"threshold": 3}),
        Modelled(specreason=Settings(threshold=3)),
    ],
)
def test_a_context_has_settings_in_one_place(context: object) -> None:
    assert Settings().overridden(settings_in(context)) == Settings(threshold=3)


@pytest.mark.parametrize("context", [None, Told(policy="refunds"), Held(), Modelled(), object(), {"threshold": 3}])
def test_all_else_of_a_context_is_somebody_elses(context: object) -> None:
    assert settings_in(context) is None


@pytest.mark.parametrize("found", [3, "threshold=3", ["threshold"], Held()])
def test_something_else_in_that_place_is_refused(found: object) -> None:
    with pytest.raises(ConfigError, match=r"^specreason: .* Settings or a mapping"):
        settings_in({"specreason": found})


def test_a_subclass_sets_what_it_sets_and_what_else_it_has_is_not_ours() -> None:
    class Ours(Settings):
        tenant: str = "nobody"
        max_steps: int = 7

    chosen = Settings(threshold=5).overridden(settings_in(Ours(score_method="mean", tenant="ada")))
    assert type(chosen) is Settings
    assert chosen == Settings(threshold=5, score_method="mean", max_steps=7)


def test_every_knob_is_described_for_studios_form() -> None:
    for name, field in Settings.model_json_schema()["properties"].items():
        assert field.get("description"), name


def test_no_endpoint_can_be_chosen_per_run() -> None:
    """A client could have the server's key sent anywhere."""
    assert not {"base_url", "draft_url", "api_key", "headers"} & Settings.model_fields.keys()
