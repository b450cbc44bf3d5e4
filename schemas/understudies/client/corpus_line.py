"""Write a call as a line of a corpus: the body of a chat completion with its answer as the last message."""

from typing import Any

from understudies.events import Invocation, Usage


def to_corpus_line(invocation: Invocation) -> dict[str, Any] | None:
    """Return the call as a JSON object, or None if it has no answer or one that a later call goes on with."""
    if invocation.response is None or not invocation.response.says_something:
        return None
    body = invocation.request.model_dump(mode="json", exclude_none=True)
    answer = invocation.response.message.model_dump(mode="json", exclude_none=True)
    line: dict[str, Any] = {
        **body.pop("parameters", {}),
        **body,
        "messages": [*body["messages"], answer],
        "id": invocation.id,
        "created": invocation.at.timestamp(),
        "task": invocation.task,
        "tenant": invocation.tenant,
        "model": invocation.model,
        "usage": _usage_fields(invocation.usage),
        "latency_ms": round(invocation.latency_ms, 3),
        "tags": dict(invocation.tags),
    }
    if invocation.episode is not None:
        line["episode"] = invocation.episode
    if invocation.cost_usd or invocation.free:
        line["usage"]["cost"] = float(invocation.cost_usd)
    return line


def _usage_fields(usage: Usage) -> dict[str, Any]:
    counts: dict[str, Any] = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
    if usage.cached_tokens:
        counts["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    return counts
