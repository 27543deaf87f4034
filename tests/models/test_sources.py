"""Who is asked for models, and who is told the password of which address."""

from __future__ import annotations

from base64 import b64encode

import pytest

from specreason_graph.contract.errors import ConfigError
from specreason_graph.models.sources import Source

from .mirror import Mirror, fetch


async def test_a_password_is_sent_to_its_own_host_alone(no_hub: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", no_hub.url.replace("//", "//me:hunter2@") + "simple")
    await fetch()
    assert set(no_hub.logins) == {f"Basic {b64encode(b'me:hunter2').decode()}"}
    index = Source.at("http://me:hunter2@h/simple")
    assert index.below("https://files.h/w.whl", index.url).login is None
    assert "hunter2" not in str(index.url)


@pytest.mark.parametrize("variable", ["PIP_INDEX_URL", "HF_ENDPOINT"])
@pytest.mark.parametrize("address", ["me:hunter2@h", "http://me:hunter2@[", "http://me:hunter2@h:x", "ftp://h", "/x"])
async def test_what_is_no_address_names_its_variable(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, variable: str, address: str
) -> None:
    monkeypatch.setenv(variable, address)
    with pytest.raises(ConfigError, match=f"^{variable}: it is no address") as failed:
        await fetch()
    assert "hunter2" not in str(failed.value)
