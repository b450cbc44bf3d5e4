"""An evaluator on a bus that stands still, students written for the occasion, and calls to try them on."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar, cast

from tests.support.capturing_bus import CapturingBus, to_records
from tests.support.chat_messages import assistant_message
from tests.support.datasets import INTENTS, START, TASK
from tests.support.datasets import dataset as of_calls
from tests.support.distinct_words import distinct_words

from understudies.datasets.dataset import Dataset, Example, write_dataset
from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.evaluator.app import EvaluatorApp, create_app
from understudies.evaluator.settings import EvaluatorSettings
from understudies.events import Event, Invocation, Promotion, Request, Response, Route, SeededIds, position
from understudies.runtime.errors import RetryLater
from understudies.runtime.rules.rules import Rules
from understudies.students.base import Answer, Student, StudentError, request_text, text_answer
from understudies.students.student_cache import StudentCache

TRAINED = START + timedelta(days=1)
"""When the students of these tests are announced as trained."""
ARTIFACT = "artifact"
Rule = Callable[[str], tuple[str, float]]
FoundEvent = TypeVar("FoundEvent", bound=Event)


@lru_cache
def pool() -> tuple[Example, ...]:
    """Distinct calls: the first 200 for datasets, the others for traffic."""
    calls = []
    for number in range(2200):
        intent = list(INTENTS)[number % 3]
        text = f"{INTENTS[intent][number // 3 % 3]} number {number}: {distinct_words(number)}"
        calls.append((text, assistant_message(intent)))
    return of_calls(calls).examples


def dataset() -> Dataset:
    """The calls that students are trained on and tried with first."""
    return Dataset(TASK, pool()[:200])


def traffic(first: int, n: int, *, hours: float = 48, **changes: Any) -> list[Invocation]:
    """`n` calls that the teacher answered, none of them in the dataset, evenly over some hours from `TRAINED` on."""
    taken = pool()[200 + first : 200 + first + n]
    return [call_of(example, hours * index / n, **changes) for index, example in enumerate(taken)]


def call_of(example: Example, hours: float = 0, *, reason: Any = None, drawn: float = 0, **changes: Any) -> Invocation:
    """A call with an example's input and answer, so many hours after `TRAINED`."""
    known: dict[str, Any] = {
        "id": f"live-{example.id}",
        "at": TRAINED + timedelta(hours=hours),
        "task": TASK,
        "request": example.request,
        "response": Response(message=example.answer),
        "fingerprint": example.fingerprint,
        "route": Route(reason=reason or "no_student", audit_probability=drawn) if reason or drawn else None,
    }
    return Invocation(**{**known, **changes})


def audit_of(call: Invocation, answer: str, hours: float = 0) -> Invocation:
    """The teacher's answer to a call that is audited."""
    response = Response(message=text_answer(answer, 1).message)
    fields = {"id": f"audit-{call.id}", "origin": "audit", "audits": call.id, "served_by": "teacher"}
    route = Route(reason="audit", audit_probability=1)
    at = call.at + timedelta(hours=hours)
    return call.model_copy(update={**fields, "response": response, "route": route, "at": at, "confidence": None})


def right(text: str) -> tuple[str, float]:
    """The teacher's answer to an input of the pool, with a confidence that says nothing."""
    label = next(label for label, phrases in INTENTS.items() if any(text.startswith(phrase) for phrase in phrases))
    return label, 0.5 + position(text, "confidence") / 2


def wrong(text: str) -> tuple[str, float]:
    """Never the teacher's answer."""
    return "something else", right(text)[1]


class ScriptedStudent:
    """A student that answers by a rule; a rule that raises StudentError spoils the whole batch."""

    kind = "scripted"

    def __init__(self, rule: Rule = right, kind: str = "scripted") -> None:
        self.rule = rule
        self.kind = kind
        self.batches: list[int] = []

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        self.batches.append(len(requests))
        return [text_answer(*self.rule(request_text(request))) for request in requests]


def failing_on(*words: str, rule: Rule = right) -> Rule:
    """A rule that fails on inputs with these words."""

    def failing(text: str) -> tuple[str, float]:
        if any(word in text for word in words):
            raise StudentError(f"cannot answer {text!r}")
        return rule(text)

    return failing


class FakeStudentCache:
    """Students by artifact, as a shelf gives them."""

    def __init__(self, **students: Student) -> None:
        self.students = students
        self.unavailable = False
        self.released: list[str] = []

    @property
    def cache(self) -> StudentCache:
        """As the services' type for it."""
        return cast(StudentCache, self)

    async def get(self, uri: str) -> Student:
        if self.unavailable:
            raise RetryLater(f"cannot read {uri!r} now")
        if uri not in self.students:
            raise ArtifactError(f"cannot read {uri!r}: no such file")
        return self.students[uri]

    def release(self, uri: str) -> None:
        self.released.append(uri)


class EvaluatorHarness:
    """An evaluator with what it publishes."""

    def __init__(
        self, files: ObjectStore, student: Student | None = None, rules: Rules | None = None, **settings: Any
    ) -> None:
        self.object_store = files
        self.students = FakeStudentCache(**{ARTIFACT: student} if student else {})
        self.rules = rules or Rules()
        self.settings = EvaluatorSettings(**settings)
        self.recorder = CapturingBus()
        self.app = self._create()

    def _create(self) -> EvaluatorApp:
        return create_app(
            self.settings,
            bus=self.recorder.bus,
            object_store=self.object_store,
            students=self.students.cache,
            rules=self.rules,
            new_id=SeededIds(1),
        )

    async def restart(self, state: dict[str, Any] | None = None) -> None:
        """Begin anew, from a snapshot or from nothing."""
        self.app = self._create()
        if state is not None:
            await self.app.restore(state)

    async def handle(self, *events: Event) -> list[Event]:
        """Give the evaluator a batch; what it publishes for it."""
        before = len(self.recorder.published)
        await self.app.handle(to_records(*events))
        return self.recorder.published[before:]

    async def look(self, days: float = 0) -> list[Event]:
        """Let it look, so many days after `TRAINED`; what it publishes."""
        before = len(self.recorder.published)
        await self.app.tick(TRAINED + timedelta(days=days))
        return self.recorder.published[before:]

    def promotion(self, stage: Any, *, version: int = 1, at: datetime = TRAINED, **changes: Any) -> Promotion:
        """A stage of a student that learned from the dataset."""
        known = {
            "id": f"{stage}-{version}-{at.isoformat()}-{changes.get('share')}",
            "at": at,
            "task": TASK,
            "student": f"{TASK}@{version}",
            "stage": stage,
            "dataset": write_dataset(self.object_store, TASK, dataset().examples)[0],
            "artifact": ARTIFACT,
        }
        return Promotion(**{**known, **changes})


def events_of_type(kind: type[FoundEvent], events: Sequence[Event]) -> list[FoundEvent]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]
