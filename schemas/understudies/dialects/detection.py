"""Decode bodies of an unnamed API, as in recorded logs and calls of client libraries.

The API is detected by the shape of a body: Responses have an input, Messages have blocks and tools of their own,
and anything else is a chat. The dialect of that API then decodes the body, so that it means the same here as behind
the router.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from understudies.dialects.anthropic_messages.response import FINISH_REASONS
from understudies.dialects.base import Api, DecodedRequest, DecodedResponse
from understudies.dialects.json_fields import list_objects, object_or_empty, text_or_empty, validate_request
from understudies.dialects.registry import dialect_of
from understudies.events import MEDIA_PARTS

_ANTHROPIC_FIELDS: Final = frozenset(
    {"system", "stop_sequences", "output_config", "output_format", "anthropic_version"}
)
_ANTHROPIC_BLOCKS: Final = frozenset(
    {"tool_use", "tool_result", "thinking", "redacted_thinking", "server_tool_use", "web_search_tool_result"}
    | {"search_result", "mcp_tool_use", "mcp_tool_result", "container_upload", "compaction", "browser_state"}
    | {"web_fetch_tool_result", "code_execution_tool_result", "bash_code_execution_tool_result"}
    | {"text_editor_code_execution_tool_result", "tool_search_tool_result", "tool_reference"}
)
_SOURCED_BLOCKS: Final = frozenset({"image", "document"})
_KEPT_BY_CHATS: Final = frozenset({"refusal", *MEDIA_PARTS})
"""Parts of an answer that are kept only where it is read as that of a chat."""
_ANTHROPIC_CHOICES: Final = frozenset({"auto", "any", "tool", "none"})
_CHAT_FIELDS: Final = frozenset({"response_format", "user", "store", "stream_options"})
"""Fields of a chat that are not parameters; the first is part of the input."""
_RESPONSE_EVENT_PREFIX: Final = "response."
_MESSAGE_EVENTS: Final = frozenset(
    {"message_start", "message_delta", "message_stop", "content_block_start", "content_block_delta"}
    | {"content_block_stop", "ping"}
)


def decode_request(body: Mapping[str, Any]) -> DecodedRequest:
    """Decode a request of any API; raises InvalidRequest."""
    api = detect_api(body)
    return _decode_messages(body) if api == "messages" else dialect_of(api).decode_request(body)


def decode_response(body: Mapping[str, Any]) -> DecodedResponse:
    """Decode a whole answer of any API; raises ValueError if it is not one."""
    if isinstance(body.get("choices"), list):
        return dialect_of("chat").decode_response(body)
    if isinstance(body.get("output"), list):
        return dialect_of("responses").decode_response(body)
    if _is_decision(body):
        return dialect_of("decisions").decode_response(body)
    return dialect_of("messages").decode_response(body)


def decode_message(message: dict[str, Any], finish_reason: str | None = None) -> DecodedResponse:
    """Decode a standalone message of an assistant, as libraries and logs hold it; raises ValueError."""
    content = message.get("content")
    kinds = {text_or_empty(block.get("type")) for block in list_objects(content)}
    if "output_text" in kinds:
        item = {**message, "type": "message"}
        return dialect_of("responses").decode_response({"output": [item], "status": "completed"})
    if isinstance(content, list) and kinds.isdisjoint(_KEPT_BY_CHATS):
        body = {"type": "message", "content": as_anthropic(message)["content"], "stop_reason": finish_reason}
        return dialect_of("messages").decode_response(body)
    reason = FINISH_REASONS.get(finish_reason, finish_reason) if finish_reason else None
    return dialect_of("chat").decode_response({"choices": [{"message": message, "finish_reason": reason}]})


def is_response(body: Mapping[str, Any]) -> bool:
    """Return whether a body has the shape of a provider's whole answer."""
    if isinstance(body.get("choices"), list):
        return True
    if _is_decision(body):
        return True
    if isinstance(body.get("output"), list):
        return body.get("object") == "response" or "status" in body
    return isinstance(body.get("content"), list) and (body.get("type") == "message" or "stop_reason" in body)


