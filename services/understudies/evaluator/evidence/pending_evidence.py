"""Verdicts that wait until their conversation can be bet as a whole."""

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
    that many calls share, `copies` a group of near copies. `served_from` is the threshold that an audited call had to
    reach: its verdict counts for thresholds from that one on.
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
    """Verdicts by conversation, until a day's end by which each has lasted the usual duration."""

    def __init__(self) -> None:
        self._conversations = Conversations[Observation]()

    def __len__(self) -> int:
        """Return the number of pending conversations."""
        return len(self._conversations)

    def contains(self, call_input: Input) -> bool:
        """Return whether a verdict on an equal input is pending."""
        return self._conversations.contains(call_input)

    def add(self, call_input: Input, observation: Observation) -> None:
        """Add a verdict to its conversation."""
        self._conversations.add(call_input, observation)

    def is_linked(self, call_input: Input) -> bool:
        """Return whether the input continues a pending conversation, or precedes one."""
        return self._conversations.is_linked(call_input)

    def pop_due(self, until: datetime, duration: timedelta) -> list[Conversation[Observation]]:
        """Remove and return the conversations that began more than `duration` before `until`, oldest first."""
        places = [(_started_at(conversation), place) for place, conversation in self._conversations.items()]
        return [self._conversations.pop(place) for began, place in sorted(places) if began + duration < until]

    def clear(self) -> None:
        """Discard all pending verdicts."""
        self._conversations = Conversations()

    def state(self) -> list[dict[str, Any]]:
        """Return a JSON-serialisable snapshot."""
        return [
            {
                "earlier": sorted(conversation.earlier),
                "calls": [_to_json(call_input, observation) for call_input, observation in conversation.members],
            }
            for conversation in self._conversations
        ]

    @classmethod
    def from_state(cls, state: Sequence[dict[str, Any]]) -> Self:
        """Restore the verdicts from a snapshot."""
        pending = cls()
        for saved in state:
            members = [_from_json(call) for call in saved["calls"]]
            own = {name for call_input, _ in members for name in call_input.names}
            episodes = {call_input.episode for call_input, _ in members if call_input.episode is not None}
            pending._conversations.add_conversation(Conversation(members, own, set(saved["earlier"]), episodes))
        return pending


def shuffle_observations(conversation: Conversation[Observation], student: str) -> list[Observation]:
    """Return the verdicts of a conversation in an order independent of time and confidence."""
    return [
        observation
        for _, observation in sorted(conversation.members, key=lambda call: position(call[0].fingerprint, student))
    ]


def _started_at(conversation: Conversation[Observation]) -> datetime:
    return min(observation.at for _, observation in conversation.members)


def _to_json(call_input: Input, observation: Observation) -> dict[str, Any]:
    own = {
        "fingerprint": call_input.fingerprint,
        "text": call_input.text,
        "reading": call_input.reading,
        "episode": call_input.episode,
    }
    return {**own, **asdict(observation), "at": observation.at.isoformat()}


def _from_json(saved: dict[str, Any]) -> tuple[Input, Observation]:
    call_input = Input(saved["fingerprint"], saved["text"], episode=saved["episode"], reading=saved.get("reading"))
    # Older snapshots lack the fields added since.
    fields = {key: saved[key] for key in _FIELDS if key in saved}
    parsed = {"at": datetime.fromisoformat(saved["at"]), "groups": tuple(saved.get("groups", ()))}
    return call_input, Observation(**{**fields, **parsed})


_FIELDS = tuple(Observation.__dataclass_fields__)
