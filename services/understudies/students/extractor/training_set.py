"""Read the examples that an extractor learns from, and part them for its confidence."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from understudies.datasets.dataset import Example
from understudies.datasets.system_template import SystemTemplate
from understudies.events import Message, Request, position
from understudies.events.json_values import replace_lone_surrogates
from understudies.judges.answer_key import normalize_call_ids
from understudies.students.base import classifier_text
from understudies.students.encoder.token_encoder import MAX_ENCODED_CHARS
from understudies.students.extractor.alignment import AlignedText, align
from understudies.students.extractor.answer_form import unfence
from understudies.students.extractor.extraction import FieldExtractor
from understudies.students.extractor.fields import Fields, UnsupportedForm, flatten
from understudies.students.extractor.item_grouping import learn_boundaries
from understudies.students.extractor.layouts import known_layouts
from understudies.students.extractor.missing_values import missing_values
from understudies.students.extractor.obstacles import NotExtractable, Obstacle
from understudies.students.extractor.planning import learn_plan
from understudies.students.extractor.plans import AnswerPlan
from understudies.students.extractor.text_index import TextIndex
from understudies.students.extractor.tokens import MAX_CHARS

_MIN_EXAMPLES: Final = 30
_MIN_ALIGNED: Final = 0.5
_MIN_ANSWERS_READ: Final = 0.9
_MAX_EXAMPLES: Final = 8_000
"""Training takes the latest of more."""
_MAX_TRAINING_CHARS: Final = 3_000_000
"""Characters of all requests together; training takes the latest of more."""
_MAX_ENCODED_CHARS_TOGETHER: Final = 500_000
"""With more, encoding would take longer than half a minute."""
_MOST_REASONS: Final = 3
_MIN_PART: Final = 0.05
"""Least share of the requests whose layouts are held out together."""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The requests to learn from with their answers, as text and as fields; and those with another kind of answer."""

    template: Message
    requests: list[str]
    given: list[Message]
    texts: list[str]
    answers: list[Fields]
    plan: AnswerPlan
    aligned: list[AlignedText | None]
    others: list[tuple[str, Message]]


def input_text(system: SystemTemplate, request: Request) -> str:
    """Return the text that an extractor reads of a request, with its context."""
    context = system.context(request) if system.has_context else ""
    text = classifier_text(request)
    return replace_lone_surrogates(f"{text}\n{context}" if context else text)


def read_training_set(train: Sequence[Example], system: SystemTemplate) -> TrainingSet:
    """Read the examples whose answers are of the commonest kind; raises NotExtractable if these are too few."""
    latest = train[-_MAX_EXAMPLES:]
    kinds: dict[str | None, list[tuple[str, Message, str]]] = {}
    others: list[tuple[str, Message]] = []
    obstacles: Counter[str] = Counter()
    for example in latest:
        request = input_text(system, example.request)
        try:
            if len(request) > MAX_CHARS:
                raise UnsupportedForm("the request is too long")
            name, text = _json_text(example.answer)
        except UnsupportedForm as error:
            obstacles[str(error)] += 1
            others.append((request, example.answer))
        else:
            kinds.setdefault(name, []).append((request, example.answer, text))
    best = max(kinds.values(), key=len, default=[])
    if len(best) < max(_MIN_EXAMPLES, _MIN_ANSWERS_READ * len(latest)):
        most = ", ".join(f"{why} in {count}" for why, count in obstacles.most_common(_MOST_REASONS))
        why = f" ({most})" if most else ""
        raise NotExtractable(
            f"{len(best)} of {len(latest)} answers are objects of simple fields, or calls of one tool with such{why}; "
            f"{_MIN_ANSWERS_READ:.0%} are needed"
        )
    others += [(request, answer) for kind in kinds.values() if kind is not best for request, answer, _ in kind]
    best = _latest_within_budget(best)
    requests, given, texts = [one[0] for one in best], [one[1] for one in best], [one[2] for one in best]
    answers = [flatten(json.loads(unfence(text)[1])) for text in texts]
    indexed = [TextIndex(request) for request in requests]
    plan = learn_plan(indexed, answers)
    aligned = align(indexed, answers, plan)
    if sum(one is not None for one in aligned) < max(_MIN_EXAMPLES, _MIN_ALIGNED * len(aligned)):
        raise _not_aligned(aligned, missing_values(indexed, answers, plan))
    plan = learn_boundaries(plan, [one for one in aligned if one is not None])
    return TrainingSet(normalize_call_ids(given[0]), requests, given, texts, answers, plan, aligned, others)


