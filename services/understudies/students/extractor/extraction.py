"""Extract the fields of an answer from a text, with what tells how sure each is."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray

from understudies.persistence.fields import SORTED
from understudies.students.extractor.alignment import AlignedText, FieldPlan, Nothing, spans_of
from understudies.students.extractor.answer_form import Leaf, Path
from understudies.students.extractor.crf import Features, Labelling, LabelModel
from understudies.students.extractor.readers import Scalar, read_span
from understudies.students.extractor.tokens import (
    MAX_CHARS,
    MAX_TOKENS,
    MAX_VALUE_TOKENS,
    Token,
    describe,
    mask_digits,
    tokenize,
)

_NOTHING: Final[dict[Nothing, Leaf]] = {"null": None, "empty": "", "empty_list": []}
_MAX_KNOWN: Final = 20_000
_LEAST_LOG: Final = -20.0
_ALWAYS: Final = 0.99
"""Share of the answers with a value from which a field is never left out."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of the training texts, the neighbouring words outside of values, and the values by field.

    Values are counted, so that a training text's own can be left out when it is described.
    """

    words: Annotated[frozenset[str], SORTED] = frozenset()
    pairs: Annotated[frozenset[str], SORTED] = frozenset()
    values: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """How often each value, in lower case with digits masked, stood in each field."""

    @classmethod
    def learn(cls, aligned: Sequence[AlignedText]) -> "Vocabulary":
        """Learn from tagged training texts."""
        words: set[str] = set()
        pairs: set[str] = set()
        values: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for one in aligned:
            lower = [mask_digits(token.text) for token in one.tokens]
            words.update(lower)
            pairs.update(_outer_pairs(lower, one.tags))
            for name, first, end in spans_of(one.tags):
                values[" ".join(lower[first:end])][str(name)] += 1
        frequent = sorted(values.items(), key=lambda item: (-item[1].total(), item[0]))[:_MAX_KNOWN]
        return cls(frozenset(words), frozenset(pairs), {text: dict(fields) for text, fields in frequent})

    def known(self, without: AlignedText | None = None) -> Mapping[str, Sequence[str]]:
        """Return the fields of each known value; a training text's own mentions are left out."""
        if without is None:
            return {text: tuple(fields) for text, fields in self.values.items()}
        lower = [mask_digits(token.text) for token in without.tokens]
        own = Counter((" ".join(lower[first:end]), str(name)) for name, first, end in spans_of(without.tags))
        known: dict[str, Sequence[str]] = {}
        for text in _phrases(lower):
            if text in self.values:
                left = [name for name, count in self.values[text].items() if count > own[text, name]]
                if left:
                    known[text] = left
        return known


def _phrases(words: Sequence[str]) -> set[str]:
    return {
        " ".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, min(len(words), i + MAX_VALUE_TOKENS) + 1)
    }


def _outer_pairs(words: Sequence[str], tags: Sequence[str]) -> set[str]:
    """Return the neighbouring words, with a whole value as one mark."""
    outer: list[str] = []
    for word, tag in zip(words, tags, strict=True):
        if tag == "O":
            outer.append(word)
        elif tag[0] == "B" or not outer:
            outer.append(f"[{tag[2:]}]")
    return {f"{one} {other}" for one, other in zip(["<", *outer], [*outer, ">"], strict=True)}


@dataclass(frozen=True, slots=True)
class Extraction:
    """The fields found in a text, and the features from which the confidence in them is computed.

    `readable` is false where a span cannot be read, a field has two values and takes one, or one that
    never lacks has none.
    """

    fields: dict[Path, Leaf]
    features: NDArray[np.float64]
    readable: bool


FEATURE_NAMES: Final = ("log probability", "known words", "known pairs", "least choice")
"""The features of the confidence. More of them, such as the frequency of a set of fields or of a value, were better
on held-out training texts and worse on later ones."""


