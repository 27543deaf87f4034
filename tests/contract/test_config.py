"""Endpoints come from the environment or the build, and their keys stay where they are."""

import pytest
from pydantic import ValidationError

from specreason_graph.contract.config import EndpointConfig, Environment
from specreason_graph.contract.errors import ConfigError


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_the_servers_root_is_found(url: str) -> None:
    assert EndpointConfig(base_url=url).base_url == "http://h:1"


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(ValidationError, match="http://"):
        EndpointConfig(base_url="localhost:8000")


def test_the_environment_configures_a_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECREASON_BASE_URL", "http://big:1")
    monkeypatch.setenv("SPECREASON_DRAFT_URL", "http://small:1")
    monkeypatch.setenv("SPECREASON_API_KEY", "sk-both")
    monkeypatch.setenv("SPECREASON_DRAFT_API_KEY", "sk-draft")
    monkeypatch.setenv(
        "SPECREASON_PAIRS", '{"spare": {"base": {"base_url": "http://c"}, "draft": {"base_url": "http://d"}}}'
    )
    pairs = Environment(_env_file=None).configured()
    assert set(pairs) == {"default", "spare"}
    assert pairs["default"].base.api_key is not None
    assert pairs["default"].base.api_key.get_secret_value() == "sk-both"
    assert pairs["default"].draft.api_key is not None
    assert pairs["default"].draft.api_key.get_secret_value() == "sk-draft"


def test_several_servers_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECREASON_BASE_URL", "http://big:1/v1, http://big:2/,http://big:3")
    monkeypatch.setenv("SPECREASON_DRAFT_URL", "http://small:1")
    pair = Environment(_env_file=None).configured()["default"]
    assert (pair.base.base_url, pair.base.replicas) == ("http://big:1", ("http://big:2", "http://big:3"))
    assert (pair.draft.base_url, pair.draft.replicas) == ("http://small:1", ())


@pytest.mark.parametrize("urls", ["http://big:1,", "http://big:1,big:2"])
def test_every_one_of_them_must_be_an_address(monkeypatch: pytest.MonkeyPatch, urls: str) -> None:
    monkeypatch.setenv("SPECREASON_BASE_URL", urls)
    monkeypatch.setenv("SPECREASON_DRAFT_URL", "http://small:1")
    with pytest.raises(ConfigError, match=r"base\.replicas\.0: .*http://"):
        Environment(_env_file=None).configured()


def test_half_a_pair_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECREASON_BASE_URL", "http://big:1")
    monkeypatch.delenv("SPECREASON_DRAFT_URL", raising=False)
    with pytest.raises(ConfigError, match="SPECREASON_DRAFT_URL"):
        Environment(_env_file=None).configured()


def test_keys_are_not_shown() -> None:
    assert "sk-x" not in repr(EndpointConfig(base_url="http://h", api_key="sk-x", headers={"X-Key": "sk-x"}))
