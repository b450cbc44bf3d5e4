"""Build a recorded call from the parts that each format holds under other names."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from pydantic import ValidationError

from understudies.dialects import detection
from understudies.dialects.capabilities import PROVIDER_STATE
from understudies.dialects.json_fields import list_objects
from understudies.dialects.openai_responses.response import count_web_searches
from understudies.dialects.usage import join_tiers
from understudies.economics.prices import call_cost
from understudies.events import Request, Response, Usage, UsageDetails, fingerprint, request_of
from understudies.importers.answer_rule import check_kind, check_outcome, check_request, check_response
from understudies.importers.bodies import is_stored_prompt
from understudies.importers.fields import as_mapping, as_number, first_not_none
from understudies.importers.json_parsing import NotARecordedCall, parse_embedded_json
from understudies.importers.messages import (
    are_plain,
    as_chat_message,
    has_texts_alone,
    is_responses_input,
    is_responses_item,
    split_tools,
    write_messages,
    write_tool_calls,
)
from understudies.importers.output_items import decode_output
from understudies.importers.recorded_call import RecordedCall
from understudies.importers.reply_facts import NO_FACTS, read_reply_facts, tells_more
from understudies.importers.responses import decode_answer, decode_message, with_finish_reason
from understudies.importers.streams import assemble_stream
from understudies.importers.tools import write_chat_tool, write_responses_tool, write_tools
from understudies.importers.usage import NO_USAGE

_TEXT_OR_LIST: Final = frozenset({"system", "instructions"})
_OBJECTS: Final = frozenset({"response_format", "text", "reasoning", "output_config", "output_format", "thinking"})
_LISTS: Final = frozenset({"tools", "functions"})
_PARAMETERS: Final = frozenset(
    {"frequency_penalty", "presence_penalty", "repetition_penalty", "min_p", "top_k", "top_p", "seed", "stop"}
    | {"stop_sequences", "n", "logprobs", "top_logprobs", "logit_bias", "prediction", "modalities", "audio"}
    | {"max_tokens", "max_completion_tokens", "max_output_tokens", "max_tool_calls", "parallel_tool_calls"}
    | {"tool_choice", "function_call", "reasoning_effort", "verbosity", "web_search_options", "service_tier"}
    | {"include", "background", "store", "previous_response_id", "conversation", "context_management", "mcp_servers"}
    | {"cache_control", "chat_template_kwargs", "prompt_cache_key", "safety_identifier", "truncation"}
    | {PROVIDER_STATE, "prompt"}
)
"""Fields that affect the answer besides the messages; a record has many others that only concern its log."""
_NUMBERS: Final = frozenset(
    {"frequency_penalty", "presence_penalty", "repetition_penalty", "min_p", "top_k", "top_p", "seed", "n"}
    | {"max_tokens", "max_completion_tokens", "max_output_tokens", "max_tool_calls", "top_logprobs"}
)
"""Those of them that are numbers."""
_FIELDS: Final = _PARAMETERS | _OBJECTS | _TEXT_OR_LIST | _LISTS | {"temperature"}
_OTHER_API: Final = frozenset(
    {"system", "instructions", "text", "stop_sequences", "output_config", "output_format", "functions", "function_call"}
    | {"tool_choice"}
)
"""Fields with which a request may be of another API than chats, or of an older form."""
_ABSENT: Final = (None, "", "Infinity", "-Infinity", "NaN", "null", "None")
"""Values of parameters that were not set, as tools write them."""
_PER_PROMPT: Final = re.compile(r"gemini-[12]\b")
"""Matches models whose grounding is billed by prompt."""
_UNNAMED: Final = "unnamed"
"""The model's name if the record gives none."""