class FieldExtractor:
    """Tags a text, reads its spans, and chooses the fields that are no part of it."""

    def __init__(
        self,
        plans: Sequence[FieldPlan],
        vocabulary: Vocabulary,
        tagger: LabelModel | None,
        choosers: Mapping[int, LabelModel],
    ) -> None:
        self.plans = tuple(plans)
        self.vocabulary = vocabulary
        self.tagger = tagger
        self.choosers = dict(choosers)
        self._known = vocabulary.known()

    @classmethod
    def fit(
        cls,
        plans: Sequence[FieldPlan],
        aligned: Sequence[AlignedText],
        answers: Sequence[Mapping[Path, Leaf]],
    ) -> "FieldExtractor":
        """Fit on tagged texts and their answers."""
        vocabulary = Vocabulary.learn(aligned)
        copies = any(plan.kind == "copied" for plan in plans)
        tagger = (
            LabelModel.fit((describe(one.text, one.tokens, vocabulary.known(one)), one.tags) for one in aligned)
            if copies
            else None
        )
        choosers = {
            index: LabelModel.fit(
                (_describe_whole(one.tokens), [_choice_label(plan, answer.get(plan.path))])
                for one, answer in zip(aligned, answers, strict=True)
            )
            for index, plan in enumerate(plans)
            if plan.kind == "chosen"
        }
        return cls(plans, vocabulary, tagger, choosers)

    def extract(self, text: str) -> Extraction | None:
        """Extract the fields of a text; None for one that is too long or empty."""
        tokens = tokenize(text) if len(text) <= MAX_CHARS else []
        if not tokens or len(tokens) > MAX_TOKENS:
            return None
        labelling = (
            self.tagger.label(describe(text, tokens, self._known))
            if self.tagger is not None
            else Labelling(["O"] * len(tokens), 1.0)
        )
        found, readable = self._read_spans(text, tokens, labelling)
        choices: list[float] = []
        for index, chooser in self.choosers.items():
            chosen = chooser.label(_describe_whole(tokens))
            choices.append(chosen.probability)
            number = int(chosen.labels[0])
            if number >= 0:
                found[index] = [self.plans[index].choices[number]]
        return Extraction(self._fields(found), self._features(tokens, labelling, choices), readable)

    def _fields(self, found: Mapping[int, Sequence[Scalar]]) -> dict[Path, Leaf]:
        fields: dict[Path, Leaf] = {}
        for index, plan in enumerate(self.plans):
            values = list(plan.choices) if plan.kind == "constant" else list(found.get(index, ()))
            if values:
                fields[plan.path] = values if plan.always_list or len(values) > 1 else values[0]
            elif plan.nothing != "omitted":
                fields[plan.path] = _NOTHING[plan.nothing]
        return fields

    def _read_spans(
        self, text: str, tokens: Sequence[Token], labelling: Labelling
    ) -> tuple[dict[int, list[Scalar]], bool]:
        found: defaultdict[int, list[Scalar]] = defaultdict(list)
        readable = True
        for index, first, end in spans_of(labelling.labels):
            plan = self.plans[index]
            value = read_span(plan.reader, text, tokens[first].start, tokens[end - 1].end)
            if value is None:
                readable = False
            elif not plan.several and found[index]:
                readable = readable and found[index] == [value]
            else:
                found[index].append(value)
        always = (index for index, plan in enumerate(self.plans) if plan.kind == "copied" and plan.presence >= _ALWAYS)
        return found, readable and all(found[index] for index in always)

    def _features(self, tokens: Sequence[Token], labelling: Labelling, choices: Sequence[float]) -> NDArray[np.float64]:
        lower = [mask_digits(token.text) for token in tokens]
        outside = [word for word, tag in zip(lower, labelling.labels, strict=True) if tag == "O"]
        pairs = _outer_pairs(lower, labelling.labels)
        return np.array(
            [
                _log(labelling.probability),
                _share([word in self.vocabulary.words for word in outside]),
                _share([pair in self.vocabulary.pairs for pair in pairs]),
                _log(min(choices, default=1.0)),
            ]
        )


def _choice_label(plan: FieldPlan, value: Leaf) -> str:
    """Return the index of a choice; -1 for no value, or one that was given once."""
    return str(next((i for i, one in enumerate(plan.choices) if repr(one) == repr(value)), -1))


def _describe_whole(tokens: Sequence[Token]) -> Features:
    lower = [mask_digits(token.text) for token in tokens]
    pairs = {f"{one} {other}" for one, other in pairwise(lower)}
    return [["b", *sorted({f"w={word}" for word in lower}), *sorted(f"+={pair}" for pair in pairs)]]


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 1.0


def _log(probability: float) -> float:
    return max(_LEAST_LOG, math.log(max(probability, 1e-12)))
