"""Find calls that are around other calls of the log, so that one answer is not counted twice.

A library's call and the provider's call inside of it are both recorded where both are instrumented. The inner one is
the call of the model: the outer one may have added to the messages, and its usage may be that of several.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from understudies.importers.fields import as_mapping, find_id, parse_id
from understudies.importers.json_parsing import parse_embedded_json
from understudies.importers.partial_call import PartialCall

SpanKey = tuple[str, str]
"""The ids of a trace and of a span in it."""


@dataclass(slots=True)
class SpanTree:
    """The parents of spans, calls or not, and the calls among them by their lines."""

    _parents: dict[SpanKey, str] = field(default_factory=dict)
    _calls: dict[SpanKey, list[int]] = field(default_factory=dict)
    _wrappers: list[tuple[int, str]] = field(default_factory=list)
    _traces_with_inner: set[str] = field(default_factory=set)
    _latest: PartialCall | None = None

    @property
    def calls(self) -> Mapping[SpanKey, list[int]]:
        """The calls by the ids of their spans."""
        return self._calls

    def add_span(self, trace: str | None, span: str | None, parent: str | None) -> None:
        """Add a span that is not a call itself."""
        if span and parent:
            self._parents[trace or "", span] = parent

    def add_call(self, call: PartialCall) -> None:
        """Add a call, whose place `place_call` tells."""
        self._latest = call

    def place_call(self, place: int) -> None:
        """Tell the place of the call that was added last."""
        call = self._latest
        if call is None:
            return
        self._latest = None
        trace = call.trace or ""
        if call.wraps:
            self._wrappers.append((place, trace))
        elif trace:
            self._traces_with_inner.add(trace)
        if call.span:
            self._calls.setdefault((trace, call.span), []).append(place)
            self.add_span(trace, call.span, call.parent)

    def outer_calls(self) -> set[int]:
        """Return the places of the calls around others, and of wrappers in traces with the calls that they made."""
        outer = {place for place, trace in self._wrappers if trace in self._traces_with_inner}
        for trace, span in self._calls:
            seen = {span}
            parent = self._parents.get((trace, span))
            while parent is not None and parent not in seen:
                seen.add(parent)
                outer.update(self._calls.get((trace, parent), ()))
                parent = self._parents.get((trace, parent))
        return outer


def read_link(record: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Return the ids of the trace, the span and its parent of a record that is not a call."""
    about = (record, as_mapping(record.get("context")), as_mapping(record.get("properties")))
    return (
        find_id(("traceid", "trace_id", "context.trace_id", "$ai_trace_id", "root_span_id"), *about),
        find_id(("spanid", "span_id", "context.span_id", "$ai_span_id", "id", "run_id", "event_id"), *reversed(about)),
        find_id(_PARENTS, *about) or first_parent(record),
    )


def first_parent(record: Mapping[str, Any]) -> str | None:
    """Return the id of the first parent where a record lists them, as Braintrust's do."""
    parents = parse_embedded_json(record.get("span_parents"))
    return parse_id(parents[0]) if isinstance(parents, list) and parents else None


_PARENTS = (
    *("parentspanid", "parent_span_id", "parent_id", "parentobservationid", "parent_observation_id", "parent_run_id"),
    *("$ai_parent_id",),
)
