"""Whether a student can give what is asked."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from understudies.events import Message, Request

STATE: Final = "provider_state"
"""Parameter of a canonical request that names what in it only the provider can follow."""

_TEXTS: Final = ("text", "refusal")


def student_able(request: Request) -> bool:
    """Whether a student can give what is asked."""
    return beyond_students(request) is None


def beyond_students(request: Request) -> str | None:
    """What is asked for that no student can give, or None.

    That is what the provider does itself (its tools, stored responses and conversations, work in the background), what
    only the teacher has (thinking, log-probabilities, sound), choices of which there are several, and pictures, files
    or sound to look into: students know the text alone, and are no less sure of it. So it is with whatever else is not
    known here, as it may decide the answer.
    """
    for name, value in request.parameters.items():
        if name not in _MAY_BE_IGNORED and _BEYOND.get(name, bool)(value):
            return name
    if any(_has_more_than_text(message) for message in request.messages):
        return "messages"
    if any(tool.get("type", "function") != "function" for tool in request.tools or ()):
        return "tools"
    choice = request.tool_choice
    return "tool_choice" if isinstance(choice, dict) and choice.get("type", "function") != "function" else None


def _has_more_than_text(message: Message) -> bool:
    content = message.content
    return isinstance(content, list) and any(part.get("type", "text") not in _TEXTS for part in content)


def _more_than_text(value: Any) -> bool:
    return isinstance(value, list) and value != ["text"]


def _several(value: Any) -> bool:
    return value not in (None, 1)


def _thinks(value: Any) -> bool:
    return bool(value) and not (isinstance(value, Mapping) and value.get("type") == "disabled")


def _templated(value: Any) -> bool:
    return bool(value) and not (isinstance(value, Mapping) and not any(value.values()))


_MAY_BE_IGNORED: Final = frozenset(
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

_BEYOND: Final[Mapping[str, Callable[[Any], bool]]] = {
    "chat_template_kwargs": _templated,
    "modalities": _more_than_text,
    "n": _several,
    "thinking": _thinks,
}
"""What is asked for by some of a parameter's values alone; by all others it is by any that is not empty."""
