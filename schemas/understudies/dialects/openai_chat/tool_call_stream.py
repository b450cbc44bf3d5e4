"""Assemble the tool calls of a stream of OpenAI's Chat Completions, and tell apart those that share an index."""

from typing import Any

from understudies.dialects.json_fields import (
    arguments_text,
    join_texts,
    object_or_empty,
    parse_object_text,
    text_or_empty,
)

_Place = tuple[int, int]
"""An index in the stream, and the number of the call at this index: some servers stream all their calls at one."""


class ToolCallAccumulator:
    """Assembles the tool calls of a stream, each of which arrives in pieces."""

    def __init__(self) -> None:
        self._calls: dict[_Place, dict[str, Any]] = {}
        self._given: dict[_Place, list[str]] = {}
        self._latest: dict[int, _Place] = {}

    def add(self, pieces: Any) -> int:
        """Add the pieces in a delta; returns the number of characters that they add."""
        if not isinstance(pieces, list):
            return 0
        return sum(self._add(piece) for piece in pieces if isinstance(piece, dict))

    def build(self) -> list[dict[str, Any]]:
        """Return the tool calls so far."""
        return [self._joined(place, self._calls[place]) for place in sorted(self._calls)]

    def _add(self, piece: dict[str, Any]) -> int:
        custom = piece.get("custom")
        about, field = (custom, "input") if isinstance(custom, dict) else (piece.get("function"), "arguments")
        about = object_or_empty(about)
        place = self._place(piece, text_or_empty(about.get("name")))
        call = self._calls.setdefault(
            place, {"id": "", "type": "custom" if about is custom else "function", "name": ""}
        )
        for field_name in ("id", "type"):
            if isinstance(piece.get(field_name), str) and piece[field_name]:
                call[field_name] = piece[field_name]
        name = about.get("name")
        if isinstance(name, str) and name != call["name"]:
            call["name"] += name  # some servers send it in pieces, and others repeat it in every piece
        given = about.get(field)
        if isinstance(given, dict):
            given = arguments_text(given)
        if not isinstance(given, str):
            return 0
        self._given.setdefault(place, []).append(given)
        return len(given)

    def _place(self, piece: dict[str, Any], name: str) -> _Place:
        """Return the place of a piece's call; without an index, the piece belongs to the last call, or begins one."""
        index = piece.get("index")
        if not isinstance(index, int):
            index = max(self._latest, default=0)
        place = self._latest.get(index, (index, 0))
        call = self._calls.get(place)
        if call is not None and call["name"]:
            place = self._other_place(piece, name, place, call) or place
        self._latest[index] = place
        return place

    def _other_place(self, piece: dict[str, Any], name: str, last: _Place, call: dict[str, Any]) -> _Place | None:
        """Return the place of another call than the last one at an index, if the piece belongs to one or begins one.

        A piece with another id and a name begins one, and so does a name after whole arguments. Servers that give each
        piece of a call a new id, and repeat its name, are told by arguments that are not whole yet.
        """
        piece_id = text_or_empty(piece.get("id"))
        differs = bool(piece_id and call["id"] and piece_id != call["id"])
        if not name and not differs:
            return None
        if differs:
            known = [place for place, other in self._calls.items() if place[0] == last[0] and other["id"] == piece_id]
            if known:
                return known[0]
        given = "".join(self._given.get(last, ()))
        # The text of a custom tool does not tell whether it is whole.
        whole = (differs and call["type"] == "custom") or parse_object_text(given) is not None
        begins = (
            (not given or whole or name != call["name"])
            if differs
            else whole and (not piece_id or piece_id != call["id"])
        )
        return (last[0], last[1] + 1) if name and begins else None

    def _joined(self, place: _Place, call: dict[str, Any]) -> dict[str, Any]:
        given = join_texts(self._given.get(place, ()))
        if call["type"] == "custom":
            return {"id": call["id"], "type": "custom", "custom": {"name": call["name"], "input": given}}
        return {"id": call["id"], "type": call["type"], "function": {"name": call["name"], "arguments": given}}
