"""Decode requests of Anthropic's Messages into canonical form."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from understudies.dialects.base import DecodedRequest, InvalidRequest
from understudies.dialects.capabilities import PROVIDER_STATE
from understudies.dialects.json_fields import (
    arguments_text,
    object_or_empty,
    read_model,
    read_stream_flag,
    read_task,
    text_or_empty,
    validate_request,
    without_none,
)

_THINKING_BLOCKS: Final = frozenset({"thinking", "redacted_thinking"})


class TurnDecoder:
    """Decodes one message, whose tool results become separate messages; `state` collects what only Anthropic knows."""

    def __init__(self, role: Any, state: set[str]) -> None:
        self._role = role
        self._state = state
        self._messages: list[dict[str, Any]] = []
        self._parts: list[dict[str, Any]] = []
        self._calls: list[dict[str, Any]] = []

    def decode(self, blocks: list[Any]) -> list[dict[str, Any]]:
        """Decode a message's blocks into canonical messages."""
        for block in blocks:
            self._read(block if isinstance(block, dict) else {"type": "text", "text": block})
        self._close(last=True)
        return self._messages

    def _read(self, block: dict[str, Any]) -> None:
        kind = text_or_empty(block.get("type"))
        if kind == "tool_use":
            self._calls.append(decode_tool_call(block))
        elif kind == "tool_result":
            self._close()
            self._messages.append(_decode_tool_result(block, self._state))
        elif kind not in _THINKING_BLOCKS:
            self._parts.append(_decode_part(block, self._state))

    def _close(self, *, last: bool = False) -> None:
        if self._parts or self._calls or (last and not self._messages):
            message = {"role": self._role, "content": join_parts(self._parts)}
            self._messages.append({**message, "tool_calls": self._calls} if self._calls else message)
            self._parts, self._calls = [], []


def decode_content(content: Any, state: set[str]) -> Any:
    """Convert text or blocks to canonical content."""
    if not isinstance(content, list):
        return content
    blocks = (block if isinstance(block, dict) else {"type": "text", "text": block} for block in content)
    return join_parts(
        [_decode_part(block, state) for block in blocks if text_or_empty(block.get("type")) not in _THINKING_BLOCKS]
    )


def join_parts(parts: list[dict[str, Any]]) -> Any:
    """Convert parts to content: a single text part becomes bare text, no parts become None."""
    if len(parts) == 1 and parts[0].get("type") == "text":
        return parts[0]["text"]
    return parts or None