@dataclass(slots=True)
class PartialCall:
    """The parts of a call that a format's reader found.

    `answer_in_messages` is true if the last message is the answer where no other is given. `canonical` holds the
    request and the response if the record has them in canonical form. `must_be_reply` is true if the answer can only be
    a provider's reply, so that other JSON is none. `evidence` are objects whose fields tell whether the call failed,
    `kinds` name its type, operation or path, and `tier` the service tier if it is not the usual one. A cost of 0 counts
    if the call is `free`, and with `zero_is_known` if no list has a price for its model.
    `finish_reason` is one that the log keeps apart from the answer.
    `span` and `parent` are ids within the trace; `wraps` is true for a library's span around the calls that it makes.
    """

    messages: object
    answer: object = None
    canonical: tuple[Request, Response] | None = None
    request: Mapping[str, Any] = field(default_factory=dict)
    tool_calls: object = None
    model: str = ""
    usage: Usage = NO_USAGE
    cost: Decimal | None = None
    at: datetime | None = None
    task: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    latency_ms: float | None = None
    critical: bool = False
    episode: str | None = None
    trace: str | None = None
    answer_in_messages: bool = False
    must_be_reply: bool = False
    evidence: tuple[Mapping[str, Any], ...] = ()
    kinds: tuple[object, ...] = ()
    free: bool = False
    zero_is_known: bool = False
    span: str | None = None
    parent: str | None = None
    wraps: bool = False
    tier: str = ""
    finish_reason: object = None


def build_recorded_call(partial: PartialCall, line: int) -> RecordedCall:
    """Build the recorded call of a partial one; raises NotARecordedCall, or ValueError if no dialect can decode it."""
    check_outcome(*partial.evidence)
    check_kind(partial.kinds, partial.model)
    answer = assemble_stream(parse_embedded_json(partial.answer))
    _add_reply_facts(partial, answer)
    _add_searches(partial, answer)
    request, response = partial.canonical or _decode(partial, answer)
    if partial.finish_reason and response.finish_reason is None:
        response = with_finish_reason(response, partial.finish_reason)
    check_response(response)
    check_request(request)
    return RecordedCall(
        line=line,
        at=partial.at,
        task=partial.task,
        request=request,
        response=response,
        model=partial.model,
        usage=partial.usage,
        recorded_cost=_known_cost(partial),
        latency_ms=max(partial.latency_ms or 0.0, 0.0),
        tags=partial.tags,
        critical=partial.critical,
        fingerprint=fingerprint(request),
        episode=partial.episode,
        trace=partial.trace,
    )


def _known_cost(partial: PartialCall) -> Decimal | None:
    """Return the cost, or None for a 0 beside tokens: many tools log that for a model whose price they do not know."""
    if partial.cost is None or partial.cost or partial.free or not partial.usage.counted:
        return partial.cost
    is_unpriced = partial.zero_is_known and call_cost(partial.model, partial.usage) is None
    return partial.cost if is_unpriced else None


def _add_reply_facts(partial: PartialCall, answer: object) -> None:
    """Add what a whole reply tells where the record itself does not."""
    if answer is None or isinstance(answer, str):
        if not partial.usage.counted:
            partial.usage = NO_USAGE
        if partial.tier:
            partial.usage = NO_FACTS.with_tier(partial.usage, partial.tier)
        return
    is_known = partial.model and partial.at is not None and partial.usage.cached_tokens
    if is_known and not partial.tier and not tells_more(answer):
        return
    facts = read_reply_facts(answer)
    partial.model = partial.model or facts.model
    partial.at = partial.at or facts.at
    partial.usage = _join_usages(partial.usage, facts.usage)
    partial.usage = facts.with_tier(partial.usage, partial.tier)
    partial.cost = facts.stated_cost if partial.cost is None else partial.cost


def _join_usages(known: Usage, told: Usage) -> Usage:
    """Return the counts of a record with what its reply tells besides, or those of the reply where it tells more."""
    if not known.counted:
        return told
    is_same = told.prompt_tokens == known.prompt_tokens
    if is_same and ((told.cached_tokens and not known.cached_tokens) or (told.details and not known.details)):
        return told
    if told.details is None or not (told.details.web_searches or told.details.service_tier):
        return known
    details = known.details or UsageDetails()
    tier = join_tiers(told.details.service_tier, details.service_tier)
    searches = details.web_searches or told.details.web_searches
    details = details.model_copy(update={"service_tier": tier, "web_searches": searches})
    return known.model_copy(update={"details": details})


