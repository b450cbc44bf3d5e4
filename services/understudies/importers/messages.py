"""Convert recorded messages to the providers' form, from the various roles and fields that logs use."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from understudies.dialects.json_fields import list_objects, text_or_empty
from understudies.importers.fields import as_mapping
from understudies.importers.json_parsing import NotARecordedCall, parse_embedded_json
from understudies.importers.logger_marks import is_cut_json
from understudies.importers.message_parts import (
    function_definition,
    is_foreign,
    split_parts,
    split_steps,
    to_text,
    tool_ids,
    write_call,
)
from understudies.importers.roles import find_role

_RESPONSES_ITEMS: Final = frozenset(
    {"apply_patch_call", "apply_patch_call_output", "shell_call", "shell_call_output", "local_shell_call_output"}
    | {"mcp_approval_response", "compaction", "tool_search_call", "tool_search_output"}
    | {"function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "reasoning"}
    | {"item_reference", "web_search_call", "file_search_call", "computer_call", "mcp_call", "code_interpreter_call"}
    | {"image_generation_call", "local_shell_call", "mcp_list_tools", "mcp_approval_request", "computer_call_output"}
)
_RESPONSES_PARTS: Final = frozenset({"input_text", "output_text", "input_image", "input_file"})
_TEXT_PARTS: Final = frozenset({"input_text", "output_text"})
_CONTENTS: Final = ("content", "parts", "value", "message", "text", "content_parts")
_PLAIN_ROLES: Final = frozenset({"system", "developer", "user", "assistant"})
_PLAIN_FIELDS: Final = frozenset({"role", "content", "weight"})
_PARTS_FIELDS: Final = frozenset({"role", "parts", "finish_reason"})
_QUIET_FIELDS: Final = frozenset(
    {
        "tool_calls",
        "function_call",
        "additional_kwargs",
        "name",
        "refusal",
        "tool_call_id",
        "annotations",
        "audio",
        "images",
    }
)
"""Fields that say nothing where they are empty."""
_READ_APART: Final = frozenset({"function_call", "audio", "images", "refusal"})
"""Fields of a message that the dialect of chats reads, besides those of the canonical form."""
_SHARED_CALLS: Final = frozenset({"function_call", "tool_call", "function-call", "tool-call"})
"""Who says a tool's call in ShareGPT's conversations, as JSON text."""
_BESIDE_CONTENT: Final = {"audio": dict, "images": list}
_KNOWN_NAMES: Final = ("name", "tool_call_id", "refusal")


def write_messages(value: object) -> list[dict[str, Any]]:
    """Convert a list of messages, a single message or the text of a user to messages; raises NotARecordedCall."""
    value = parse_embedded_json(value)
    if isinstance(value, str):
        if is_cut_json(value):
            raise NotARecordedCall("the log kept only a part of the request: its JSON is cut")
        return [{"role": "user", "content": value}]
    if isinstance(value, dict):
        value = [value]
    if value is None:
        raise NotARecordedCall("the log kept no messages of the request")
    if not isinstance(value, list):
        raise NotARecordedCall("messages is not a list")
    if len(value) == 1 and isinstance(value[0], list):
        value = value[0]  # LangChain batches calls
    written: list[dict[str, Any]] = []
    called: dict[str, str] = {}
    for place, item in enumerate(value, 1):
        written += _write_item(item, place, called)
    return written


def are_plain(messages: object) -> bool:
    """Return whether these are messages of usual roles with text alone, which `write_messages` would not change."""
    if type(messages) is not list or not messages:
        return False
    for item in messages:
        if type(item) is not dict or not item.keys() <= _PLAIN_FIELDS or type(item.get("content")) is not str:
            return False
        if type(role := item.get("role")) is not str or role not in _PLAIN_ROLES:
            return False
    return True


def has_texts_alone(items: list[dict[str, Any]]) -> bool:
    """Return whether these are messages of a chat, with text and calls but without other blocks and older calls."""
    for item in items:
        if "role" not in item or not _READ_APART.isdisjoint(item):
            return False
        if isinstance(content := item["content"], list):
            for part in content:
                if type(part) is not dict or part.get("type") != "text":
                    return False
    return True


def split_tools(items: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Split off the messages of role `tool` at the end that define a function instead of telling a result."""
    tools: list[dict[str, Any]] = []
    end = len(items)
    while end and items[end - 1].get("role") == "tool" and not items[end - 1].get("tool_call_id"):
        tool = function_definition(items[end - 1].get("content"))
        if tool is None:
            break
        tools.insert(0, tool)
        end -= 1
    return items[:end], tools


