"""Whether a student can give what is asked."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from understudies.events import Message, Request

STATE: Final = "provider_state"
"""Parameter of a canonical request that names what in it only the provider can follow."""

_TEXTS: Final = frozenset({"text", "refusal"})


def student_able(request: Request) -> bool:
    """Whether a student can give what is asked."""
    return beyond_students(request) is None


def beyond_students(request: Request) -> str | None:
    """What is asked for that no student can give, or None.

    That is what the provider does itself (its tools, stored responses and conversations, work in the background), what
    only the teacher has (thinking, log-probabilities, sound), choices of which there are several, and pictures, files
    or sound to look into: students know the text alone, and are no less sure of it.
    """
    for name, value in request.parameters.items():
        asked_for = _BEYOND.get(name)
        if asked_for is not None and asked_for(value):
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


_BEYOND: Final[Mapping[str, Callable[[Any], bool]]] = {
    "n": _several,
    "modalities": _more_than_text,
    "thinking": _thinks,
    **dict.fromkeys(
        (
            "audio",
            "background",
            "container",
            "context_management",
            "conversation",
            "functions",
            "logprobs",
            "mcp_servers",
            "moderation",
            "previous_response_id",
            "prompt",
            STATE,
            "store",
            "top_logprobs",
            "web_search_options",
        ),
        bool,
    ),
}
