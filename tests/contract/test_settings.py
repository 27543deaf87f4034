"""Settings that can't work are refused with a message that names the field."""

import pytest

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.settings import Settings


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


def test_a_parents_context_may_hold_more_than_our_settings() -> None:
    """A subgraph gets its parent's context as it is."""
    assert Settings().overridden({"user": "ada", "threshold": 8}).threshold == 8
    assert Settings().overridden(object()) == Settings()


def test_every_knob_is_described_for_studios_form() -> None:
    for name, field in Settings.model_json_schema()["properties"].items():
        assert field.get("description"), name


def test_no_endpoint_can_be_chosen_per_run() -> None:
    """A client could have the server's key sent anywhere."""
    assert not {"base_url", "draft_url", "api_key", "headers"} & Settings.model_fields.keys()
