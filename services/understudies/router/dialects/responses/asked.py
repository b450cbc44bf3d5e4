"""What OpenAI's Responses ask for, in canonical form."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.router.dialects.able import PROVIDER_STATE
from understudies.router.dialects.base import DecodedRequest, InvalidRequest
from understudies.router.dialects.fields import (
    object_or_empty,
    read_model,
    read_stream_flag,
    read_task,
    validate_request,
    without_none,
)
from understudies.router.dialects.responses.items import ConversationDecoder
from understudies.router.dialects.responses.tools import decode_tool_choice, decode_tools

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
    """What a body asks for; raises Unreadable."""
    model = read_model(body)
    request = validate_request(to_canonical(body))
    return DecodedRequest(request=request, model=model, stream=read_stream_flag(body), task=read_task(body))


def to_canonical(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the canonical request, not yet validated; raises Unreadable."""
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
    """All that decides the answer besides, under the names that chat completions have for it.

    `store` is true unless the caller says no, as the provider then keeps the response for later calls to go on from.
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
