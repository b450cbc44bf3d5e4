"""What the classifier reads of a request: its text, and of its context what tells answers apart."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from understudies.events import Request
from understudies.students.base import ArtifactError, classified_text, request_text
from understudies.students.classifier import LONGEST
from understudies.students.classifier.telling import LONGEST as SEARCHED
from understudies.students.classifier.telling import telling_terms, told_by
from understudies.students.context import NO_CONTEXT, SystemTemplate, clipped

_FILE: Final = "reading.json"
_SHORT: Final = 1_000
"""Characters on average up to which a context may be read whole; longer ones drown the text, and take long to learn."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads requests: the text alone, with the terms of the context that tell, or with the whole context."""

    system: SystemTemplate = NO_CONTEXT
    terms: frozenset[str] | None = frozenset()
    """Terms of the context that count; None: all of it."""

    def __call__(self, request: Request) -> str:
        """What a request is told apart by; the system's text where there is no other.

        The text leaves room for the context, half of what the classifier reads.
        """
        context = self._of(self.system.context(request)) if self.system.varies else ""
        if not context:
            return classified_text(request)
        text = request_text(request)
        room = LONGEST - min(len(context), LONGEST // 2) - 1
        text = clipped(text, room)
        return f"{text}\n{clipped(context, LONGEST - len(text) - 1)}"

    def _of(self, context: str) -> str:
        return context if self.terms is None else told_by(clipped(context, SEARCHED), self.terms)

    def summary(self) -> dict[str, JsonValue]:
        """How much of the context is read, as evidence shows it; nothing where there is none."""
        if not self.system.varies:
            return {}
        terms = "all" if self.terms is None else f"{len(self.terms)} terms"
        return {"reads": f"{terms} of the context"}

    def to_files(self) -> dict[str, bytes]:
        """The files that hold it; none where it is the text alone."""
        if not self.system.varies or self.terms == frozenset():
            return {}
        terms = None if self.terms is None else sorted(self.terms)
        return self.system.to_files() | {_FILE: json.dumps({"terms": terms}, ensure_ascii=True).encode()}

    @classmethod
    def from_files(cls, content: Mapping[str, bytes]) -> "Reading":
        """The reading of `to_files`; raises ArtifactError where it cannot be read."""
        if _FILE not in content:
            return cls()
        try:
            terms = json.loads(content[_FILE])["terms"]
            return cls(SystemTemplate.from_files(content), None if terms is None else frozenset(map(str, terms)))
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"what the classifier reads cannot be read: {error!r}") from error


def readings(system: SystemTemplate, requests: Sequence[Request], labels: Sequence[str]) -> list[Reading]:
    """The ways to read the requests that are worth a try: the later ones only where they agree more often."""
    if not system.varies:
        return [Reading()]
    terms = telling_terms([clipped(system.context(request), SEARCHED) for request in requests], labels)
    telling = [Reading(system, frozenset(terms))] if terms else []
    whole = [Reading(system, None)] if system.characters <= _SHORT else []
    return [*telling, Reading(system), *whole]
