"""Deal partitions out evenly among the members of a group; each keeps what it has."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, NamedTuple

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

_VERSION: Final = 0
_OTHER_FOLDER: Final = b"other-folder"
_OLDER: Final = b"older"


class _Member(NamedTuple):
    """What a member tells of itself."""

    folder: str
    version: tuple[int, ...]
    owned: list[int]


class BalancedAssignor(AbstractPartitionAssignor):  # type: ignore[misc] # aiokafka has no types
    """Assign the partitions of the same number of all topics to one member, with as few moves as can be.

    Only members with one data folder get any, as others could not take over its state; and of those, only members of
    the newest version, as an older one would drop what it does not know from a state that the newest has saved.
    aiokafka calls assignors as classes, so `for_member` makes one for each consumer.
    """

    name: ClassVar[str] = "understudies-balanced"  # pyright: ignore[reportIncompatibleMethodOverride] # as its own are
    folder: ClassVar[str] = ""
    version: ClassVar[tuple[int, ...]] = ()
    owned: ClassVar[frozenset[int]] = frozenset()
    is_left_out: ClassVar[bool] = False
    """True if this member shares no data folder with the others."""
    is_outdated: ClassVar[bool] = False
    """True if others that share its data folder are of a newer version."""

    @classmethod
    def for_member(cls, folder: str, version: tuple[int, ...] = ()) -> "type[BalancedAssignor]":
        """Return an assignor for one consumer, whose process is of this version and uses the data folder of this id."""
        return type(cls.__name__, (cls,), {"folder": folder, "version": version})

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Return the assignment of every member."""
        told = {member: _decode(metadata.user_data) for member, metadata in members.items()}
        shared = _choose_folder(told.values())
        sharing = {member: one for member, one in told.items() if one.folder == shared}
        newest = max(one.version for one in sharing.values())
        topics = sorted({topic for metadata in members.values() for topic in metadata.subscription})
        count = min((len(cluster.partitions_for_topic(topic) or ()) for topic in topics), default=0)
        owned = {member: one.owned for member, one in sharing.items() if one.version == newest}
        # A broker that has just started may not know the topics yet: each keeps what it has until it does.
        dealt = deal_out(count, owned) if count else {member: set(numbers) for member, numbers in owned.items()}
        return {
            member: ConsumerProtocolMemberAssignment(
                _VERSION,
                [(topic, sorted(dealt.get(member, ()))) for topic in topics],
                b"" if member in dealt else _OLDER if member in sharing else _OTHER_FOLDER,
            )
            for member in members
        }

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Return what the group's leader is told of this member."""
        told = json.dumps({"folder": cls.folder, "version": cls.version, "owned": sorted(cls.owned)}).encode()
        return ConsumerProtocolMemberMetadata(_VERSION, list(topics), told)

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Remember what this member owns now."""
        cls.owned = frozenset(where.partition for where in assignment.partitions())
        cls.is_left_out = assignment.user_data == _OTHER_FOLDER
        cls.is_outdated = assignment.user_data == _OLDER


def _choose_folder(told: Iterable[_Member]) -> str:
    """Return the data folder whose members own most partitions, so that no newcomer takes them over without state."""
    owned: Counter[str] = Counter()
    members: Counter[str] = Counter()
    for one in told:
        owned[one.folder] += len(one.owned)
        members[one.folder] += 1
    return max(sorted(members), key=lambda folder: (owned[folder], members[folder]))


def deal_out(count: int, members: Mapping[str, Iterable[int]]) -> dict[str, set[int]]:
    """Return which of the partitions 0 to `count` - 1 each member is to have, beginning with what it has.

    The numbers of any two members differ by at most one. A partition that two claim goes to the first by name.
    """
    if not members:
        return {}
    free = set(range(count))
    kept: dict[str, list[int]] = {}
    for member in sorted(members):
        kept[member] = sorted(free.intersection(members[member]))
        free.difference_update(kept[member])
    least, extra = divmod(count, len(members))
    dealt: dict[str, set[int]] = {}
    for place, member in enumerate(sorted(kept, key=lambda name: (-len(kept[name]), name))):
        quota = least + (place < extra)
        dealt[member] = set(kept[member][:quota])
        free.update(kept[member][quota:])
    waiting = sorted(free)
    for place, numbers in enumerate(dealt.values()):
        while len(numbers) < least + (place < extra):
            numbers.add(waiting.pop())
    return dealt


def _decode(told: bytes | None) -> _Member:
    """Return what a member tells; nothing of one that tells something else."""
    try:
        body: Any = json.loads(told or b"{}")
        version = tuple(int(part) for part in body["version"])
        return _Member(str(body["folder"]), version, [int(number) for number in body["owned"]])
    except (ValueError, KeyError, TypeError):
        return _Member("", (), [])
