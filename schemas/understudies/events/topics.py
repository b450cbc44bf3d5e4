"""Define the four topics (name, key, retention, model), and encode events as messages with CloudEvents headers."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from understudies.events.base import Event
from understudies.events.drift import Drift
from understudies.events.invocation import Invocation
from understudies.events.json_values import replace_lone_surrogates
from understudies.events.promotion import Promotion
from understudies.events.verdict import GateDecision, Verdict, VerdictEvent

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Topic:
    """A Kafka topic and the events that it carries."""

    name: str
    adapter: TypeAdapter[Any]
    key: Callable[[Any], str]
    key_description: str
    partitions: int
    cleanup: str
    retention_ms: int | None
    description: str

    @property
    def config(self) -> dict[str, str]:
        """The topic settings under their Kafka names."""
        settings = {"cleanup.policy": self.cleanup}
        if self.retention_ms is not None:
            settings["retention.ms"] = str(self.retention_ms)
        return settings

    def decode(self, value: bytes) -> Event:
        """Decode the event in a message's value; raises pydantic's ValidationError."""
        event: Event = self.adapter.validate_json(value)
        return event


def encode(event: Event) -> bytes:
    """Encode an event as a message value; a lone surrogate in a text becomes U+FFFD."""
    try:
        # The serializer behind `model_dump_json`, without that method's options and a text in between.
        return event.__pydantic_serializer__.to_json(event, exclude_none=True)
    except PydanticSerializationError:
        return (
            event.model_validate(_replace_surrogates_in(event.model_dump())).model_dump_json(exclude_none=True).encode()
        )


def _replace_surrogates_in(value: Any) -> Any:
    if isinstance(value, str):
        return replace_lone_surrogates(value)
    if isinstance(value, dict):
        return {replace_lone_surrogates(key): _replace_surrogates_in(item) for key, item in value.items()}
    return [_replace_surrogates_in(item) for item in value] if isinstance(value, list | tuple) else value


def _task_key(event: Event) -> str:
    return event.task


INVOCATIONS = Topic(
    "invocations",
    TypeAdapter(Invocation),
    _task_key,
    "task",
    6,
    "delete",
    7 * _DAY_MS,
    "One call of a teacher or a student.",
)
VERDICTS = Topic(
    "verdicts",
    TypeAdapter(VerdictEvent),
    _task_key,
    "task",
    6,
    "delete",
    30 * _DAY_MS,
    "Agreement of a student with the teacher, for single calls and in total.",
)
PROMOTIONS = Topic(
    "promotions",
    TypeAdapter(Promotion),
    lambda event: event.key,
    "task/student; of a person's decision task/student/action/student it names",
    1,
    "compact",
    None,
    "The ordered stages of every student, and what people decided about tasks.",
)
DRIFT = Topic(
    "drift",
    TypeAdapter(Drift),
    _task_key,
    "task",
    2,
    "delete",
    30 * _DAY_MS,
    "A promoted student agrees less than before, or its conditions changed.",
)
TOPICS: tuple[Topic, ...] = (INVOCATIONS, VERDICTS, PROMOTIONS, DRIFT)
BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}

_TOPIC_BY_EVENT: dict[type[Event], Topic] = {
    Invocation: INVOCATIONS,
    Verdict: VERDICTS,
    GateDecision: VERDICTS,
    Promotion: PROMOTIONS,
    Drift: DRIFT,
}


def topic_of(event: Event) -> Topic:
    """Return the topic that carries an event."""
    return _TOPIC_BY_EVENT[type(event)]


def cloud_headers(event: Event, source: str, traceparent: str | None = None) -> list[tuple[str, bytes]]:
    """Return the headers of an event made by `source`, with the W3C trace context if given."""
    kind = str(getattr(event, "type", "event"))
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event.id,
        "ce_source": source,
        "ce_type": f"understudies.{kind}",
        "ce_time": event.at.astimezone(UTC).isoformat(),
        "content-type": "application/json",
    }
    if traceparent is not None:
        headers["traceparent"] = traceparent
    return [(name, value.encode("utf-8", "replace")) for name, value in headers.items()]
