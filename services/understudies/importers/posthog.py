"""Read PostHog's events of type `$ai_generation`."""

from collections.abc import Mapping
from typing import Any

from understudies.importers.bodies import rename_parameters
from understudies.importers.fields import (
    as_flag,
    as_mapping,
    as_number,
    as_text,
    find_id,
    find_task,
    first_not_none,
    parse_cost,
    parse_tags,
    parse_time,
)
from understudies.importers.json_parsing import NotARecordedCall
from understudies.importers.partial_call import PartialCall
from understudies.importers.tools import write_tools
from understudies.importers.usage import NO_USAGE, parse_usage


def is_posthog(record: Mapping[str, Any]) -> bool:
    """Return whether the record is an event about a model."""
    return str(record.get("event", "")).startswith("$ai_") or "$ai_input" in as_mapping(record.get("properties"))


def read_posthog(record: Mapping[str, Any]) -> PartialCall:
    """Read a generation; raises NotARecordedCall for spans, traces and embeddings."""
    event = as_text(record.get("event")) or "$ai_generation"
    if event != "$ai_generation":
        raise NotARecordedCall(f"an event {event[:40]!r}, not a generation")
    about = as_mapping(record.get("properties"))
    seconds = as_number(about.get("$ai_latency"))
    is_apart = _are_cached_apart(about)
    counts = {
        "input_tokens": about.get("$ai_input_tokens"),
        "output_tokens": about.get("$ai_output_tokens"),
        "cache_read_input_tokens" if is_apart else "cached_tokens": about.get("$ai_cache_read_input_tokens"),
        "cache_creation_input_tokens" if is_apart else "cache_write_tokens": about.get(
            "$ai_cache_creation_input_tokens"
        ),
        "thoughtsTokenCount" if about.get("$ai_provider") == "gemini" else "reasoning_tokens": about.get(
            "$ai_reasoning_tokens"
        ),
        "total_tokens": about.get("$ai_total_tokens"),
    }
    if searches := as_number(about.get("$ai_web_search_count")):
        counts["server_tool_use"] = {"web_search_requests": int(searches)}
    return PartialCall(
        messages=about.get("$ai_input"),
        answer=first_not_none(about.get("$ai_output_choices"), about.get("$ai_output")),
        request={
            **rename_parameters(as_mapping(about.get("$ai_model_parameters"))),
            "tools": write_tools(about.get("$ai_tools")) or None,
        },
        model=as_text(about.get("$ai_model")) or "",
        usage=parse_usage({name: count for name, count in counts.items() if count is not None}) or NO_USAGE,
        cost=parse_cost(about.get("$ai_total_cost_usd")),
        at=parse_time(first_not_none(record.get("timestamp"), about.get("timestamp"), record.get("created_at"))),
        task=find_task(about) or as_text(about.get("$ai_prompt_name")) or as_text(about.get("$ai_span_name")),
        tags=parse_tags({name: value for name, value in about.items() if not name.startswith("$")}),
        latency_ms=None if seconds is None else seconds * 1000,
        episode=find_id(("episode", "$ai_session_id"), about),
        trace=find_id(("$ai_trace_id",), about),
        evidence=(about,),
        finish_reason=about.get("$ai_stop_reason"),
        span=find_id(("$ai_span_id", "$ai_generation_id"), about),
        parent=find_id(("$ai_parent_id",), about),
    )


def _are_cached_apart(about: Mapping[str, Any]) -> bool:
    """Return whether the input tokens exclude cached ones: the event tells, else they do for Anthropic's models."""
    told = about.get("$ai_cache_reporting_exclusive")
    return "claude" in str(about.get("$ai_model")) if told is None else as_flag(told)
