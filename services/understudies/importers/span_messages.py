"""Read the messages and answers of spans, by the conventions of each instrumentation.

- OpenTelemetry GenAI: `gen_ai.input.messages`, `gen_ai.output.messages`, or events such as `gen_ai.user.message`
- OpenLLMetry: `gen_ai.prompt.0.role`, `gen_ai.completion.0.content`
- OpenInference: `llm.input_messages.0.message.role`, `input.value`
- the AI SDK: `ai.prompt.messages`, `ai.response.text`
- Google's ADK: `gcp.vertex.agent.llm_request`, `gcp.vertex.agent.llm_response`
- Logfire: `request_data`, `response_data`; MLflow: `mlflow.spanInputs`, `mlflow.spanOutputs`
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from understudies.dialects.capabilities import PROVIDER_STATE
from understudies.dialects.json_fields import list_objects
from understudies.importers.bodies import read_body
from understudies.importers.fields import as_mapping, first_not_none
from understudies.importers.json_parsing import parse_embedded_json
from understudies.importers.span_attributes import NestedAttributes, as_items, find, first_found

_SERVER_CALL: Final = "server_tool_call"
"""A part that tells what the provider did itself, such as a search, on which the answer rests."""
_MESSAGE_EVENT: Final = "gen_ai."
_AI_TEXTS: Final = ("ai.response.object", "ai.response.text", "ai.result.text", "ai.result.object")
_AI_CALLS: Final = ("ai.response.toolCalls", "ai.result.toolCalls")
_EVENT_LISTS: Final = ("events", "all_messages_events")
_CHOICE_EVENTS: Final = ("gen_ai.choice", "gen_ai.content.completion")


Events = Iterable[Mapping[str, Any]]
"""The events of a span, each with its name, its attributes and those nested."""


class Said(NamedTuple):
    """The messages of a request, the answer, and the parameters that a recorded body has besides."""

    messages: object = None
    answer: object = None
    fields: Mapping[str, Any] = {}


def read_said(nested: NestedAttributes, events: Iterable[Mapping[str, Any]]) -> Said:
    """Read what was asked and answered, by the first convention that a span follows."""
    told = [*events, *_embedded_events(nested)]
    for convention in _CONVENTIONS:
        if (told and convention.reads_events) or nested.layout.among(convention.needs) == convention.needs:
            said = convention.read(nested, told)
            if said.messages and said.answer not in (None, "", [], {}):
                return said
    return Said()


def _read_genai(nested: NestedAttributes, events: Events) -> Said:
    source: Mapping[str, Any] = nested
    messages = find(source, "gen_ai.input.messages")
    if messages is None:
        details = (event["nested"] for event in events if str(event.get("name", "")).endswith("operation.details"))
        source = next(iter(details), nested)
        messages = find(source, "gen_ai.input.messages")
    if not isinstance(messages, list):
        return Said()
    instructions = find(source, "gen_ai.system_instructions")
    if instructions:
        messages = [{"role": "system", "content": instructions}, *messages]
    answer = find(source, "gen_ai.output.messages")
    if isinstance(answer, list) and len(answer) > 1:
        answer = answer[:1]  # one element a choice
    parts = as_mapping(answer[0]).get("parts") if isinstance(answer, list) and answer else None
    if any(part.get("type") == _SERVER_CALL for part in list_objects(parts)):
        return Said(messages, answer, {PROVIDER_STATE: [_SERVER_CALL]})
    return Said(messages, answer)


def _read_indexed(nested: Mapping[str, Any], _: Events) -> Said:
    prompts = as_items(as_mapping(nested.get("gen_ai")).get("prompt"))
    completions = as_items(as_mapping(nested.get("gen_ai")).get("completion"))
    if not prompts or not completions:
        return Said()
    return Said([_indexed_message(item) for item in prompts], _indexed_message(completions[0]))


def _indexed_message(item: object) -> dict[str, Any]:
    message = dict(as_mapping(item))
    if "tool_calls" in message:
        message["tool_calls"] = as_items(message["tool_calls"])
    message["content"] = parse_parts(message.get("content"))
    return {**message, "role": message.get("role") or "assistant"}


def parse_parts(content: object) -> object:
    """Return the parts of a content that is JSON text of a list of them; any other content unchanged."""
    inner = parse_embedded_json(content)
    return inner if isinstance(inner, list) and all(isinstance(part, dict) for part in inner) and inner else content


def _read_openinference(nested: Mapping[str, Any], _: Events) -> Said:
    llm = as_mapping(nested.get("llm"))
    messages = [_openinference_message(item) for item in _items(llm.get("input_messages"))]
    answers = [_openinference_message(item) for item in _items(llm.get("output_messages"))]
    if not messages or not answers:
        return Said()
    reply = find(nested, "output.value")
    answer = reply if isinstance(reply, dict) and "choices" in reply else answers[-1]
    return Said(messages, answer, _body_fields(find(nested, "input.value")))


def _items(value: object) -> list[Any]:
    return as_items(parse_embedded_json(value))


def _openinference_message(item: object) -> dict[str, Any]:
    given = as_mapping(item)
    message = dict(as_mapping(given.get("message")) or _strip(given, "message."))
    calls = [
        as_mapping(as_mapping(call).get("tool_call")) or _strip(as_mapping(call), "tool_call.")
        for call in _items(message.pop("tool_calls", None))
    ]
    contents = [
        as_mapping(as_mapping(part).get("message_content")) or _strip(as_mapping(part), "message_content.")
        for part in _items(message.pop("contents", None))
    ]
    if contents:
        message["content"] = [_openinference_part(part) for part in contents]
    name, given_arguments = message.pop("function_call_name", None), message.pop("function_call_arguments_json", None)
    if isinstance(name, str) and name:
        calls.append({"name": name, "arguments": given_arguments})
    if calls:
        message["tool_calls"] = [_openinference_call(call) for call in calls]
    return message


def _openinference_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = as_mapping(call.get("function")) or _strip(call, "function.") or call
    return {"id": call.get("id"), "function": {"name": function.get("name"), "arguments": function.get("arguments")}}


def _openinference_part(part: Mapping[str, Any]) -> dict[str, Any]:
    image = part.get("image")
    if isinstance(image, dict):
        url = find(image, "image.url") or find(image, "url")
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": part.get("type") or "text", "text": part.get("text")}


def _strip(source: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in source.items() if name.startswith(prefix)}


def _read_ai_sdk(nested: Mapping[str, Any], _: Events) -> Said:
    messages = find(nested, "ai.prompt.messages")
    if messages is None:
        messages = find(nested, "ai.prompt")
        messages = read_body(messages).messages if isinstance(messages, dict) else messages
    text = first_found(nested, _AI_TEXTS)
    calls = first_found(nested, _AI_CALLS)
    if isinstance(calls, list) and calls:
        answer: object = {"text": text, "toolCalls": calls}
    else:
        raw = as_mapping(as_mapping(nested.get("ai")).get("response"))
        answer = first_not_none(raw.get("text"), raw.get("object"), text)
    return Said(messages, answer)


def _embedded_events(nested: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the events that pydantic-ai and Logfire keep in an attribute."""
    given = first_found(nested, _EVENT_LISTS)
    return [{"name": event.get("event.name"), "attributes": event, "nested": {}} for event in list_objects(given)]