def decode_tool_call(block: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a tool call to canonical form; raises InvalidRequest for input that cannot be encoded."""
    return {
        "id": text_or_empty(block.get("id")),
        "function": {"name": text_or_empty(block.get("name")), "arguments": arguments_text(block.get("input"))},
    }


def _decode_tool_result(block: Mapping[str, Any], state: set[str]) -> dict[str, Any]:
    content = decode_content(block.get("content"), state)
    return {"role": "tool", "tool_call_id": text_or_empty(block.get("tool_use_id")), "content": content or ""}


def _decode_part(block: dict[str, Any], state: set[str]) -> dict[str, Any]:
    kind = text_or_empty(block.get("type"))
    if kind == "text":
        return {"type": "text", "text": block.get("text")}
    source = object_or_empty(block.get("source"))
    read = _SOURCES.get(text_or_empty(source.get("type"))) if kind in ("image", "document") else None
    part = None if read is None else read(kind, source, block)
    if part is not None:
        return part
    state.add(kind)
    return {name: value for name, value in block.items() if name != "cache_control"}


def _bytes(kind: str, source: Mapping[str, Any], block: Mapping[str, Any]) -> dict[str, Any]:
    data = f"data:{text_or_empty(source.get('media_type'))};base64,{text_or_empty(source.get('data'))}"
    return _image(data) if kind == "image" else _file(file_data=data, filename=block.get("title"))


def _url(kind: str, source: Mapping[str, Any], block: Mapping[str, Any]) -> dict[str, Any]:
    url = text_or_empty(source.get("url"))
    return _image(url) if kind == "image" else _file(file_url=url, filename=block.get("title"))


def _text(kind: str, source: Mapping[str, Any], block: Mapping[str, Any]) -> dict[str, Any] | None:
    cited = object_or_empty(block.get("citations")).get("enabled")
    heading = [text_or_empty(block.get(name)) for name in ("title", "context")]
    text = "\n".join(part for part in (*heading, text_or_empty(source.get("data"))) if part)
    return None if kind != "document" or cited else {"type": "text", "text": text}


def _image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def _file(**about: Any) -> dict[str, Any]:
    return {"type": "file", "file": without_none(**about)}


_SOURCES: Final[Mapping[str, Callable[[str, Mapping[str, Any], Mapping[str, Any]], dict[str, Any] | None]]] = {
    "base64": _bytes,
    "url": _url,
    "text": _text,
}

_CONVERTED_FIELDS: Final = frozenset(
    {"messages", "system", "tools", "tool_choice", "temperature", "stop_sequences", "thinking"}
    | {"output_config", "output_format"}
)
_IGNORED_FIELDS: Final = frozenset(
    {"model", "stream", "metadata", "cache_control", "diagnostics", "user_profile_id", "workspace_id"}
    | {"inference_geo", "service_tier", "speed"}
)
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}


def decode_request(body: Mapping[str, Any]) -> DecodedRequest:
    """Decode the body of a request; raises InvalidRequest."""
    model = read_model(body)
    request = validate_request(to_canonical(body))
    return DecodedRequest(request=request, model=model, stream=read_stream_flag(body), task=read_task(body))


def to_canonical(body: Mapping[str, Any]) -> dict[str, Any]:
    """Build the fields of the canonical request, not yet validated; raises InvalidRequest."""
    state: set[str] = set()
    return {
        "messages": _messages(body, state),
        "tools": _tools(body.get("tools")),
        "tool_choice": _tool_choice(body.get("tool_choice")),
        "response_format": _response_format(body),
        "temperature": body.get("temperature"),
        "parameters": _parameters(body, state),
    }


def _messages(body: Mapping[str, Any], state: set[str]) -> list[dict[str, Any]]:
    given = body.get("messages")
    if not isinstance(given, list):
        raise InvalidRequest("messages: a list of messages", "messages")
    messages: list[dict[str, Any]] = []
    if body.get("system"):
        messages.append({"role": "system", "content": decode_content(body["system"], state)})
    for place, message in enumerate(given):
        if not isinstance(message, dict):
            raise InvalidRequest(f"messages.{place}: an object with role and content", f"messages.{place}")
        content = message.get("content")
        if isinstance(content, list):
            messages += TurnDecoder(message.get("role"), state).decode(content)
        else:
            messages.append({"role": message.get("role"), "content": content})
    return messages


def _tools(tools: Any) -> Any:
    return [_tool(tool) for tool in tools] if isinstance(tools, list) else tools


def _tool(tool: Any) -> Any:
    """Convert a tool of the caller to a function; Anthropic's own tools stay unchanged."""
    if not isinstance(tool, dict) or tool.get("type") not in (None, "custom"):
        return tool
    function = without_none(
        name=tool.get("name"),
        description=tool.get("description"),
        parameters=tool.get("input_schema"),
        strict=tool.get("strict"),
    )
    return {"type": "function", "function": function}


def _tool_choice(choice: Any) -> Any:
    if not isinstance(choice, dict):
        return choice
    kind = choice.get("type")
    if kind == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return _CHOICES.get(kind, choice) if isinstance(kind, str) else choice


def _response_format(body: Mapping[str, Any]) -> Any:
    wanted = object_or_empty(body.get("output_config")).get("format") or body.get("output_format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return wanted
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": wanted.get("schema"), "strict": True}}


def _parameters(body: Mapping[str, Any], state: set[str]) -> dict[str, Any]:
    """Collect all other fields that affect the answer, under the names that chat completions use for them."""
    parameters = {
        name: value
        for name, value in body.items()
        if name not in _CONVERTED_FIELDS and name not in _IGNORED_FIELDS and value is not None
    }
    if body.get("stop_sequences") is not None:
        parameters["stop"] = body["stop_sequences"]
    thinking = body.get("thinking")
    if thinking is not None and object_or_empty(thinking).get("type") != "disabled":
        parameters["thinking"] = thinking
    if effort := object_or_empty(body.get("output_config")).get("effort"):
        parameters["reasoning_effort"] = effort
    if object_or_empty(body.get("tool_choice")).get("disable_parallel_tool_use"):
        parameters["parallel_tool_calls"] = False
    if state:
        parameters[PROVIDER_STATE] = sorted(state)
    return parameters