def _add_searches(partial: PartialCall, answer: object) -> None:
    """Add the searches of the web that an answer of OpenAI's Responses or of Gemini tells, which have a price."""
    if isinstance(answer, dict) and isinstance(candidates := answer.get("candidates"), list):
        if _is_grounded_in_maps(candidates):
            partial.usage = NO_USAGE  # there is a fee that is in no list, many times the price of the tokens
            return
        searches = _count_grounding(candidates, partial.model)
    else:
        items = answer.get("output") if isinstance(answer, dict) else answer
        searches = count_web_searches(list_objects(items)) if isinstance(items, list) else 0
    if not searches:
        return
    details = partial.usage.details or UsageDetails()
    if not details.web_searches:
        counted = details.model_copy(update={"web_searches": searches})
        partial.usage = partial.usage.model_copy(update={"details": counted})


def _groundings(candidates: list[Any]) -> Iterator[Mapping[str, Any]]:
    for candidate in list_objects(candidates):
        yield as_mapping(first_not_none(candidate.get("groundingMetadata"), candidate.get("grounding_metadata")))


def _is_grounded_in_maps(candidates: list[Any]) -> bool:
    """Return whether a place of Google Maps is among the sources, for which Gemini bills the prompt.

    See https://ai.google.dev/gemini-api/docs/maps-grounding.
    """
    return any(
        "maps" in chunk
        for found in _groundings(candidates)
        for chunk in list_objects(first_not_none(found.get("groundingChunks"), found.get("grounding_chunks")))
    )


def _count_grounding(candidates: list[Any], model: str) -> int:
    """Count the searches that Gemini bills: each query, and before Gemini 3 each grounded prompt.

    See https://ai.google.dev/gemini-api/docs/google-search#pricing.
    """
    queries: set[str] = set()
    for found in _groundings(candidates):
        asked = first_not_none(found.get("webSearchQueries"), found.get("web_search_queries"))
        queries.update(
            query for query in (asked if isinstance(asked, list) else ()) if isinstance(query, str) and query
        )
    return min(len(queries), 1) if _PER_PROMPT.search(model) else len(queries)


def _decode(partial: PartialCall, answer: object) -> tuple[Request, Response]:
    messages = parse_embedded_json(partial.messages)
    is_plain = are_plain(messages)
    items, tools = ([*messages], list[Any]()) if is_plain else split_tools(write_messages(messages))
    response = decode_answer(answer, partial.answer, must_be_reply=partial.must_be_reply)
    if response is None:
        items, response = _split_answer(items, partial.tool_calls, in_messages=partial.answer_in_messages)
    elif partial.tool_calls and not response.message.tool_calls:
        response = _with_tool_calls(response, partial.tool_calls)
    fields = _provider_fields(partial.request)
    if tools and not fields.get("tools"):
        fields["tools"] = tools
    if isinstance(instructions := fields.get("instructions"), list):  # items, as of a stored prompt
        items = [*write_messages(fields.pop("instructions")), *items] if instructions else items
    if not items and "system" not in fields and "instructions" not in fields:
        raise NotARecordedCall("no request before the answer")
    given = partial.request
    named_input = "input" in given and "messages" not in given and given.get("object", "response") == "response"
    if not named_input and (is_plain or has_texts_alone(items)) and (chat := _as_chat(fields)) is not None:
        request = _request_or_none({**chat, "messages": items})
        if request is not None:
            return request, response
    as_responses = is_responses_input(items, named_input=named_input)
    body = _write_responses_body(items, fields) if as_responses else _write_chat_body(items, fields)
    return detection.decode_request({**body, "model": partial.model or _UNNAMED}).request, response


def _request_or_none(body: dict[str, Any]) -> Request | None:
    """Return the request of a chat, or None for one whose faults the dialect is to tell in its words."""
    try:
        return request_of(body)
    except ValidationError:
        return None


def _as_chat(fields: dict[str, Any]) -> dict[str, Any] | None:
    """Return the fields of a request without blocks as those of a chat, or None unless they are sure to be of one."""
    if not fields.keys().isdisjoint(_OTHER_API):
        return None
    if "tools" not in fields:
        return fields
    tools = [write_chat_tool(tool) for tool in fields["tools"]]
    return {**fields, "tools": tools} if all("function" in tool for tool in tools) else None


def _with_tool_calls(response: Response, tool_calls: object) -> Response:
    """Add the tool calls that a log keeps beside the answer's text."""
    calls = write_tool_calls(tool_calls)
    if not calls:
        return response
    return decode_message({"content": response.message.content or None, "tool_calls": calls}, response.finish_reason)


