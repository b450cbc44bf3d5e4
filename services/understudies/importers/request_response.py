"""Read requests beside replies as Vertex AI and Gemini batches, gateways and scripts write them."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.importers.exchange import read_exchange
from understudies.importers.fields import (
    as_mapping,
    as_text,
    find_cost,
    find_id,
    find_task,
    first_not_none,
    parse_cost,
    parse_time,
)
from understudies.importers.native import read_common_fields
from understudies.importers.partial_call import PartialCall

REQUESTS: Final = ("request", "full_request", "input", "inputs", "request_payload", "requestBody", "req", "modelInput")
_REPLIES: Final = (
    "response",
    "full_response",
    "output",
    "outputs",
    "response_payload",
    "responseBody",
    "resp",
    "result",
    "modelOutput",
)
_TIMES: Final = ("processed_time", "logging_time", "request_time", "start_time", "created_at", "timestamp", "time")


def is_request_response(record: Mapping[str, Any]) -> bool:
    """Return whether the record has a request's body beside something that replies to it."""
    asked = _find(record, REQUESTS)
    # The first API of Cohere.
    is_cohere = isinstance(asked.get("message"), str) and not asked.keys().isdisjoint({"chat_history", "preamble"})
    if not is_cohere and not asked.keys() & {"messages", "contents", "prompt", "input", "inputText", "instances"}:
        return False
    return any(name in record for name in (*_REPLIES, "error", "status"))


def read_request_response(record: Mapping[str, Any]) -> PartialCall:
    """Read a request and its reply; raises NotARecordedCall."""
    asked = _find(record, REQUESTS)
    reply = first_not_none(*(record.get(name) for name in _REPLIES))
    status = record.get("status")
    # A batch of Vertex AI tells an error in words.
    is_told = isinstance(status, str) and ("response" in record or "request" in record) and "contents" in asked
    exchange = read_exchange(asked, reply, record, {"error": status if is_told else None})
    call = read_common_fields(record)
    call.messages, call.request, call.answer = exchange.messages, exchange.request, exchange.answer
    call.evidence = exchange.evidence
    call.must_be_reply = not isinstance(reply, str)
    call.model = call.model or exchange.model
    call.at = call.at or parse_time(first_not_none(*(record.get(name) for name in _TIMES)))
    call.task = call.task or exchange.task or find_task(as_mapping(asked.get("labels")))
    call.cost = call.cost if call.cost is not None else find_cost(as_mapping(as_mapping(reply).get("usage")))
    if call.cost is None and "request_start_time" in record:  # as PromptLayer has it
        call.cost = parse_cost(record.get("price"))
    call.episode = call.episode or find_id(
        ("session_id", "conversation_id", "thread_id"), as_mapping(asked.get("metadata"))
    )
    if "modelInput" in record or ("contents" in asked and ("processed_time" in record or "key" in record)):
        call.tier = "batch"
    call.kinds = (record.get("endpoint"), record.get("url"), record.get("path"), as_text(record.get("operation")))
    return call


def _find(record: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, Any]:
    return next((found for name in names if (found := as_mapping(record.get(name)))), {})
