"""Determine the groups of a call: its tenant, its tags, its kind of day."""

from collections.abc import Mapping, Sequence
from datetime import datetime

TENANT_FIELD = "tenant"
TAG_PREFIX = "tags."


def groups_of(watch: Sequence[str], tenant: str, tags: Mapping[str, str]) -> tuple[str, ...]:
    """Return the groups of a call for the fields that a rule watches; skip tags that the call lacks.

    >>> groups_of(["tenant", "tags.channel"], "acme", {"channel": "phone", "region": "eu"})
    ('tenant=acme', 'tags.channel=phone')
    """
    groups = []
    for field in watch:
        value = tenant if field == TENANT_FIELD else tags.get(field.removeprefix(TAG_PREFIX))
        if value is not None:
            groups.append(f"{field}={value}")
    return tuple(groups)


def day_group(at: datetime) -> str:
    """Return the group of the kind of day, in UTC.

    >>> from datetime import UTC
    >>> day_group(datetime(2026, 1, 10, tzinfo=UTC))
    'day=weekend'
    """
    return "day=weekend" if at.weekday() >= 5 else "day=weekday"
