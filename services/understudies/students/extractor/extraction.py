"""Extract the fields of an answer from a text, with what tells how sure each is."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from understudies.students.encoder.token_encoder import token_encoder
from understudies.students.extractor.alignment import AlignedText, Tagged, spans_of
from understudies.students.extractor.choosers import DOES_NOT_APPLY, NOT_CHOSEN, choices_of, describe_whole
from understudies.students.extractor.crf import Features, Labelling, LabelModel, WeightedFeatures
from understudies.students.extractor.fields import Fields, Leaf, Path, is_nothing, items_of, scalars_of, to_leaf
from understudies.students.extractor.item_grouping import group_spans, join_adjacent, region_of, section_spans
from understudies.students.extractor.label_scores import LabelScores
from understudies.students.extractor.plans import AnswerPlan, FieldPlan, Section
from understudies.students.extractor.readers import Scalar, read_span
from understudies.students.extractor.token_features import describe
from understudies.students.extractor.tokens import (
    MAX_CHARS,
    MAX_TOKENS,
    Token,
    line_numbers,
    mask_digits,
    tokenize,
)
from understudies.students.extractor.vocabulary import Vocabulary, field_order, outer_lines, outer_pairs
from understudies.students.vectors import Floats

_MOST_LOG_ODDS: Final = 7.5
"""Beyond it, a labelling and its opposite are not told apart."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """The fields found in a text, and the features from which the confidence in them is computed.

    `readable` is false where a span cannot be read, a field has two values and takes one, or one that
    never lacks has none; in the answer or in one of its objects.
    """

    fields: Fields
    features: NDArray[np.float64]
    readable: bool


FEATURES_OF_CERTAINTY: Final = {
    "log odds": _MOST_LOG_ODDS,
    "known words": 1.0,
    "known pairs": 1.0,
    "known lines": 1.0,
    "least choice": _MOST_LOG_ODDS,
    "known items": 1.0,
    "checks": 1.0,
}
"""The features of the confidence, with their values where nothing is in doubt: log odds, and the shares of words,
pairs, lines and objects of lists that are known, and of calculations that hold. More of them, such as the frequency
of a set of fields or of a value, were better on held-out training texts and worse on later ones. Log odds keep the
surest answers apart; by log probabilities, the other features alone would decide among them."""


class _Text(NamedTuple):
    """A text with its tokens and the line of each."""

    text: str
    tokens: Sequence[Token]
    lines: Sequence[int]


@dataclass(slots=True)
class _Reading:
    """What was read of a text so far: the values of a section, and what tells how sure they are."""

    values: dict[Path, Leaf] = field(default_factory=dict)
    choices: list[float] = field(default_factory=list)
    known_items: list[bool] = field(default_factory=list)
    checks: list[bool] = field(default_factory=list)
    readable: bool = True


Choosers = Mapping[str, LabelModel]
"""The models that choose, by the number of the field; for one label of several, followed by that of the label."""


class FieldExtractor:
    """Tags a text, reads its spans, chooses the fields that are no part of it, and derives others from those."""

    def __init__(
        self,
        plan: AnswerPlan,
        vocabulary: Vocabulary,
        tagger: LabelModel | None,
        choosers: Choosers,
        scores: LabelScores | None = None,
    ) -> None:
        self.plan = plan
        self.vocabulary = vocabulary
        self.tagger = tagger
        self.choosers = dict(choosers)
        self.scores = scores
        self._known = vocabulary.known()

    @classmethod
    def fit(
        cls, plan: AnswerPlan, aligned: Sequence[AlignedText], answers: Sequence[Fields], *, encoder: bool = False
    ) -> "FieldExtractor":
        """Fit on tagged texts and their answers; with `encoder`, its scores of labels are features of the tagger."""
        vocabulary = Vocabulary.learn(aligned)
        tagger, scores = _fit_tagger(aligned, vocabulary, encoder=encoder) if is_tagging(plan) else (None, None)
        whole = [(one.tokens, answer) for one, answer in zip(aligned, answers, strict=True)]
        choosers = _fit_choosers(Section(0, plan), whole)
        for number, section in plan.sections.items():
            choosers |= _fit_choosers(section, list(_section_examples(number, plan, section, aligned, answers)))
        return cls(plan, vocabulary, tagger, choosers, scores)

    def extract(self, text: str) -> Extraction | None:
        """Extract the fields of a text; None for one that is too long or empty."""
        tokens = tokenize(text) if len(text) <= MAX_CHARS else []
        if not tokens or len(tokens) > MAX_TOKENS:
            return None
        labelling = (
            self.tagger.label(self._describe(text, tokens))
            if self.tagger is not None
            else Labelling(["O"] * len(tokens), 1.0)
        )
        whole = _Text(text, tokens, line_numbers(text, tokens))
        spans = spans_of(labelling.labels)
        reading = _Reading()
        for number, section in self.plan.sections.items():
            self._read_items(reading, self.plan.fields[number], section, whole, section_spans(spans, section))
        own = Section(0, self.plan)
        values = join_adjacent(section_spans(spans, own), own)
        fields = self._read_section(reading, own, whole, values, (0, len(tokens)))
        return Extraction(fields, self._features(whole, labelling, reading), reading.readable)

    def _describe(self, text: str, tokens: Sequence[Token]) -> Features | WeightedFeatures:
        features = describe(text, tokens, self._known)
        return features if self.scores is None else self.scores.add_to(features, self.scores(_encode(text, tokens)))

    def _read_items(
        self, reading: _Reading, one: FieldPlan, section: Section, text: _Text, spans: Sequence[Tagged]
    ) -> None:
        """Read the objects of a list."""
        groups = group_spans(spans, section, one.boundary, text.lines)
        items: list[Fields] = []
        for index, group in enumerate(groups):
            item = _Reading()
            items.append(self._read_section(item, section, text, group, region_of(groups, index, text.lines)))
            reading.choices += item.choices
            reading.checks += item.checks
            reading.known_items.append(field_order(group) in self.vocabulary.items)
            reading.readable = reading.readable and item.readable
        if items:
            reading.values[one.path] = items

    def _read_section(
        self, reading: _Reading, section: Section, text: _Text, spans: Sequence[Tagged], region: tuple[int, int]
    ) -> Fields:
        """Read the answer, or one object of a list that stands in a region of tokens."""
        self._read_spans(reading, section, text, spans)
        described: Features | None = None
        for number, one in enumerate(section.plan.fields, section.first):
            if one.kind == "constant" and one.choices:
                reading.values[one.path] = to_leaf(one.choices[0])
            elif one.kind in ("chosen", "multi_label"):
                described = described or describe_whole(text.tokens[slice(*region)])
                self._choose(reading, number, one, described)
        derived = {
            one.path: value
            for one in section.plan.fields
            if one.kind == "derived"
            and one.relation is not None
            and not is_nothing(value := one.relation.derive(reading.values))
        }
        reading.values |= derived
        reading.checks += [
            one.relation.explains(one.path, reading.values)
            for one in section.plan.fields
            if one.kind == "copied" and one.relation is not None
        ]
        reading.readable = reading.readable and not section.plan.lacks_value(reading.values)
        return section.plan.assemble(reading.values)

    def _read_spans(self, reading: _Reading, section: Section, text: _Text, spans: Sequence[Tagged]) -> None:
        found: defaultdict[int, list[Scalar]] = defaultdict(list)
        for number, first, end in spans:
            one = section.plan.fields[number - section.first]
            value = read_span(one.reader, text.text, text.tokens[first].start, text.tokens[end - 1].end)
            if value is None:
                reading.readable = False
            elif not one.several and found[number]:
                reading.readable = reading.readable and found[number] == [value]
            else:
                found[number].append(value)
        for number, values in found.items():
            one = section.plan.fields[number - section.first]
            if values:
                reading.values[one.path] = values if one.always_list or len(values) > 1 else values[0]

    def _choose(self, reading: _Reading, number: int, one: FieldPlan, described: Features) -> None:
        if one.kind == "chosen":
            choice = int(self._label(reading, str(number), described, str(NOT_CHOSEN)))
            if choice != NOT_CHOSEN:
                reading.values[one.path] = to_leaf(one.choices[choice])
            return
        applying: list[Scalar] = []
        for index, label in enumerate(one.choices):
            if self._label(reading, f"{number}-{index}", described, DOES_NOT_APPLY) != DOES_NOT_APPLY:
                applying += scalars_of(to_leaf(label))
        if applying:
            reading.values[one.path] = applying if one.always_list or len(applying) > 1 else applying[0]

    def _label(self, reading: _Reading, name: str, described: Features, default: str) -> str:
        """Return the label that a model gives; the default, unreadable, for one that training had no examples for."""
        if name not in self.choosers:
            reading.readable = False
            return default
        chosen = self.choosers[name].label(described)
        reading.choices.append(chosen.probability)
        return chosen.labels[0]

    def _features(self, text: _Text, labelling: Labelling, reading: _Reading) -> NDArray[np.float64]:
        lower = [mask_digits(token.text) for token in text.tokens]
        outside = [word for word, tag in zip(lower, labelling.labels, strict=True) if tag == "O"]
        pairs = outer_pairs(lower, labelling.labels)
        lines = outer_lines(lower, labelling.labels, text.lines)
        return np.array(
            [
                _log_odds(labelling.probability),
                _share([word in self.vocabulary.words for word in outside]),
                _share([pair in self.vocabulary.pairs for pair in pairs]),
                _share([line in self.vocabulary.lines for line in lines]),
                _log_odds(min(reading.choices, default=1.0)),
                _share(reading.known_items),
                _share(reading.checks),
            ]
        )


def _encode(text: str, tokens: Sequence[Token]) -> Floats:
    return token_encoder().vectors(text, [(token.start, token.end) for token in tokens])


def _fit_tagger(
    aligned: Sequence[AlignedText], vocabulary: Vocabulary, *, encoder: bool
) -> tuple[LabelModel, LabelScores | None]:
    features = [describe(one.text, one.tokens, vocabulary.known(one)) for one in aligned]
    tags = [one.tags for one in aligned]
    if not encoder:
        return LabelModel.fit(zip(features, tags, strict=True)), None
    scores, held_out = LabelScores.fit([_encode(one.text, one.tokens) for one in aligned], tags)
    weighted = (scores.add_to(*one) for one in zip(features, held_out, strict=True))
    return LabelModel.fit(zip(weighted, tags, strict=True)), scores


def is_tagging(plan: AnswerPlan) -> bool:
    """Return whether any field of a plan is copied."""
    return any(one.kind == "copied" for one in plan.numbered)


def _fit_choosers(section: Section, examples: Sequence[tuple[Sequence[Token], Fields]]) -> dict[str, LabelModel]:
    """Fit the models that choose fields of a section; none without examples."""
    described = [describe_whole(tokens) for tokens, _ in examples]
    fields = [one for _, one in examples]
    return {
        name: LabelModel.fit((features, [label]) for features, label in zip(described, labels, strict=True))
        for number, one in enumerate(section.plan.fields, section.first)
        for name, labels in choices_of(number, one, fields)
        if examples
    }


def _section_examples(
    number: int, plan: AnswerPlan, section: Section, aligned: Sequence[AlignedText], answers: Sequence[Fields]
) -> Iterator[tuple[Sequence[Token], Fields]]:
    """Yield the tokens and the fields of the objects of a list, where they are grouped as they are."""
    field_plan = plan.fields[number]
    for one, answer in zip(aligned, answers, strict=True):
        groups = group_spans(section_spans(spans_of(one.tags), section), section, field_plan.boundary, one.lines)
        if groups == one.items.get(number):
            for index, item in enumerate(items_of(answer.get(field_plan.path))):
                first, end = region_of(groups, index, one.lines)
                yield one.tokens[first:end], item


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 1.0


def _log_odds(probability: float) -> float:
    if not 0.0 < probability < 1.0:
        return math.copysign(_MOST_LOG_ODDS, probability - 0.5)
    return min(max(math.log(probability) - math.log1p(-probability), -_MOST_LOG_ODDS), _MOST_LOG_ODDS)
