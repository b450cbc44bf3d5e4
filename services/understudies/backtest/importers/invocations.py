"""Understudies' own events: invocations that a teacher answered."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from understudies.backtest.importers.draft import Draft
from understudies.backtest.importers.fields import cost_of, id_in, mapping, moment_of, number, tags_of, text, usage_of
from understudies.backtest.importers.parsing import NotACall


def is_invocation(record: Mapping[str, Any]) -> bool:
    """Whether the record is an event of the topic `invocations`."""
    return record.get("type") == "invocation" and isinstance(record.get("request"), dict)


def invocation(record: Mapping[str, Any]) -> Draft:
    """An invocation that a teacher answered for an agent."""
    if record.get("served_by", "teacher") != "teacher":
        raise NotACall("not answered by the teacher")
    if record.get("origin") in ("audit", "synthetic"):
        raise NotACall("not a call of an agent")
    request = mapping(record["request"])
    return Draft(
        messages=request.get("messages"),
        answer=record.get("response"),
        request={**mapping(request.get("parameters")), **request},
        model=text(record.get("model")) or "",
        usage=usage_of(mapping(record.get("usage"))),
        cost=_cost(record),
        at=moment_of(record.get("at")),
        task=text(record.get("task")),
        tags=tags_of(record.get("tags")),
        latency_ms=number(record.get("latency_ms")),
        critical=mapping(record.get("route")).get("reason") == "critical",
        episode=id_in(("episode",), record),
    )


def _cost(record: Mapping[str, Any]) -> Decimal | None:
    """What the call cost; 0 where nobody named a price says nothing."""
    cost = cost_of(record.get("cost_usd"))
    known = cost or record.get("free") is True or mapping(record.get("route"))
    return cost if known else None
