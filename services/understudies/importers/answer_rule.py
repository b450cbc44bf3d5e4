"""Decide whether a record holds a teacher's answer: the one rule for every format.

A student learns what the record says, so an error, a body without an answer, and a text that a logger withheld or cut
must never be taken for an answer. Readers of formats only say where things are; this module decides.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from understudies.dialects.json_fields import text_or_empty
from understudies.events import Request, Response
from understudies.importers.json_parsing import FailedCall, NotARecordedCall, OtherKind
from understudies.importers.logger_marks import (
    cut_mark,
    error_text,
    is_surely_unmarked,
    object_mark,
    withheld_mark,
)

MORE_THAN_TEXT: Final = "the answer is more than text: audio, an image, a video or a file"
_ERROR_FIELDS: Final = frozenset(
    {"error", "errors", "error_message", "errorMessage", "errorCode", "error_code", "error_str", "error_information"}
    | {"error_info", "error_type", "errorType", "error_class", "exception", "exception_message", "failure_reason"}
    | {"$ai_error", "fault"}
)
_STATUS_FIELDS: Final = frozenset(
    {"status", "status_code", "statusCode", "http_status", "httpStatus", "http_status_code", "response_status"}
    | {"responseStatus", "response_status_code", "response_code", "level", "$ai_http_status"}
)
_SUCCESS_FIELDS: Final = frozenset({"success", "is_success", "isSuccess", "ok", "succeeded"})
_FLAG_FIELDS: Final = frozenset({"$ai_is_error", "is_error", "isError", "failed", "has_error", "hasError"})
_FINISH_FIELDS: Final = frozenset({"finish_reason", "finishReason", "stop_reason", "stopReason", "finish_reasons"})
GUARDRAIL: Final = "amazon-bedrock-guardrailAction"
"""Tells in a reply of Bedrock's Invoke that a guardrail put its own words in place of the model's."""
_FAILURE_FLAGS: Final = frozenset({"true", "1", "yes"})
_SUCCESS_DENIED: Final = frozenset({"false", "0", "no"})
_FAILURES: Final = frozenset(
    {"error", "errored", "failed", "failure", "exception", "timeout", "timed_out", "timedout", "expired", "canceled"}
    | {"cancelled", "aborted", "status_code_error", "fatal", "internal_error", "client_error"}
    | {"server_error", "rate_limited", "throttled", "modelerror", "interrupted", "in_progress", "queued", "running"}
)
_NO_TEXT: Final = frozenset({"", "none", "null", "nan", "undefined", "{}", "[]", "0", "false", "no_error", "n/a"})
_FAILED_FINISHES: Final = frozenset(
    {"error", "failed", "failure", "exception", "abort", "aborted", "cancelled", "canceled", "timeout", "network_error"}
    | {
        "guardrail_intervened",
        "malformed_function_call",
        "unexpected_tool_call",
        "malformed_model_output",
        "malformed_tool_use",
    }
)
_USUAL_FINISHES: Final = (None, "stop", "length", "tool_calls")
_ENVELOPE: Final = frozenset(
    {"id", "object", "created", "created_at", "createdAt", "model", "modelVersion", "usage", "usageMetadata", "metrics"}
    | {"system_fingerprint", "service_tier", "provider", "request_id", "requestId", "responseId", "createTime", "type"}
    | {"stop_reason", "stopReason", "stop_sequence", "finish_reason", "status", "headers", "_request_id", "warnings"}
)
_ERROR_BODY: Final = _ENVELOPE | frozenset(
    {"message", "Message", "code", "param", "detail", "details", "title", "statusCode", "status_code", "name"}
    | {"error_type", "timestamp", "path", "trace", "documentation_url", "success", "retry_after", "__type"}
)
_REPLY_FIELDS: Final = frozenset({"choices", "candidates", "generations", "object"})
_USUAL_REPLY: Final = frozenset(
    {"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier"}
)
_PLACEHOLDER_BODIES: Final = frozenset({"helicone_message", "signed_body_url", "truncated", "omitted", "redacted"})
_ALL_OF_AN_ERROR: Final = _ERROR_BODY | _ERROR_FIELDS
_ALL_OF_A_PLACEHOLDER: Final = _ENVELOPE | _PLACEHOLDER_BODIES | {"message", "reason", "size", "bytes"}
_OTHER_BODIES: Final = frozenset(
    {"embedding", "embeddings", "b64_json", "flagged", "category_scores", "relevance_score"}
)
_OTHER_OBJECTS: Final = frozenset({"embedding", "moderation", "image", "file", "batch", "model", "vector_store"})
_NOT_CHAT: Final = re.compile(
    r"(?:^|[^a-z])a?(?:embed(?:ding|dings)?|moderations?|images?|image_generation|image_edit|transcri\w+|speech|rerank"
    r"|audio/|ocr|files?|batch(?:es)?|fine_tuning|vector_stores?|realtime|retriever|videos?|text-to-speech|tts"
    r"|execute_tool|create_agent|invoke_agent|invoke_workflow)(?:$|[^a-z])",
    re.IGNORECASE,
)
_CHAT_PATH: Final = re.compile(
    r"/(?:chat/completions|completions|responses|messages|converse(?:-stream)?|invoke(?:-with-response-stream)?)\b"
    r"|enerateContent\b"
)
"""Matches the paths of chats, in which a deployment may be named after what it is for."""
_NOT_CHAT_MODEL: Final = re.compile(
    r"(?:(?:[a-z]{2}\.)?(?:amazon|cohere)\.)?(?:text-embedding|embed-|embedding-|titan-embed|nova-canvas|rerank-"
    r"|(?:omni|text)-moderation|whisper|dall-e|tts-|gpt-image|imagen-|stable-diffusion|textembedding|gemini-embedding)",
    re.IGNORECASE,
)
"""Matches the names of models that answer with something else than a chat; one's own may have such words inside."""
_INVISIBLE: Final = "\u200b\u200c\u200d\u2060\ufeff \n"
_THINKING: Final = "<think>"
_THOUGHT: Final = "</think>"
"""Around the reasoning that some models of open weights write into their answers."""
_MAX_SHOWN: Final = 120
_HTTP: Final = range(100, 600)
_HTTP_SUCCESS: Final = range(200, 300)


