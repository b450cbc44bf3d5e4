"""Implement the extractor student: answer in JSON with values that stand in the request."""

import asyncio
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from understudies.datasets.dataset import Example
from understudies.datasets.errors import ArtifactError
from understudies.datasets.system_template import NO_CONTEXT, SystemTemplate
from understudies.events import Message, Request, position
from understudies.events.json_values import replace_lone_surrogates
from understudies.judges.answer_key import normalize_call_ids
from understudies.judges.base import Judge
from understudies.students.answer_validation import validation_error
from understudies.students.base import Answer, classifier_text
from understudies.students.confidence_model import ConfidenceModel
from understudies.students.extractor.alignment import AlignedText, align
from understudies.students.extractor.answer_form import AnswerForm, unfence
from understudies.students.extractor.choosers import chooser_names
from understudies.students.extractor.crf import LabelModel
from understudies.students.extractor.extraction import (
    FEATURES_OF_CERTAINTY,
    Extraction,
    FieldExtractor,
    is_tagging,
)
from understudies.students.extractor.fields import Fields, UnsupportedForm, flatten
from understudies.students.extractor.item_grouping import learn_boundaries
from understudies.students.extractor.layouts import known_layouts
from understudies.students.extractor.missing_values import missing_values
from understudies.students.extractor.obstacles import NotExtractable, Obstacle
from understudies.students.extractor.planning import learn_plan
from understudies.students.extractor.plans import AnswerPlan
from understudies.students.extractor.text_index import TextIndex
from understudies.students.extractor.tokens import MAX_CHARS
from understudies.students.extractor.vocabulary import Vocabulary

_FILE: Final = "extractor.json"
_TAGGER: Final = "tagger.crfsuite"
_CHOOSER: Final = "choice-{}.crfsuite"
_MIN_EXAMPLES: Final = 30
_MIN_ALIGNED: Final = 0.5
_MIN_ANSWERS_READ: Final = 0.9
_MAX_EXAMPLES: Final = 8_000
"""Training takes the latest of more."""
_MAX_TRAINING_CHARS: Final = 3_000_000
"""Characters of all requests together; training takes the latest of more."""
_MIN_PART: Final = 0.05
"""Least share of the requests whose layouts are held out together."""
_INLINE_BATCH: Final = 4
_INLINE_CHARS: Final = 4_000
"""Characters that take some milliseconds."""
_NO_ANSWER: Final = Message(role="assistant", content="")


@dataclass(frozen=True, slots=True)
class _SavedExtractor:
    """The content of the extractor's file."""

    plan: AnswerPlan
    form: AnswerForm
    vocabulary: Vocabulary
    template: Message
    centre: list[float]
    scale: list[float]
    coefficients: list[float]
    bias: float


_SAVED: Final = TypeAdapter(_SavedExtractor)


