"""Decode requests of OpenAI's Responses into canonical form."""

from collections.abc import Mapping
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


def decode_tools(tools: Any) -> Any:
    """Convert tools to the form of chat completions; the provider's own tools stay unchanged."""
    return [_decode_tool(tool) for tool in tools] if isinstance(tools, list) else tools


def decode_tool_choice(choice: Any) -> Any:
    """Convert a tool choice to the form of chat completions."""
    if not isinstance(choice, dict):
        return choice
    kind = choice.get("type")
    if kind in ("function", "custom"):
        return {"type": kind, str(kind): {"name": choice.get("name")}}
    if kind == "allowed_tools":
        return {
            "type": kind,
            "allowed_tools": without_none(mode=choice.get("mode"), tools=decode_tools(choice.get("tools"))),
        }
    return choice


def _decode_tool(tool: Any) -> Any:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind == "function":
        about = {name: tool.get(name) for name in ("name", "description", "parameters", "strict")}
        return {"type": "function", "function": without_none(**about)}
    if kind == "custom":
        about = without_none(
            name=tool.get("name"), description=tool.get("description"), format=_decode_format(tool.get("format"))
        )
        return {"type": "custom", "custom": about}
    return tool


def _decode_format(given: Any) -> Any:
    if not isinstance(given, Mapping) or given.get("type") != "grammar":
        return given
    return {"type": "grammar", "grammar": without_none(definition=given.get("definition"), syntax=given.get("syntax"))}


_TEXT_KINDS: Final = frozenset({"input_text", "output_text", "text", "summary_text"})
_CALL_ARGUMENTS: Final = {"function_call": "arguments", "custom_tool_call": "input"}
_TOOL_OUTPUT_ITEMS: Final = frozenset({"function_call_output", "custom_tool_call_output"})


class ConversationDecoder:
    """Decodes an input item by item; `state` collects the kinds of items that only the provider can resolve."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.state: set[str] = set()
        self._open: dict[str, Any] | None = None

    def decode(self, items: list[Any]) -> None:
        """Decode and add the items of an input; raises InvalidRequest."""
        for place, item in enumerate(items):
            if not isinstance(item, dict):
                raise InvalidRequest(f"input.{place}: an object", f"input.{place}")
            self._read(item)

    def add_message(self, role: Any, content: Any) -> None:
        """Add a message."""
        message = {"role": role, "content": self._content(content)}
        self.messages.append(message)
        self._open = message if role == "assistant" else None

    def _read(self, item: dict[str, Any]) -> None:
        kind = text_or_empty(item.get("type")) or ("message" if "role" in item else "item_reference")
        if kind == "message":
            self.add_message(item.get("role"), item.get("content"))
        elif kind in _CALL_ARGUMENTS:
            self._call(item, kind)
        elif kind in _TOOL_OUTPUT_ITEMS:
            content = self._content(item.get("output"))
            self.messages.append(
                {"role": "tool", "content": content, "tool_call_id": text_or_empty(item.get("call_id"))}
            )
            self._open = None
        elif kind != "reasoning":
            self.state.add(kind)
            self.messages.append({"role": "assistant", "content": [item]})
            self._open = None

    def _call(self, item: Mapping[str, Any], kind: str) -> None:
        """Add a tool call to the assistant's current message, which is created if there is none."""
        if self._open is None:
            self._open = {"role": "assistant", "content": None}
            self.messages.append(self._open)
        self._open.setdefault("tool_calls", []).append(decode_tool_call(item, kind))
        if item.get("namespace"):
            self.state.add("namespace")

    def _content(self, content: Any) -> Any:
        if not isinstance(content, list):
            return content
        parts = [self._part(part if isinstance(part, dict) else {"type": "text", "text": part}) for part in content]
        return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts

    def _part(self, part: dict[str, Any]) -> dict[str, Any]:
        kind = text_or_empty(part.get("type"))
        if kind in _TEXT_KINDS:
            return {"type": "text", "text": part.get("text")}
        if part.get("file_id"):
            self.state.add("file_id")
        if kind == "input_image":
            image = without_none(url=part.get("image_url"), file_id=part.get("file_id"), detail=part.get("detail"))
            return {"type": "image_url", "image_url": image}
        if kind == "input_file":
            about = {name: part.get(name) for name in ("file_data", "file_id", "file_url", "filename")}
            return {"type": "file", "file": without_none(**about)}
        return {"type": kind, **{name: value for name, value in part.items() if name != "type"}}


