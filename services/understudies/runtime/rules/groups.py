"""The groups that a call belongs to: its tenant, its tags, its kind of day."""

from collections.abc import Mapping, Sequence
from datetime import datetime

TENANT_FIELD = "tenant"
TAG_PREFIX = "tags."


def groups_of(watch: Sequence[str], tenant: str, tags: Mapping[str, str]) -> tuple[str, ...]:
    """The groups of a call among the fields that a rule watches; a tag that it does not have makes none.

    >>> groups_of(["tenant", "tags.channel"], "acme", {"channel": "phone", "region": "eu"})
    ('tenant=acme', 'tags.channel=phone')
    """
    found = []
    for field in watch:
        value = tenant if field == TENANT_FIELD else tags.get(field.removeprefix(TAG_PREFIX))
        if value is not None:
            found.append(f"{field}={value}")
    return tuple(found)


def day_group(at: datetime) -> str:
    """The kind of day, by UTC.

    >>> from datetime import UTC
    >>> day_group(datetime(2026, 1, 10, tzinfo=UTC))
    'day=weekend'
    """
    return "day=weekend" if at.weekday() >= 5 else "day=weekday"