class ExtractorStudent:
    """Student that finds the fields of its answer in the request, and writes them as the teacher does.

    `template` is an answer of the teacher, whose text, or whose tool call's arguments, are replaced.
    """

    kind = "extractor"

    def __init__(
        self,
        extractor: FieldExtractor,
        confidence_model: ConfidenceModel,
        form: AnswerForm,
        template: Message,
        system: SystemTemplate = NO_CONTEXT,
    ) -> None:
        self._extractor = extractor
        self._confidence_model = confidence_model
        self._form = form
        self._template = template
        self._system = system

    @property
    def plan(self) -> AnswerPlan:
        """How each field is answered."""
        return self._extractor.plan

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        # A few requests are answered faster than a thread starts; more must not block the event loop.
        texts = [_text(self._system, request) for request in requests]
        if len(texts) <= _INLINE_BATCH and sum(map(len, texts)) <= _INLINE_CHARS:
            return [self._answer(*one) for one in zip(requests, texts, strict=True)]
        return await asyncio.to_thread(lambda: [self._answer(*one) for one in zip(requests, texts, strict=True)])

    def _answer(self, request: Request, text: str) -> Answer:
        extraction = self._extractor.extract(text)
        if extraction is None:
            return Answer(_NO_ANSWER, 0.0)
        message = self._write(extraction.fields)
        confidence = _confidence(self._confidence_model, extraction)
        return Answer(message, confidence if confidence and _is_valid(request, message) else 0.0)

    def _write(self, fields: Fields) -> Message:
        return _fill(self._template, self._form.write(fields))

    @classmethod
    def fit(
        cls, train: Sequence[Example], judge: Judge, *, seed: int, system: SystemTemplate = NO_CONTEXT
    ) -> "ExtractorStudent":
        """Fit on a training split.

        The confidence model is fitted on held-out answers: of texts drawn at random, and of texts of layouts that the
        extractor did not see, for a layout that is new to it must lower its confidence. Answers of another kind, such
        as a refusal in words, count as wrong. Raises NotExtractable, which names the fields that stand in the way.
        """
        training = _read_training_set(train[-_MAX_EXAMPLES:], system)
        form = AnswerForm.learn(training.texts, [one.path for one in training.plan.fields])
        features: list[NDArray[np.float64]] = []
        agreed: list[bool] = []
        for is_trained, judged in _splits(training, seed):
            if not any(is_in and one is not None for one, is_in in zip(training.aligned, is_trained, strict=True)):
                continue
            student = cls(_fit_part(training, is_trained), _UNFITTED, form, training.template)
            for request, given in judged:
                extraction = student._extractor.extract(request)
                if extraction is not None:
                    features.append(extraction.features)
                    agreed.append(extraction.readable and judge.judge(given, student._write(extraction.fields)).agreed)
        confidence_model = _fit_confidence_model(np.array(features), np.array(agreed))
        return cls(
            _fit_part(training, [True] * len(training.requests)), confidence_model, form, training.template, system
        )

    def to_files(self) -> dict[str, bytes]:
        saved = _SavedExtractor(
            self.plan,
            self._form,
            self._extractor.vocabulary,
            self._template,
            self._confidence_model.centre.tolist(),
            self._confidence_model.scale.tolist(),
            self._confidence_model.coefficients.tolist(),
            self._confidence_model.bias,
        )
        files = {_FILE: _SAVED.dump_json(saved, indent=1)}
        if self._extractor.tagger is not None:
            files[_TAGGER] = self._extractor.tagger.content
        files |= {_CHOOSER.format(name): model.content for name, model in self._extractor.choosers.items()}
        return files | self._system.to_files()

    @classmethod
    def from_files(cls, content: Mapping[str, bytes]) -> "ExtractorStudent":
        try:
            saved = _SAVED.validate_json(content[_FILE])
            choosers = {name: LabelModel(content[_CHOOSER.format(name)]) for name in chooser_names(saved.plan)}
            tagger = LabelModel(content[_TAGGER]) if is_tagging(saved.plan) else None
        except (KeyError, ValidationError) as error:
            raise ArtifactError(f"the extractor's files are invalid: {error!r}; train it again") from error
        confidence_model = ConfidenceModel(
            np.array(saved.centre), np.array(saved.scale), np.array(saved.coefficients), saved.bias
        )
        system = SystemTemplate.from_files(content)
        extractor = FieldExtractor(saved.plan, saved.vocabulary, tagger, choosers)
        return cls(extractor, confidence_model, saved.form, saved.template, system)


_UNFITTED: Final = ConfidenceModel.from_pooled_probability(len(FEATURES_OF_CERTAINTY))


def _fit_confidence_model(features: NDArray[np.float64], agreed: NDArray[np.bool_]) -> ConfidenceModel:
    """Fit on held-out answers; where all or none agreed, weigh the features evenly about the rule of succession."""
    if 0 < agreed.sum() < len(agreed):
        return ConfidenceModel.fit(features, agreed, np.ones(len(agreed), dtype=np.float32))
    odds = math.log(len(agreed) + 1) if agreed.all() else -math.log(len(agreed) + 1)
    certain = np.array(list(FEATURES_OF_CERTAINTY.values()))
    # A tenth of the words or pairs unknown weighs as much as a probability of 1/e.
    return ConfidenceModel(certain, np.where(certain == 1.0, 10.0, 1.0), np.ones(len(certain)), odds)


