"""OpenAPI document of OTLP/HTTP's spans in JSON, with the attributes that instrumentations of models write."""

from typing import Any, Final

_ATTRIBUTES: Final = (
    *("gen_ai.operation.name", "gen_ai.request.model", "gen_ai.response.model", "gen_ai.input.messages"),
    *("gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.usage.input_tokens", "gen_ai.tool.definitions"),
    *("gen_ai.prompt.0.role", "gen_ai.prompt.0.content", "gen_ai.completion.0.content", "llm.request.functions"),
    *("llm.input_messages.0.message.role", "llm.input_messages.0.message.content", "llm.output_messages"),
    *("llm.output_messages.0.message.content", "openinference.span.kind", "input.value", "output.value"),
    *("ai.prompt.messages", "ai.response.text", "ai.response.toolCalls", "ai.telemetry.metadata", "understudies.task"),
    *("mlflow.spanInputs", "mlflow.spanOutputs", "server.address", "server.port", "error.type", "metadata", "events"),
)
_TEXTS: Final = (
    *("chat", "LLM", "user", "assistant", "Where is order A-17?", "[]", "{}", "null", "gpt-4o-mini", "127.0.0.1"),
    *('[{"role": "user", "parts": [{"type": "text", "content": "Where is order A-17?"}]}]', '{"messages": [{}]}'),
    *('[{"role": "assistant", "parts": [{"type": "text", "content": "shipping"}], "finish_reason": "stop"}]',),
    *('{"choices": [{"message": {"role": "assistant", "content": "shipping"}}]}', '[{"type": "tool_use", "id": {}}]'),
    *('[{"name": "find_order", "arguments": null}]', "redacted-by-litellm", '[{"role": 7, "content": [true, null]}]'),
)
_ID: Final = {"type": "string", "pattern": "^[0-9a-f]{16}$"}
_TIME: Final = {"type": "string", "pattern": "^17[0-9]{17}$"}
_STATUS: Final = {
    "type": "object",
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
    "required": ["code", "message"],
}
_TAKEN: Final = {"type": "object", "properties": {"partialSuccess": {"type": "object"}}, "additionalProperties": False}


def otlp_document(url: str) -> dict[str, Any]:
    """Return the document of a receiver at a URL."""
    answers = {"200": _answer(_TAKEN), **{code: _answer(_STATUS) for code in ("400", "405", "413", "415")}}
    exported = _object(resourceSpans=_list("ResourceSpans"))
    body = {"required": True, "content": {"application/json": {"schema": exported}}}
    schemas = {
        "ResourceSpans": _object(resource=_object(attributes=_list("Attribute")), scopeSpans=_list("ScopeSpans")),
        "ScopeSpans": _object(spans=_list("Span")),
        "Span": _object(
            traceId={"type": "string", "pattern": "^[0-9a-f]{32}$"},
            spanId=_ID,
            parentSpanId=_ID,
            name={"type": "string"},
            startTimeUnixNano=_TIME,
            endTimeUnixNano=_TIME,
            attributes=_list("Attribute"),
            events=_list("Event"),
            status=_object(code={"type": "integer", "enum": [0, 1, 2]}, message={"type": "string"}),
        ),
        "Event": _object(name={"enum": ["gen_ai.choice", "gen_ai.user.message"]}, attributes=_list("Attribute")),
        "Attribute": _object(key={"enum": [*_ATTRIBUTES]}, value={"$ref": "#/components/schemas/Value"}),
        "Value": {
            "oneOf": [
                _object(stringValue={"anyOf": [{"enum": [*_TEXTS]}, {"type": "string"}]}),
                _object(intValue={"type": "string", "pattern": "^-?[0-9]{1,18}$"}),
                _object(doubleValue={"type": "number"}),
                _object(boolValue={"type": "boolean"}),
                _object(arrayValue=_object(values=_list("Leaf"))),
                _object(kvlistValue=_object(values={"type": "array", "items": _object(key={"enum": [*_ATTRIBUTES]})})),
            ]
        },
        "Leaf": {"oneOf": [_object(stringValue={"enum": [*_TEXTS]}), _object(boolValue={"type": "boolean"})]},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "OTLP/HTTP", "version": "1"},
        "servers": [{"url": url}],
        "paths": {"/v1/traces": {"post": {"requestBody": body, "responses": answers}}},
        "components": {"schemas": schemas},
    }


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def _list(name: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}, "minItems": 1, "maxItems": 4}


def _answer(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "", "content": {"application/json": {"schema": schema}}}
