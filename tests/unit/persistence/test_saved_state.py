import dataclasses
import doctest
import json
from collections import Counter, deque
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest

from understudies.persistence import saved_state
from understudies.persistence.arrays import FloatArray, LogWealth, LogWealthArray
from understudies.persistence.fields import SORTED, As, AsArray, NegatedList, OrderedNames, Seconds
from understudies.persistence.saved_state import IN_PLACE, ROOT, Key, SavedState, UnfitSnapshot

AT = datetime(2026, 3, 1, 12, 30, 0, 250_000, tzinfo=UTC)


class Inner(SavedState):
    __slots__ = ("_names", "calls")
    _names: Annotated[set[str], SORTED]
    calls: Annotated[int, Key(default=int)]

    def __init__(self, *names: str) -> None:
        self._names, self.calls = set(names), len(names)

    @property
    def names(self) -> set[str]:
        return self._names


@dataclasses.dataclass(frozen=True, slots=True)
class Value(SavedState):
    p0: float = 0.95
    costs: dict[str, Decimal] = dataclasses.field(default_factory=dict)
    kind: ClassVar[str] = "value"

    def __post_init__(self) -> None:
        if not 0 < self.p0 < 1:
            raise ValueError(f"p0 must lie in (0, 1), got {self.p0}")


class Names(SavedState):
    _names: Annotated[OrderedNames, ROOT]

    def __init__(self, capacity: int) -> None:
        self._capacity, self._names = capacity, {}

    def add(self, name: str) -> None:
        self._names[name] = None

    @property
    def capacity(self) -> int:
        return self._capacity


class Outer(SavedState):
    inner: Annotated[Inner, Key("held")]
    by_name: Annotated[dict[str, Inner], Key("list"), AsArray(("names", 0))]
    last: Value | None
    seen: Annotated[Names, IN_PLACE]
    at: datetime | None
    day_counts: Counter[date]
    recent: deque[float]
    pairs: tuple[tuple[float, float], ...]

    def __init__(self) -> None:
        self.inner = Inner("b", "a")
        self.by_name = {"x": Inner("x"), "y": Inner("y")}
        self.last = Value(0.9, {"teacher": Decimal("0.030000001")})
        self.seen = Names(capacity=5)
        self.at, self.day_counts = AT, Counter({AT.date(): 2})
        self.recent, self.pairs = deque([0.5]), ((0.95, 0.9),)
        self._derived = "constructed"

    def _on_restored(self) -> None:
        self._derived = "restored"

    @property
    def derived(self) -> str:
        return self._derived


def as_json(state: Any) -> Any:
    return json.loads(json.dumps(state))


def test_state_has_the_keys_of_the_annotations_and_json_values() -> None:
    outer = Outer()
    outer.seen.add("z")
    assert outer.state() == {
        "held": {"names": ["a", "b"], "calls": 2},
        "list": [{"names": ["x"], "calls": 1}, {"names": ["y"], "calls": 1}],
        "last": {"p0": 0.9, "costs": {"teacher": "0.030000001"}},
        "seen": ["z"],
        "at": "2026-03-01T12:30:00.250000Z",
        "day_counts": {"2026-03-01": 2},
        "recent": [0.5],
        "pairs": [[0.95, 0.9]],
    }


def test_restoring_in_an_object_keeps_what_it_holds_besides() -> None:
    saved = Outer()
    saved.inner = Inner("c")
    saved.seen.add("z")
    saved.last = None
    restored = Outer()
    seen = restored.seen
    restored.restore_state(as_json(saved.state()))
    assert restored.state() == saved.state()
    assert restored.seen is seen
    assert (seen.capacity, restored.last, restored.at, restored.derived) == (5, None, AT, "restored")
    assert restored.by_name["y"].names == {"y"}


def test_a_frozen_value_is_restored_equal_and_checked() -> None:
    value = Value(0.9, {"teacher": Decimal("0.1")})
    assert Value.from_state(as_json(value.state())) == value
    assert Value.from_state({}) == Value(), "missing keys take the defaults of the fields"
    with pytest.raises(ValueError, match="p0 must lie in"):
        Value.from_state({"p0": 2.0})


def test_a_restored_state_shares_nothing_with_its_snapshot() -> None:
    state = {"p0": 0.9, "costs": {"teacher": "1"}}
    Value.from_state(state).costs["audit"] = Decimal(2)
    assert state == {"p0": 0.9, "costs": {"teacher": "1"}}


