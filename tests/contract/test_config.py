"""Endpoints come from the environment or the build, and their keys stay where they are."""

import json
from base64 import b64encode
from pathlib import Path

import pytest
from pydantic import ValidationError

from specreason_graph.contract.config import EndpointConfig, Environment, PairConfig
from specreason_graph.contract.errors import ConfigError, checked


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
    pairs = Environment().configured()
    assert set(pairs) == {"default", "spare"}
    assert pairs["default"].base.api_key is not None
    assert pairs["default"].base.api_key.get_secret_value() == "sk-both"
    assert pairs["default"].draft.api_key is not None
    assert pairs["default"].draft.api_key.get_secret_value() == "sk-draft"


def test_several_servers_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECREASON_BASE_URL", "http://big:1/v1, http://big:2/,http://big:3")
    monkeypatch.setenv("SPECREASON_DRAFT_URL", "http://small:1")
    pair = Environment().configured()["default"]
    assert (pair.base.base_url, pair.base.replicas) == ("http://big:1", ("http://big:2", "http://big:3"))
    assert (pair.draft.base_url, pair.draft.replicas) == ("http://small:1", ())


@pytest.mark.parametrize("urls", ["http://big:1,", "http://big:1,big:2"])
def test_every_one_of_them_must_be_an_address(monkeypatch: pytest.MonkeyPatch, urls: str) -> None:
    monkeypatch.setenv("SPECREASON_BASE_URL", urls)
    monkeypatch.setenv("SPECREASON_DRAFT_URL", "http://small:1")
    with pytest.raises(ConfigError, match=r"base\.replicas\.0: .*http://"):
        Environment().configured()


def test_half_a_pair_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECREASON_BASE_URL", "http://big:1")
    monkeypatch.delenv("SPECREASON_DRAFT_URL", raising=False)
    with pytest.raises(ConfigError, match="SPECREASON_DRAFT_URL"):
        Environment().configured()


@pytest.mark.parametrize(
    "url", ["http://", "http://[::1", "http://h:99999", "http://h:x", "http://h ost", "http://h?a=1"]
)
def test_what_is_no_address_is_said_before_anything_is_sent(url: str) -> None:
    with pytest.raises(ConfigError, match=r"base_url: this is no address"):
        checked(EndpointConfig, {"base_url": url})


def test_keys_are_not_shown() -> None:
    config = EndpointConfig(base_url="http://h", api_key="sk-x", headers={"X-Key": "sk-x"})
    assert "sk-x" not in repr(config) + config.model_dump_json()


def test_a_key_from_a_mounted_file_ends_with_a_line_break() -> None:
    config = EndpointConfig(base_url="http://h", api_key=" sk-x\n", headers={"X-Key": "sk-y\r\n"})
    assert config.api_key is not None
    assert (config.api_key.get_secret_value(), config.headers["X-Key"].get_secret_value()) == ("sk-x", "sk-y")


def test_a_password_in_an_address_becomes_a_header() -> None:
    """Addresses are shown, logged and written to files."""
    config = EndpointConfig(base_url="http://me:sk%2Dx@h:1/v1", replicas=("http://me:sk-x@i:1",))
    assert (config.base_url, config.replicas) == ("http://h:1", ("http://i:1",))
    assert config.headers["Authorization"].get_secret_value() == f"Basic {b64encode(b'me:sk-x').decode()}"
    assert EndpointConfig.model_validate(config.model_dump()) == config


_URL = "http://h"
_WRONG_ENDPOINTS: list[dict[str, object]] = [
    {"api_key": "sk-SECRET"},
    {"base_url": 5, "api_key": "sk-SECRET"},
    {"base_url": "sk-SECRET"},
    {"base_url": "ftp://me:sk-SECRET@h"},
    {"base_url": "http://me:sk-SECRET@h:port"},
    {"base_url": "http://me:sk-SECRET@"},
    {"base_url": "http://me:sk-SECRET@h", "api_key": "sk-SECRET"},
    {"base_url": "http://me:sk-SECRET@h", "replicas": ["http://i"]},
    {"base_url": _URL, "replicas": ["http://me:sk-SECRET@h"]},
    {"base_url": _URL, "replicas": "http://me:sk-SECRET@h"},
    {"base_url": _URL, "api_key": ["sk-SECRET"]},
    {"base_url": _URL, "api_key": "sk-SECRET\nX-More: 1"},
    {"base_url": _URL, "api_key": "sk-SECRET\u2028x"},
    {"base_url": _URL, "apikey": "sk-SECRET"},
    {"base_url": _URL, "headers": "Authorization: sk-SECRET"},
    {"base_url": _URL, "headers": {"Authorization: Bearer sk-SECRET": ""}},
    {"base_url": _URL, "headers": {"Authorization": {"Bearer": "sk-SECRET"}}},
    {"base_url": _URL, "headers": {"Authorization": "sk-SECRET\r\n"}, "timeout": "sk-SECRET"},
    {"base_url": _URL, "api_key": "sk-SECRET", "dialect": "sk-SECRET"},
    {"base_url": _URL, "api_key": "sk-SECRET", "full_likelihood": True, "dialect": "llamacpp"},
]


