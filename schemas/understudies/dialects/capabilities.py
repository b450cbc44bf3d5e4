"""Whether a student can give what is asked."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from understudies.events import Message, Request

PROVIDER_STATE: Final = "provider_state"
"""Parameter of a canonical request that names what in it only the provider can follow."""

_TEXT_PARTS: Final = ("text", "refusal")


def student_can_answer(request: Request) -> bool:
    """Whether a student can give what is asked."""
    return unsupported_feature(request) is None


def unsupported_feature(request: Request) -> str | None:
    """What is asked for that no student can give, or None.

    That is what the provider does itself (its tools, stored responses and conversations, work in the background), what
    only the teacher has (thinking, log-probabilities, sound), choices of which there are several, and pictures, files
    or sound to look into: students know the text alone, and are no less sure of it. So it is with whatever else is not
    known here, as it may decide the answer.
    """
    for name, value in request.parameters.items():
        if name not in _IGNORED and _UNSUPPORTED.get(name, bool)(value):
            return name
    if any(_has_more_than_text(message) for message in request.messages):
        return "messages"
    if any(tool.get("type", "function") != "function" for tool in request.tools or ()):
        return "tools"
    choice = request.tool_choice
    return "tool_choice" if isinstance(choice, dict) and choice.get("type", "function") != "function" else None


def _has_more_than_text(message: Message) -> bool:
    content = message.content
    return isinstance(content, list) and any(part.get("type", "text") not in _TEXT_PARTS for part in content)


def _is_multimodal(value: Any) -> bool:
    return isinstance(value, list) and value != ["text"]


def _is_several(value: Any) -> bool:
    return value not in (None, 1)


def _is_thinking_enabled(value: Any) -> bool:
    return bool(value) and not (isinstance(value, Mapping) and value.get("type") == "disabled")


def _has_template_options(value: Any) -> bool:
    return bool(value) and not (isinstance(value, Mapping) and not any(value.values()))


_IGNORED: Final = frozenset(
    # How a model samples, and for how long it may go on.
    {"max_completion_tokens", "max_output_tokens", "max_tokens", "max_tool_calls", "prediction", "seed", "stop"}
    | {"frequency_penalty", "min_p", "presence_penalty", "repetition_penalty", "top_k", "top_p"}
    | {"parallel_tool_calls", "reasoning", "reasoning_effort", "verbosity"}
    # Who serves it, who pays for it, and what is kept to make it faster.
    | {"anthropic_version", "cache_control", "cache_prompt", "inference_geo", "keep_alive", "models", "provider"}
    | {"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "route", "safety_identifier"}
    | {"service_tier", "speed", "truncation", "usage", "user"}
)
"""Parameters that ask for nothing else than the answer to the messages."""

_UNSUPPORTED: Final[Mapping[str, Callable[[Any], bool]]] = {
    "chat_template_kwargs": _has_template_options,
    "modalities": _is_multimodal,
    "n": _is_several,
    "thinking": _is_thinking_enabled,
}
"""What is asked for by some of a parameter's values alone; by all others it is by any that is not empty."""
