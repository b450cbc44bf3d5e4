"""Implement the extractor student: answer in JSON with values that stand in the request."""

import asyncio
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from understudies.datasets.dataset import Example
from understudies.datasets.errors import ArtifactError
from understudies.datasets.near_copies import NearCopyGroups, masked_word_hashes
from understudies.datasets.system_template import NO_CONTEXT, SystemTemplate
from understudies.events import Message, Request, position
from understudies.judges.answer_key import normalize_call_ids
from understudies.judges.base import Judge
from understudies.students.base import Answer, classifier_text
from understudies.students.classifier.confidence import ConfidenceModel
from understudies.students.extractor.alignment import (
    AlignedText,
    FieldPlan,
    NotExtractable,
    align,
    learn_plans,
)
from understudies.students.extractor.answer_form import AnswerForm, Leaf, Path, UnsupportedForm, flatten, unfence
from understudies.students.extractor.crf import LabelModel
from understudies.students.extractor.extraction import FEATURE_NAMES, Extraction, FieldExtractor, Vocabulary
from understudies.students.extractor.tokens import MAX_CHARS

_FILE: Final = "extractor.json"
_TAGGER: Final = "tagger.crfsuite"
_CHOOSER: Final = "choice-{}.crfsuite"
_FOLDS: Final = 2
_MIN_EXAMPLES: Final = 30
_MIN_ALIGNED: Final = 0.5
_MIN_ANSWERS_READ: Final = 0.9
_MAX_EXAMPLES: Final = 8_000
"""Training takes the latest of more."""
_INLINE_BATCH: Final = 4
_NO_ANSWER: Final = Message(role="assistant", content="")


@dataclass(frozen=True, slots=True)
class _SavedExtractor:
    """The content of the extractor's file."""

    plans: list[FieldPlan]
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
        acceptor: ConfidenceModel,
        form: AnswerForm,
        template: Message,
        system: SystemTemplate = NO_CONTEXT,
    ) -> None:
        self._extractor = extractor
        self._acceptor = acceptor
        self._form = form
        self._template = template
        self._system = system

    @property
    def plans(self) -> tuple[FieldPlan, ...]:
        """How each field is answered."""
        return self._extractor.plans

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        # A few requests are answered faster than a thread starts; more must not block the event loop.
        if len(requests) <= _INLINE_BATCH:
            return [self._answer(request) for request in requests]
        return await asyncio.to_thread(lambda: [self._answer(request) for request in requests])

    def _answer(self, request: Request) -> Answer:
        extraction = self._extractor.extract(_text(self._system, request))
        if extraction is None:
            return Answer(_NO_ANSWER, 0.0)
        return Answer(self._write(extraction.fields), _confidence(self._acceptor, extraction))

    def _write(self, fields: Mapping[Path, Leaf]) -> Message:
        return _fill(self._template, self._form.write(fields))

    @classmethod
    def fit(
        cls, train: Sequence[Example], judge: Judge, *, seed: int, system: SystemTemplate = NO_CONTEXT
    ) -> "ExtractorStudent":
        """Fit on a training split.

        The acceptor is fitted on texts whose near copies the extractor did not see: a layout that is new to it must
        lower its confidence. Raises NotExtractable, which names the field that stands in the way.
        """
        template, examples, texts = _read_answers(train[-_MAX_EXAMPLES:], system)
        answers = [flatten(json.loads(unfence(text)[1])) for text in texts]
        requests = [_text(system, example.request) for example in examples]
        plans = learn_plans(requests, answers)
        aligned = align(requests, answers, plans)
        _check_aligned(aligned)
        form = AnswerForm.learn(texts, [plan.path for plan in plans])

        features: list[NDArray[np.float64]] = []
        agreed: list[bool] = []
        folds = _folds(requests, seed)
        for fold in range(_FOLDS):
            student = cls(_fit_part(plans, aligned, answers, [one != fold for one in folds]), _UNFITTED, form, template)
            for index in (index for index, one in enumerate(folds) if one == fold):
                extraction = student._extractor.extract(requests[index])
                if extraction is not None:
                    features.append(extraction.features)
                    given = examples[index].answer
                    agreed.append(extraction.readable and judge.judge(given, student._write(extraction.fields)).agreed)
        acceptor = _fit_acceptor(np.array(features), np.array(agreed))
        extractor = _fit_part(plans, aligned, answers, [True] * len(aligned))
        return cls(extractor, acceptor, form, template, system)

    def to_files(self) -> dict[str, bytes]:
        saved = _SavedExtractor(
            list(self.plans),
            self._form,
            self._extractor.vocabulary,
            self._template,
            self._acceptor.centre.tolist(),
            self._acceptor.scale.tolist(),
            self._acceptor.coefficients.tolist(),
            self._acceptor.bias,
        )
        files = {_FILE: _SAVED.dump_json(saved, indent=1)}
        if self._extractor.tagger is not None:
            files[_TAGGER] = self._extractor.tagger.content
        files |= {_CHOOSER.format(index): model.content for index, model in self._extractor.choosers.items()}
        return files | self._system.to_files()

    @classmethod
    def from_files(cls, content: Mapping[str, bytes]) -> "ExtractorStudent":
        try:
            saved = _SAVED.validate_json(content[_FILE])
            choosers = {
                index: LabelModel(content[_CHOOSER.format(index)])
                for index, plan in enumerate(saved.plans)
                if plan.kind == "chosen"
            }
            copies = any(plan.kind == "copied" for plan in saved.plans)
            tagger = LabelModel(content[_TAGGER]) if copies else None
        except (KeyError, ValidationError) as error:
            raise ArtifactError(f"the extractor's files are invalid: {error!r}; train it again") from error
        acceptor = ConfidenceModel(
            np.array(saved.centre), np.array(saved.scale), np.array(saved.coefficients), saved.bias
        )
        system = SystemTemplate.from_files(content)
        extractor = FieldExtractor(saved.plans, saved.vocabulary, tagger, choosers)
        return cls(extractor, acceptor, saved.form, saved.template, system)


