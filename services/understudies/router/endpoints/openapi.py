"""Build the OpenAPI document of the router's own contract. Bodies are those of the APIs that it speaks."""

from typing import Any, Final


def build_document() -> dict[str, Any]:
    """Return the document, in OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Understudies router",
            "version": "1",
            "description": "OpenAI's and Anthropic's APIs before a teacher and its students.",
        },
        "security": [{}, {"bearer": []}, {"x-api-key": []}],
        "paths": {
            "/v1/chat/completions": _post("createChatCompletion", _CHAT),
            "/v1/responses": _post("createResponse", _RESPONSES),
            "/v1/messages": _post("createMessage", _MESSAGES),
            "/v1/decisions": _post("createDecision", _DECISIONS),
            "/v1/systemone": _post("createSystemOne", _SYSTEM_ONE),
            "/v1/models": _get("listModels", "the teachers' models and the tasks that a student serves", _OBJECT),
            "/healthz": _get("liveness", "the process is alive", _OBJECT),
            "/readyz": _get("readiness", "calls are taken", _OBJECT, {"503": _answer("not yet, or no more", _OBJECT)}),
            "/metrics": _get("metrics", "metrics for Prometheus", {"type": "string"}, kind="text/plain"),
            "/openapi.json": _get("openapi", "this document", _OBJECT),
        },
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
            "headers": _HEADERS,
            "schemas": {"Error": _ERROR},
        },
    }


_OBJECT: Final[dict[str, Any]] = {"type": "object"}
_TEXT: Final[dict[str, Any]] = {"type": "string"}

_ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {"type": "object", "required": ["message", "type"], "properties": {"message": _TEXT, "type": _TEXT}}
    },
}

_MESSAGE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["role"],
    "properties": {"role": {"enum": ["system", "user", "assistant"]}, "content": _TEXT},
}

_DECISIONS: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["model", "input", "questions"],
    "properties": {
        "model": {"type": "string", "minLength": 1},
        "input": {"anyOf": [_TEXT, {"type": "array", "minItems": 1, "items": _MESSAGE}]},
        "questions": {"type": "array", "minItems": 1, "items": _OBJECT},
    },
}
_SYSTEM_ONE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["model", "state", "questions"],
    "properties": {
        "model": {"type": "string", "minLength": 1},
        "state": {"anyOf": [_TEXT, _OBJECT]},
        "questions": {"type": "object", "minProperties": 1, "additionalProperties": _OBJECT},
    },
}
_CHAT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["model", "messages"],
    "properties": {
        "model": {"type": "string", "minLength": 1},
        "messages": {"type": "array", "minItems": 1, "items": _MESSAGE},
        "stream": {"type": "boolean"},
        "temperature": {"type": "number", "minimum": 0, "maximum": 2},
        "metadata": {"type": "object", "additionalProperties": _TEXT},
    },
}
_RESPONSES: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["model", "input"],
    "properties": {
        "model": {"type": "string", "minLength": 1},
        "input": _TEXT,
        "instructions": _TEXT,
        "stream": {"type": "boolean"},
    },
}
_MESSAGES: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["model", "messages", "max_tokens"],
    "properties": {
        "model": {"type": "string", "minLength": 1},
        "max_tokens": {"type": "integer", "minimum": 1},
        "system": _TEXT,
        "messages": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["role", "content"],
                "properties": {"role": {"enum": ["user", "assistant"]}, "content": _TEXT},
            },
        },
        "stream": {"type": "boolean"},
    },
}

_ASKED: Final[list[dict[str, Any]]] = [
    {"name": name, "in": "header", "required": False, "schema": schema, "description": why}
    for name, schema, why in (
        (
            "X-Understudies-Task",
            {"type": "string", "maxLength": 200, "pattern": r"^[!-.0-?A-~]([ -.0-?A-~]*[!-.0-?A-~])?$"},
            "the task that the call belongs to; beyond ASCII, in UTF-8",
        ),
        (
            "X-Understudies-Episode",
            {"type": "string", "maxLength": 256, "pattern": r"^[\t -~]*$"},
            "calls of one episode keep their variant",
        ),
        (
            "X-Understudies-Critical",
            {"type": "string", "pattern": "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[Yy][Ee][Ss]|[Nn][Oo]|0|1)$"},
            "true: the teacher answers, whatever the rules and the student",
        ),
        (
            "X-Understudies-Consent",
            {"type": "string", "pattern": "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[Yy][Ee][Ss]|[Nn][Oo]|0|1)$"},
            "whether the call may train a student; false counts whatever the tenant's rule says",
        ),
        ("X-Understudies-Cache", _TEXT, "no: an answer given before is not given again"),
    )
]
_HEADERS: Final[dict[str, Any]] = {
    name: {"schema": _TEXT, "description": why}
    for name, why in (
        ("x-understudies-task", "the task that the call was counted to"),
        ("x-understudies-invocation", "id of the event that records the call"),
        ("x-understudies-served-by", "teacher, student or cache"),
        ("x-understudies-student", "the student that was asked"),
        ("x-understudies-teacher", "the teacher that answered"),
        ("x-understudies-confidence", "how sure the student was"),
        ("x-understudies-reason", "why the call went where it went"),
    )
}


def _post(operation: str, body: dict[str, Any]) -> dict[str, Any]:
    answers = {
        "200": {
            "description": "the answer, whole or as server-sent events",
            "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS},
            "content": {"application/json": {"schema": _OBJECT}, "text/event-stream": {}},
        }
    }
    why = {
        "400": "the request cannot be read",
        "401": "a key is missing or wrong",
        "403": "the tenant may not do this",
        "404": "no teacher has the model",
        "408": "the request comes too slowly",
        "413": "the body is too large",
        "429": "the teacher's limit, or a budget that is spent: Retry-After says until when",
        "431": "the headers are too large",
        "500": "an error of the teacher or the router",
        "502": "the teacher's answer is broken",
        "503": "the teacher cannot be reached, or a budget not checked, for a moment",
        "504": "no answer in time",
        "529": "the teacher is overloaded",
    }
    answers |= {status: _answer(text, {"$ref": "#/components/schemas/Error"}) for status, text in why.items()}
    return {
        "post": {
            "operationId": operation,
            "parameters": _ASKED,
            "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
            "responses": answers,
        }
    }


def _get(
    operation: str,
    what: str,
    schema: dict[str, Any],
    more: dict[str, Any] | None = None,
    *,
    kind: str = "application/json",
) -> dict[str, Any]:
    return {"get": {"operationId": operation, "responses": {"200": _answer(what, schema, kind), **(more or {})}}}


def _answer(what: str, schema: dict[str, Any], kind: str = "application/json") -> dict[str, Any]:
    return {"description": what, "content": {kind: {"schema": schema}}}
