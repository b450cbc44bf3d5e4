"""One content block of Anthropic's, which grows delta by delta."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.router.dialects.fields import object_in, text_of

_GROWS: Final = {
    "text_delta": "text",
    "input_json_delta": "partial_json",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
}
"""The field of each kind of delta."""


class Block:
    """What a stream has said of a block."""

    def __init__(self, opening: Mapping[str, Any]) -> None:
        self._opening = opening
        self._pieces: dict[str, list[str]] = {}
        self._citations: list[Any] = []
        self.chars = len(text_of(opening.get("text")))

    def add(self, delta: Mapping[str, Any]) -> int:
        """Take the next delta; how many characters it adds."""
        kind = delta.get("type")
        field = _GROWS.get(kind) if isinstance(kind, str) else None
        piece = None if field is None else delta.get(field)
        if field is not None and isinstance(piece, str):
            self._pieces.setdefault(field, []).append(piece)
            return 0 if field == "signature" else len(piece)
        if kind == "citations_delta":
            self._citations.append(delta.get("citation"))
        return 0

    def block(self, *, whole: bool) -> dict[str, Any]:
        """The block so far; input that is no JSON object, as it broke off, is its text, or with `whole` left out."""
        block = dict(self._opening)
        for field, pieces in self._pieces.items():
            if field != "partial_json":
                block[field] = text_of(block.get(field)) + "".join(pieces)
        if self._citations:
            block["citations"] = [*(block.get("citations") or ()), *self._citations]
        written = "".join(self._pieces.get("partial_json", ()))
        if written:
            given = object_in(written)
            block["input"] = given if given is not None else {} if whole else written
        return block
