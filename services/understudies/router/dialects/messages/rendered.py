"""A response as a message of Anthropic's."""

from typing import Any, Final

from understudies.events import Response, ToolCall, Usage
from understudies.router.dialects.fields import object_in
from understudies.router.dialects.said import call_id_of, refusal_in, text_in

_REASON_OF: Final = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


def render(call: str, model: str, response: Response, usage: Usage) -> dict[str, Any]:
    """The message that carries a response."""
    said = response.message
    text = text_in(said) or refusal_in(said)
    content: list[dict[str, Any]] = [{"type": "text", "text": text, "citations": None}] if text else []
    content += [_tool_use(tool, call, place) for place, tool in enumerate(said.tool_calls or ())]
    finish = response.finish_reason or "stop"
    reason = finish if finish == "pause_turn" else _REASON_OF.get(finish, "end_turn")
    return {
        "id": f"msg_{call.replace('-', '')}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": max(usage.prompt_tokens - usage.cached_tokens, 0),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": usage.cached_tokens,
            "output_tokens": usage.completion_tokens,
        },
    }


def _tool_use(tool: ToolCall, call: str, place: int) -> dict[str, Any]:
    given = object_in(tool.function.arguments)
    return {
        "type": "tool_use",
        "id": call_id_of(tool, call, place, "toolu"),
        "name": tool.function.name,
        "input": {"input": tool.function.arguments} if given is None else given,
    }
