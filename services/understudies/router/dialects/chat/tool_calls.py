"""Calls of tools as chat completions have them."""

from typing import Any

from understudies.events import ToolCall


def tool_call_dict(call: ToolCall, call_id: str) -> dict[str, Any]:
    """One call of a tool, under an id."""
    name, given = call.function.name, call.function.arguments
    if call.type == "custom":
        return {"id": call_id, "type": "custom", "custom": {"name": name, "input": given}}
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": given}}


class ToolCallAccumulator:
    """The calls of tools in a stream, each of which comes in pieces."""

    def __init__(self) -> None:
        self._calls: dict[int, dict[str, Any]] = {}
        self._given: dict[int, list[str]] = {}

    def add(self, pieces: Any) -> int:
        """Take the pieces in a delta; how many characters they add."""
        if not isinstance(pieces, list):
            return 0
        return sum(self._add(piece) for piece in pieces if isinstance(piece, dict))

    def build(self) -> list[dict[str, Any]]:
        """The calls so far."""
        return [self._joined(place, self._calls[place]) for place in sorted(self._calls)]

    def _add(self, piece: dict[str, Any]) -> int:
        place = self._place(piece)
        call = self._calls.setdefault(place, {"id": "", "type": "function", "name": ""})
        for name in ("id", "type"):
            if isinstance(piece.get(name), str) and piece[name]:
                call[name] = piece[name]
        custom = piece.get("custom")
        about, field = (custom, "input") if isinstance(custom, dict) else (piece.get("function"), "arguments")
        if not isinstance(about, dict):
            return 0
        if isinstance(about.get("name"), str):
            call["name"] += about["name"]
        given = about.get(field)
        if not isinstance(given, str):
            return 0
        self._given.setdefault(place, []).append(given)
        return len(given)

    def _place(self, piece: dict[str, Any]) -> int:
        """Where a piece belongs; without an index, to the last call unless it has an id of its own."""
        index = piece.get("index")
        if isinstance(index, int):
            return index
        last = max(self._calls, default=0)
        known = self._calls.get(last, {}).get("id")
        return last + 1 if known and piece.get("id") not in (None, "", known) else last

    def _joined(self, place: int, call: dict[str, Any]) -> dict[str, Any]:
        given = "".join(self._given.get(place, ()))
        if call["type"] == "custom":
            return {"id": call["id"], "type": "custom", "custom": {"name": call["name"], "input": given}}
        return {"id": call["id"], "type": call["type"], "function": {"name": call["name"], "arguments": given}}