def decode_tool_call(item: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Convert a tool call to canonical form."""
    given = item.get(_CALL_ARGUMENTS[kind])
    custom = kind == "custom_tool_call"
    return {
        "id": text_or_empty(item.get("call_id")),
        "type": "custom" if custom else "function",
        "function": {"name": item.get("name"), "arguments": given if custom else arguments_text(given)},
    }


_CONVERTED_FIELDS: Final = frozenset(
    {"input", "instructions", "tools", "tool_choice", "temperature", "text", "include", "reasoning", "background"}
)
_IGNORED_FIELDS: Final = frozenset(
    {"model", "stream", "stream_options", "metadata", "user", "safety_identifier", "store", "truncation"}
    | {"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"}
)
_RENAMED_FIELDS: Final = {"max_output_tokens": "max_completion_tokens"}
_LOGPROBS: Final = "message.output_text.logprobs"


def decode_request(body: Mapping[str, Any]) -> DecodedRequest:
    """Decode the body of a request; raises InvalidRequest."""
    model = read_model(body)
    request = validate_request(to_canonical(body))
    return DecodedRequest(request=request, model=model, stream=read_stream_flag(body), task=read_task(body))


def to_canonical(body: Mapping[str, Any]) -> dict[str, Any]:
    """Build the fields of the canonical request, not yet validated; raises InvalidRequest."""
    conversation = ConversationDecoder()
    if body.get("instructions"):
        conversation.add_message("system", body["instructions"])
    given = body.get("input")
    if isinstance(given, str):
        conversation.add_message("user", given)
    elif isinstance(given, list):
        conversation.decode(given)
    elif given is not None:
        raise InvalidRequest("input: text or a list of items", "input")
    return {
        "messages": conversation.messages,
        "tools": decode_tools(body.get("tools")),
        "tool_choice": decode_tool_choice(body.get("tool_choice")),
        "response_format": _response_format(body.get("text")),
        "temperature": body.get("temperature"),
        "parameters": _parameters(body, conversation.state),
    }


def _response_format(text: Any) -> Any:
    wanted = object_or_empty(text).get("format")
    if not isinstance(wanted, dict):
        return wanted
    kind = wanted.get("type")
    if kind == "text":
        return None
    if kind != "json_schema":
        return wanted
    about = without_none(**{name: wanted.get(name) for name in ("name", "description", "schema", "strict")})
    return {"type": "json_schema", "json_schema": about}


def _parameters(body: Mapping[str, Any], state: set[str]) -> dict[str, Any]:
    """Collect all other fields that affect the answer, under the names that chat completions use for them.

    `store` is true unless the caller disables it, as the provider then keeps the response for later calls to continue.
    """
    parameters = {
        _RENAMED_FIELDS.get(name, name): value
        for name, value in body.items()
        if name not in _CONVERTED_FIELDS and name not in _IGNORED_FIELDS and value is not None
    }
    if body.get("store") is not False:
        parameters["store"] = True
    if body.get("background"):
        parameters["background"] = True
    if effort := object_or_empty(body.get("reasoning")).get("effort"):
        parameters["reasoning_effort"] = effort
    if verbosity := object_or_empty(body.get("text")).get("verbosity"):
        parameters["verbosity"] = verbosity
    include = body.get("include")
    if isinstance(include, list) and _LOGPROBS in include:
        parameters["logprobs"] = True
    if state:
        parameters[PROVIDER_STATE] = sorted(state)
    return parameters
