"""Notes as bytes: what is to be recorded, on its way to the process that records it.

Of what a note refers to, only that is packed which an event needs, and the request as its caller sent it where that is
at hand. It is all plain values, so it is quickly packed, and what was packed is freed at once.
"""

import pickle
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from understudies.client.redaction import Redactor
from understudies.events import Request, Response, Route, Usage
from understudies.router.account import Account, Note
from understudies.router.call import Call
from understudies.router.dialects import dialect_of


def packed(note: Note) -> bytes:
    """The bytes of a note."""
    account, route = note.account, note.route
    call = account.call
    fields = dict(note.fields)
    for name in ("response", "usage"):
        if fields.get(name) is not None:
            fields[name] = fields[name].model_dump()
    if "cost_usd" in fields:
        fields["cost_usd"] = str(fields["cost_usd"])
    return pickle.dumps(
        (
            account.audit,
            call.raw,
            None if call.raw is not None else call.request.model_dump(),
            (call.id, call.at.isoformat(), call.task, call.episode, call.tenant, call.model, call.api, call.stream),
            dict(call.tags),
            (
                route.reason,
                route.threshold,
                route.share,
                route.audit_probability,
                str(route.student_cost_usd),
                route.drawn,
            ),
            fields,
        ),
        protocol=pickle.HIGHEST_PROTOCOL,
    )


def unpacked(data: bytes, redact: Redactor | None) -> Note:
    """The note of bytes that this program has packed, to be redacted with `redact`."""
    audit, raw, request, call, tags, route, fields = pickle.loads(data)
    reason, threshold, share, audit_probability, student_cost, drawn = route
    of = Route(
        reason=reason,
        threshold=threshold,
        share=share,
        audit_probability=audit_probability,
        student_cost_usd=Decimal(student_cost),
        drawn=drawn,
    )
    return Note(Account(_call(raw, request, call, tags), redact, audit=audit), of, _fields(fields))


def _call(raw: bytes | None, request: Any, call: Any, tags: dict[str, str]) -> Call:
    id_, at, task, episode, tenant, model, api, stream = call
    asked = Request.model_validate(request) if raw is None else dialect_of(api).read(orjson.loads(raw)).request
    return Call(
        id=id_,
        at=datetime.fromisoformat(at),
        task=task,
        request=asked,
        draw=0.0,
        episode=episode,
        tenant=tenant,
        model=model,
        tags=tags,
        api=api,
        stream=stream,
        raw=raw,
    )


def _fields(fields: dict[str, Any]) -> dict[str, Any]:
    if "cost_usd" in fields:
        fields["cost_usd"] = Decimal(fields["cost_usd"])
    for name, kind in (("response", Response), ("usage", Usage)):
        if fields.get(name) is not None:
            fields[name] = kind.model_validate(fields[name])
    return fields