def _latest_within_budget(examples: list[tuple[str, Message, str]]) -> list[tuple[str, Message, str]]:
    """Return the latest examples whose requests have no more characters together than training can take."""
    left = _MAX_TRAINING_CHARS
    for index in range(len(examples) - 1, -1, -1):
        left -= len(examples[index][0])
        if left < 0:
            return examples[index + 1 :]
    return examples


def _json_text(answer: Message) -> tuple[str | None, str]:
    """Return the tool that an answer calls, if any, and its object as text; raises UnsupportedForm for others."""
    calls = answer.tool_calls or ()
    if len(calls) > 1 or (calls and answer.text):
        raise UnsupportedForm("there are several calls of tools, or text beside one")
    name, text = (calls[0].function.name, calls[0].function.arguments or "{}") if calls else (None, answer.text)
    try:
        flatten(json.loads(unfence(text)[1], parse_constant=_reject_constant))
    except UnsupportedForm:
        raise
    except (ValueError, RecursionError) as error:
        raise UnsupportedForm("the answer is not JSON") from error
    return name, text


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _not_aligned(aligned: Sequence[AlignedText | None], obstacles: Sequence[Obstacle]) -> NotExtractable:
    whole = sum(one is not None for one in aligned)
    why = NotExtractable.by_obstacles(obstacles) if obstacles else "they overlap, or are in another order"
    return NotExtractable(
        f"all values of {whole} of {len(aligned)} answers stand in their requests, apart and in the order of lists; "
        f"half are needed: {why}"
    )


def check_encodable(training: TrainingSet) -> None:
    """Raise NotExtractable if the requests are too long for the encoder, one of them or all together."""
    lengths = [len(request) for request in training.requests]
    if max(lengths) > MAX_ENCODED_CHARS or sum(lengths) > _MAX_ENCODED_CHARS_TOGETHER:
        raise NotExtractable(
            f"requests of {max(lengths)} characters, {sum(lengths)} together, are too long for the encoder: it takes "
            f"{MAX_ENCODED_CHARS} and {_MAX_ENCODED_CHARS_TOGETHER}"
        )


def fit_whole(training: TrainingSet, *, encoder: bool) -> FieldExtractor:
    """Return the extractor fitted on all requests."""
    return _fit_part(training, [True] * len(training.requests), encoder=encoder)


def fit_parts(
    training: TrainingSet, seed: int, *, encoder: bool
) -> Iterator[tuple[FieldExtractor, list[tuple[str, Message]]]]:
    """Yield extractors fitted on a part of the requests, each with requests to judge that it has not seen.

    These are two random halves, and layouts that are not among those of the part.
    """
    for is_trained, judged in _splits(training, seed):
        if any(one is not None and is_in for one, is_in in zip(training.aligned, is_trained, strict=True)):
            yield _fit_part(training, is_trained, encoder=encoder), judged


def _splits(training: TrainingSet, seed: int) -> Iterator[tuple[list[bool], list[tuple[str, Message]]]]:
    half = [position(request, str(seed)) < 0.5 for request in training.requests]
    for side in (False, True):
        others = [one for one in training.others if (position(one[0], str(seed)) < 0.5) == side]
        yield [one != side for one in half], _judged(training, [one == side for one in half]) + others
    known = known_layouts(training.requests, training.aligned, seed)
    if sum(known) <= (1 - _MIN_PART) * len(known):
        yield known, _judged(training, [not one for one in known])


def _judged(training: TrainingSet, included: Sequence[bool]) -> list[tuple[str, Message]]:
    calls = zip(training.requests, training.given, strict=True)
    return [call for call, is_in in zip(calls, included, strict=True) if is_in]


def _fit_part(training: TrainingSet, included: Sequence[bool], *, encoder: bool) -> FieldExtractor:
    part = [
        (one, answer)
        for one, answer, is_in in zip(training.aligned, training.answers, included, strict=True)
        if is_in and one is not None
    ]
    texts, answers = [one for one, _ in part], [answer for _, answer in part]
    return FieldExtractor.fit(training.plan, texts, answers, encoder=encoder)
