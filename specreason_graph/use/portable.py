"""A chat model in another process: made anew there, on the pair of its environment. No key leaves this one."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.load.serializable import SerializedConstructor, SerializedNotImplemented

from specreason_graph.contract.errors import ConfigError

_OF_THE_PAIR = {"pair", "pairs"}
_LIVE = {*_OF_THE_PAIR, "policies", "profile", "callbacks", "cache", "rate_limiter", "custom_get_token_ids"}
_STAYS = (
    "the connections and keys of a pair stay in their process: make the model anew in the other one, with "
    "ChatSpecReason(pair=Pair(PairConfig(…))), or name its servers in the environment (SPECREASON_BASE_URL, "
    "SPECREASON_DRAFT_URL) and make it without a pair"
)


def remade(model: BaseChatModel, *, movable: bool) -> tuple[Any, ...]:
    """For pickle: how the other process makes the model.

    Raises:
        ConfigError: its pair is not of the environment.
    """
    if not movable:
        raise ConfigError(_STAYS)
    return _make, (type(model), {name: getattr(model, name) for name in model.model_fields_set - _OF_THE_PAIR})


def constructor(model: BaseChatModel, *, movable: bool) -> SerializedConstructor | SerializedNotImplemented:
    """For `langchain_core.load`, which refuses what can't be written down and tells why."""
    if not movable:
        return {"lc": 1, "type": "not_implemented", "id": model.lc_id(), "repr": _STAYS}
    given = model.model_dump(mode="json", include=set(model.model_fields_set - _LIVE), exclude_unset=True)
    return {"lc": 1, "type": "constructor", "id": model.lc_id(), "kwargs": given}


def _make(cls: type[BaseChatModel], given: dict[str, Any]) -> BaseChatModel:
    return cls(**given)
