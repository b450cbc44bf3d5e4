"""Implement the classifier student: choose from a small closed set of answers by the text of the request."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter, ValidationError

from understudies.datasets.dataset import Example
from understudies.datasets.errors import ArtifactError
from understudies.datasets.system_template import SystemTemplate
from understudies.events import Message, Request
from understudies.judges.answer_key import canonical_answer, normalize_call_ids
from understudies.judges.base import Judge
from understudies.students.base import Answer
from understudies.students.base import classifier_text as classifier_text
from understudies.students.classifier.model import ClassifierModel, fit_classifier
from understudies.students.classifier.text_extractor import TextExtractor, candidate_extractors
from understudies.students.confidence_model import OutOfSample

MAX_CLASSES = 500
MIN_COVERED_SHARE = 0.80
_ANSWERS = "answers.json"
_MODEL = "model/"
_INLINE_BATCH = 4
_MAX_PREPARED = 10_000
"""Texts whose answers are computed before they are asked for; what else is prepared is computed when it is asked."""
_AS_MESSAGES = TypeAdapter(dict[str, Message])


class NotClosedSetError(ValueError):
    """Report that the answers of a task do not form a small closed set, so that no classifier can give them."""


class ClassifierStudent:
    """Student that answers with one of the messages that the teacher gave repeatedly."""

    kind = "classifier"

    def __init__(
        self, model: ClassifierModel, answers: Mapping[str, Message], extractor: TextExtractor | None = None
    ) -> None:
        self._model = model
        self._answers = dict(answers)
        self.extractor = extractor or TextExtractor()
        self._prepared: dict[str, Answer] = {}

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        texts = [self.extractor(request) for request in requests]
        if all(text in self._prepared for text in texts):
            return [self._prepared[text] for text in texts]
        # A few requests are answered faster than a thread starts; more must not block the event loop.
        if len(requests) <= _INLINE_BATCH and self._model.is_prepared(texts):
            return self._answer(texts)
        return await asyncio.to_thread(self._answer, texts)

    async def prepare(self, requests: Sequence[Request]) -> None:
        texts = list(dict.fromkeys(self.extractor(request) for request in requests))[:_MAX_PREPARED]
        # One by one, each reads all that was learned from memory: the support vectors take tens of megabytes.
        answers = await asyncio.to_thread(self._answer, texts)
        self._prepared = dict(zip(texts, answers, strict=True))

    def _answer(self, texts: Sequence[str]) -> list[Answer]:
        if not texts:
            return []
        labels, confidences = self._model.predict(texts)
        return [Answer(self._answers[label], float(score)) for label, score in zip(labels, confidences, strict=True)]

    @classmethod
    def fit(
        cls,
        train: Sequence[Example],
        validation: Sequence[Example],
        *,
        seed: int,
        encoder: bool = False,
        judge: Judge | None = None,
        system: SystemTemplate | None = None,
    ) -> "ClassifierStudent":
        """Fit on the calls whose answer is in the closed set; the rare others stay in validation.

        The judge decides which answers are equal: a label with an explanation is that label. `system` is the template
        of the training calls, if it is already known. Of several text extractors, the one that agrees most often on
        validation is kept. Raises NotClosedSetError, with the counts, if the answers do not form a closed set.
        """
        answers = closed_answer_set([example.answer for example in train], judge)
        system = SystemTemplate.learn([example.request for example in train]) if system is None else system
        labelled = [(example, key) for example in train if (key := canonical_answer(example.answer, judge)) in answers]
        labels = [key for _, key in labelled]
        held_out = [canonical_answer(example.answer, judge) for example in validation]

        best: ClassifierStudent | None = None
        most = -1
        for extractor in candidate_extractors(system, [example.request for example, _ in labelled], labels):
            texts = [extractor(example.request) for example in validation]
            train_texts = [extractor(example.request) for example, _ in labelled]
            model = fit_classifier(train_texts, labels, seed=seed, validation=(texts, held_out), encoder=encoder)
            agreed = sum(label == answer for label, answer in zip(model.predict(texts)[0], held_out, strict=True))
            if best is None or agreed > most:
                best, most = cls(model, answers, extractor), agreed
            if agreed == len(held_out):
                break
        assert best is not None
        return best

    @property
    def class_count(self) -> int:
        """The number of answers that it can give."""
        return len(self._answers)

    @property
    def out_of_sample(self) -> OutOfSample | None:
        """How its training examples were classified by a fit without them; None if it was read from files."""
        return self._model.out_of_sample

    def to_files(self) -> dict[str, bytes]:
        answers = {key: message.model_dump(mode="json", exclude_none=True) for key, message in self._answers.items()}
        files = {_ANSWERS: json.dumps(answers, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")}
        return (
            files | self.extractor.to_files() | {_MODEL + name: data for name, data in self._model.to_files().items()}
        )

    @classmethod
    def from_files(cls, content: Mapping[str, bytes]) -> "ClassifierStudent":
        try:
            answers = _AS_MESSAGES.validate_python(json.loads(content[_ANSWERS].decode("utf-8", "surrogatepass")))
        except (KeyError, ValueError, ValidationError) as error:
            raise ArtifactError(f"the classifier's answers are invalid: {error!r}") from error
        model = {name.removeprefix(_MODEL): data for name, data in content.items() if name.startswith(_MODEL)}
        return cls(ClassifierModel.from_files(model), answers, TextExtractor.from_files(content))


def closed_answer_set(
    answers: Sequence[Message], judge: Judge | None = None, listed: Mapping[str, Message] | None = None
) -> dict[str, Message]:
    """Return the answers given at least twice, by class, each in its most frequent form (the shortest on a tie).

    Those `listed`, by class, belong to it however rarely they were given.
    Raises NotClosedSetError unless they cover 80 % of the calls and number at most 500.
    """
    forms: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for answer in answers:
        forms[canonical_answer(answer, judge)][normalize_call_ids(answer).model_dump_json(exclude_none=True)] += 1
    listed = listed or {}
    repeated = {key: of for key, of in forms.items() if of.total() > 1 or key in listed}
    covered = sum(of.total() for of in repeated.values())
    if covered < MIN_COVERED_SHARE * len(answers) or not repeated:
        raise NotClosedSetError(f"answers given at least twice cover {covered} of {len(answers)} calls; 80% are needed")
    if len(repeated) > MAX_CLASSES:
        raise NotClosedSetError(f"{len(repeated)} different answers exceed the limit of {MAX_CLASSES} for a closed set")
    given = {key: Message.model_validate_json(_most_frequent(of)) for key, of in repeated.items()}
    return dict(sorted({**listed, **given}.items()))


def _most_frequent(forms: Counter[str]) -> str:
    return min(forms, key=lambda form: (-forms[form], len(form), form))
