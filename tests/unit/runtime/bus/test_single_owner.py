"""All partitions of a group belong to one member, and stay with it."""

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.protocol.metadata import MetadataResponse_v0
from hypothesis import given
from hypothesis import strategies as st

from understudies.runtime.bus.single_owner import SingleOwnerAssignor

TOPICS = ["invocations", "promotions"]


def make_cluster() -> ClusterMetadata:
    cluster = ClusterMetadata()
    topics = [(0, topic, [(0, number, 1, [1], [1]) for number in range(3)]) for topic in TOPICS]
    cluster.update_metadata(MetadataResponse_v0([(1, "127.0.0.1", 9092)], topics))
    return cluster


def join(*members: str, owners: frozenset[str] = frozenset()) -> dict[str, ConsumerProtocolMemberMetadata]:
    assignors = {member: SingleOwnerAssignor.for_member() for member in members}
    for member in owners:
        assignors[member].is_owner = True
    return {member: assignor.metadata(TOPICS) for member, assignor in assignors.items()}


@given(members=st.sets(st.text(min_size=1), min_size=1, max_size=6))
def test_one_member_has_every_partition_and_keeps_them_when_others_come(members: set[str]) -> None:
    owner = sorted(members)[len(members) // 2]
    assigned = SingleOwnerAssignor.assign(make_cluster(), join(*members, owners=frozenset({owner})))
    assert set(assigned) == members
    assert assigned[owner].assignment == [(topic, [0, 1, 2]) for topic in TOPICS]
    assert all(not assigned[member].assignment for member in members - {owner})


def test_without_an_owner_the_first_by_id_becomes_it() -> None:
    assigned = SingleOwnerAssignor.assign(make_cluster(), join("b", "a", "c"))
    assert [member for member, one in assigned.items() if one.assignment] == ["a"]


def test_a_member_remembers_what_it_was_given_and_no_other_does() -> None:
    first, second = SingleOwnerAssignor.for_member(), SingleOwnerAssignor.for_member()
    assigned = SingleOwnerAssignor.assign(make_cluster(), {"a": first.metadata(TOPICS), "b": second.metadata(TOPICS)})
    first.on_assignment(assigned["a"])
    second.on_assignment(assigned["b"])
    assert (first.is_owner, second.is_owner) == (True, False)
    assert (first.metadata(TOPICS).user_data, second.metadata(TOPICS).user_data) == (b"owner", b"")