@pytest.mark.parametrize(
    ("state", "place"),
    [
        ({"calls": 1}, "names: Field required"),
        ({"names": "abc", "calls": 1}, "names: Input should be a valid set"),
        ({"names": ["a"], "calls": "many"}, "calls: Input should be a valid integer"),
        ({"names": ["a"], "calls": None}, "calls: Input should be a valid integer"),
        ([], "Input should be a dictionary"),
    ],
)
def test_a_snapshot_that_does_not_fit_is_an_error_that_names_the_place(state: Any, place: str) -> None:
    with pytest.raises(UnfitSnapshot, match=place):
        Inner.from_state(state)


def test_a_nested_error_names_the_whole_way_and_quotes_nothing() -> None:
    state = Outer().state() | {"list": [{"names": ["a secret", 3]}]}
    with pytest.raises(UnfitSnapshot, match=r"list: \*: names: 1: Input should be a valid string") as raised:
        Outer().restore_state(state)
    assert "secret" not in str(raised.value)
    state["list"] = [{"names": ["x"], "calls": "secret"}]
    with pytest.raises(UnfitSnapshot, match=r"list: \*: calls: Input should be a valid integer") as raised:
        Outer().restore_state(state)
    assert "secret" not in str(raised.value)


def test_a_part_that_is_restored_in_place_must_be_there_unless_it_is_optional() -> None:
    class Optional(SavedState):
        seen: Annotated[Names, Key("seen", default=lambda: None), IN_PLACE]

        def __init__(self) -> None:
            self.seen = Names(capacity=5)
            self.seen.add("before")

    state = Outer().state()
    del state["seen"]
    with pytest.raises(UnfitSnapshot, match="seen: Field required"):
        Outer().restore_state(state)
    optional = Optional()
    optional.restore_state({})
    assert optional.state() == {"seen": ["before"]}


@pytest.mark.parametrize("state", [3, None, ["a", "b"]])
def test_what_cannot_be_migrated_is_unfit(state: Any) -> None:
    with pytest.raises(UnfitSnapshot, match="it cannot be migrated"):
        Migrated.from_state(state)


def test_a_key_of_a_later_version_is_ignored() -> None:
    assert Inner.from_state({"names": ["a"], "calls": 1, "new": 2}).state() == {"names": ["a"], "calls": 1}


class Migrated(SavedState):
    total: float

    def __init__(self) -> None:
        self.total = 0.0

    @classmethod
    def _migrate(cls, state: Any) -> Any:
        return state if isinstance(state, dict) else {"total": sum(state)}


def test_an_older_form_is_migrated_wherever_it_is_nested() -> None:
    class Holder(SavedState):
        first: Migrated

    assert Holder.from_state({"first": [1, 2]}).first.total == 3.0


class Numbers(SavedState):
    negated: NegatedList
    counts: dict[str, FloatArray]
    logs: LogWealthArray
    log: LogWealth
    span: Seconds
    label: Annotated[complex, As(str, read=complex, write=str)]


def test_values_that_look_otherwise_in_json_come_back() -> None:
    state = {
        "negated": [0.9, 0.5],
        "counts": {"a": [[1.0, 2.0], [3.0, 4.0]]},
        "logs": [[None, -0.25], [1.5, None]],
        "log": None,
        "span": 90.5,
        "label": "(1+2j)",
    }
    numbers = Numbers.from_state(as_json(state))
    assert numbers.negated == [-0.9, -0.5]
    assert numbers.counts["a"].dtype == np.float64
    assert numbers.logs.tolist() == [[-np.inf, -0.25], [1.5, -np.inf]]
    assert numbers.log == -np.inf
    assert (numbers.span, numbers.label) == (timedelta(seconds=90.5), 1 + 2j)
    assert as_json(numbers.state()) == state
    numbers.log = -1.25
    assert Numbers.from_state(numbers.state()).log == -1.25


@pytest.mark.parametrize(("key", "value"), [("counts", {"a": [[1.0], [1.0, 2.0]]}), ("logs", ["x"]), ("span", "soon")])
def test_an_array_that_is_none_is_an_error(key: str, value: Any) -> None:
    state = {"negated": [], "counts": {}, "logs": [], "log": 0.0, "span": 1, "label": "1"} | {key: value}
    with pytest.raises(UnfitSnapshot, match=key):
        Numbers.from_state(state)


def test_the_examples_run_as_written() -> None:
    outcome = doctest.testmod(saved_state)
    assert outcome.failed == 0
    assert outcome.attempted > 0
