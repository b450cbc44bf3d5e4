"""Verdicts that wait until the conversation that they belong to can be bet as a whole."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from understudies.datasets.conversations import Conversation, Conversations
from understudies.datasets.inputs import Input
from understudies.events import position


@dataclass(frozen=True, slots=True)
class Observation:
    """One verdict as evidence.

    `answer_class` is the teacher's answer in a closed set, `answer` the key of the student's; `head` names an input
    that many calls have, `copies` a group of near copies. An audit's counts from the threshold that its call had to
    reach.
    """

    score: float
    confidence: float
    at: datetime
    answer_class: str | None = None
    served_from: float | None = None
    answer: str = ""
    groups: tuple[str, ...] = ()
    head: str | None = None
    copies: str | None = None


class PendingEvidence:
    """Verdicts by conversation, until a day ends by which each has run as long as conversations do."""

    def __init__(self) -> None:
        self._conversations = Conversations[Observation]()

    def __len__(self) -> int:
        """How many conversations wait."""
        return len(self._conversations)

    def contains(self, one: Input) -> bool:
        """Whether a verdict on an equal input waits."""
        return self._conversations.contains(one)

    def add(self, one: Input, observation: Observation) -> None:
        """Let a verdict wait with those of its conversation."""
        self._conversations.add(one, observation)

    def is_linked(self, one: Input) -> bool:
        """Whether the input goes on from a conversation that waits, or comes before one."""
        return self._conversations.is_linked(one)

    def pop_due(self, until: datetime, duration: timedelta) -> list[Conversation[Observation]]:
        """Take out the conversations that began longer than that before a moment, oldest first."""
        places = [(_started_at(cluster), place) for place, cluster in self._conversations.items()]
        return [self._conversations.pop(place) for began, place in sorted(places) if began + duration < until]

    def clear(self) -> None:
        """Forget all that waits."""
        self._conversations = Conversations()

    def state(self) -> list[dict[str, Any]]:
        """A JSON-serialisable snapshot."""
        return [
            {
                "earlier": sorted(cluster.earlier),
                "calls": [_to_json(one, piece) for one, piece in cluster.members],
            }
            for cluster in self._conversations
        ]

    @classmethod
    def from_state(cls, state: Sequence[dict[str, Any]]) -> Self:
        """The verdicts that `state` was taken from."""
        waiting = cls()
        for saved in state:
            members = [_from_json(call) for call in saved["calls"]]
            own = {name for one, _ in members for name in one.names}
            episodes = {one.episode for one, _ in members if one.episode is not None}
            waiting._conversations.add_conversation(Conversation(members, own, set(saved["earlier"]), episodes))
        return waiting


def shuffle_observations(cluster: Conversation[Observation], student: str) -> list[Observation]:
    """The verdicts of a conversation in an order that neither time nor confidence has to do with."""
    return [piece for _, piece in sorted(cluster.members, key=lambda call: position(call[0].fingerprint, student))]


def _started_at(cluster: Conversation[Observation]) -> datetime:
    return min(piece.at for _, piece in cluster.members)


def _to_json(one: Input, piece: Observation) -> dict[str, Any]:
    own = {"fingerprint": one.fingerprint, "text": one.text, "reading": one.reading, "episode": one.episode}
    return {**own, **asdict(piece), "at": piece.at.isoformat()}


def _from_json(saved: dict[str, Any]) -> tuple[Input, Observation]:
    one = Input(saved["fingerprint"], saved["text"], episode=saved["episode"], reading=saved.get("reading"))
    # A snapshot from before there was more to know of a verdict has less.
    known = {key: saved[key] for key in _FIELDS if key in saved}
    told = {"at": datetime.fromisoformat(saved["at"]), "groups": tuple(saved.get("groups", ()))}
    return one, Observation(**{**known, **told})


_FIELDS = tuple(Observation.__dataclass_fields__)