def _confidence(model: ConfidenceModel, extraction: Extraction) -> float:
    return float(model(extraction.features[None, :])[0]) if extraction.readable else 0.0


def _is_valid(request: Request, message: Message) -> bool:
    """Return whether an answer has the form that the request asks for, as the router checks again."""
    # Logs from elsewhere may lack the tools that were offered.
    return bool(message.tool_calls and not request.tools) or validation_error(request, message) is None


def _text(system: SystemTemplate, request: Request) -> str:
    context = system.context(request) if system.has_context else ""
    text = classifier_text(request)
    return replace_lone_surrogates(f"{text}\n{context}" if context else text)


@dataclass(frozen=True, slots=True)
class _TrainingSet:
    """The requests to learn from with their answers, as text and as fields; and those with another kind of answer."""

    template: Message
    requests: list[str]
    given: list[Message]
    texts: list[str]
    answers: list[Fields]
    plan: AnswerPlan
    aligned: list[AlignedText | None]
    others: list[tuple[str, Message]]


def _read_training_set(train: Sequence[Example], system: SystemTemplate) -> _TrainingSet:
    """Read the examples whose answers are of the commonest kind; raises NotExtractable if these are too few."""
    kinds: dict[str | None, list[tuple[str, Message, str]]] = {}
    others: list[tuple[str, Message]] = []
    obstacles: Counter[str] = Counter()
    for example in train:
        request = _text(system, example.request)
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
    if len(best) < max(_MIN_EXAMPLES, _MIN_ANSWERS_READ * len(train)):
        most = obstacles.most_common(1)
        why = f" ({most[0][0]} in {most[0][1]})" if most else ""
        raise NotExtractable(
            f"{len(best)} of {len(train)} answers are objects of simple fields, or calls of one tool with such{why}; "
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
    return _TrainingSet(normalize_call_ids(given[0]), requests, given, texts, answers, plan, aligned, others)


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


def _fill(template: Message, text: str) -> Message:
    """Return the template with another object."""
    if not template.tool_calls:
        return template.model_copy(update={"content": text})
    call = template.tool_calls[0]
    function = call.function.model_copy(update={"arguments": text})
    return template.model_copy(update={"tool_calls": (call.model_copy(update={"function": function}),)})


def _not_aligned(aligned: Sequence[AlignedText | None], obstacles: Sequence[Obstacle]) -> NotExtractable:
    whole = sum(one is not None for one in aligned)
    why = NotExtractable.by_obstacles(obstacles) if obstacles else "they overlap, or are in another order"
    return NotExtractable(
        f"all values of {whole} of {len(aligned)} answers stand in their requests, apart and in the order of lists; "
        f"half are needed: {why}"
    )


def _splits(training: _TrainingSet, seed: int) -> Iterator[tuple[list[bool], list[tuple[str, Message]]]]:
    """Yield which requests to train on, and others to judge: two random halves, and layouts that are not among them."""
    half = [position(request, str(seed)) < 0.5 for request in training.requests]
    for side in (False, True):
        others = [one for one in training.others if (position(one[0], str(seed)) < 0.5) == side]
        yield [one != side for one in half], _judged(training, [one == side for one in half]) + others
    known = known_layouts(training.requests, training.aligned, seed)
    if sum(known) <= (1 - _MIN_PART) * len(known):
        yield known, _judged(training, [not one for one in known])


def _judged(training: _TrainingSet, included: Sequence[bool]) -> list[tuple[str, Message]]:
    calls = zip(training.requests, training.given, strict=True)
    return [call for call, is_in in zip(calls, included, strict=True) if is_in]


def _fit_part(training: _TrainingSet, included: Sequence[bool]) -> FieldExtractor:
    part = [
        (one, answer)
        for one, answer, is_in in zip(training.aligned, training.answers, included, strict=True)
        if is_in and one is not None
    ]
    return FieldExtractor.fit(training.plan, [one for one, _ in part], [answer for _, answer in part])
