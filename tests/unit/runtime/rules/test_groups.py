"""The groups that calls are watched by."""

import doctest
from datetime import UTC, datetime, timedelta

import pytest

from understudies.runtime.rules import groups
from understudies.runtime.rules.groups import day_group, groups_of

TAGS = {"channel": "phone", "region": "eu", "empty": ""}


@pytest.mark.parametrize(
    ("watch", "found"),
    [
        ((), ()),
        (("tenant",), ("tenant=acme",)),
        (("tags.channel",), ("tags.channel=phone",)),
        (("tags.region", "tenant"), ("tags.region=eu", "tenant=acme")),
        (("tags.team", "tenant"), ("tenant=acme",)),
        (("tags.empty",), ("tags.empty=",)),
    ],
)
def test_a_call_belongs_to_a_group_for_each_watched_field_that_it_has(
    watch: tuple[str, ...], found: tuple[str, ...]
) -> None:
    assert groups_of(watch, "acme", TAGS) == found


def test_a_tag_named_tenant_is_not_the_tenant() -> None:
    assert groups_of(("tags.tenant", "tenant"), "acme", {"tenant": "other"}) == ("tags.tenant=other", "tenant=acme")


def test_a_week_has_five_weekdays() -> None:
    monday = datetime(2026, 1, 5, tzinfo=UTC)
    kinds = [day_group(monday + timedelta(days=day)) for day in range(7)]
    assert kinds == ["day=weekday"] * 5 + ["day=weekend"] * 2


def test_a_day_ends_at_midnight() -> None:
    friday = datetime(2026, 1, 9, 23, 59, 59, tzinfo=UTC)
    assert day_group(friday) == "day=weekday"
    assert day_group(friday + timedelta(seconds=1)) == "day=weekend"


def test_the_examples_hold() -> None:
    assert doctest.testmod(groups).failed == 0
