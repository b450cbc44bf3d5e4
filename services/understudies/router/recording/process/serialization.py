"""Serialize pending invocations for the recorder process.

Of the objects that a pending invocation refers to, only what the event needs is packed, and the request as the caller
sent it if available. All are plain values, so packing is quick, and packed memory is freed at once.
"""

import pickle
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from understudies.dialects.registry import dialect_of
from understudies.events import Request, Response, Usage
from understudies.redaction.redactor import Redactor
from understudies.router.call import Call
from understudies.router.recording.invocation import InvocationBuilder, PendingInvocation
from understudies.router.routing.decision import RouteRecord

_RESPONSE: Final = TypeAdapter(Response).serializer


def serialize(pending: PendingInvocation) -> bytes:
    """Serialize a pending invocation."""
    builder, fields = pending.builder, pending.fields
    call = builder.call
    packed = {**fields, "cost_usd": str(fields["cost_usd"])} if "cost_usd" in fields else {**fields}
    if (response := packed.get("response")) is not None:
        packed["response"] = _RESPONSE.to_python(response)
    if (usage := packed.get("usage")) is not None:
        details = None if usage.details is None else usage.details.model_dump(mode="json")
        packed["usage"] = (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, details)
    reason, threshold, share, audit_probability, student_cost, drawn, head, spot_check = pending.route
    raw = call.raw
    return pickle.dumps(
        (
            builder.audit,
            raw,
            call.request.model_dump() if raw is None else None,
            (
                call.id,
                call.at.timestamp(),
                call.task,
                call.episode,
                call.tenant,
                call.model,
                call.api,
                call.stream,
                call.traceparent,
            ),
            dict(call.tags),
            (reason, threshold, share, audit_probability, str(student_cost), drawn, head, spot_check),
            packed,
        ),
        protocol=pickle.HIGHEST_PROTOCOL,
    )


def deserialize(data: bytes, redact: Redactor | None) -> PendingInvocation:
    """Restore the pending invocation from bytes packed by this program, to be redacted with `redact`."""
    audit, raw, request, call, tags, route, fields = pickle.loads(data)
    reason, threshold, share, audit_probability, student_cost, *rest = route
    routed = RouteRecord(reason, threshold, share, audit_probability, Decimal(student_cost), *rest)
    return PendingInvocation(
        InvocationBuilder(_restore_call(raw, request, call, tags), redact, audit=audit), routed, _restore_fields(fields)
    )


def _restore_call(raw: bytes | None, request: Any, call: Any, tags: dict[str, str]) -> Call:
    id_, at, task, episode, tenant, model, api, stream, traceparent = call
    request_model = (
        Request.model_validate(request) if raw is None else dialect_of(api).decode_request(orjson.loads(raw)).request
    )
    return Call(
        id=id_,
        at=datetime.fromtimestamp(at, UTC),
        task=task,
        request=request_model,
        sample=0.0,
        episode=episode,
        tenant=tenant,
        model=model,
        tags=tags,
        api=api,
        stream=stream,
        traceparent=traceparent,
        raw=raw,
    )


def _restore_fields(fields: dict[str, Any]) -> dict[str, Any]:
    if "cost_usd" in fields:
        fields["cost_usd"] = Decimal(fields["cost_usd"])
    if fields.get("response") is not None:
        fields["response"] = Response.model_validate(fields["response"])
    if fields.get("usage") is not None:
        prompt, completion, cached, details = fields["usage"]
        fields["usage"] = Usage(
            prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached, details=details
        )
    return fields
