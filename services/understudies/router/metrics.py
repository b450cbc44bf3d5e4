"""Every metric of the router, in one place; durations are in seconds.

Names begin with `understudies_router_`. Labels are few and bounded: of tasks, those first seen keep their names beside
those that are known by other means, such as the rules, and all others are `other`. So it is with reasons, which may be
a teacher's words; upstreams are those of the settings.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Final, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from understudies.events import Reason
from understudies.router.counters import FastCounter, FastHistogram
from understudies.router.recording.base import EventRecorder, LossReason
from understudies.router.serving.outcome import CallOutcome, ServingInfo
from understudies.router.serving.response_cache import CacheStore
from understudies.router.upstream.upstream import Upstream

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_NAME: Final = "understudies_router_"
_OTHER: Final = "other"
_MAX_TASKS: Final = 100
_MAX_REASONS: Final = 50
_KNOWN_REASONS: Final = frozenset(get_args(Reason)) | {"hung_up", "timeout", "stopping", "budget_unknown", "unsure"}
_LATENCY_BUCKETS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
)
_OVERHEAD_BUCKETS: Final = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)
_BREAKER_STATES: Final = {"closed": 0, "half_open": 1, "open": 2}

_ESCALATION_REASONS: Final = frozenset(
    {"student_error", "low_confidence", "withheld", "unproven", "unconfirmed", "episode_target"}
)
"""Why the teacher answered a call that its student might have."""


class RouterMetrics:
    """Counts what happens, for one router; what others count already is read off them when asked for."""

    def __init__(self, *, tasks: int = _MAX_TASKS, known_task: Callable[[str], bool] = lambda _: False) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._tasks = _BoundedLabel(tasks, known_task)
        self._reasons = _BoundedLabel(_MAX_REASONS, _KNOWN_REASONS.__contains__)
        self._requests = self._counter(
            "requests_total", "Calls answered, by who answered and why.", "api", "task", "served_by", "reason", "status"
        )
        self._latency = self._histogram(
            "latency_seconds", "From the call to its end.", _LATENCY_BUCKETS, "api", "served_by"
        )
        self._overhead = self._histogram(
            "overhead_seconds", "What the router added to a call.", _OVERHEAD_BUCKETS, "api"
        )
        self._first_byte = self._histogram(
            "first_byte_seconds", "From the call to the first byte of a stream.", _LATENCY_BUCKETS, "api", "served_by"
        )
        self._student_errors = self._counter("student_errors_total", "Students that failed when asked.", "task")
        self._escalations = self._counter(
            "escalations_total", "Calls that a student was asked and the teacher answered.", "task", "reason"
        )
        self._refused = self._counter("budget_refused_total", "Calls refused for want of budget.", "task")

    def record_outcome(self, outcome: CallOutcome) -> None:
        """Count one call at its end."""
        call, served_by = outcome.call, outcome.served_by
        api, task = call.api, call.task
        if outcome.first_byte_s is not None:
            self.record_first_byte(api=api, served_by=served_by, seconds=outcome.first_byte_s)
        if outcome.serving is not None:
            self.record_serving(task, outcome.serving)
        elif outcome.over_budget:
            self.record_budget_refusal(task)
        self.record_request(
            api=api,
            task=task,
            served_by=served_by,
            reason=outcome.reason,
            status=outcome.status,
            seconds=outcome.seconds,
            overhead_s=outcome.overhead_s,
        )

    def record_request(
        self,
        *,
        api: str,
        task: str,
        served_by: str,
        reason: str,
        status: int,
        seconds: float,
        overhead_s: float | None = None,
    ) -> None:
        """A call has ended; `overhead_s` is the part of its time that was spent here and not upstream."""
        self._requests.add(api, self._tasks(task), served_by, self._reasons(reason), str(status))
        self._latency.add(seconds, api, served_by)
        if overhead_s is not None:
            self._overhead.add(overhead_s, api)

    def record_first_byte(self, *, api: str, served_by: str, seconds: float) -> None:
        """A stream has begun."""
        self._first_byte.add(seconds, api, served_by)

    def record_serving(self, task: str, by: ServingInfo) -> None:
        """A call was answered; what a student had to do with it is counted."""
        reason = by.decision.reason
        if reason in _ESCALATION_REASONS and by.served_by == "teacher":
            self._escalations.add(self._tasks(task), reason)
        if reason == "student_error":
            self._student_errors.add(self._tasks(task))

    def record_budget_refusal(self, task: str) -> None:
        """A call was refused for want of budget."""
        self._refused.add(self._tasks(task))

    def observe_cache(self, cache: CacheStore) -> None:
        """Tell how often the exact cache had an answer, whenever asked."""
        self._registry.register(_CacheCollector(cache))

    def observe_online(self, away: Callable[[], bool]) -> None:
        """Tell whether the online state can be reached, whenever asked."""
        self._registry.register(
            _CallbackGauge(f"{_NAME}redis_away", "1 while the online state cannot be reached.", away)
        )

    def observe_upstreams(self, upstreams: Callable[[], Sequence[Upstream]]) -> None:
        """Tell how the teachers fare, whenever asked."""
        self._registry.register(_UpstreamCollector(upstreams))

    def observe_audits(self, in_flight: Callable[[], int], dropped: Callable[[], int]) -> None:
        """Tell how many audits are in flight, and how many were given up, whenever asked."""
        self._registry.register(_CallbackGauge(f"{_NAME}audits_in_flight", "Audits under way or waiting.", in_flight))
        self._registry.register(_CallbackGauge(f"{_NAME}audits_given_up", "Audits drawn and never asked.", dropped))

    def observe_recorder(self, recorder: EventRecorder) -> None:
        """Tell what becomes of the events, whenever asked."""
        self._registry.register(_RecorderCollector(recorder))

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format, of type `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def _counter(self, name: str, what: str, *labels: str) -> FastCounter:
        tally = FastCounter(_NAME + name, what, labels)
        self._registry.register(tally)
        return tally

    def _histogram(self, name: str, what: str, bounds: tuple[float, ...], *labels: str) -> FastHistogram:
        spread = FastHistogram(_NAME + name, what, bounds, labels)
        self._registry.register(spread)
        return spread


class _BoundedLabel:
    """Names as they are, up to so many and those that are known beyond, and `other` for the rest."""

    __slots__ = ("_known", "_most", "_names")

    def __init__(self, most: int, known: Callable[[str], bool]) -> None:
        self._most = most
        self._known = known
        self._names: set[str] = set()

    def __call__(self, name: str) -> str:
        if name in self._names:
            return name
        if len(self._names) >= self._most and not self._known(name):
            return _OTHER
        self._names.add(name)
        return name


class _CallbackGauge(Collector):
    """One number that another part of the router knows."""

    def __init__(self, name: str, what: str, read: Callable[[], float]) -> None:
        self._name = name
        self._what = what
        self._read = read

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(self._name, self._what, value=self._read())


class _CacheCollector(Collector):
    """Look-ups of the exact cache."""

    def __init__(self, cache: CacheStore) -> None:
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        found = CounterMetricFamily(f"{_NAME}cache", "Look-ups of the exact cache.", labels=["result"])
        found.add_metric(["hit"], self._cache.hits)
        found.add_metric(["miss"], self._cache.misses)
        found.add_metric(["away"], self._cache.unavailable)
        yield found


class _UpstreamCollector(Collector):
    """What became of the requests to each teacher, and whether it is left alone."""

    def __init__(self, upstreams: Callable[[], Sequence[Upstream]]) -> None:
        self._upstreams = upstreams

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            f"{_NAME}upstream_requests", "Requests to teachers, by what became of them.", labels=["upstream", "outcome"]
        )
        state = GaugeMetricFamily(f"{_NAME}breaker_state", "0 closed, 1 half open, 2 open.", labels=["upstream"])
        for upstream in self._upstreams():
            for outcome, count in asdict(upstream.counts).items():
                requests.add_metric([upstream.spec.name, outcome], count)
            state.add_metric([upstream.spec.name], _BREAKER_STATES[upstream.breaker.state])
        yield requests
        yield state


class _RecorderCollector(Collector):
    """What becomes of the events, and what waits."""

    def __init__(self, recorder: EventRecorder) -> None:
        self._recorder = recorder

    def collect(self) -> Iterator[Metric]:
        counts = self._recorder.counts
        yield _counter("events_recorded", "Calls handed over to be recorded.", counts.recorded)
        yield _counter("events_published", "Events that the bus has taken.", counts.published)
        yield _counter("events_spooled", "Events written to disk while the bus was away.", counts.spooled)
        yield _counter("events_unrecordable", "Calls that could not be redacted or encoded.", counts.unrecordable)
        lost = CounterMetricFamily(f"{_NAME}events_dropped", "Events that are lost.", labels=["reason"])
        for reason in get_args(LossReason):
            lost.add_metric([reason], counts.lost[reason])
        yield lost
        yield _counter("recorder_restarts", "Ends of the process that records.", self._recorder.restarts)
        yield _gauge(
            "recorded_share", "Of the calls to be recorded, the share that was not lost.", counts.recorded_share
        )
        yield _gauge("buffer_events", "Events in memory.", len(self._recorder))
        yield _gauge("buffer_bytes", "About what those take that wait to be encoded.", self._recorder.bytes)
        yield _gauge("bus_away", "1 while the bus does not take events.", float(self._recorder.bus_unavailable))
        backlog = self._recorder.spool
        if backlog is not None:
            yield _gauge("spool_bytes", "Bytes of events on disk.", backlog.size)
            yield _gauge("spool_segments", "Files of events on disk.", backlog.segments)
            yield _gauge("spool_oldest_seconds", "Age of the oldest of them.", backlog.age_s)


def _counter(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(_NAME + name, what, value=value)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(_NAME + name, what, value=value)