def _is_decision(body: Mapping[str, Any]) -> bool:
    return isinstance(body.get("answers"), list | dict) and "model" in body and "usage" in body


def is_decision_request(body: Mapping[str, Any]) -> bool:
    """Return whether a body asks closed questions of a decision API."""
    asks = isinstance(body.get("questions"), list | tuple | dict) and isinstance(body.get("model"), str)
    return asks and body.get("messages") is None and ("state" in body or "input" in body)


def detect_api(body: Mapping[str, Any]) -> Api:
    """Return the API for which a request's body was written."""
    if is_decision_request(body):
        return "systemone" if "state" in body else "decisions"
    if body.get("messages") is None and ("input" in body or "instructions" in body):
        return "responses"
    return "messages" if _is_anthropic(body) else "chat"


def detect_stream_api(chunk: Mapping[str, Any]) -> Api | None:
    """Return the API to which the data of a stream's event belongs; None if it is not a provider's event."""
    if isinstance(chunk.get("choices"), list):
        return "chat"
    kind = text_or_empty(chunk.get("type"))
    if kind in _MESSAGE_EVENTS:
        return "messages"
    return "responses" if kind.startswith(_RESPONSE_EVENT_PREFIX) else None


def _is_anthropic(body: Mapping[str, Any]) -> bool:
    if any(body.get(name) for name in _ANTHROPIC_FIELDS):
        return True
    if any(_is_anthropic_tool(tool) for tool in list_objects(body.get("tools"))):
        return True
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and text_or_empty(choice.get("type")) in _ANTHROPIC_CHOICES:
        return True
    return any(_is_anthropic_block(block) for block in _blocks(list_objects(body.get("messages"))))


def _is_anthropic_tool(tool: Mapping[str, Any]) -> bool:
    return "input_schema" in tool and "function" not in tool


def _is_anthropic_block(block: Mapping[str, Any]) -> bool:
    kind = text_or_empty(block.get("type"))
    if kind in _SOURCED_BLOCKS:
        return isinstance(block.get("source"), dict)
    return kind in _ANTHROPIC_BLOCKS


def _blocks(messages: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    return (block for message in messages for block in list_objects(message.get("content")))


def _decode_messages(body: Mapping[str, Any]) -> DecodedRequest:
    """Decode Anthropic's Messages, with elements of a chat that gateways and libraries mix in, such as role `tool`."""
    wanted = body.get("response_format")
    given = {name: value for name, value in body.items() if name not in _CHAT_FIELDS}
    if isinstance(body.get("messages"), list):
        given["messages"] = [as_anthropic(one) if isinstance(one, dict) else one for one in body["messages"]]
    decoded = dialect_of("messages").decode_request(given)
    if wanted is None:
        return decoded
    return decoded._replace(request=validate_request({**dict(decoded.request), "response_format": wanted}))


def as_anthropic(message: dict[str, Any]) -> dict[str, Any]:
    """Convert the elements of a chat in a message, such as tool calls beside its content, to Anthropic's blocks."""
    content = message.get("content")
    if message.get("role") == "tool":
        result = {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": content}
        return {"role": "user", "content": [result]}
    blocks = [_block_as_anthropic(part) for part in content] if isinstance(content, list) else content
    known = [block.get("id") for block in list_objects(blocks) if block.get("type") == "tool_use"]
    calls = [_call_as_block(call) for call in list_objects(message.get("tool_calls")) if call.get("id") not in known]
    if not calls:
        return {**message, "content": blocks}
    said = [{"type": "text", "text": blocks}] if isinstance(blocks, str) and blocks else blocks or []
    return {"role": message.get("role"), "content": [*said, *calls]}


def _block_as_anthropic(part: Any) -> Any:
    if not isinstance(part, dict) or part.get("type") != "image_url":
        return part
    image = part.get("image_url")
    url = image if isinstance(image, str) else object_or_empty(image).get("url")
    return {"type": "image", "source": {"type": "url", "url": url}}


def _call_as_block(call: Mapping[str, Any]) -> dict[str, Any]:
    function = object_or_empty(call.get("function"))
    return {
        "type": "tool_use",
        "id": call.get("id"),
        "name": function.get("name"),
        "input": function.get("arguments"),
    }
