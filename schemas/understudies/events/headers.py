"""Message headers: CloudEvents 1.0 attributes in the binary mode of its Kafka binding."""

from datetime import UTC

from understudies.events.base import Event


def cloud_headers(event: Event, source: str, traceparent: str | None = None) -> list[tuple[str, bytes]]:
    """The headers of an event made by `source`, with the W3C trace context where there is one."""
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
