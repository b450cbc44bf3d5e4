"""Read what a provider's whole reply tells about its call: the model, the usage and the time."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from understudies.backtest.importers.fields import as_mapping, as_text, first_not_none, parse_time
from understudies.backtest.importers.usage import find_usage
from understudies.events import Usage

_USAGES = ("usage", "usageMetadata", "usage_metadata", "token_usage", "tokenUsage", "metrics", "totalUsage")
_MODELS = ("model", "modelVersion", "model_version", "model_name", "modelName", "model_id", "modelId")
_TIMES = ("created", "created_at", "createTime", "create_time", "createdAt")
_NO_FACTS: Mapping[str, Any] = {}


class ReplyFacts(NamedTuple):
    """What a reply tells; each is empty if it does not."""

    model: str
    usage: Usage
    at: datetime | None


NO_FACTS = ReplyFacts("", Usage(), None)


def read_reply_facts(reply: object) -> ReplyFacts:
    """Read the facts of a reply, or of a library's message with its metadata."""
    if isinstance(reply, list):
        reply = next((item for item in reversed(reply) if isinstance(item, dict)), None)
    if not isinstance(reply, dict):
        return NO_FACTS
    inner = as_mapping(first_not_none(reply.get("kwargs"), reply.get("message"), reply.get("response")))
    about = as_mapping(
        first_not_none(
            reply.get("response_metadata"),
            inner.get("response_metadata"),
            reply.get("llm_output"),
            reply.get("response"),
        )
    )
    parts = (reply, inner, about)
    usages = [as_mapping(part[name]) for part in parts for name in _USAGES if isinstance(part.get(name), dict | str)]
    return ReplyFacts(
        next((model for part in parts for name in _MODELS if (model := as_text(part.get(name)))), ""),
        find_usage(*usages, reply) if usages or "eval_count" in reply or "prompt_token_count" in reply else Usage(),
        next((at for part in parts for name in _TIMES if (at := parse_time(part.get(name))) is not None), None),
    )
