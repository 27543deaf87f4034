"""The gateway's keys: of whom they are, and how they are changed while it serves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from specreason_graph import ConfigError
from specreason_graph.use.gateway import Keys, keys


def given(**named: str) -> Keys:
    return Keys({name: SecretStr(key) for name, key in named.items()})


def test_a_key_has_a_name_and_nothing_else_has() -> None:
    known = given(alice="sk-a", bob="sk-b")
    assert [known.name_of(key) for key in ("sk-a", "sk-b", " sk-b\t", "sk-c", "", "sk-ä")] == [
        *("alice", "bob", "bob"),
        *(None, None, None),
    ]
    assert "sk-a" not in repr(vars(known))


@pytest.mark.parametrize("key", ["sk-a\n", " sk-a", "sk-a\r\n"])
def test_a_key_that_was_mounted_with_a_newline_is_the_key(key: str) -> None:
    """Guards secrets that are files: with the newline no header could ever hold them."""
    assert given(default=key).name_of("sk-a") == "default"


@pytest.mark.parametrize("key", ["", " \n", "sk\na", "sk\0a", "schlüssel"])
def test_a_key_that_no_client_could_send_is_refused_and_not_told(key: str) -> None:
    with pytest.raises(ConfigError, match=r"^the key 'default' is empty, or has a character") as caught:
        given(default=key)
    assert not key.strip() or key not in str(caught.value)


def test_a_file_has_names_comments_and_two_keys_of_one_name(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# ours\n\nalice: sk-a\n bob :  sk-b\nalice: sk-a2\n")
    known = Keys(file)
    assert [known.name_of(key) for key in ("sk-a", "sk-a2", "sk-b", "# ours")] == ["alice", "alice", "bob", None]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there is no key"),
        ("sk-secret\n", "line 1 of .* is no `name: key`"),
        ("a b: sk-secret\n", "a key's name has letters"),
        ("a: sk-secret\nb: sk-secret\n", "the key 'b' is also that of 'a'"),
        ("a:\n", "the key 'a' is empty"),
    ],
)
def test_a_file_that_is_none_is_told_by_its_line_and_never_by_a_key(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"^gateway_keys: .*{says}") as caught:
        Keys(file)
    assert "sk-secret" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"^gateway_keys: can't read .*FileNotFoundError"):
        Keys(tmp_path / "none")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Alice's key, in a file that is looked at before each use."""
    monkeypatch.setattr(keys, "_LOOK_AGAIN", -1.0)
    file = tmp_path / "keys"
    file.write_text("alice: sk-a\n")
    return file


def test_keys_change_while_it_serves_and_a_broken_file_changes_nothing(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = Keys(file)
    (tmp_path / "next").write_text("bob: sk-b\n")
    os.replace(tmp_path / "next", file)
    assert (known.name_of("sk-a"), known.name_of("sk-b")) == (None, "bob")
    file.write_text("no key")
    assert known.name_of("sk-b") == "bob"
    file.unlink()
    assert known.name_of("sk-b") == "bob"
    file.write_text("carol: sk-c\n")
    assert (known.name_of("sk-b"), known.name_of("sk-c")) == (None, "carol")
    assert "the keys stay as they were: gateway_keys: line 1" in caplog.text
    assert "sk-" not in caplog.text


def test_a_file_that_may_not_be_read_any_more_is_said_and_changes_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Guards rotation: rights leave time and size of a file as they were, and the next key would never be seen."""
    known = Keys(file)
    file.chmod(0)
    with monkeypatch.context() as locked:
        locked.setattr(keys, "small_text", lambda _: (_ for _ in ()).throw(PermissionError()))  # root reads anything
        assert known.name_of("sk-a") == "alice"
    assert "the keys stay as they were: gateway_keys: can't read" in caplog.text
    file.chmod(0o600)
    assert known.name_of("sk-a") == "alice"
