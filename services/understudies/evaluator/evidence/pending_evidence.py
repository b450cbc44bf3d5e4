"""Verdicts that wait until their conversation can be bet as a whole."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from understudies.datasets.conversations import Conversation, Conversations
from understudies.datasets.inputs import Input
from understudies.events import position
from understudies.persistence.saved_state import SavedState, UnfitSnapshot

NOT_SERVED: Final = 2.0
"""Above every confidence."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One verdict as evidence.

    `answer_class` is the teacher's answer in a closed set, `answer` the key of the student's; `head` names an input
    that many calls share, `copies` a group of near copies. `served_from` is the threshold that an audited call had to
    reach: for proven levels its verdict counts from that threshold on. `NOT_SERVED` marks a call that the student left
    to the teacher.
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


@dataclass(frozen=True, slots=True)
class _SavedObservation(Observation):
    """A pending verdict with the names of its input."""

    fingerprint: str = ""
    text: str | None = None
    reading: str | None = None
    episode: str | None = None


@dataclass(frozen=True, slots=True)
class _SavedConversation:
    earlier: set[str]
    calls: list[_SavedObservation]


_ADAPTER: Final = TypeAdapter(list[_SavedConversation])
_observed: Final = attrgetter(*(field.name for field in fields(Observation)))


def _restore(saved: list[_SavedConversation]) -> Conversations[Observation]:
    conversations = Conversations[Observation]()
    for conversation in saved:
        members = [
            (
                Input(call.fingerprint, call.text, episode=call.episode, reading=call.reading),
                Observation(*_observed(call)),
            )
            for call in conversation.calls
        ]
        names = {name for call_input, _ in members for name in call_input.names}
        episodes = {call_input.episode for call_input, _ in members if call_input.episode is not None}
        conversations.add_conversation(Conversation(members, names, set(conversation.earlier), episodes))
    return conversations


def _read_saved(state: list[Any]) -> list[_SavedConversation]:
    try:
        return _ADAPTER.validate_python(state)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise UnfitSnapshot(f"pending evidence: {problems[0]['msg']} at {problems[0]['loc'][-1]!r}") from error


def _write_call(call_input: Input, observation: Observation) -> dict[str, Any]:
    """Return a `_SavedObservation` without what is as by default, far quicker than pydantic: a day has many."""
    written = {
        "score": observation.score,
        "confidence": observation.confidence,
        "at": observation.at.isoformat().replace("+00:00", "Z"),
        "fingerprint": call_input.fingerprint,
    }
    optional = {
        "answer_class": observation.answer_class,
        "served_from": observation.served_from,
        "answer": observation.answer or None,
        "groups": list(observation.groups) or None,
        "head": observation.head,
        "copies": observation.copies,
        "text": call_input.text,
        "reading": call_input.reading,
        "episode": call_input.episode,
    }
    for name, value in optional.items():
        if value is not None:
            written[name] = value
    return written


class PendingEvidence(SavedState):
    """Verdicts by conversation, until a day's end by which each has lasted the usual duration.

    A snapshot's verdicts are read when they are first needed, and written again as they are until then: of many tasks,
    few get a call in the first seconds after a start.
    """

    def __init__(self) -> None:
        self._unread: list[Any] = []
        self._read: Conversations[Observation] | None = Conversations()

    def state(self) -> Any:
        """Return a JSON-serialisable snapshot."""
        if self._read is None:
            return self._unread
        return [
            {"earlier": sorted(conversation.earlier), "calls": [_write_call(*call) for call in conversation.members]}
            for conversation in self._read
        ]

    def restore_state(self, state: Any) -> None:
        """Take the verdicts of a snapshot; raise ValueError if the first or the last of them does not fit."""
        if not isinstance(state, list | tuple):
            raise UnfitSnapshot("pending evidence should be an array")
        _read_saved([*state[:1], *state[-1:]])
        self._unread, self._read = list(state), None

    @property
    def _conversations(self) -> Conversations[Observation]:
        if self._read is None:
            self._read, self._unread = _restore(_read_saved(self._unread)), []
        return self._read

    def __len__(self) -> int:
        """Return the number of pending conversations."""
        return len(self._unread) if self._read is None else len(self._read)

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
        self._unread, self._read = [], Conversations()


def shuffle_observations(conversation: Conversation[Observation], student: str) -> list[Observation]:
    """Return the verdicts of a conversation in an order independent of time and confidence."""
    return [
        observation
        for _, observation in sorted(conversation.members, key=lambda call: position(call[0].fingerprint, student))
    ]


def _started_at(conversation: Conversation[Observation]) -> datetime:
    return min(observation.at for _, observation in conversation.members)