def _read_events(_: Mapping[str, Any], events: Events) -> Said:
    messages: list[object] = []
    answer: object = None
    for event in events:
        name = str(event.get("name") or "")
        about = {**event["attributes"], **as_mapping(event["attributes"].get("body"))}
        if name in _CHOICE_EVENTS:
            answer = first_not_none(answer, _choice(about))
        elif name == "gen_ai.content.prompt":
            given = parse_embedded_json(about.get("gen_ai.prompt"))
            messages += given if isinstance(given, list) else [{"role": "user", "content": given}]
        elif name.startswith(_MESSAGE_EVENT) and name.endswith(".message"):
            role = name.removeprefix(_MESSAGE_EVENT).removesuffix(".message")
            messages.append(_event_message(about, role))
    return Said(messages, answer)


def _event_message(about: Mapping[str, Any], role: str) -> dict[str, Any]:
    message = {
        "role": about.get("role") or role,
        "content": parse_parts(first_not_none(about.get("content"), about.get("gen_ai.event.content"))),
        "tool_calls": parse_embedded_json(about.get("tool_calls")),
    }
    call_id = about.get("id") or about.get("tool_call_id")
    return {**message, "tool_call_id": call_id} if role == "tool" and isinstance(call_id, str) else message


def _choice(about: Mapping[str, Any]) -> object:
    completion = parse_embedded_json(about.get("gen_ai.completion"))
    if isinstance(completion, list) and completion:
        return completion[0]
    message = parse_embedded_json(about.get("message"))
    message = message if isinstance(message, dict) else {"content": first_not_none(message, about.get("content"))}
    calls = parse_embedded_json(about.get("tool_calls"))
    if calls and "tool_calls" not in message:
        message = {**message, "tool_calls": calls}
    return {"message": message, "finish_reason": about.get("finish_reason")}


def _read_bodies(asked: str, answered: str, nested: Mapping[str, Any], _: Events) -> Said:
    given = find(nested, asked)
    answer = find(nested, answered)
    if isinstance(given, dict):
        body = read_body(given)
        return Said(body.messages, answer, body.fields)
    return Said(given, answer)


def _body_fields(value: object) -> Mapping[str, Any]:
    return read_body(value).fields if isinstance(value, dict) else {}


class _Convention(NamedTuple):
    """A convention: what reads it, the attributes without which there is nothing, and whether events will do too."""

    read: Callable[[NestedAttributes, Events], Said]
    needs: tuple[str, ...]
    reads_events: bool = False


def _in_bodies(asked: str, answered: str) -> _Convention:
    return _Convention(partial(_read_bodies, asked, answered), (asked, answered))


_CONVENTIONS: Final = (
    _Convention(_read_genai, ("gen_ai.input.messages",), reads_events=True),
    _Convention(_read_indexed, ("gen_ai",)),
    _Convention(_read_openinference, ("llm",)),
    _Convention(_read_ai_sdk, ("ai",)),
    _Convention(_read_events, ("",), reads_events=True),
    _in_bodies("request_data", "response_data"),
    _in_bodies("mlflow.spanInputs", "mlflow.spanOutputs"),
    _in_bodies("input.value", "output.value"),
    _in_bodies("gcp.vertex.agent.llm_request", "gcp.vertex.agent.llm_response"),
    _in_bodies("langfuse.observation.input", "langfuse.observation.output"),
    _in_bodies("gen_ai.prompt", "gen_ai.completion"),
    _in_bodies("traceloop.entity.input", "traceloop.entity.output"),
)
"""The conventions in the order in which they are tried."""
