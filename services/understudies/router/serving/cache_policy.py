"""Decide which calls may be answered from the cache, and which calls are identical."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from understudies.dialects.base import Api
from understudies.dialects.capabilities import is_switched_on
from understudies.runtime.fast_dataclass import fast_dataclass

_IGNORED_FIELDS: Final[Mapping[Api, frozenset[str]]] = {
    "chat": frozenset(
        {
            "stream",
            "stream_options",
            "user",
            "safety_identifier",
            "metadata",
            "prompt_cache_key",
            "prompt_cache_retention",
        }
    ),
    "messages": frozenset({"stream", "metadata"}),
    # A response repeats the other fields of its request, so they are part of the answer.
    "responses": frozenset({"stream", "stream_options"}),
    "decisions": frozenset(),
    "systemone": frozenset(),
}
_REPEATABLE_FIELDS: Final = frozenset(
    # What is asked, and in which form the answer is.
    {"model", "messages", "system", "input", "instructions", "questions", "state", "tools", "tool_choice"}
    | {"parallel_tool_calls", "max_tool_calls", "functions", "function_call", "response_format", "text", "n"}
    | {"output_config", "output_format", "include", "logprobs", "top_logprobs", "modalities", "audio", "betas"}
    | {"prediction", "verbosity", "context_management", "truncation", "documents", "citation_options"}
    # Sampling of the model and the length of its answer.
    | {"temperature", "top_p", "top_k", "top_a", "min_p", "typical_p", "frequency_penalty", "presence_penalty"}
    | {"repetition_penalty", "repeat_penalty", "logit_bias", "seed", "random_seed", "stop", "stop_sequences"}
    | {"stop_token_ids", "ignore_eos", "max_tokens", "max_completion_tokens", "max_output_tokens", "min_tokens"}
    | {"reasoning", "reasoning_effort", "reasoning_format", "thinking", "enable_thinking", "thinking_budget"}
    | {"include_reasoning", "prompt_mode", "chat_template", "chat_template_kwargs", "add_generation_prompt", "options"}
    | {"guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs", "grammar"}
    # Transport, routing, billing and the provider's own caching.
    | {"stream", "stream_options", "store", "metadata", "user", "safety_identifier", "service_tier", "speed"}
    | {"prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "cache_control", "cache_prompt"}
    | {"inference_geo", "keep_alive", "provider", "models", "route", "transforms", "usage", "safe_prompt", "moderation"}
    | {"anthropic_version", "anthropic_beta"}
)
"""Fields that leave an answer to the body alone; any other may make it depend on what is stored or found elsewhere."""
_SEARCHING_MODEL: Final = re.compile(r"(?:^|/)(?:sonar|compound)\b|:online$|-search-(?:preview|api)|deep-research")
"""Models that search the web without being asked to."""
_EMPTY_OBJECTS: Final = frozenset({"metadata", "logit_bias", "stream_options", "chat_template_kwargs"})
"""Fields that ask for nothing with an empty object; others switch on by it what may differ at each call."""
_ADDRESSES: Final = ("url", "image_url", "file_url", "video_url", "audio_url", "document_url")
_TOOL_ARGUMENTS: Final = ("input", "arguments")
_REFERENCES: Final = frozenset({"item_reference", "container_upload"})
_REFERENCE_FIELDS: Final = frozenset({"id", "type"})
"""All fields of an item that is nothing but the id of a stored one, such as earlier audio; its type may be left out."""
_CLIENT_TOOLS: Final = frozenset({"function", "custom"})
"""Tools that the caller runs; the provider runs all others, and they may return something else next time."""
_KEY_HEADERS: Final = ("authorization", "x-api-key", "x-understudies-teacher-key")
_VERSION_PREFIXES: Final = ("anthropic-", "openai-")
_COMPLETE_REASONS: Final = frozenset({"stop", "tool_calls", "function_call"})


@fast_dataclass
class CacheDirectives:
    """A caller's permission to answer from the cache (`read`), and to store its answer there (`write`)."""

    read: bool = True
    write: bool = True


_READ_WRITE: Final = CacheDirectives()
_BYPASS: Final = CacheDirectives(read=False, write=False)
_WRITE_ONLY: Final = CacheDirectives(read=False)


