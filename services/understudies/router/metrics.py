"""Define every metric of the router; durations are in seconds.

Names begin with `understudies_router_`, but for the counters of tokens, which are those of OpenTelemetry's conventions
for generative AI (v0.1.0) as Prometheus writes them. Labels have few, bounded values: the first tasks seen and tasks
known by other means, such as the rules, keep their names; all others become `other`. The same holds for reasons, which
may come from a teacher's text. Upstreams are those of the settings.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Final, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from understudies.events import Reason, Usage
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
_MAX_MODELS: Final = 50
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
"""Reasons for which the teacher answered a call that its student might have served."""


class RouterMetrics:
    """The metrics of one router; counts that other components hold are read from them on collection."""

    def __init__(self, *, tasks: int = _MAX_TASKS, known_task: Callable[[str], bool] = lambda _: False) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._tasks = _BoundedLabel(tasks, known_task)
        self._models = _BoundedLabel(_MAX_MODELS, lambda _: False)
        self._reasons = _BoundedLabel(_MAX_REASONS, _KNOWN_REASONS.__contains__)
        self._requests = self._counter(
            "requests_total",
            "Calls answered, by the model that answered and the reason.",
            "api",
            "task",
            "served_by",
            "reason",
            "status",
        )
        self._latency = self._histogram(
            "latency_seconds", "Time from the start of a call to its end.", _LATENCY_BUCKETS, "api", "served_by"
        )
        self._overhead = self._histogram(
            "overhead_seconds", "Time that the router added to a call.", _OVERHEAD_BUCKETS, "api"
        )
        self._first_byte = self._histogram(
            "first_byte_seconds",
            "Time from the start of a call to the first byte of its stream.",
            _LATENCY_BUCKETS,
            "api",
            "served_by",
        )
        self._student_errors = self._counter("student_errors_total", "Calls on which the student failed.", "task")
        self._escalations = self._counter(
            "escalations_total", "Calls escalated from a student to the teacher, by reason.", "task", "reason"
        )
        self._tokens = [
            self._token_counter(kind, about)
            for kind, about in (
                ("input_tokens", "Tokens of prompts, as the provider counted them."),
                ("output_tokens", "Tokens of answers, as the provider counted them."),
                (
                    "cache_read_input_tokens",
                    "Tokens of prompts that were read from the provider's cache.",
                ),
                ("cache_write_input_tokens", "Tokens of prompts that were written to the provider's cache."),
            )
        ]
        self._refused = self._counter("budget_refused_total", "Calls refused because the budget is spent.", "task")

    def record_outcome(self, outcome: CallOutcome) -> None:
        """Count one call at its end."""
        call, served_by = outcome.call, outcome.served_by
        api, task = call.api, call.task
        if (usage := outcome.pending.fields.get("usage")) is not None:
            self.record_usage(usage, outcome.pending.fields.get("model") or "")
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
        """Record the end of a call; `overhead_s` is the part of its time spent in the router rather than upstream."""
        self._requests.add(api, self._tasks(task), served_by, self._reasons(reason), str(status))
        self._latency.add(seconds, api, served_by)
        if overhead_s is not None:
            self._overhead.add(overhead_s, api)

    def record_usage(self, usage: Usage, model: str) -> None:
        """Count the tokens of an answer by the model that gave it, as the conventions for generative AI name them."""
        details = usage.details
        written = 0 if details is None else details.cache_write_tokens
        counts = (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, written)
        label = self._models(model) if any(counts) else _OTHER
        for counter, count in zip(self._tokens, counts, strict=True):
            if count:
                counter.add("chat", label, amount=count)

    def record_first_byte(self, *, api: str, served_by: str, seconds: float) -> None:
        """Record the start of a stream."""
        self._first_byte.add(seconds, api, served_by)

    def record_serving(self, task: str, by: ServingInfo) -> None:
        """Count the escalation or student error of an answered call, if there was one."""
        reason = by.decision.reason
        if reason in _ESCALATION_REASONS and by.served_by == "teacher":
            self._escalations.add(self._tasks(task), reason)
        if reason == "student_error":
            self._student_errors.add(self._tasks(task))

    def record_budget_refusal(self, task: str) -> None:
        """Count a call refused because its budget is spent."""
        self._refused.add(self._tasks(task))

    def observe_cache(self, cache: CacheStore) -> None:
        """Report the look-ups of the exact cache on each collection."""
        self._registry.register(_CacheCollector(cache))

    def observe_online(self, is_unavailable: Callable[[], bool]) -> None:
        """Report on each collection whether the online state is unavailable."""
        self._registry.register(
            _CallbackGauge(f"{_NAME}redis_away", "1 while the online state is unavailable.", is_unavailable)
        )

    def observe_upstreams(self, upstreams: Callable[[], Sequence[Upstream]]) -> None:
        """Report the requests to each teacher and the state of its breaker on each collection."""
        self._registry.register(_UpstreamCollector(upstreams))

    def observe_audits(self, in_flight: Callable[[], int], dropped: Callable[[], int]) -> None:
        """Report the numbers of audits in flight and dropped on each collection."""
        self._registry.register(_CallbackGauge(f"{_NAME}audits_in_flight", "Audits running or waiting.", in_flight))
        self._registry.register(
            _CallbackGauge(f"{_NAME}audits_given_up", "Audits drawn but dropped before the teacher was asked.", dropped)
        )

    def observe_recorder(self, recorder: EventRecorder) -> None:
        """Report the recorder's counts and queues on each collection."""
        self._registry.register(_RecorderCollector(recorder))

    def exposition(self) -> bytes:
        """Return all metrics in the Prometheus text format, of type `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def _counter(self, name: str, description: str, *labels: str) -> FastCounter:
        counter = FastCounter(_NAME + name, description, labels)
        self._registry.register(counter)
        return counter

    def _token_counter(self, kind: str, about: str) -> FastCounter:
        labels = ("gen_ai_operation_name", "gen_ai_response_model")
        counter = FastCounter(f"gen_ai_client_inference_usage_{kind}_total", about, labels)
        self._registry.register(counter)
        return counter

    def _histogram(self, name: str, description: str, bounds: tuple[float, ...], *labels: str) -> FastHistogram:
        histogram = FastHistogram(_NAME + name, description, bounds, labels)
        self._registry.register(histogram)
        return histogram


class _BoundedLabel:
    """Map names to label values: the first `limit` names and known ones are kept, the rest become `other`."""

    __slots__ = ("_known", "_limit", "_names")

    def __init__(self, limit: int, known: Callable[[str], bool]) -> None:
        self._limit = limit
        self._known = known
        self._names: set[str] = set()

    def __call__(self, name: str) -> str:
        if name in self._names:
            return name
        if len(self._names) >= self._limit and not self._known(name):
            return _OTHER
        self._names.add(name)
        return name


class _CallbackGauge(Collector):
    """A gauge read from another component of the router."""

    def __init__(self, name: str, description: str, read: Callable[[], float]) -> None:
        self._name = name
        self._description = description
        self._read = read

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(self._name, self._description, value=self._read())


class _CacheCollector(Collector):
    """Look-ups of the exact cache."""

    def __init__(self, cache: CacheStore) -> None:
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        lookups = CounterMetricFamily(f"{_NAME}cache", "Look-ups of the exact cache.", labels=["result"])
        lookups.add_metric(["hit"], self._cache.hits)
        lookups.add_metric(["miss"], self._cache.misses)
        lookups.add_metric(["away"], self._cache.unavailable)
        yield lookups


class _UpstreamCollector(Collector):
    """The outcomes of the requests to each teacher, and the state of its breaker."""

    def __init__(self, upstreams: Callable[[], Sequence[Upstream]]) -> None:
        self._upstreams = upstreams

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            f"{_NAME}upstream_requests", "Requests to teachers, by outcome.", labels=["upstream", "outcome"]
        )
        state = GaugeMetricFamily(
            f"{_NAME}breaker_state", "State of the circuit breaker: 0 closed, 1 half open, 2 open.", labels=["upstream"]
        )
        for upstream in self._upstreams():
            for outcome, count in asdict(upstream.counts).items():
                requests.add_metric([upstream.spec.name, outcome], count)
            state.add_metric([upstream.spec.name], _BREAKER_STATES[upstream.breaker.state])
        yield requests
        yield state


class _RecorderCollector(Collector):
    """The recorder's counts of events, and the events that wait."""

    def __init__(self, recorder: EventRecorder) -> None:
        self._recorder = recorder

    def collect(self) -> Iterator[Metric]:
        counts = self._recorder.counts
        yield _counter("events_recorded", "Calls handed to the recorder.", counts.recorded)
        yield _counter("events_published", "Events published to the bus.", counts.published)
        yield _counter("events_spooled", "Events written to disk while the bus was unavailable.", counts.spooled)
        yield _counter("events_unrecordable", "Calls that could not be redacted or encoded.", counts.unrecordable)
        lost = CounterMetricFamily(f"{_NAME}events_dropped", "Events lost, by reason.", labels=["reason"])
        for reason in get_args(LossReason):
            lost.add_metric([reason], counts.lost[reason])
        yield lost
        yield _counter("recorder_restarts", "Restarts of the recorder process.", self._recorder.restarts)
        yield _gauge(
            "recorded_share", "Share of the calls handed to the recorder that were not lost.", counts.recorded_share
        )
        yield _gauge("buffer_events", "Events waiting in memory.", len(self._recorder))
        yield _gauge("buffer_bytes", "Approximate bytes of the events waiting to be encoded.", self._recorder.bytes)
        yield _gauge("bus_away", "1 while the bus is unavailable.", float(self._recorder.bus_unavailable))
        spool = self._recorder.spool
        if spool is not None:
            yield _gauge("spool_bytes", "Bytes of events waiting on disk.", spool.size)
            yield _gauge("spool_segments", "Files of events waiting on disk.", spool.segments)
            yield _gauge("spool_oldest_seconds", "Age of the oldest file of events on disk.", spool.age_s)


def _counter(name: str, description: str, value: float) -> Metric:
    return CounterMetricFamily(_NAME + name, description, value=value)


def _gauge(name: str, description: str, value: float) -> Metric:
    return GaugeMetricFamily(_NAME + name, description, value=value)
