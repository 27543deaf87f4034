"""What a reply depends on, for caches: the models by address and name, never by key, and all that a run may choose."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from yarl import URL

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.settings import Settings
from specreason_graph.models.pair import Pair


def cache_key(settings: Settings, pair: Pair | None, own: Mapping[str, Sequence[Any]]) -> str:
    """What replies may be kept under, beside their conversation.

    Args:
        settings: all of the call's.
        pair: the models as they are configured; no server is asked.
        own: presets, judges and policies beside the built-in ones.
    """
    told = {
        "settings": settings.model_dump(mode="json"),
        "base": pair and _server(pair.config.base),
        "draft": pair and _server(pair.config.draft),
        "preset": pair and pair.preset,
        **{kind: [_plain(it) for it in items] for kind, items in own.items()},
    }
    return f"specreason {json.dumps(told, sort_keys=True)}"


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else repr(value)


def _server(config: EndpointConfig) -> dict[str, Any]:
    """Headers, and a user in an address, may choose another model: of them there is a hash."""
    urls = [URL(url) for url in (config.base_url, *config.replicas)]
    secret = {
        "users": [[url.user, url.password] for url in urls],
        "headers": {name: value.get_secret_value() for name, value in sorted(config.headers.items())},
    }
    return {
        "addresses": [str(url.with_user(None)) for url in urls],
        "model": config.model,
        "dialect": config.dialect,
        "routed": hashlib.sha256(json.dumps(secret).encode()).hexdigest(),
    }
