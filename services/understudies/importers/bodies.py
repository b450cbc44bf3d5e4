"""Read the messages and the parameters of a request's body, in the forms of Gemini, Bedrock and other providers."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from understudies.importers.fields import as_mapping, as_text, first_not_none
from understudies.importers.tools import write_tool_choice, write_tools

_RENAMED: Final = {
    "maxTokens": "max_tokens",
    "maxOutputTokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "max_gen_len": "max_tokens",
    "maxTokenCount": "max_tokens",
    "max_new_tokens": "max_tokens",
    "topP": "top_p",
    "topK": "top_k",
    "stopSequences": "stop",
    "stop_sequences": "stop",
    "frequencyPenalty": "frequency_penalty",
    "presencePenalty": "presence_penalty",
    "candidateCount": "n",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
}
_CONFIGURATIONS: Final = (
    *("generationConfig", "generation_config", "inferenceConfig", "inference_config"),
    *("textGenerationConfig", "config"),
)
_TOOL_CONFIGS: Final = ("toolConfig", "tool_config")
_GEMINI_SCHEMAS: Final = ("responseSchema", "responseJsonSchema", "response_schema", "response_json_schema")
_CONVERSE: Final = frozenset({"inferenceConfig", "toolConfig", "additionalModelRequestFields", "outputConfig"})
_MESSAGES: Final = ("messages", "input", "prompt", "inputText", "chat_history")


class Body(NamedTuple):
    """The messages of a request's body, and its other fields as chats and Anthropic's Messages name them."""

    messages: object
    fields: Mapping[str, Any]


def read_body(body: Mapping[str, Any]) -> Body:
    """Read a request's body of any provider; `messages` is None if it has none."""
    names = body.keys()
    if "contents" in body and isinstance(body["contents"], (list, dict, str)):
        return _read_gemini(body)
    if not names.isdisjoint(_CONVERSE) or ("system" in body and _is_converse_system(body)):
        return _read_converse(body)
    if "message" in body and isinstance(body["message"], str) and ("chat_history" in body or "messages" not in body):
        history = body["chat_history"] if isinstance(body.get("chat_history"), list) else []
        told = [{"role": "system", "content": body["preamble"]}] if isinstance(body.get("preamble"), str) else []
        return Body([*told, *history, {"role": "user", "content": body["message"]}], {**body, "chat_history": None})
    fields = body
    if "options" in body and isinstance(options := body["options"], dict):
        fields = {**body, **_parameters(options)}
    if "inputText" in body:
        fields = {**body, **_configuration(body)}
    for name in _MESSAGES:
        if (messages := body.get(name)) is not None and not is_stored_prompt(messages):
            return Body(messages, fields)
    if isinstance(prompts := body.get("prompts"), list) and len(prompts) == 1:  # LangChain's models of plain text
        return Body(prompts[0], fields)
    return Body(None, fields)


def is_stored_prompt(prompt: object) -> bool:
    """Return whether a prompt is one that OpenAI's Responses keep, named by its id: only the provider has its text."""
    return isinstance(prompt, dict) and isinstance(name := prompt.get("id"), str) and name.startswith("pmpt_")


def rename_parameters(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a library's record under the names of chats."""
    return {_RENAMED.get(name, name): value for name, value in source.items()}


def _is_converse_system(body: Mapping[str, Any]) -> bool:
    system = body.get("system")
    return isinstance(system, list) and any(isinstance(part, dict) and "type" not in part for part in system)


def _read_gemini(body: Mapping[str, Any]) -> Body:
    config = as_mapping(body.get("config"))
    system = first_not_none(
        *(source.get(name) for source in (body, config) for name in ("systemInstruction", "system_instruction"))
    )
    contents = body["contents"]
    given = contents if isinstance(contents, list) else [contents]
    turns = [{"role": "user", "content": turn} if isinstance(turn, str) else _turn(turn) for turn in given]
    if system:
        told = system if isinstance(system, (str, list)) else as_mapping(system).get("parts")
        text = [told] if isinstance(told, dict) else told
        turns.insert(0, {"role": "system", "content": text})
    fields = _configuration(body)
    tools = first_not_none(body.get("tools"), config.get("tools"))
    if tools:
        fields["tools"] = write_tools(tools)
    tool_config = first_not_none(*(source.get(name) for source in (body, config) for name in _TOOL_CONFIGS))
    if (choice := write_tool_choice(tool_config)) is not None:
        fields["tool_choice"] = choice
    configuration = as_mapping(first_not_none(body.get("generationConfig"), body.get("generation_config"), config))
    schema = first_not_none(*(configuration.get(name) for name in _GEMINI_SCHEMAS))
    if isinstance(schema, dict):
        fields["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    elif "application/json" in (configuration.get("responseMimeType"), configuration.get("response_mime_type")):
        fields["response_format"] = {"type": "json_object"}
    return Body(turns, fields)


def _turn(turn: object) -> object:
    if not isinstance(turn, dict):
        return turn
    parts = turn.get("parts")
    return {"role": "user", **turn, **({"parts": [parts]} if isinstance(parts, dict) else {})}


def _read_converse(body: Mapping[str, Any]) -> Body:
    messages = body.get("messages")
    turns = [*messages] if isinstance(messages, list) else []
    system = body.get("system")
    if isinstance(system, list) and system:
        turns.insert(0, {"role": "system", "content": system})
    # Parameters that only some models have, under the names that their own API gives them.
    fields = {**as_mapping(body.get("additionalModelRequestFields")), **_configuration(body)}
    if body.get("toolConfig"):
        fields["tools"] = write_tools(body["toolConfig"])
        if (choice := write_tool_choice(as_mapping(body["toolConfig"]).get("toolChoice"))) is not None:
            fields["tool_choice"] = choice
    text_format = as_mapping(as_mapping(body.get("outputConfig")).get("textFormat"))
    wanted = as_mapping(as_mapping(text_format.get("structure")).get("jsonSchema"))
    if schema := as_mapping(wanted.get("schema")):
        named = {"name": as_text(wanted.get("name")) or "answer", "schema": schema}
        fields["response_format"] = {"type": "json_schema", "json_schema": named}
    return Body(turns or None, fields)


def _configuration(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for configuration in _CONFIGURATIONS
        if configuration in body
        for name, value in _parameters(as_mapping(body[configuration])).items()
    }


def _parameters(source: Mapping[str, Any]) -> dict[str, Any]:
    return {_RENAMED[name]: value for name, value in source.items() if name in _RENAMED and value is not None}
