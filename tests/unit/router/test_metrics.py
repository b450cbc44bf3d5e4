"""What the router tells about itself."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.router_fixtures import make_call

from understudies.events import Invocation, fingerprint
from understudies.router.http1.client import HttpClient
from understudies.router.metrics import RouterMetrics
from understudies.router.recording.recorder import InProcessRecorder
from understudies.router.routing.decision import Decision
from understudies.router.serving.outcome import ServingInfo
from understudies.router.serving.response_cache import CacheStore
from understudies.router.upstream.upstream import Upstream
from understudies.runtime.online.memory import MemoryOnlineState
from understudies.runtime.rules.teacher import TeacherSpec


def numbers(metrics: RouterMetrics) -> dict[str, float]:
    """Every sample by its name and labels, without the prefix that all have."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name.removeprefix('understudies_router_')}{{{labels}}}"] = sample.value
    return found


def answered(metrics: RouterMetrics, task: str = "triage", **fields: object) -> None:
    known = {"api": "chat", "served_by": "teacher", "reason": "no_student", "status": 200, "seconds": 0.3}
    metrics.record_request(task=task, **{**known, **fields})  # type: ignore[arg-type] # few of the fields


def test_a_request_counts_by_who_answered_it_and_why() -> None:
    metrics = RouterMetrics()
    answered(metrics, overhead_s=0.0007)
    answered(metrics, served_by="student", reason="promoted")
    answered(metrics)
    found = numbers(metrics)
    assert found["requests_total{api=chat,reason=no_student,served_by=teacher,status=200,task=triage}"] == 2
    assert found["requests_total{api=chat,reason=promoted,served_by=student,status=200,task=triage}"] == 1
    assert found["latency_seconds_bucket{api=chat,le=0.25,served_by=teacher}"] == 0
    assert found["latency_seconds_bucket{api=chat,le=0.5,served_by=teacher}"] == 2
    assert found["overhead_seconds_count{api=chat}"] == 1
    assert found["overhead_seconds_bucket{api=chat,le=0.001}"] == 1


def test_tasks_beyond_the_first_are_told_together() -> None:
    metrics = RouterMetrics(tasks=2)
    for task in ("one", "two", "three", "four", "one"):
        answered(metrics, task)
    counts = {key: value for key, value in numbers(metrics).items() if key.startswith("requests_total")}
    tasks = {key.split("task=")[1].rstrip("}"): value for key, value in counts.items()}
    assert tasks == {"one": 2, "two": 1, "other": 2}


def test_tasks_that_are_known_otherwise_keep_their_names() -> None:
    metrics = RouterMetrics(tasks=1, known_task={"triage"}.__contains__)
    for task in ("made up", "also made up", "triage"):
        answered(metrics, task)
    counts = {key: value for key, value in numbers(metrics).items() if key.startswith("requests_total")}
    assert {key.split("task=")[1].rstrip("}") for key in counts} == {"made up", "other", "triage"}


def test_reasons_that_a_teacher_makes_up_are_told_together_and_our_own_are_not() -> None:
    metrics = RouterMetrics()
    for number in range(200):
        answered(metrics, reason=f"code-{number}", served_by="none")
    answered(metrics, reason="low_confidence")
    counts = {key: value for key, value in numbers(metrics).items() if key.startswith("requests_total")}
    assert len(counts) == 52
    assert counts["requests_total{api=chat,reason=other,served_by=none,status=200,task=triage}"] == 150
    assert counts["requests_total{api=chat,reason=low_confidence,served_by=teacher,status=200,task=triage}"] == 1


def test_upstreams_students_money_and_the_online_state_are_told() -> None:
    metrics = RouterMetrics()
    metrics.record_first_byte(api="messages", served_by="teacher", seconds=0.02)
    upstream = Upstream(TeacherSpec(name="openai", base_url="http://127.0.0.1:1/v1"), HttpClient())
    upstream.counts.attempts, upstream.counts.failed = 2, 1
    metrics.observe_upstreams(lambda: [upstream])
    for reason in ("student_error", "low_confidence", "control"):
        metrics.record_serving("triage", ServingInfo("teacher", Decision(reason)))
    metrics.record_budget_refusal("triage")
    cache = CacheStore(MemoryOnlineState())
    cache.hits, cache.misses = 1, 1
    metrics.observe_cache(cache)
    metrics.observe_online(lambda: True)
    metrics.observe_audits(lambda: 3, lambda: 2)
    found = numbers(metrics)
    expected = {
        "first_byte_seconds_count{api=messages,served_by=teacher}": 1,
        "upstream_requests_total{outcome=attempts,upstream=openai}": 2,
        "upstream_requests_total{outcome=failed,upstream=openai}": 1,
        "breaker_state{upstream=openai}": 0,
        "escalations_total{reason=student_error,task=triage}": 1,
        "student_errors_total{task=triage}": 1,
        "escalations_total{reason=low_confidence,task=triage}": 1,
        "budget_refused_total{task=triage}": 1,
        "cache_total{result=hit}": 1,
        "cache_total{result=miss}": 1,
        "redis_away{}": 1,
        "audits_in_flight{}": 3,
        "audits_given_up{}": 2,
    }
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("reason", "served_by", "escalated"),
    [
        ("withheld", "teacher", True),
        ("unproven", "teacher", True),
        ("unconfirmed", "teacher", True),
        ("episode_target", "teacher", True),
        ("control", "teacher", False),
        ("promoted", "student", False),
        ("low_confidence", "student", False),
    ],
)
def test_what_its_student_might_have_answered_is_an_escalation(reason: Any, served_by: Any, escalated: bool) -> None:
    metrics = RouterMetrics()
    metrics.record_serving("triage", ServingInfo(served_by, Decision(reason)))
    assert (f"escalations_total{{reason={reason},task=triage}}" in numbers(metrics)) is escalated


async def test_what_becomes_of_events_is_told() -> None:
    async def deliver(*events: object) -> None:
        """Taken."""

    asked = make_call()
    event = Invocation(
        id=asked.id, at=asked.at, task="t", request=asked.request, error="none", fingerprint=fingerprint(asked.request)
    )
    recorder = InProcessRecorder(deliver, auto=False, capacity=2)
    metrics = RouterMetrics()
    metrics.observe_recorder(recorder)
    assert numbers(metrics)["recorded_share{}"] == 1
    recorder.record(event, 5000)
    recorder.record(lambda: 1 / 0)  # type: ignore[arg-type, return-value] # raises
    recorder.record(event)
    found = numbers(metrics)
    assert (found["buffer_events{}"], found["buffer_bytes{}"]) == (2, 6024)
    assert found["events_dropped_total{reason=buffer_full}"] == 1
    await recorder.flush()
    found = numbers(metrics)
    assert (found["events_recorded_total{}"], found["events_published_total{}"]) == (3, 1)
    assert found["events_unrecordable_total{}"] == 1
    assert abs(found["recorded_share{}"] - 1 / 3) < 1e-9
    assert found["bus_away{}"] == 0
    assert "spool_bytes{}" not in found


def test_routers_of_one_process_count_apart() -> None:
    one, other = RouterMetrics(), RouterMetrics()
    answered(one)
    assert not any(key.startswith("requests_total") for key in numbers(other))
