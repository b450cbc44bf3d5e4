"""One item of a response's output, which grows delta by delta."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.router.dialects.fields import index_or_zero, list_objects

_DELTA_KINDS: Final = {
    "response.output_text.delta": "output_text",
    "response.refusal.delta": "refusal",
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
}
_TEXT_FIELDS: Final = {"output_text": "text", "refusal": "refusal"}
"""Where the words of a content part stand."""


class OutputItemAccumulator:
    """What a stream has said of an item."""

    def __init__(self, opening: Mapping[str, Any]) -> None:
        self._opening = opening
        self._given: dict[str, list[str]] = {}
        self._parts: dict[int, tuple[str, list[str]]] = {}
        self._done = False

    @staticmethod
    def is_delta(kind: str) -> bool:
        """Whether an event of this kind adds to an item."""
        return kind in _DELTA_KINDS

    def add(self, kind: str, chunk: Mapping[str, Any]) -> None:
        """Take the next delta, which is text."""
        what, delta = _DELTA_KINDS[kind], chunk["delta"]
        if what not in _TEXT_FIELDS:
            self._given.setdefault(what, []).append(delta)
            return
        self._parts.setdefault(index_or_zero(chunk.get("content_index")), (what, []))[1].append(delta)

    def finish(self, item: Mapping[str, Any]) -> None:
        """The item as it is in the end."""
        self._opening = item
        self._done = True

    def build(self) -> dict[str, Any]:
        """The item so far."""
        if self._done:
            return dict(self._opening)
        item = {**self._opening, **{field: "".join(pieces) for field, pieces in self._given.items()}}
        if self._parts:
            item["content"] = [*list_objects(item.get("content")), *map(self._part, sorted(self._parts))]
        return item

    def _part(self, index: int) -> dict[str, Any]:
        kind, pieces = self._parts[index]
        about: dict[str, Any] = {"annotations": []} if kind == "output_text" else {}
        return {"type": kind, _TEXT_FIELDS[kind]: "".join(pieces), **about}
