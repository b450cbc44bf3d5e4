"""Which member of a group gets which partitions."""

from collections.abc import Mapping
from typing import Any, cast

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from hypothesis import given
from hypothesis import strategies as st

from understudies.runtime.partitioned.assignor import BalancedAssignor, deal_out


class Cluster:
    """What an assignor asks of a cluster."""

    def __init__(self, partitions: Mapping[str, int]) -> None:
        self._partitions = partitions

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(self._partitions[topic]))


def assign(cluster: Cluster, members: Mapping[str, ConsumerProtocolMemberMetadata]) -> dict[str, Any]:
    return dict(BalancedAssignor.assign(cast(ClusterMetadata, cluster), members))


@given(count=st.integers(0, 40), names=st.sets(st.text("abcdef", min_size=1, max_size=2), min_size=1), data=st.data())
def test_partitions_are_dealt_out_evenly_and_move_no_more_than_they_must(
    count: int, names: set[str], data: st.DataObject
) -> None:
    claims = {name: data.draw(st.sets(st.integers(0, 45), max_size=10)) for name in sorted(names)}
    dealt = deal_out(count, claims)
    numbers = [number for numbers in dealt.values() for number in numbers]
    assert sorted(numbers) == list(range(count))
    sizes = [len(numbers) for numbers in dealt.values()]
    assert max(sizes) - min(sizes) <= 1
    again = deal_out(count, dealt)
    assert again == dealt
    # A newcomer takes its part of the others, and they give it no more than that.
    more = deal_out(count, {**dealt, "newcomer": set()})
    assert sum(len(dealt[name] - more[name]) for name in dealt) == len(more["newcomer"])
    assert all(more[name] <= dealt[name] for name in dealt)


def test_the_same_partitions_of_all_topics_go_to_one_member() -> None:
    cluster = Cluster({"invocations": 6, "verdicts": 6})
    one, other = (BalancedAssignor.for_member("folder") for _ in range(2))
    members = {"a": one.metadata(["invocations", "verdicts"]), "b": other.metadata(["invocations", "verdicts"])}
    found = assign(cluster, members)
    owned = {name: dict(found[name].assignment) for name in members}
    assert all(topics["invocations"] == topics["verdicts"] for topics in owned.values())
    assert sorted(owned["a"]["invocations"] + owned["b"]["invocations"]) == list(range(6))


def test_a_member_keeps_what_it_has_when_another_joins_and_leaves() -> None:
    cluster = Cluster({"invocations": 6})
    one, other = (BalancedAssignor.for_member("folder") for _ in range(2))
    alone = assign(cluster, {"a": one.metadata(["invocations"])})
    one.on_assignment(alone["a"])
    assert one.owned == frozenset(range(6))
    both = assign(cluster, {"a": one.metadata(["invocations"]), "b": other.metadata(["invocations"])})
    one.on_assignment(both["a"])
    other.on_assignment(both["b"])
    assert len(one.owned) == len(other.owned) == 3
    one.on_assignment(assign(cluster, {"a": one.metadata(["invocations"])})["a"])
    assert one.owned == frozenset(range(6))


def test_a_member_with_another_folder_than_most_gets_nothing_and_knows_why() -> None:
    cluster = Cluster({"invocations": 6})
    shared = [BalancedAssignor.for_member("shared") for _ in range(2)]
    alone = BalancedAssignor.for_member("alone")
    members = {f"{number}": one.metadata(["invocations"]) for number, one in enumerate([*shared, alone])}
    found = assign(cluster, members)
    for number, one in enumerate([*shared, alone]):
        one.on_assignment(found[f"{number}"])
    assert [len(one.owned) for one in (*shared, alone)] == [3, 3, 0]
    assert [one.is_left_out for one in (*shared, alone)] == [False, False, True]


def test_newcomers_with_another_folder_take_nothing_from_one_that_works() -> None:
    cluster = Cluster({"invocations": 6})
    working, newcomers = BalancedAssignor.for_member("z"), [BalancedAssignor.for_member("a") for _ in range(2)]
    working.on_assignment(assign(cluster, {"z": working.metadata(["invocations"])})["z"])
    members = {f"a{number}": one.metadata(["invocations"]) for number, one in enumerate(newcomers)}
    found = assign(cluster, {**members, "z": working.metadata(["invocations"])})
    working.on_assignment(found["z"])
    assert working.owned == frozenset(range(6))


def test_a_member_of_another_program_gets_nothing() -> None:
    cluster = Cluster({"invocations": 2})
    ours = BalancedAssignor.for_member("shared")
    foreign = ConsumerProtocolMemberMetadata(0, ["invocations"], b"\xff not json")
    found = assign(cluster, {"ours": ours.metadata(["invocations"]), "a": foreign, "b": ours.metadata(["invocations"])})
    assert dict(found["a"].assignment) == {"invocations": []}


def test_partitions_go_to_the_newest_version_and_not_back() -> None:
    cluster = Cluster({"invocations": 6})
    old = [BalancedAssignor.for_member("shared", (0, 9, 1)) for _ in range(2)]
    new = BalancedAssignor.for_member("shared", (0, 10))

    def deal(*members: type[BalancedAssignor]) -> list[int]:
        found = assign(cluster, {f"{place}": one.metadata(["invocations"]) for place, one in enumerate(members)})
        for place, one in enumerate(members):
            one.on_assignment(found[f"{place}"])
        return [len(one.owned) for one in members]

    assert deal(*old) == [3, 3]
    assert deal(*old, new) == [0, 0, 6]
    assert [one.is_outdated for one in (*old, new)] == [True, True, False]
    assert not any(one.is_left_out for one in (*old, new))
    assert deal(old[0], new) == [0, 6]
    assert deal(BalancedAssignor.for_member("shared", (0, 10)), new) == [3, 3]


def test_nobody_loses_its_partitions_to_a_broker_that_does_not_know_the_topics_yet() -> None:
    one, other = (BalancedAssignor.for_member("folder") for _ in range(2))
    for cluster in (Cluster({"invocations": 6, "verdicts": 6}), Cluster({"invocations": 6, "verdicts": 0})):
        found = assign(cluster, {"a": one.metadata(["invocations", "verdicts"]), "b": other.metadata(["verdicts"])})
        one.on_assignment(found["a"])
        other.on_assignment(found["b"])
        assert len(one.owned) == len(other.owned) == 3
        assert one.owned | other.owned == set(range(6))
