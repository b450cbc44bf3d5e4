"""Redact names, places and what else Presidio's analyzer finds, in the agent: `pip install presidio-analyzer`.

It takes milliseconds a text, so it suits the SDK, which redacts in the background, and not the router.
"""

from collections.abc import Collection, Iterable
from typing import Any, Final, Protocol

from understudies.redaction.patterns import default_redactor
from understudies.redaction.redactor import Redactor, combined

_MIN_SCORE: Final = 0.5


class AnalyzerResult(Protocol):
    """What the analyzer found: the kind, where, and how sure it is."""

    @property
    def entity_type(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def score(self) -> float: ...


class Analyzer(Protocol):
    """The part of `presidio_analyzer.AnalyzerEngine` that is used."""

    def analyze(self, text: str, language: str, entities: Any = ...) -> Iterable[AnalyzerResult]: ...


def build_presidio_redactor(
    analyzer: Analyzer,
    *,
    language: str = "en",
    entities: Collection[str] | None = None,
    min_score: float = _MIN_SCORE,
    first: Redactor = default_redactor,
) -> Redactor:
    """Return a redactor that replaces what `first` leaves and the analyzer finds by its kind, such as `[PERSON]`.

    `entities` limits the kinds; placeholders that are there already stay.
    """

    def redact(text: str) -> str:
        found = analyzer.analyze(text=text, language=language, entities=None if entities is None else list(entities))
        return _replace(text, [result for result in found if result.score >= min_score])

    return combined(first, redact)


def _replace(text: str, found: Iterable[AnalyzerResult]) -> str:
    """Replace the parts found; of those that overlap, the longest."""
    taken: list[AnalyzerResult] = []
    for result in sorted(found, key=lambda result: (result.start - result.end, result.start)):
        is_free = all(result.end <= other.start or result.start >= other.end for other in taken)
        if is_free and text[max(0, result.start - 1) : result.start] != "[":
            taken.append(result)
    for result in sorted(taken, key=lambda result: result.start, reverse=True):
        text = f"{text[: result.start]}[{result.entity_type}]{text[result.end :]}"
    return text
