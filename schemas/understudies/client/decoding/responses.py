"""Decode a teacher's return value into the answer, its usage and the model that gave it."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.client.client_proxy import is_of_official_client
from understudies.client.decoding.json_values import get_field, to_json_text, to_plain_object
from understudies.client.decoding.messages import write_message
from understudies.client.errors import NotRecorded
from understudies.client.raw_responses import is_raw_response, read_raw_response
from understudies.dialects import detection
from understudies.dialects.answer_errors import AnswerError, answer_error, is_error_body, reported_error
from understudies.dialects.base import DecodedResponse
from understudies.dialects.json_fields import index_or_zero, token_count
from understudies.dialects.openai_chat.response import decode_usage
from understudies.events import Message, Response

_ANSWER_OBJECTS: Final = frozenset({"chat.completion", "text_completion", "response", "decision", "error"})
_MAX_SHOWN: Final = 500
_READ: Final = ("cache_read", "cached_tokens", "priority_cache_read", "flex_cache_read")
_HOUR: Final = "ephemeral_1h_input_tokens"
_WRITTEN: Final = ("cache_creation", "ephemeral_5m_input_tokens", _HOUR)
"""What LangChain calls the tokens that are written to a cache; the last two tell for how long."""
_PRICED: Final = (
    *("service_tier", "speed", "inference_geo", "server_tool_use"),
    *("cost", "cost_details", "is_byok", "cost_in_usd_ticks"),
)
"""What a provider's usage tells of its price besides the counts."""


def decode_answer(answer: Any, *, from_provider: bool = False) -> DecodedResponse:
    """Decode an answer of any known form; raises NotRecorded or ValueError, and AnswerError for a provider's error.

    What comes from a provider is an answer only in the form of one of its APIs; a function of the caller's may return
    anything.
    """
    if answer is None:
        raise NotRecorded("unreadable", "the teacher returned None")
    if is_raw_response(answer):
        answer, from_provider = read_raw_response(answer), True
    choices = get_field(answer, "choices")
    if isinstance(choices, list | tuple) and choices:
        return with_plausible_usage(detection.decode_response(_write_completion(to_plain_object(answer))))
    if _has_fields(answer):
        plain = to_plain_object(answer)
        if detection.is_response(plain):
            return with_plausible_usage(detection.decode_response(plain))
        if is_error_body(plain):
            raise reported_error(plain) or answer_error(None)
    if _is_message(answer):
        return with_plausible_usage(_decode_message_object(to_plain_object(answer)))
    if from_provider or is_of_official_client(answer):
        raise _no_answer(answer)
    return DecodedResponse(Response(message=Message(role="assistant", content=to_json_text(answer))))


def _no_answer(answer: Any) -> AnswerError | NotRecorded:
    """Return the error for what a provider sent in place of an answer: a failure, or the answer to another question."""
    plain = to_plain_object(answer) if _has_fields(answer) else {}
    kind = plain.get("object")
    if isinstance(plain.get("data"), list) or (isinstance(kind, str) and kind not in _ANSWER_OBJECTS):
        return NotRecorded("unreadable", f"a {type(answer).__name__} is no answer of a chat")
    return AnswerError(f"no answer, but {to_json_text(answer)[:_MAX_SHOWN]}")


def with_plausible_usage(decoded: DecodedResponse) -> DecodedResponse:
    """Return the answer without implausible token counts, which are larger than a store can hold."""
    return decoded._replace(usage=decoded.usage.plausible)


def write_usage(usage: Any) -> dict[str, Any] | None:
    """Convert the token counts of OpenAI, Anthropic or LangChain to the field names of a chat completion."""
    if not isinstance(usage, dict):
        return None
    if "input_tokens" not in usage and "output_tokens" not in usage:
        return usage
    details = usage.get("input_token_details") or usage.get("input_tokens_details") or {}
    said = usage.get("output_token_details") or usage.get("output_tokens_details") or {}
    lifetimes = usage.get("cache_creation") or {}
    cached = token_count(usage.get("cache_read_input_tokens"))
    # Anthropic counts only uncached tokens as input.
    fresh = token_count(usage.get("input_tokens")) + token_count(usage.get("cache_creation_input_tokens"))
    read = next((count for name in _READ if (count := token_count(get_field(details, name)))), 0)
    return {
        **{name: usage[name] for name in _PRICED if name in usage},
        "prompt_tokens": fresh + cached,
        "completion_tokens": usage.get("output_tokens"),
        "prompt_tokens_details": {
            "cached_tokens": cached or read,
            "cache_write_tokens": token_count(usage.get("cache_creation_input_tokens")) or _count_written(details),
            "audio_tokens": token_count(get_field(details, "audio")),
        },
        "completion_tokens_details": {"audio_tokens": token_count(get_field(said, "audio"))},
        "cache_creation": {_HOUR: token_count(get_field(details, _HOUR)) or token_count(get_field(lifetimes, _HOUR))},
    }


def write_langchain_usage(message: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any] | None:
    """Convert LangChain's token counts with what their provider tells of the price beside them."""
    usage = message.get("usage_metadata") or message.get("usage")
    raw = about.get("usage") or about.get("token_usage")
    if not isinstance(usage, dict) or not isinstance(raw, dict):
        return write_usage(usage)
    return write_usage({**{name: raw[name] for name in _PRICED if name in raw}, **usage})


def _count_written(details: object) -> int:
    """Count the tokens written to a cache; some versions of LangChain count those with a lifetime in both ways."""
    generic, *with_lifetime = (token_count(get_field(details, name)) for name in _WRITTEN)
    return max(generic, sum(with_lifetime))


def _write_completion(answer: dict[str, Any]) -> dict[str, Any]:
    """Convert an answer to a chat completion, also one of the older text completions API."""
    choices = answer["choices"]
    choice = min(choices, key=lambda one: index_or_zero(get_field(one, "index")))
    if not isinstance(choice, dict) or not (isinstance(choice.get("message"), dict) or "text" in choice):
        raise NotRecorded("unreadable", "a choice without a message")
    given = choice["message"] if isinstance(choice.get("message"), dict) else {"content": choice["text"]}
    message = write_message("assistant", given)
    return {**answer, "choices": [{**choice, "message": message}], "usage": write_usage(answer.get("usage"))}


def _has_fields(answer: Any) -> bool:
    return bool(answer) if isinstance(answer, dict) else not isinstance(answer, str | int | float | list | tuple)


def _is_message(answer: Any) -> bool:
    if isinstance(answer, dict):
        return "content" in answer and ("role" in answer or "stop_reason" in answer)
    return isinstance(getattr(answer, "content", None), str | list)


def _decode_message_object(answer: dict[str, Any]) -> DecodedResponse:
    """Decode a standalone message, as LangChain returns it; blocks in it are Anthropic's."""
    about = answer.get("response_metadata")
    about = about if isinstance(about, Mapping) else {}
    message = write_message("assistant", answer)
    reason = answer.get("stop_reason") or about.get("finish_reason") or about.get("stop_reason")
    named = answer.get("model") or about.get("model_name") or about.get("model")
    usage = decode_usage(write_langchain_usage(answer, about), about.get("service_tier"))
    decoded = detection.decode_message(message, reason if isinstance(reason, str) else None)
    return decoded._replace(usage=usage, model=named if isinstance(named, str) else "")