def _all_of(error: BaseException | None) -> str:
    """What a log that shows everything would show of an error."""
    told = ""
    while error is not None:
        told += f"{error} {error!r} {vars(error)} "
        error = error.__cause__ or error.__context__
    return told


@pytest.mark.parametrize("endpoint", _WRONG_ENDPOINTS, ids=str)
def test_no_error_tells_a_key(monkeypatch: pytest.MonkeyPatch, endpoint: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refused:
        EndpointConfig.model_validate(endpoint)
    assert "SECRET" not in str(refused.value) + repr(refused.value)
    monkeypatch.setenv("SPECREASON_PAIRS", json.dumps({"a": {"base": endpoint, "draft": {"base_url": _URL}}}))
    with pytest.raises(ConfigError, match=r"^SPECREASON_PAIRS\.a\.base") as said:
        Environment()
    assert "SECRET" not in _all_of(said.value)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PAIRS", '{"a": sk-SECRET'),
        ("PAIRS", "sk-SECRET"),
        ("PAIRS", '["sk-SECRET"]'),
        ("PAIRS", '{"a": "sk-SECRET"}'),
        ("PAIRS", '{"a": {"base": {"base_url": "http://h", "api_key": "sk-SECRET"}}}'),
        ("PAIRS", "[" * 100_000),
        ("API_KEY", "sk-SECRET\t1"),
        ("DRAFT_API_KEY", "sk-SECRET\u00e9"),
        ("TIMEOUT", "sk-SECRET"),
        ("TIMEOUT", "inf"),
        ("DIALECT", "sk-SECRET"),
    ],
)
def test_a_variable_that_cannot_work_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"SPECREASON_{name}", value)
    with pytest.raises(ConfigError, match=f"^SPECREASON_{name}[.:]") as said:
        Environment()
    assert "SECRET" not in _all_of(said.value)


def test_the_environment_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BASE", "DRAFT", "DECODE"):
        monkeypatch.setenv(f"SPECREASON_{name}_URL", "http://me:sk-SECRET@h")
    found = Environment()
    assert "SECRET" not in repr(found) + found.model_dump_json() + repr(found.configured())


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BASE_URL", "DRAFT_URL", "API_KEY", "PAIRS", "TIMEOUT"):
        monkeypatch.setenv(f"SPECREASON_{name}", "")
    assert Environment().configured() == {}


def test_a_file_is_read_where_it_is_named_and_nowhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cloned folder's `.env` could have the key of the shell sent to its author."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPECREASON_API_KEY", "sk-mine")
    written = "export SPECREASON_BASE_URL=http://h\nexport SPECREASON_DRAFT_URL='http://i'\nSPECREASON_API_KEY=theirs\n"
    (tmp_path / ".env").write_text(written)
    assert Environment().configured() == {}
    monkeypatch.setenv("SPECREASON_ENV_FILE", ".env")
    pair = Environment().configured()["default"]
    assert (pair.base.base_url, pair.draft.base_url) == ("http://h", "http://i")
    assert pair.base.api_key is not None
    assert pair.base.api_key.get_secret_value() == "sk-mine"  # the environment's comes over the file's


@pytest.mark.parametrize("content", [None, b"SPECREASON_API_KEY=\xff"])
def test_a_named_file_that_cannot_be_read_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "pair.env"
    if content is not None:
        file.write_bytes(content)
    for named in [file, *([tmp_path] if content is None else [])]:
        monkeypatch.setenv("SPECREASON_ENV_FILE", str(named))
        with pytest.raises(ConfigError, match=r"^SPECREASON_ENV_FILE: can't read"):
            Environment()


PAIR = {"base": {"base_url": _URL}, "draft": {"base_url": _URL}}


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://user:sk-x@a.example/x", "without a user and a password"),
        ("https://*.example.com/", "written out"),
        ("https://example.com/*/images", "written out"),
        ("https://example.com/x?key=sk-x", "no address"),
    ],
)
def test_an_address_of_images_that_none_could_begin_with_is_refused(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=rf"^image_urls\.0: .*{says}") as refused:
        checked(PairConfig, {**PAIR, "image_urls": [url]})
    assert "sk-x" not in str(refused.value)


def test_an_address_of_images_is_allowed_as_it_is_written() -> None:
    """Guards hosts of which one folder is allowed: those of servers lose a `/v1`."""
    config = PairConfig.model_validate({**PAIR, "image_urls": ["https://example.com/v1/"]})
    assert config.image_urls == ("https://example.com/v1",)
