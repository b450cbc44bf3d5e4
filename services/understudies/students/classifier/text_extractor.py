"""Extract the text to classify from a request: its own text, and the discriminative part of its context."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from understudies.datasets.errors import ArtifactError
from understudies.datasets.system_template import NO_CONTEXT, SystemTemplate, truncate_middle
from understudies.events import Request
from understudies.students.base import classifier_text, request_text
from understudies.students.classifier.discriminative_terms import MAX_CONTEXT_CHARS as SEARCHED
from understudies.students.classifier.discriminative_terms import extract_terms, find_discriminative_terms
from understudies.students.classifier.sentences import MAX_TEXT_CHARS

_FILE: Final = "reading.json"
_MAX_WHOLE_CONTEXT_CHARS: Final = 1_000
"""Largest mean length of contexts to use whole; longer ones drown the text and make training slow."""


@dataclass(frozen=True, slots=True)
class TextExtractor:
    """Extract a request's text alone, with discriminative terms of the context, or with the whole context."""

    system: SystemTemplate = NO_CONTEXT
    terms: frozenset[str] | None = frozenset()
    """Terms of the context to use; None: the whole context."""

    def __call__(self, request: Request) -> str:
        """Return the text by which to classify a request; the system's text if there is no other.

        The text leaves room for the context, up to half of the classifier's limit.
        """
        context = self._select_terms(self.system.context(request)) if self.system.has_context else ""
        if not context:
            return classifier_text(request)
        text = request_text(request)
        room = MAX_TEXT_CHARS - min(len(context), MAX_TEXT_CHARS // 2) - 1
        text = truncate_middle(text, room)
        return f"{text}\n{truncate_middle(context, MAX_TEXT_CHARS - len(text) - 1)}"

    def _select_terms(self, context: str) -> str:
        return context if self.terms is None else extract_terms(truncate_middle(context, SEARCHED), self.terms)

    def summary(self) -> dict[str, JsonValue]:
        """Summarise, for the evidence, which part of the context is used; empty if there is none."""
        if not self.system.has_context:
            return {}
        terms = "all" if self.terms is None else f"{len(self.terms)} terms"
        return {"reads": f"{terms} of the context"}

    def to_files(self) -> dict[str, bytes]:
        """Return the files of the extractor; none if it uses only the text."""
        if not self.system.has_context or self.terms == frozenset():
            return {}
        terms = None if self.terms is None else sorted(self.terms)
        return self.system.to_files() | {_FILE: json.dumps({"terms": terms}, ensure_ascii=True).encode()}

    @classmethod
    def from_files(cls, content: Mapping[str, bytes]) -> "TextExtractor":
        """Read the extractor that `to_files` wrote; raises ArtifactError if it cannot be read."""
        if _FILE not in content:
            return cls()
        try:
            terms = json.loads(content[_FILE])["terms"]
            return cls(SystemTemplate.from_files(content), None if terms is None else frozenset(map(str, terms)))
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"the classifier's text extractor is invalid: {error!r}") from error


def candidate_extractors(
    system: SystemTemplate, requests: Sequence[Request], labels: Sequence[str]
) -> list[TextExtractor]:
    """Return the extractors worth trying; a later one is better only if it agrees more often."""
    if not system.has_context:
        return [TextExtractor()]
    terms = find_discriminative_terms(
        [truncate_middle(system.context(request), SEARCHED) for request in requests], labels
    )
    by_terms = [TextExtractor(system, frozenset(terms))] if terms else []
    whole = [TextExtractor(system, None)] if system.characters <= _MAX_WHOLE_CONTEXT_CHARS else []
    return [*by_terms, TextExtractor(system), *whole]
