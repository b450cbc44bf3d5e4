"""What an analyzer of names finds is replaced, beside what the patterns find."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from understudies.redaction.presidio import build_presidio_redactor


@dataclass(frozen=True)
class Found:
    entity_type: str
    start: int
    end: int
    score: float


class WordAnalyzer:
    """Finds words that it was told, with the interface of Presidio's engine."""

    def __init__(self, **words: tuple[str, float]) -> None:
        self._words = words

    def analyze(self, text: str, language: str, entities: Any = None) -> Iterable[Found]:
        for word, (kind, score) in self._words.items():
            if entities is None or kind in entities:
                for match in re.finditer(rf"\b{word.replace('_', ' ')}\b", text):
                    yield Found(kind, match.start(), match.end(), score)


ANALYZER = WordAnalyzer(
    Ada=("PERSON", 0.85),
    Ada_Lovelace=("PERSON", 0.9),
    Delft=("LOCATION", 0.85),
    May=("DATE_TIME", 0.3),
    EMAIL=("ORG", 0.9),
)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Ada Lovelace of Delft, ada@example.org", "[PERSON] of [LOCATION], [EMAIL]"),
        ("Ada met Ada", "[PERSON] met [PERSON]"),
        ("in May", "in May"),
        ("nothing", "nothing"),
        ("", ""),
    ],
)
def test_what_is_found_is_replaced_by_its_kind(text: str, clean: str) -> None:
    assert build_presidio_redactor(ANALYZER)(text) == clean


def test_the_kinds_may_be_limited_and_the_score_lowered() -> None:
    redact = build_presidio_redactor(ANALYZER, entities=["DATE_TIME"], min_score=0.2)
    assert redact("Ada in May") == "Ada in [DATE_TIME]"
