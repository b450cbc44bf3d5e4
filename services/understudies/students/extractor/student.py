"""Implement the extractor student: answer in JSON with values that stand in the request."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from understudies.datasets.dataset import Example
from understudies.datasets.errors import ArtifactError
from understudies.datasets.system_template import NO_CONTEXT, SystemTemplate
from understudies.events import Message, Request
from understudies.judges.base import Judge
from understudies.students.answer_validation import validation_error
from understudies.students.base import Answer
from understudies.students.confidence_model import ConfidenceModel, OutOfSample
from understudies.students.encoder.token_encoder import token_encoder
from understudies.students.extractor.answer_form import AnswerForm
from understudies.students.extractor.choosers import chooser_names
from understudies.students.extractor.crf import LabelModel
from understudies.students.extractor.extraction import (
    FEATURES_OF_CERTAINTY,
    Extraction,
    FieldExtractor,
    is_tagging,
)
from understudies.students.extractor.fields import Fields
from understudies.students.extractor.label_scores import LabelScores
from understudies.students.extractor.plans import AnswerPlan
from understudies.students.extractor.training_set import (
    check_encodable,
    fit_parts,
    fit_whole,
    input_text,
    read_training_set,
)
from understudies.students.extractor.vocabulary import Vocabulary

_FILE: Final = "extractor.json"
_TAGGER: Final = "tagger.crfsuite"
_CHOOSER: Final = "choice-{}.crfsuite"
_SCORES: Final = "label-scores.npz"
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
        self.out_of_sample: OutOfSample | None = None
        """How its training examples were answered by fits without them; None if it was read from files."""

    @property
    def plan(self) -> AnswerPlan:
        """How each field is answered."""
        return self._extractor.plan

    @property
    def uses_encoder(self) -> bool:
        """Whether it needs the sentence encoder."""
        return self._extractor.scores is not None

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        # A few requests are answered faster than a thread starts; more must not block the event loop.
        texts = [input_text(self._system, request) for request in requests]
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
        cls,
        train: Sequence[Example],
        judge: Judge,
        *,
        seed: int,
        system: SystemTemplate = NO_CONTEXT,
        encoder: bool = False,
    ) -> "ExtractorStudent":
        """Fit on a training split.

        The confidence model is fitted on held-out answers: of texts drawn at random, and of texts of layouts that the
        extractor did not see, for a layout that is new to it must lower its confidence. Answers of another kind, such
        as a refusal in words, count as wrong. With `encoder`, vectors of words in their context are used, too. Raises
        NotExtractable, which names the fields that stand in the way, or requests that are too long for the encoder.
        """
        training = read_training_set(train, system)
        if encoder:
            check_encodable(training)
        form = AnswerForm.learn(training.texts, [one.path for one in training.plan.fields])
        features: list[NDArray[np.float64]] = []
        agreed: list[bool] = []
        for extractor, judged in fit_parts(training, seed, encoder=encoder):
            student = cls(extractor, _UNFITTED, form, training.template)
            for request, given in judged:
                extraction = extractor.extract(request)
                if extraction is not None:
                    features.append(extraction.features)
                    agreed.append(extraction.readable and judge.judge(given, student._write(extraction.fields)).agreed)
        confidence_model = _fit_confidence_model(np.array(features), np.array(agreed))
        student = cls(fit_whole(training, encoder=encoder), confidence_model, form, training.template, system)
        if features:
            student.out_of_sample = OutOfSample(confidence_model(np.array(features)), np.array(agreed))
        return student

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
        if self._extractor.scores is not None:
            files[_SCORES] = self._extractor.scores.to_bytes()
        files |= {_CHOOSER.format(name): model.content for name, model in self._extractor.choosers.items()}
        return files | self._system.to_files()

    @classmethod
    def from_files(cls, content: Mapping[str, bytes]) -> "ExtractorStudent":
        try:
            saved = _SAVED.validate_json(content[_FILE])
            choosers = {name: LabelModel(content[_CHOOSER.format(name)]) for name in chooser_names(saved.plan)}
            tagger = LabelModel(content[_TAGGER]) if is_tagging(saved.plan) else None
            scores = LabelScores.from_bytes(content[_SCORES]) if _SCORES in content else None
        except (KeyError, ValueError) as error:
            raise ArtifactError(f"the extractor's files are invalid: {error!r}; train it again") from error
        if scores is not None:
            # Whatever the encoder lacks is told when the student is loaded, not when a call waits for its answer.
            token_encoder()
        confidence_model = ConfidenceModel(
            np.array(saved.centre), np.array(saved.scale), np.array(saved.coefficients), saved.bias
        )
        system = SystemTemplate.from_files(content)
        extractor = FieldExtractor(saved.plan, saved.vocabulary, tagger, choosers, scores)
        return cls(extractor, confidence_model, saved.form, saved.template, system)


_UNFITTED: Final = ConfidenceModel.from_pooled_probability(len(FEATURES_OF_CERTAINTY))


def _fit_confidence_model(features: NDArray[np.float64], agreed: NDArray[np.bool_]) -> ConfidenceModel:
    """Fit on held-out answers; where all or none agreed, weigh the features evenly about the rule of succession."""
    if 0 < agreed.sum() < len(agreed):
        return ConfidenceModel.fit(features, agreed, np.ones(len(agreed), dtype=np.float32))
    odds = math.log(len(agreed) + 1) if agreed.all() else -math.log(len(agreed) + 1)
    certain = np.array(list(FEATURES_OF_CERTAINTY.values()))
    # A tenth of the words or pairs unknown weighs as much as two of log odds below the best.
    return ConfidenceModel(certain, np.where(certain == 1.0, 10.0, 0.5), np.ones(len(certain)), odds)


def _confidence(model: ConfidenceModel, extraction: Extraction) -> float:
    return float(model(extraction.features[None, :])[0]) if extraction.readable else 0.0


def _is_valid(request: Request, message: Message) -> bool:
    """Return whether an answer has the form that the request asks for, as the router checks again."""
    # Logs from elsewhere may lack the tools that were offered.
    return bool(message.tool_calls and not request.tools) or validation_error(request, message) is None


def _fill(template: Message, text: str) -> Message:
    """Return the template with another object."""
    if not template.tool_calls:
        return template.model_copy(update={"content": text})
    call = template.tool_calls[0]
    function = call.function.model_copy(update={"arguments": text})
    return template.model_copy(update={"tool_calls": (call.model_copy(update={"function": function}),)})