def check_outcome(*sources: Mapping[str, Any]) -> None:
    """Raise FailedCall if the fields of a record, or of its parts, say that the call failed."""
    for source in sources:
        for name, read_failure in _outcome_fields(tuple(source)):
            if (failure := read_failure(name, source[name])) is not None:
                raise FailedCall(failure)


@lru_cache(maxsize=1024)
def _outcome_fields(names: tuple[str, ...]) -> tuple[tuple[str, Callable[[str, object], str | None]], ...]:
    """Return the fields that tell an outcome, with what reads a failure from each: errors first, as they say most."""
    return tuple((name, read) for fields, read in _OUTCOMES for name in names if name in fields)


def check_kind(kinds: Iterable[object], model: str) -> None:
    """Raise OtherKind if the call's kind (a type, an operation, a path) or model is not that of a chat."""
    for kind in kinds:
        if isinstance(kind, str) and _is_other_kind(kind):
            raise OtherKind(f"no call of a chat model but of type {kind[:_MAX_SHOWN]!r}")
    if model and _is_other_model(model):
        raise OtherKind(f"no call of a chat model but of {model[:_MAX_SHOWN]!r}")


@lru_cache(maxsize=256)
def _is_other_kind(kind: str) -> bool:
    return _NOT_CHAT.search(kind) is not None and _CHAT_PATH.search(kind) is None


@lru_cache(maxsize=256)
def _is_other_model(model: str) -> bool:
    return _NOT_CHAT_MODEL.match(model.rpartition("/")[2]) is not None


