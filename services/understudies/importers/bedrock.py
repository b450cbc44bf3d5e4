"""Read invocation logs of Amazon Bedrock: Invoke and Converse, whole and streamed."""

import re
from collections.abc import Mapping
from typing import Any, Final

from understudies.events import Usage
from understudies.importers.exchange import read_exchange
from understudies.importers.fields import (
    as_mapping,
    as_number,
    as_text,
    find_id,
    find_task,
    parse_tags,
    parse_time,
)
from understudies.importers.json_parsing import NotARecordedCall
from understudies.importers.partial_call import PartialCall
from understudies.importers.reply_facts import find_tier
from understudies.importers.usage import NO_USAGE, parse_usage

_ARN: Final = re.compile(r"^arn:[^/]*/")
_TIERS: Final = ("service_tier", "serviceTier", "performanceConfig")


def is_bedrock(record: Mapping[str, Any]) -> bool:
    """Return whether the record is an entry of the log."""
    return record.get("schemaType") == "ModelInvocationLog" or ("modelId" in record and "operation" in record)


def read_bedrock(record: Mapping[str, Any]) -> PartialCall:
    """Read an entry; raises NotARecordedCall, for one whose bodies are in S3 too."""
    given, told = as_mapping(record.get("input")), as_mapping(record.get("output"))
    for side in (given, told):
        if side.get(path := f"{'input' if side is given else 'output'}BodyS3Path"):
            raise NotARecordedCall(f"the log holds its body elsewhere, at {str(side[path])[:120]}")
    reply = told.get("outputBodyJson")
    call = read_exchange(given.get("inputBodyJson"), reply, record)
    metadata = as_mapping(record.get("requestMetadata"))
    call.model = _ARN.sub("", as_text(record.get("modelId")) or call.model)
    call.usage = _read_usage(given, told)
    call.at = parse_time(record.get("timestamp"))
    call.task = find_task(metadata) or call.task
    call.tags = parse_tags(metadata)
    call.episode = find_id(("episode", "session_id", "sessionid"), metadata)
    call.latency_ms = _find_latency(reply)
    call.tier = _find_tier(given.get("inputBodyJson"), reply)
    return call


def _find_tier(asked: object, reply: object) -> str:
    """Return the tier that a reply or an event of a stream names, each part of it as was asked for if none does.

    Where optimised latency or a tier is exhausted, Bedrock answers at the usual one, and says so.
    """
    told: dict[str, Any] = {}
    for event in (asked, *(reply if isinstance(reply, list) else [reply])):
        for part in (as_mapping(event), as_mapping(as_mapping(event).get("metadata"))):
            told |= {name: part[name] for name in _TIERS if part.get(name)}
    return find_tier(told)


def _read_usage(given: Mapping[str, Any], told: Mapping[str, Any]) -> Usage:
    """Read the usage that the reply tells; the entry's own counts exclude cached tokens in some of its operations."""
    body = told.get("outputBodyJson")
    events = body if isinstance(body, list) else [body]
    for part in reversed([as_mapping(event) for event in events]):
        nested = as_mapping(as_mapping(part.get("message")).get("usage")) or as_mapping(
            as_mapping(part.get("metadata")).get("usage")
        )
        usage = as_mapping(part.get("usage")) or nested
        if "input_tokens" in usage or "inputTokens" in usage or "prompt_tokens" in usage:
            counted = parse_usage({**usage, **_streamed_output(events)})
            return counted or NO_USAGE
    counts = {**{name: value for name, value in given.items() if name.endswith("TokenCount")}, **told}
    return parse_usage({name: value for name, value in counts.items() if name.endswith("TokenCount")}) or NO_USAGE


def _streamed_output(events: list[Any]) -> dict[str, Any]:
    """Return the output tokens that the last event of a stream of Anthropic's tells."""
    told = [
        as_mapping(event.get("usage"))
        for event in events
        if isinstance(event, dict) and event.get("type") == "message_delta"
    ]
    return {"output_tokens": told[-1]["output_tokens"]} if told and "output_tokens" in told[-1] else {}


def _find_latency(reply: object) -> float | None:
    events = reply if isinstance(reply, list) else [reply]
    for event in reversed(events):
        part = as_mapping(event)
        for metrics in (
            part.get("metrics"),
            part.get("amazon-bedrock-invocationMetrics"),
            as_mapping(part.get("metadata")).get("metrics"),
        ):
            latency = as_number(as_mapping(metrics).get("latencyMs", as_mapping(metrics).get("invocationLatency")))
            if latency is not None:
                return latency
    return None