def _split_answer(
    items: list[dict[str, Any]], tool_calls: object, *, in_messages: bool
) -> tuple[list[dict[str, Any]], Response]:
    """Split off the answer, which ends the items or consists of the tool calls recorded beside them."""
    calls = write_tool_calls(tool_calls)
    if not in_messages:
        if calls:
            return items, decode_message({"tool_calls": calls})
        raise NotARecordedCall("no teacher answer")
    last = items[-1] if items else {}
    if is_responses_item(last):
        said = [item.get("role") == "assistant" or item.get("type") in ("function_call", "reasoning") for item in items]
        begin = next((place for place in range(len(items), 0, -1) if not said[place - 1]), 0)
        return items[:begin], decode_output(items[begin:])
    if last.get("role") == "assistant":
        if calls and not last.get("tool_calls"):
            last = {**last, "tool_calls": calls}
        return items[:-1], decode_message(last)
    if calls:
        return items, decode_message({"tool_calls": calls})
    raise NotARecordedCall("no teacher answer")


def _provider_fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """Select the fields of a provider's request other than the messages; fields of a wrong type count as absent."""
    fields: dict[str, Any] = {}
    for name in _parameter_names(tuple(record)):
        value = record[name]
        if name in _PARAMETERS:
            if value not in _ABSENT and (name != "prompt" or is_stored_prompt(value)):
                fields[name] = _parse_number(value) if isinstance(value, str) and name in _NUMBERS else value
        elif name in _OBJECTS:
            if isinstance(inner := parse_embedded_json(value), dict):
                fields[name] = inner
        elif name in _TEXT_OR_LIST:
            if value and isinstance(value, (str, list)):
                fields[name] = _typed_texts(value) if isinstance(value, list) else value
        elif name == "temperature":
            if (temperature := as_number(value)) is not None:
                fields[name] = temperature
        elif isinstance(value, list):
            fields[name] = write_tools(value) if name == "tools" else [*list_objects(value)]
        elif name == "tools" and isinstance(value, str) and (written := write_tools(value)):
            fields[name] = written  # as JSON text, in sets of examples
    return fields


def _parse_number(written: str) -> float | str:
    """Return a number that a log keeps as text, or the text if it is none."""
    number = as_number(written)
    if number is None:
        return written
    return int(number) if number.is_integer() else number


def _typed_texts(parts: list[Any]) -> list[Any]:
    """Return the parts of a system prompt, those of Bedrock's Converse with the type that others have."""
    return [{"type": "text", **part} if isinstance(part, dict) and part.keys() == {"text"} else part for part in parts]


@lru_cache(maxsize=1024)
def _parameter_names(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name in _FIELDS)


def _write_chat_body(items: list[dict[str, Any]], fields: dict[str, Any]) -> dict[str, Any]:
    """Write the body of a chat, or of Anthropic's Messages if the messages or tools have that form."""
    body = {name: value for name, value in fields.items() if name not in ("instructions", "text")}
    if "instructions" in fields:
        body.setdefault("system", fields["instructions"])
    if "text" in fields:  # the format of an answer of Responses, whose input a log may hold as messages of chats
        read = detection.decode_request({"input": "", "model": _UNNAMED, "text": fields["text"]}).request
        about = {"response_format": read.response_format, "verbosity": read.parameters.get("verbosity")}
        body = {**{name: value for name, value in about.items() if value is not None}, **body}
    if "tools" in body:
        body["tools"] = [write_chat_tool(tool) for tool in body["tools"]]
    return {**body, "messages": [as_chat_message(item) for item in items]}


def _write_responses_body(items: list[dict[str, Any]], fields: dict[str, Any]) -> dict[str, Any]:
    body = {name: value for name, value in fields.items() if name not in ("system", "response_format")}
    if "system" in fields:
        body.setdefault("instructions", fields["system"])
    if wanted := fields.get("response_format"):
        schema = wanted.get("json_schema")
        form = {"type": wanted.get("type"), **schema} if isinstance(schema, dict) else wanted
        body["text"] = {"format": form, **fields.get("text", {})}
    if "tools" in body:
        body["tools"] = [write_responses_tool(tool) for tool in body["tools"]]
    return {**body, "input": items}