def check_body(body: Mapping[str, Any]) -> None:
    """Raise NotARecordedCall if a reply's body is an error, a placeholder, or what other models than chats answer.

    A body with fields of its own is left to its reader: a log holds other JSON if the answer itself was JSON.
    """
    names = body.keys()
    if "choices" in names and names <= _USUAL_REPLY and body.get("object") in (None, "chat.completion"):
        return  # most replies
    if body.get("type") == "error" or (not names.isdisjoint(_ERROR_FIELDS) and names <= _ALL_OF_AN_ERROR):
        check_outcome({name: body[name] for name in names & _ERROR_FIELDS})
    if body.get("type") == "error":
        raise NotARecordedCall("the call failed")
    if "error" in body and not names.isdisjoint(_REPLY_FIELDS):
        check_outcome({"error": body["error"]})
    if body.get("object") == "response":
        check_outcome({"status": body.get("status")})
    if GUARDRAIL in body:
        check_outcome({GUARDRAIL: body[GUARDRAIL]})
    if not names.isdisjoint(_PLACEHOLDER_BODIES) and names <= _ALL_OF_A_PLACEHOLDER:
        told = body.get("helicone_message") or body.get("reason") or next(iter(names & _PLACEHOLDER_BODIES))
        raise NotARecordedCall(f"the log withheld the answer: {str(told)[:_MAX_SHOWN]!r}")
    if _is_other_body(body):
        raise NotARecordedCall("no answer of a chat model: embeddings, images or the like")
    if names and names <= _ENVELOPE and not isinstance(body.get("message"), dict):
        raise NotARecordedCall("no teacher answer: the log kept the reply without it")


def is_error_body(body: Mapping[str, Any]) -> bool:
    """Return whether a body that must be a provider's reply has nothing but what describes an error."""
    return bool(body) and body.keys() <= _ALL_OF_AN_ERROR


def check_response(response: Response) -> None:
    """Raise NotARecordedCall if the decoded answer is none: empty, failed, withheld or cut by the logger."""
    reason = response.finish_reason
    if reason not in _USUAL_FINISHES and is_failed_finish(str(reason)):
        raise NotARecordedCall(f"the call failed: finish reason {reason!r}")
    if reason not in _USUAL_FINISHES and response.goes_on:
        raise NotARecordedCall("no teacher answer: a later call goes on with its turn")
    message = response.message
    if message.has_media:
        raise NotARecordedCall(MORE_THAN_TEXT)
    content = message.content
    texts = [content] if type(content) is str else _texts(content)
    if message.tool_calls:
        texts += [call.function.arguments for call in message.tool_calls]
    elif not (text := "".join(texts).strip().strip(_INVISIBLE)):
        raise NotARecordedCall("no teacher answer" if message.content is None else "no teacher answer: it is empty")
    elif text.startswith(_THINKING) and not text.partition(_THOUGHT)[2].strip():
        raise NotARecordedCall("no teacher answer: it ends within its reasoning")
    for text in texts:
        if told := error_text(text):
            raise FailedCall(f"the call failed: {told!r}")
        if mark := object_mark(text):
            raise NotARecordedCall(f"the log wrote the answer's object as text: {mark!r}")
        if mark := withheld_mark(text, answer=True):
            raise NotARecordedCall(f"the log withheld the answer: {mark!r}")
        if mark := cut_mark(text, answer=True):
            raise NotARecordedCall(f"the log kept only a part of the answer: {mark!r}")


def is_failed_finish(reason: str) -> bool:
    """Return whether a finish reason says that the call failed."""
    return reason.lower().replace("-", "_") in _FAILED_FINISHES


def check_request(request: Request) -> None:
    """Raise NotARecordedCall if the log withheld or cut a message of the request."""
    for message in request.messages:
        if message.content or message.tool_calls:
            break
    else:
        raise NotARecordedCall("the log kept no text of the request")
    for message in request.messages:
        content = message.content
        for text in (content,) if isinstance(content, str) else _texts(content):
            if is_surely_unmarked(text):
                continue
            if mark := withheld_mark(text, answer=False):
                raise NotARecordedCall(f"the log withheld the request: {mark!r}")
            if mark := cut_mark(text, answer=False):
                raise NotARecordedCall(f"the log kept only a part of the request: {mark!r}")


