"""What OpenAI's Responses ask for, in canonical form."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.router.dialects.able import STATE
from understudies.router.dialects.base import Read, Unreadable
from understudies.router.dialects.fields import known, mapping_of, model_in, request_in, streamed_in, task_in
from understudies.router.dialects.responses.items import Conversation
from understudies.router.dialects.responses.tools import tool_choice_of, tools_of

_READ: Final = frozenset(
    {"input", "instructions", "tools", "tool_choice", "temperature", "text", "include", "reasoning", "background"}
)
_NOT_THE_INPUT: Final = frozenset(
    {"model", "stream", "stream_options", "metadata", "user", "safety_identifier", "store", "truncation"}
    | {"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"}
)
_NAMES: Final = {"max_output_tokens": "max_completion_tokens"}
_LOGPROBS: Final = "message.output_text.logprobs"


def read(body: Mapping[str, Any]) -> Read:
    """What a body asks for; raises Unreadable."""
    model = model_in(body)
    request = request_in(canonical(body))
    return Read(request=request, model=model, stream=streamed_in(body), task=task_in(body))


def canonical(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the canonical request, not yet validated; raises Unreadable."""
    conversation = Conversation()
    if body.get("instructions"):
        conversation.say("system", body["instructions"])
    given = body.get("input")
    if isinstance(given, str):
        conversation.say("user", given)
    elif isinstance(given, list):
        conversation.read(given)
    elif given is not None:
        raise Unreadable("input: text or a list of items", "input")
    return {
        "messages": conversation.messages,
        "tools": tools_of(body.get("tools")),
        "tool_choice": tool_choice_of(body.get("tool_choice")),
        "response_format": _response_format(body.get("text")),
        "temperature": body.get("temperature"),
        "parameters": _parameters(body, conversation.state),
    }


def _response_format(text: Any) -> Any:
    wanted = mapping_of(text).get("format")
    if not isinstance(wanted, dict):
        return wanted
    kind = wanted.get("type")
    if kind == "text":
        return None
    if kind != "json_schema":
        return wanted
    about = known(**{name: wanted.get(name) for name in ("name", "description", "schema", "strict")})
    return {"type": "json_schema", "json_schema": about}


def _parameters(body: Mapping[str, Any], state: set[str]) -> dict[str, Any]:
    """All that decides the answer besides, under the names that chat completions have for it.

    `store` is true unless the caller says no, as the provider then keeps the response for later calls to go on from.
    """
    parameters = {
        _NAMES.get(name, name): value
        for name, value in body.items()
        if name not in _READ and name not in _NOT_THE_INPUT and value is not None
    }
    if body.get("store") is not False:
        parameters["store"] = True
    if body.get("background"):
        parameters["background"] = True
    if effort := mapping_of(body.get("reasoning")).get("effort"):
        parameters["reasoning_effort"] = effort
    if verbosity := mapping_of(body.get("text")).get("verbosity"):
        parameters["verbosity"] = verbosity
    include = body.get("include")
    if isinstance(include, list) and _LOGPROBS in include:
        parameters["logprobs"] = True
    if state:
        parameters[STATE] = sorted(state)
    return parameters