def is_responses_item(item: Mapping[str, Any]) -> bool:
    """Return whether this is an item of OpenAI's Responses that is not a chat message."""
    return "role" not in item and text_or_empty(item.get("type")) in _RESPONSES_ITEMS


def is_responses_input(items: Sequence[Mapping[str, Any]], *, named_input: bool = False) -> bool:
    """Return whether the items are the input of OpenAI's Responses; items with a chat's tool calls are not.

    `named_input` is true if the record holds them in a field `input`, as request bodies of Responses do.
    """
    if any("tool_calls" in item or item.get("role") == "tool" for item in items):
        return False
    return named_input or any(
        is_responses_item(item)
        or any(text_or_empty(part.get("type")) in _RESPONSES_PARTS for part in list_objects(item.get("content")))
        for item in items
    )


def as_chat_message(message: dict[str, Any]) -> dict[str, Any]:
    """Convert the text parts of OpenAI's Responses in a message to those of a chat."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    parts = [
        {"type": "text", "text": part.get("text")}
        if isinstance(part, dict) and text_or_empty(part.get("type")) in _TEXT_PARTS
        else part
        for part in content
    ]
    return {**message, "content": parts}


def write_message(item: Mapping[str, Any], role: str) -> list[dict[str, Any]]:
    """Convert one message to a provider's form, and results of tools in it to messages of their own.

    Optional fields that cannot be read are omitted.
    """
    if role == "assistant" and len(steps := split_steps(item)) > 1:
        # A turn as an interface shows it: calls of tools, their results, and what was said then.
        return [message for step in steps for message in write_message({"content": step}, role)]
    content, calls, results = _write_content(find_content(item))
    message: dict[str, Any] = {"role": role, "content": content}
    extra = item.get("additional_kwargs")
    more = extra if isinstance(extra, dict) else {}
    given = item.get("tool_calls") or more.get("tool_calls") or item.get("toolCalls") or item.get("toolInvocations")
    if given and not any(part.get("type") == "tool_use" for part in list_objects(content)):
        known = {call.get("id") for call in calls} - {""}  # libraries tell the calls of the content again
        calls += [call for call in write_tool_calls(given) if call not in calls and call.get("id") not in known]
    if calls:
        message["tool_calls"] = calls
    function = item.get("function_call") or more.get("function_call")
    if isinstance(function, dict) and not calls and (written := write_call(function)) is not None:
        message["function_call"] = written["function"]
    for name in _KNOWN_NAMES:
        if name in item and isinstance(item[name], str) and item[name]:
            message[name] = item[name]
    if isinstance(more.get("refusal"), str) and more["refusal"]:
        message.setdefault("refusal", more["refusal"])
    for name, kind in _BESIDE_CONTENT.items():
        if isinstance(said := item.get(name) or more.get(name), kind) and said:
            message[name] = said
    if role == "tool" and not message.get("tool_call_id") and isinstance(item.get("toolCallId"), str):
        message["tool_call_id"] = item["toolCallId"]
    if results and content in (None, "", []) and not calls:
        return results
    return [message, *results]


def write_tool_calls(value: object) -> list[dict[str, Any]]:
    """Convert the tool calls in a list; those that cannot be read are omitted."""
    return [written for call in list_objects(parse_embedded_json(value)) if (written := write_call(call)) is not None]


def unwrap_message(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the message inside a library's wrapper: LangChain's constructors and `data`, or the item itself."""
    kwargs = item.get("kwargs")
    if isinstance(kwargs, dict) and ("lc" in item or item.get("type") == "constructor"):
        path = item.get("id")
        name = path[-1] if isinstance(path, list) and path else None
        return {"type": name, **kwargs} if "role" not in kwargs and "type" not in kwargs else kwargs
    data = item.get("data")
    if isinstance(data, dict) and "content" in data and "content" not in item:
        return {**data, "type": data.get("type") or item.get("type")}
    return item


