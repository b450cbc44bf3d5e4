import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from understudies.students.extractor.fields import Fields, Path, flatten
from understudies.students.extractor.relation_search import find_check, find_relation
from understudies.students.extractor.relations import TRANSFORMS, Relation

SOURCES: list[Path] = [("name",), ("day",), ("net",), ("fee",), ("tags",), ("lines",)]


def answers(derive: Callable[[dict[str, Any]], Any], n: int = 80) -> list[Fields]:
    rng = random.Random(7)
    made = []
    for _ in range(n):
        answer: dict[str, Any] = {
            "name": f"{rng.choice('ABCD')}na {rng.choice('KLMN')}ovak-{rng.randrange(99)}",
            "day": (date(2026, 1, 1) + timedelta(days=rng.randrange(400))).isoformat(),
            "net": rng.randrange(100, 99_999) / 100,
            "fee": rng.randrange(100, 9_999) / 100,
            "tags": [rng.randrange(9) for _ in range(rng.randrange(1, 7))],
            "lines": [{"cost": rng.randrange(100, 999) / 100} for _ in range(rng.randrange(1, 7))],
        }
        made.append(flatten(answer | {"target": derive(answer)}))
    return made


@pytest.mark.parametrize(
    ("derive", "description"),
    [
        (lambda a: a["name"], "equal(name)"),
        (lambda a: a["name"].upper(), "upper(name)"),
        (lambda a: a["name"].split()[-1], "last_word(name)"),
        (lambda a: a["name"].lower().replace(" ", "-"), "slug(name)"),
        (lambda a: (date.fromisoformat(a["day"]) + timedelta(days=30)).isoformat(), "days(day, 30)"),
        (lambda a: (date.fromisoformat(a["day"]) - timedelta(days=7)).isoformat(), "days(day, -7)"),
        (lambda a: f"{date.fromisoformat(a['day']):%d.%m.%Y}", "day_first_points(day)"),
        (lambda a: int(a["day"][5:7]), "month(day)"),
        (lambda a: f"{a['net']:.2f}", "two_decimals(net)"),
        (lambda a: round(a["net"] * 1.19 + 1e-9, 2), "times(net, 1.19)"),
        (lambda a: round(a["net"] / 1.077 + 1e-9, 2), "divided_by(net, 1.077)"),
        (lambda a: round(a["net"] + 4.9, 2), "plus(net, 4.9)"),
        (lambda a: round(a["net"] + a["fee"], 2), "sum(net, fee)"),
        (lambda a: round(a["fee"] - a["net"], 2), "difference(fee, net)"),
        (lambda a: round(a["net"] * a["fee"] + 1e-9, 2), "product(net, fee)"),
        (lambda a: len(a["tags"]), "count(tags)"),
        (lambda a: sum(a["tags"]), "total(tags)"),
        (lambda a: round(sum(line["cost"] for line in a["lines"]), 2), "total(lines[].cost)"),
    ],
)
def test_a_relation_is_found(derive: Callable[[dict[str, Any]], Any], description: str) -> None:
    made = answers(derive)
    relation = find_relation(("target",), made, SOURCES)
    assert relation is not None
    assert relation.description == description
    assert all(relation.derive(answer) == answer["target",] for answer in made)


@pytest.mark.parametrize(
    "derive",
    [
        lambda a: a["name"][2:],
        lambda a: round(a["net"] * (1.19 if a["fee"] < 50 else 1.07), 2),
        lambda a: len(a["tags"]) + (a["net"] > 500),
        lambda a: a["net"] > 500,
        lambda a: {"x": a["net"]}["x"] if a["net"] > 500 else None,
    ],
)
def test_what_holds_in_some_answers_alone_is_no_relation(derive: Callable[[dict[str, Any]], Any]) -> None:
    assert find_relation(("target",), answers(derive), SOURCES) is None


def test_a_rare_mistake_of_the_teacher_does_not_hide_a_relation() -> None:
    made = answers(lambda a: len(a["tags"]), n=200)
    made[17]["target",] = 77
    found = find_relation(("target",), made, SOURCES)
    assert found is not None
    assert found.description == "count(tags)"
    for number in range(10):
        made[number]["target",] = 77
    assert find_relation(("target",), made, SOURCES) is None


def test_a_field_that_lacks_with_its_source_is_derived() -> None:
    made = answers(lambda a: a["name"].upper())
    for answer in made[::3]:
        answer["name",] = answer["target",] = None
    found = find_relation(("target",), made, SOURCES)
    assert found is not None
    assert found.derive({("name",): None}) is None


def test_an_empty_list_counts_as_zero() -> None:
    made = answers(lambda a: len(a["tags"]))
    for number, answer in enumerate(made[::5]):
        answer["tags",] = [] if number % 2 else None
        answer["target",] = 0
    found = find_relation(("target",), made, SOURCES)
    assert found is not None
    assert found.description == "count(tags)"
    assert (found.derive({}), Relation("total", (("tags",),), decimals=2, whole=False).derive({})) == (0, 0.0)


def test_a_relation_must_hold_where_the_field_has_a_value() -> None:
    made = answers(lambda a: None, n=400)
    for number, answer in enumerate(made):
        if number % 40:
            answer["name",] = None
        else:
            answer["target",] = answer["name",] if number % 120 else "another"
    assert find_relation(("target",), made, [("name",)]) is None


def test_few_values_prove_no_relation() -> None:
    assert find_relation(("target",), answers(lambda a: a["name"])[:9], SOURCES) is None
    assert find_relation(("target",), answers(lambda a: 1 + (a["net"] > 500)), SOURCES) is None


def test_a_check_is_a_calculation_alone() -> None:
    assert find_check(("target",), answers(lambda a: a["net"]), SOURCES) is None
    check = find_check(("target",), answers(lambda a: round(a["net"] + a["fee"], 2)), SOURCES)
    assert check is not None
    assert check.explains(("target",), {("net",): 1.5, ("fee",): 2, ("target",): 3.5})
    assert not check.explains(("target",), {("net",): 1.5, ("fee",): 2, ("target",): 3.4})
    assert not check.explains(("target",), {("net",): 1.5, ("target",): 3.5})


@pytest.mark.parametrize("operation", [*TRANSFORMS, "days", "times", "divided_by", "product", "count", "total"])
@pytest.mark.parametrize("value", ["soon", True, 0, -1.5, "2026-13-01", [1, "a"], {}, [{("a",): 1}], "9999-12-31"])
def test_values_of_another_kind_give_some_value_or_none(operation: str, value: Any) -> None:
    derived = Relation(operation, (("a",), ("a",)), constant=0.0 if operation == "divided_by" else 3.0).derive(
        {("a",): value}
    )
    assert derived is None or isinstance(derived, str | int | float)