_UNFITTED: Final = ConfidenceModel.from_pooled_probability(len(FEATURE_NAMES))


def _fit_acceptor(features: NDArray[np.float64], agreed: NDArray[np.bool_]) -> ConfidenceModel:
    """Fit on held-out answers; where all or none agreed, weigh the features evenly about the rule of succession."""
    if 0 < agreed.sum() < len(agreed):
        return ConfidenceModel.fit(features, agreed, np.ones(len(agreed), dtype=np.float32))
    odds = math.log(len(agreed) + 1) if agreed.all() else -math.log(len(agreed) + 1)
    # A tenth of the words or pairs unknown weighs as much as a probability of 1/e.
    return ConfidenceModel(np.array([0.0, 1.0, 1.0, 0.0]), np.array([1.0, 10.0, 10.0, 1.0]), np.ones(4), odds)


def _confidence(acceptor: ConfidenceModel, extraction: Extraction) -> float:
    return float(acceptor(extraction.features[None, :])[0]) if extraction.readable else 0.0


def _text(system: SystemTemplate, request: Request) -> str:
    context = system.context(request) if system.has_context else ""
    text = classifier_text(request)
    return f"{text}\n{context}" if context else text


def _read_answers(train: Sequence[Example], system: SystemTemplate) -> tuple[Message, list[Example], list[str]]:
    """Return a template of the answers, the examples with an answer of its kind, and the JSON texts of these."""
    kinds: dict[str | None, list[tuple[Example, str]]] = {}
    obstacles: Counter[str] = Counter()
    for example in train:
        try:
            if len(_text(system, example.request)) > MAX_CHARS:
                raise UnsupportedForm("the request is too long")
            name, text = _json_text(example.answer)
        except UnsupportedForm as error:
            obstacles[str(error)] += 1
        else:
            kinds.setdefault(name, []).append((example, text))
    best = max(kinds.values(), key=len, default=[])
    if len(best) < max(_MIN_EXAMPLES, _MIN_ANSWERS_READ * len(train)):
        most = obstacles.most_common(1)
        why = f" ({most[0][0]} in {most[0][1]})" if most else ""
        raise NotExtractable(
            f"{len(best)} of {len(train)} answers are objects of simple fields, or calls of one tool with such{why}; "
            f"{_MIN_ANSWERS_READ:.0%} are needed"
        )
    template = normalize_call_ids(best[0][0].answer)
    return template, [example for example, _ in best], [text for _, text in best]


def _json_text(answer: Message) -> tuple[str | None, str]:
    """Return the tool that an answer calls, if any, and its object as text; raises UnsupportedForm for others."""
    calls = answer.tool_calls or ()
    if len(calls) > 1 or (calls and answer.text):
        raise UnsupportedForm("there are several calls of tools, or text beside one")
    name, text = (calls[0].function.name, calls[0].function.arguments or "{}") if calls else (None, answer.text)
    try:
        flatten(json.loads(unfence(text)[1]))
    except UnsupportedForm:
        raise
    except (ValueError, RecursionError) as error:
        raise UnsupportedForm("the answer is not JSON") from error
    return name, text


def _fill(template: Message, text: str) -> Message:
    """Return the template with another object."""
    if not template.tool_calls:
        return template.model_copy(update={"content": text})
    call = template.tool_calls[0]
    function = call.function.model_copy(update={"arguments": text})
    return template.model_copy(update={"tool_calls": (call.model_copy(update={"function": function}),)})


def _check_aligned(aligned: Sequence[AlignedText | None]) -> None:
    whole = sum(one is not None for one in aligned)
    if whole < max(_MIN_EXAMPLES, _MIN_ALIGNED * len(aligned)):
        raise NotExtractable(
            f"all values of {whole} of {len(aligned)} answers stand in their requests; half are needed"
        )


def _folds(texts: Sequence[str], seed: int) -> list[int]:
    """Return a fold for each text; near copies share one."""
    groups = NearCopyGroups()
    names = [groups.assign(masked_word_hashes(text)) for text in texts]
    return [int(position(name, str(seed)) * _FOLDS) for name in names]


def _fit_part(
    plans: Sequence[FieldPlan],
    aligned: Sequence[AlignedText | None],
    answers: Sequence[Mapping[Path, Leaf]],
    included: Sequence[bool],
) -> FieldExtractor:
    part = [
        (one, answer)
        for one, answer, is_in in zip(aligned, answers, included, strict=True)
        if is_in and one is not None
    ]
    return FieldExtractor.fit(plans, [one for one, _ in part], [answer for _, answer in part])
