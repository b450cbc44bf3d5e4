"""Give all partitions of a group to one of its members: the others stand by."""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

_VERSION: Final = 0
_OWNER: Final = b"owner"


class SingleOwnerAssignor(AbstractPartitionAssignor):  # type: ignore[misc] # aiokafka has no types
    """Assign every partition to the member that had them before, else to the first by id.

    The state of a service is folded from whole topics, and the order of their events decides what it does: partitions
    dealt out to several members would leave each with a part of the state. aiokafka calls assignors as classes, so
    `for_member` makes one for each consumer.
    """

    name: ClassVar[str] = "understudies-single-owner"  # pyright: ignore[reportIncompatibleMethodOverride] # as its own are
    is_owner: ClassVar[bool] = False

    @classmethod
    def for_member(cls) -> "type[SingleOwnerAssignor]":
        """Return an assignor that remembers whether this one consumer is the owner."""
        return type(cls.__name__, (cls,), {"is_owner": False})

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Return the assignment of every member."""
        owners = [member for member, metadata in members.items() if metadata.user_data == _OWNER]
        owner = min(owners or members)
        topics = sorted({topic for metadata in members.values() for topic in metadata.subscription})
        partitions = [(topic, sorted(cluster.partitions_for_topic(topic) or ())) for topic in topics]
        return {
            member: ConsumerProtocolMemberAssignment(_VERSION, partitions if member == owner else [], b"")
            for member in members
        }

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Return what the group's leader is told of this member."""
        return ConsumerProtocolMemberMetadata(_VERSION, list(topics), _OWNER if cls.is_owner else b"")

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Remember whether this member is the owner now."""
        cls.is_owner = bool(assignment.partitions())