def parse_cache_directives(router_header: str | None, cache_control: str | None) -> CacheDirectives:
    """Parse the headers `x-understudies-cache` and `cache-control` of a request.

    `no` and `no-store` bypass the cache; `no-cache` asks for a new answer, and allows storing it.
    """
    if not router_header and not cache_control:
        return _READ_WRITE
    said = {word.strip().lower() for word in (cache_control or "").split(",")}
    if (router_header or "").strip().lower() == "no" or "no-store" in said:
        return _BYPASS
    return _WRITE_ONLY if "no-cache" in said else _READ_WRITE


def is_cacheable(body: Mapping[str, Any]) -> bool:
    """Return whether a body asks for one answer at temperature 0 that depends on nothing but the body."""
    temperature = body.get("temperature")
    return (
        isinstance(temperature, int | float)
        and not isinstance(temperature, bool)
        and temperature == 0
        and body.get("n") in (None, 1)
        and not any(is_switched_on(value) for name, value in body.items() if name not in _REPEATABLE_FIELDS)
        and not any(value == {} and name not in _EMPTY_OBJECTS for name, value in body.items())
        and _are_client_tools(body.get("tools"))
        and not _SEARCHING_MODEL.search(str(body.get("model")))
        and not _refers_elsewhere(body.get("messages") or body.get("input"))
    )


def is_complete(finish_reason: str | None) -> bool:
    """Return whether an answer, by its canonical finish reason, was finished rather than cut off.

    One that was cut off at a token limit is not cached, because a caller that asks again hopes for more.
    """
    return finish_reason in _COMPLETE_REASONS


def cache_key(
    *,
    tenant: str,
    task: str,
    api: Api,
    model: str,
    body: Mapping[str, Any],
    forwarded_headers: Mapping[str, str] | None = None,
    query: str = "",
) -> str:
    """Return the SHA-256 (hex) of the caller, the API and model called, and all else that determines the answer.

    Streaming does not. `forwarded_headers` are the caller's headers for the teacher, with names in lower case: of
    these, the versions of the API count, and the caller's own key for the teacher, as its hash. `query` is the query
    string, which may hold an API's version.
    """
    left_out = _IGNORED_FIELDS[api]
    asked = {name: value for name, value in body.items() if name not in left_out and name != "model"}
    who = [tenant, task, api, model, *_headers(forwarded_headers or {}), *([f"?{query}"] if query else [])]
    return hashlib.sha256(_canonical([who, asked])).hexdigest()


def _refers_elsewhere(value: Any) -> bool:
    """Return whether what is asked names a stored item, or an address, where something else may be next time."""
    if isinstance(value, Mapping):
        kind = value.get("type")
        if (isinstance(kind, str) and kind in _REFERENCES) or any(_is_address(value.get(name)) for name in _ADDRESSES):
            return True
        if isinstance(value.get("id"), str) and value.keys() <= _REFERENCE_FIELDS:
            return True
        # What a tool was called with is text to the model, also where it is an address.
        return any(_refers_elsewhere(inner) for name, inner in value.items() if name not in _TOOL_ARGUMENTS)
    return isinstance(value, list) and any(map(_refers_elsewhere, value))


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and value[:8].lower().startswith(("http://", "https://"))


def _are_client_tools(tools: Any) -> bool:
    if not tools:
        return True
    return isinstance(tools, Iterable) and all(isinstance(tool, Mapping) and _is_client_tool(tool) for tool in tools)


def _is_client_tool(tool: Mapping[str, Any]) -> bool:
    kind = tool.get("type")
    return "name" in tool or "function" in tool if kind is None else isinstance(kind, str) and kind in _CLIENT_TOOLS


def _headers(passed: Mapping[str, str]) -> Iterable[str]:
    for name in sorted(passed):
        if name in _KEY_HEADERS:
            yield f"{name}: {hashlib.sha256(passed[name].encode('utf-8', 'surrogatepass')).hexdigest()}"
        elif name.startswith(_VERSION_PREFIXES):
            yield f"{name}: {passed[name]}"


def _canonical(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # The value contains half a surrogate pair, or an integer beyond 64 bits.
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
