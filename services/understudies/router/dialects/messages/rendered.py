"""A response as a message of Anthropic's."""

from typing import Any, Final

from understudies.events import Response, ToolCall, Usage
from understudies.router.dialects.fields import parse_object_text
from understudies.router.dialects.said import message_text, refusal_text, tool_call_id

_STOP_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


def encode_response(call_id: str, model: str, response: Response, usage: Usage) -> dict[str, Any]:
    """The message that carries a response."""
    said = response.message
    text = message_text(said) or refusal_text(said)
    content: list[dict[str, Any]] = [{"type": "text", "text": text, "citations": None}] if text else []
    content += [_tool_use(tool, call_id, place) for place, tool in enumerate(said.tool_calls or ())]
    finish = response.finish_reason or "stop"
    reason = finish if finish == "pause_turn" else _STOP_REASONS.get(finish, "end_turn")
    return {
        "id": f"msg_{call_id.replace('-', '')}",
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
    given = parse_object_text(tool.function.arguments)
    return {
        "type": "tool_use",
        "id": tool_call_id(tool, call, place, "toolu"),
        "name": tool.function.name,
        "input": {"input": tool.function.arguments} if given is None else given,
    }
