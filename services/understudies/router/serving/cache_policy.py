"""Which calls get the answer that an identical one got, and what makes two calls identical."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from understudies.dialects.base import Api
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
}
_STATEFUL_FIELDS: Final = (
    "previous_response_id",
    "conversation",
    "background",
    "web_search_options",
    "mcp_servers",
    "container",
)
"""Fields by which an answer depends on what is kept or done elsewhere."""
_CLIENT_TOOLS: Final = frozenset({"function", "custom"})
"""Tools that the caller runs; others are run by the provider, and may find something else next time."""
_KEY_HEADERS: Final = ("authorization", "x-api-key", "x-understudies-teacher-key")
_VERSION_PREFIXES: Final = ("anthropic-", "openai-")
_COMPLETE_REASONS: Final = frozenset({"stop", "tool_calls", "function_call"})


@fast_dataclass
class CacheDirectives:
    """Whether a caller takes an answer that was given before, and lets its own be given again."""

    read: bool = True
    write: bool = True


_READ_WRITE: Final = CacheDirectives()
_BYPASS: Final = CacheDirectives(read=False, write=False)
_WRITE_ONLY: Final = CacheDirectives(read=False)


def parse_cache_directives(router_header: str | None, cache_control: str | None) -> CacheDirectives:
    """What the headers `x-understudies-cache` and `cache-control` of a request ask for.

    `no` and `no-store` have nothing to do with the cache; `no-cache` asks for a new answer, and lets it be kept.
    """
    if not router_header and not cache_control:
        return _READ_WRITE
    said = {word.strip().lower() for word in (cache_control or "").split(",")}
    if (router_header or "").strip().lower() == "no" or "no-store" in said:
        return _BYPASS
    return _WRITE_ONLY if "no-cache" in said else _READ_WRITE


def is_cacheable(body: Mapping[str, Any]) -> bool:
    """Whether a body asks for one answer at temperature 0 that depends on nothing but the body."""
    temperature = body.get("temperature")
    return (
        isinstance(temperature, int | float)
        and not isinstance(temperature, bool)
        and temperature == 0
        and body.get("n") in (None, 1)
        and not any(body.get(name) for name in _STATEFUL_FIELDS)
        and _are_client_tools(body.get("tools"))
    )


def is_complete(finish_reason: str | None) -> bool:
    """Whether an answer, by its canonical finish reason, came to its own end.

    One that was cut off at a token limit is not kept: who asks again, hopes for more.
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
    """SHA-256 (hex) of who asks, whom, and all that decides the answer; whether it is streamed does not.

    `forwarded_headers` are the caller's headers for the teacher, names in lower case: of those, versions of the API
    count, and the caller's own key for the teacher, by its hash. `query` is what stood after the path, such as an API's
    version.
    """
    left_out = _IGNORED_FIELDS[api]
    asked = {name: value for name, value in body.items() if name not in left_out and name != "model"}
    who = [tenant, task, api, model, *_headers(forwarded_headers or {}), *([f"?{query}"] if query else [])]
    return hashlib.sha256(_canonical([who, asked])).hexdigest()


def _are_client_tools(tools: Any) -> bool:
    if not tools:
        return True
    return isinstance(tools, Iterable) and all(
        isinstance(tool, Mapping) and tool.get("type", "custom") in _CLIENT_TOOLS for tool in tools
    )


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
        # Half a surrogate pair, or an integer beyond 64 bits.
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
