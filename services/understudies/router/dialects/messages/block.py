"""One content block of Anthropic's, which grows delta by delta."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.router.dialects.fields import parse_object_text, text_or_empty

_DELTA_FIELDS: Final = {
    "text_delta": "text",
    "input_json_delta": "partial_json",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
}
"""The field of each kind of delta."""


class ContentBlockAccumulator:
    """What a stream has said of a block."""

    def __init__(self, opening: Mapping[str, Any]) -> None:
        self._opening = opening
        self._pieces: dict[str, list[str]] = {}
        self._citations: list[Any] = []
        self.characters = len(text_or_empty(opening.get("text")))

    def add(self, delta: Mapping[str, Any]) -> int:
        """Take the next delta; how many characters it adds."""
        kind = delta.get("type")
        field = _DELTA_FIELDS.get(kind) if isinstance(kind, str) else None
        piece = None if field is None else delta.get(field)
        if field is not None and isinstance(piece, str):
            self._pieces.setdefault(field, []).append(piece)
            return 0 if field == "signature" else len(piece)
        if kind == "citations_delta":
            self._citations.append(delta.get("citation"))
        return 0

    def build(self, *, whole: bool) -> dict[str, Any]:
        """The block so far; input that is no JSON object, as it broke off, is its text, or with `whole` left out."""
        block = dict(self._opening)
        for field, pieces in self._pieces.items():
            if field != "partial_json":
                block[field] = text_or_empty(block.get(field)) + "".join(pieces)
        if self._citations:
            block["citations"] = [*(block.get("citations") or ()), *self._citations]
        written = "".join(self._pieces.get("partial_json", ()))
        if written:
            given = parse_object_text(written)
            block["input"] = given if given is not None else {} if whole else written
        return block
