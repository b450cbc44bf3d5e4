"""Read what a provider's whole reply tells about its call: the model, the usage and the time."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from understudies.dialects.json_fields import text_or_empty
from understudies.dialects.usage import join_tiers, read_details, read_stated_cost
from understudies.events import Usage, UsageDetails
from understudies.importers.fields import as_mapping, as_text, first_not_none, parse_time
from understudies.importers.usage import NO_USAGE, find_usage

_USAGES = ("usage", "usageMetadata", "usage_metadata", "token_usage", "tokenUsage", "metrics", "totalUsage", "meta")
_MODELS = ("model", "modelVersion", "model_version", "model_name", "modelName", "model_id", "modelId")
_TIMES = ("created", "created_at", "createTime", "create_time", "createdAt")
_TIERS = frozenset({"service_tier", "serviceTier", "performanceConfig", "usageMetadata", "usage_metadata"})
_TOLD = frozenset(
    {"service_tier", "cost", "cost_in_usd_ticks", "speed", "inference_geo", "server_tool_use", "cache_creation"}
)
_TRAFFIC = {"ON_DEMAND": "default", "ON_DEMAND_FLEX": "flex", "ON_DEMAND_PRIORITY": "priority"}
_COHERE = ("billed_units", "tokens")
_SIDES = frozenset({"input_tokens", "output_tokens"})
_NO_FACTS: Mapping[str, Any] = {}


class ReplyFacts(NamedTuple):
    """What a reply tells; each is empty if it does not."""

    model: str
    usage: Usage
    at: datetime | None
    tier: str = ""
    stated_cost: Decimal | None = None

    def with_tier(self, usage: Usage, tier: str) -> Usage:
        """Return the usage with the tier that the log or the reply names."""
        named = tier or self.tier
        told = read_details({}, named) if named else None
        if told is None:
            return usage
        known = usage.details or UsageDetails()
        details = known.model_copy(update={"service_tier": join_tiers(told.service_tier, known.service_tier)})
        return usage.model_copy(update={"details": details})


NO_FACTS = ReplyFacts("", NO_USAGE, None)


def tells_more(reply: object) -> bool:
    """Return whether a reply may tell a tier or a cost, which hardly any log has besides."""
    if not isinstance(reply, dict):
        return False
    usage = reply.get("usage")
    return not _TIERS.isdisjoint(reply) or (isinstance(usage, dict) and not _TOLD.isdisjoint(usage))


def find_tier(reply: Mapping[str, Any]) -> str:
    """Return the tier that a reply names; Bedrock's is an object, and its fast answers of a usual tier cost more too.

    Vertex AI tells the traffic that paid for the call.
    """
    tier = text_or_empty(reply.get("service_tier"))
    if not tier and not _TIERS.isdisjoint(reply):
        named = reply.get("serviceTier")
        tier = text_or_empty(as_mapping(named).get("type") if isinstance(named, dict) else named).lower()
        counts = as_mapping(first_not_none(reply.get("usageMetadata"), reply.get("usage_metadata")))
        traffic = text_or_empty(first_not_none(counts.get("trafficType"), counts.get("traffic_type")))
        tier = tier or _TRAFFIC.get(traffic, "" if traffic == "TRAFFIC_TYPE_UNSPECIFIED" else traffic.lower())
        latency = text_or_empty(as_mapping(reply.get("performanceConfig")).get("latency"))
        tier = join_tiers(tier, latency if latency != "standard" else "")
    return tier


def read_reply_facts(reply: object) -> ReplyFacts:
    """Read the facts of a reply, or of a library's message with its metadata."""
    if isinstance(reply, list):
        reply = next((item for item in reversed(reply) if isinstance(item, dict)), None)
    if not isinstance(reply, dict):
        return NO_FACTS
    usage = reply.get("usage")
    if "choices" in reply and isinstance(usage, dict) and isinstance(reply.get("model"), str):  # most replies
        at, tier = parse_time(reply.get("created")), find_tier(reply)
        return ReplyFacts(reply["model"].strip(), find_usage(usage), at, tier, read_stated_cost(usage))
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
    usages = [_counts(part[name]) for part in parts for name in _USAGES if isinstance(part.get(name), (dict, str))]
    return ReplyFacts(
        next((model for part in parts for name in _MODELS if (model := as_text(part.get(name)))), ""),
        find_usage(*usages, reply) if usages or "eval_count" in reply or "prompt_token_count" in reply else NO_USAGE,
        next((at for part in parts for name in _TIMES if (at := parse_time(part.get(name))) is not None), None),
        find_tier(reply),
        read_stated_cost(usages[0]) if usages else None,
    )


def _counts(usage: object) -> Mapping[str, Any]:
    """Return the counts of a usage; those of Cohere that it bills, without what it adds to the prompt itself."""
    counts = as_mapping(usage)
    for name in _COHERE:
        if isinstance(inner := counts.get(name), dict) and not inner.keys().isdisjoint(_SIDES):
            return as_mapping(inner)
    return counts
