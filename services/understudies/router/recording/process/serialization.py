"""Serialize pending invocations for the recorder process.

Of the objects that a pending invocation refers to, only what the event needs is packed, and the request as the caller
sent it if available. All are plain values, so packing is quick, and packed memory is freed at once. Both processes are
of the same Python, so they are packed by `marshal`, which takes a good half of pickle's time; it refuses what is not
quite plain, such as a subclass of `str`, which is pickled then.
"""

import marshal
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
_VALIDATE_RESPONSE: Final = Response.__pydantic_validator__.validate_python
_VALIDATE_USAGE: Final = Usage.__pydantic_validator__.validate_python
_WITHOUT_REFERENCES: Final = 2
"""The version of marshal's format that does not look for values that occur twice, of which there are hardly any."""
_PICKLED: Final = pickle.PROTO[0]
"""The first byte of a pickle, with which nothing marshalled begins."""


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
    return _pack(
        (
            builder.origin,
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
        )
    )


def deserialize(data: bytes, redact: Redactor | None) -> PendingInvocation:
    """Restore the pending invocation from bytes packed by this program, to be redacted with `redact`."""
    unpack = pickle.loads if data[0] == _PICKLED else marshal.loads
    origin, raw, request, call, tags, route, fields = unpack(data)
    reason, threshold, share, audit_probability, student_cost, *rest = route
    routed = RouteRecord(reason, threshold, share, audit_probability, Decimal(student_cost), *rest)
    builder = InvocationBuilder(_restore_call(raw, request, call, tags), redact, origin=origin)
    return PendingInvocation(builder, routed, _restore_fields(fields))


def _pack(values: tuple[Any, ...]) -> bytes:
    try:
        return marshal.dumps(values, _WITHOUT_REFERENCES)
    except ValueError:
        return pickle.dumps(values, protocol=pickle.HIGHEST_PROTOCOL)


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
        fields["response"] = _VALIDATE_RESPONSE(fields["response"])
    if fields.get("usage") is not None:
        prompt, completion, cached, details = fields["usage"]
        fields["usage"] = _VALIDATE_USAGE(
            {"prompt_tokens": prompt, "completion_tokens": completion, "cached_tokens": cached, "details": details}
        )
    return fields