def _texts(content: str | list[Any] | None) -> list[str]:
    if isinstance(content, str):
        return [content]
    parts = content or ()
    return [part[name] for part in parts for name in ("text", "refusal") if isinstance(part.get(name), str)]


def _error_text(value: object) -> str | None:
    """Return a short text of an error, "" if it has none, or None if the value says that there was no error."""
    if value is None or value is False or value == 0:
        return None
    if isinstance(value, dict):
        told = [text for part in value.values() if (text := _error_text(part))]
        named = next((_error_text(value[name]) for name in ("message", "Message", "detail") if value.get(name)), None)
        return named or (told[0] if told else None)
    if isinstance(value, list):
        return next((text for part in value if (text := _error_text(part))), None)
    text = str(value).strip()
    return None if text.lower() in _NO_TEXT else text[:_MAX_SHOWN]


def _read_error(_: str, value: object) -> str | None:
    if (reason := _error_text(value)) is None:
        return None
    return f"the call failed: {reason}" if reason else "the call failed"


def _read_status(name: str, value: object) -> str | None:
    if type(value) is int:
        text, code = str(value), value
    elif isinstance(value, bool) or not isinstance(value, (float, str)):
        return None
    else:
        text = str(value).strip()
        parsed = _parse_code(text)
        if parsed is None:
            is_failed = text.lower().replace(" ", "_") in _FAILURES
            return f"the call failed: {name} {text[:_MAX_SHOWN]!r}" if is_failed else None
        code = parsed
    is_failed = code < 0 or (code in _HTTP and code not in _HTTP_SUCCESS)
    return f"the call failed: {name} {text[:_MAX_SHOWN]}" if is_failed else None


def _parse_code(text: str) -> int | None:
    if text[:1].isalpha():  # most are words, and no number that is finite begins so
        return None
    try:
        return int(float(text.split(" ", 1)[0]))
    except (ValueError, OverflowError):
        return None


def _read_success(name: str, value: object) -> str | None:
    told = str(value).lower()
    return f"the call failed: {name} is {told}" if told in _SUCCESS_DENIED else None


def _read_finish(_: str, value: object) -> str | None:
    reason = value[0] if isinstance(value, list) and value else value
    return (
        f"the call failed: finish reason {reason!r}" if isinstance(reason, str) and is_failed_finish(reason) else None
    )


def _read_guardrail(_: str, value: object) -> str | None:
    return "the call failed: a guardrail intervened" if value == "INTERVENED" else None


def _read_flag(name: str, value: object) -> str | None:
    return f"the call failed: {name}" if str(value).lower() in _FAILURE_FLAGS else None


_OUTCOMES: Final[tuple[tuple[frozenset[str], Callable[[str, object], str | None]], ...]] = (
    (_ERROR_FIELDS, _read_error),
    (_STATUS_FIELDS, _read_status),
    (_SUCCESS_FIELDS, _read_success),
    (_FLAG_FIELDS, _read_flag),
    (_FINISH_FIELDS, _read_finish),
    (frozenset({GUARDRAIL}), _read_guardrail),
)
"""Fields that tell an outcome, with what reads a failure from a field of each kind."""


def _is_other_body(body: Mapping[str, Any]) -> bool:
    if not body.keys().isdisjoint(_OTHER_BODIES) and "choices" not in body and "content" not in body:
        return True
    if text_or_empty(body.get("object")) in _OTHER_OBJECTS:
        return True
    for name in ("data", "results"):
        rows = body.get(name)
        if isinstance(rows, list) and rows and isinstance(rows[0], dict):
            first = rows[0]
            if (
                first.keys() & (_OTHER_BODIES | {"url", "index"})
                and "message" not in first
                and "outputText" not in first
            ):
                return body.get("object") == "list" or bool(first.keys() & _OTHER_BODIES) or "created" in body
    return False
