"""The evaluator with students that the trainer made, from files on disk."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.capturing_bus import CapturingBus, to_records
from tests.support.datasets import TASK
from tests.support.trials import TRAINED, audit_of, dataset, events_of_type, traffic

from understudies.datasets.dataset import write_dataset
from understudies.datasets.object_store import ObjectStore
from understudies.evaluator.app import EvaluatorApp, create_app
from understudies.evaluator.settings import EvaluatorSettings
from understudies.events import Drift, GateDecision, Invocation, Promotion, SeededIds, Verdict
from understudies.runtime.clock import VirtualClock
from understudies.runtime.rules.rules import Rules
from understudies.students.student_cache import StudentCache
from understudies.trainer.app import create_app as create_trainer
from understudies.trainer.settings import TrainerSettings


@pytest.fixture
def files(tmp_path: Path) -> ObjectStore:
    return ObjectStore(f"file://{tmp_path}")


async def trained(files: ObjectStore) -> Promotion:
    """What the trainer tells of a student of the calls that the traffic of these tests does not repeat."""
    recorder = CapturingBus()
    app = create_trainer(
        TrainerSettings(encoder=False),
        bus=recorder.bus,
        clock=VirtualClock(TRAINED),
        object_store=files,
        new_id=SeededIds(1),
    )
    uri, _ = write_dataset(files, TASK, dataset().examples)
    story = Promotion(id="1", at=TRAINED, task=TASK, student=f"{TASK}@1", stage="collected", dataset=uri)
    await app.handle(to_records(story))
    [outcome] = events_of_type(Promotion, recorder.published)
    assert outcome.stage == "trained"
    return outcome


def evaluator(files: ObjectStore, recorder: CapturingBus) -> EvaluatorApp:
    return create_app(
        EvaluatorSettings(),
        bus=recorder.bus,
        object_store=files,
        students=StudentCache(files),
        rules=Rules(),
        new_id=SeededIds(2),
    )


def folder(files: ObjectStore, story: Promotion) -> Path:
    assert story.artifact is not None
    return Path(files.root.removeprefix("file://")) / story.artifact


def served(call: Invocation) -> Invocation:
    return call.model_copy(update={"served_by": "student", "student": f"{TASK}@1", "confidence": 0.99})


async def test_a_student_is_proven_and_later_drifts(files: ObjectStore) -> None:
    recorder = CapturingBus()
    app = evaluator(files, recorder)
    story = await trained(files)
    await app.handle(to_records(story, *traffic(0, 300)))
    await app.tick(TRAINED + timedelta(days=3))
    [decision] = events_of_type(GateDecision, recorder.published)
    assert decision.decision == "promote"
    assert decision.coverage is not None
    assert decision.coverage > 0.8
    verdicts = events_of_type(Verdict, recorder.published)
    assert {verdict.phase for verdict in verdicts} == {"validation", "shadow"}
    assert len({verdict.fingerprint for verdict in verdicts if verdict.counts}) == len(verdicts)

    promoted = {"id": "2", "stage": "promoted", "share": 1.0, "threshold": decision.threshold}
    calls = [served(call) for call in traffic(300, 40, reason="promoted", drawn=1)]
    # From the twentieth call on the teacher has other names for everything.
    audits = [
        audit_of(call, call.response.message.text if number < 20 else f"new {number}", hours=1)
        for number, call in enumerate(calls)
        if call.response is not None
    ]
    await app.handle(to_records(story.model_copy(update=promoted), *calls, *audits))
    broken = next(alarm for alarm in events_of_type(Drift, recorder.published) if alarm.tier == "contract")
    assert broken.agreement_before is not None
    assert broken.agreement_before > 0.99
    assert broken.agreement_after == 0.0
    assert 22 <= broken.audited <= 26


async def test_an_artifact_that_was_changed_is_rejected(files: ObjectStore) -> None:
    recorder = CapturingBus()
    story = await trained(files)
    _change(folder(files, story))
    await evaluator(files, recorder).handle(to_records(story))
    [decision] = events_of_type(GateDecision, recorder.published)
    assert decision.decision == "reject"
    assert "was changed after it was written; train the student again" in decision.reason


def _change(artifact: Path) -> None:
    file = next(path for path in sorted(artifact.iterdir()) if path.name != "manifest.json")
    file.write_bytes(file.read_bytes()[:-1] + b"!")


async def test_an_artifact_that_vanishes_during_the_trial_is_rejected(files: ObjectStore) -> None:
    recorder = CapturingBus()
    app = evaluator(files, recorder)
    story = await trained(files)
    await app.handle(to_records(story))
    shutil.rmtree(folder(files, story))
    restarted = evaluator(files, recorder)
    await restarted.restore(json.loads(json.dumps(app.state())))
    await restarted.handle(to_records(*traffic(0, 5)))
    [decision] = events_of_type(GateDecision, recorder.published)
    assert decision.decision == "reject"
    assert decision.reason.startswith("can no longer be tried: cannot read ")
    await restarted.handle(to_records(*traffic(5, 5)))
    assert len(events_of_type(GateDecision, recorder.published)) == 1
