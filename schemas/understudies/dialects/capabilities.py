"""Decide whether a student can answer a request."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from understudies.events import Request

PROVIDER_STATE: Final = "provider_state"
"""The parameter of a canonical request that lists references in it that only the provider can resolve."""


def student_can_answer(request: Request) -> bool:
    """Return whether a student can answer the request."""
    return unsupported_feature(request) is None


def unsupported_feature(request: Request) -> str | None:
    """Return the name of a field that asks for something that no student can give, or None.

    Students cannot give what the provider does itself (its tools, stored responses and conversations, background
    work), what only the teacher has (thinking, log-probabilities, audio) and several choices. Images, files and audio
    in the input count too: a student sees only the text, and its confidence does not drop for what it cannot see. Any
    unknown parameter counts as well, as it may affect the answer, and so does an empty object: it switches something
    on by being there.
    """
    for name, value in request.parameters.items():
        if name not in _IGNORED and _UNSUPPORTED.get(name, is_switched_on)(value):
            return name
    for message in request.messages:
        if message.has_more_than_text:
            return "messages"
    if request.tools and not all(map(_is_function, request.tools)):
        return "tools"
    choice = request.tool_choice
    return "tool_choice" if isinstance(choice, dict) and choice.get("type", "function") != "function" else None


def is_switched_on(value: Any) -> bool:
    """Return whether an option with this value asks for something; an empty object does, as `{}` of a web search."""
    return bool(value) or isinstance(value, dict)


def _is_function(tool: Mapping[str, Any]) -> bool:
    """Return whether a tool is a function of the caller; one of the provider's may be named by its key alone."""
    kind = tool.get("type")
    return kind == "function" or (kind is None and ("function" in tool or "name" in tool))


def _is_multimodal(value: Any) -> bool:
    return isinstance(value, list) and value != ["text"]


def _is_several(value: Any) -> bool:
    return value not in (None, 1)


def _is_thinking_enabled(value: Any) -> bool:
    return is_switched_on(value) and not (isinstance(value, Mapping) and value.get("type") == "disabled")


def _has_template_options(value: Any) -> bool:
    return bool(value) and not (isinstance(value, Mapping) and not any(value.values()))


_IGNORED: Final = frozenset(
    # Sampling of the model and the length of its answer.
    {"max_completion_tokens", "max_output_tokens", "max_tokens", "max_tool_calls", "prediction", "seed", "stop"}
    | {"frequency_penalty", "min_p", "presence_penalty", "repetition_penalty", "top_k", "top_p"}
    | {"parallel_tool_calls", "reasoning", "reasoning_effort", "verbosity"}
    # Routing, billing and caching.
    | {"anthropic_version", "cache_control", "cache_prompt", "inference_geo", "keep_alive", "models", "provider"}
    | {"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "route", "safety_identifier"}
    | {"service_tier", "speed", "truncation", "usage", "user"}
)
"""Parameters that ask for nothing beyond the answer to the messages."""

_UNSUPPORTED: Final[Mapping[str, Callable[[Any], bool]]] = {
    "logit_bias": bool,
    "chat_template_kwargs": _has_template_options,
    "modalities": _is_multimodal,
    "n": _is_several,
    "thinking": _is_thinking_enabled,
}
"""Parameters of which only some values are unsupported, with a predicate for those values.

Of any other parameter every value is unsupported but None, False, zero, empty text and an empty list.
"""