def _write_item(item: object, place: int, called: dict[str, str]) -> Iterable[dict[str, Any]]:
    if not isinstance(item, dict):
        raise NotARecordedCall(f"message {place} is not an object")
    if is_responses_item(item):
        return [{**item, "content": None} if "content" not in item else item]
    role = item.get("role")
    if isinstance(role, str) and role in _PLAIN_ROLES:
        if (text := only_text(item)) is not None:
            return [{"role": role, "content": text}]  # nearly all messages of most logs
        if (part := _only_text_part(item)) is not None:
            return [{"role": role, "content": [part]}]
    inner = unwrap_message(item)
    if text_or_empty(inner.get("from")) in _SHARED_CALLS:
        called_tool = write_call(as_mapping(inner.get("value")))
        if called_tool is None:
            raise NotARecordedCall(f"message {place} calls no tool that can be read")
        return [{"role": "assistant", "content": None, "tool_calls": [called_tool]}]
    if "role" not in inner and isinstance(inner.get("parts"), list) and inner.get("kind") in ("request", "response"):
        return _write_turn(inner)
    role = find_role(inner, place, called)
    messages = write_message(inner, role)
    for message in messages:
        if calls := message.get("tool_calls"):
            called |= tool_ids(calls)
        if isinstance(content := message["content"], list):
            called |= tool_ids([part for part in list_objects(content) if part.get("type") == "tool_use"])
        if message["role"] == "tool":
            name = written if (written := text_or_empty(inner.get("role"))) in called else message.get("name")
            if called.get(str(name)):
                message.setdefault("tool_call_id", called[str(name)])
    return messages


def only_text(item: Mapping[str, Any]) -> str | None:
    """Return the text of a message that has nothing else, as its content or as its only part, which has no type.

    A part of type `text` counts only in OpenTelemetry's form: in others it stays a part.
    """
    content = item.get("content")
    if type(content) is str:
        return content if item.keys() <= _PLAIN_FIELDS or _says_no_more(item) else None
    part = _only_part(item)
    if part is None:
        return None
    is_typed = len(part) == 2 and part.get("type") == "text"
    text = part.get("content" if is_typed else "text") if is_typed or len(part) == 1 else None
    return text if type(text) is str else None


def _says_no_more(item: Mapping[str, Any]) -> bool:
    """Return whether the fields of a message besides its role and content are there, but empty."""
    return all(name in _QUIET_FIELDS and not item[name] for name in item.keys() - _PLAIN_FIELDS)


def _only_part(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the part of a message that consists of a single one."""
    names = item.keys()
    if names <= _PLAIN_FIELDS:
        parts = item.get("content")
    elif names <= _PARTS_FIELDS:
        parts = item.get("parts")
    else:
        return None
    if type(parts) is not list or len(parts) != 1:
        return None
    part = parts[0]
    return part if type(part) is dict else None


def _only_text_part(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the part of a message that has nothing but one of type `text`, which is kept as it is."""
    part = _only_part(item)
    is_text = part is not None and "text" in part and part.get("type") == "text"
    return part if is_text else None


def _write_turn(turn: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Write a turn of pydantic-ai, whose request holds the system's, the user's and the tools' parts together."""
    if turn["kind"] == "response":
        return write_message(turn, "assistant")
    messages: list[dict[str, Any]] = []
    for part in list_objects(turn["parts"]):
        role = "system" if part.get("part_kind") in ("system-prompt", "instruction", "instructions") else "user"
        messages += write_message({"parts": [part]}, role)
    return messages


def find_content(item: Mapping[str, Any]) -> object:
    """Return the content of a message, under whatever name a library has it."""
    for name in _CONTENTS:
        value = item.get(name)
        if value is not None and (name != "message" or isinstance(value, str)):
            return value
    return None


def _write_content(content: object) -> tuple[Any, list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the content, the calls and the results in it."""
    if isinstance(content, list):
        if not any(is_foreign(part) for part in content):
            return [_write_part(part) for part in content if part is not None], [], []
        split = split_parts(content)
        parts = [_write_part(part) for part in split.content]
        only_text = parts[0].get("text") if len(parts) == 1 and parts[0].get("type") == "text" else None
        return only_text if only_text is not None else parts or None, split.calls, split.results
    if isinstance(content, dict) and isinstance(content.get("parts"), list):
        return _write_content(content["parts"])
    return content if content is None else to_text(content), [], []


def _write_part(part: object) -> dict[str, Any]:
    if not isinstance(part, dict):
        return {"type": "text", "text": to_text(part)}
    content = part.get("content")
    if part.get("type") == "tool_result" and content is not None and not isinstance(content, (str, list)):
        return {**part, "content": to_text(content)}
    return part
