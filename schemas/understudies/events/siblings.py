"""System prompts that may be fillings of one template, and what several of them have in common."""

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

from understudies.events.words import runs_of

_PERSONA: Final = 12
_WAITING: Final = 512
_WAITING_RUNS: Final = 100_000
_COMPARED: Final = 32
_TRIES: Final = 16
_FEW_CALLS: Final = 5
_REPEATED: Final = 1 / 3
_NEARLY_ALL: Final = 0.9
_DIVIDED: Final = 0.8


@dataclass(frozen=True, slots=True)
class Prompt:
    """The masked words of a prompt and their runs of three, in order, and those of the runs that introduce it."""

    words: tuple[str, ...]
    order: tuple[str, ...]
    runs: frozenset[str]
    persona: frozenset[str]

    @classmethod
    def of(cls, template: str) -> Self:
        """The prompt whose masked text is given."""
        words = tuple(template.split())
        runs = runs_of(words)
        return cls(words, runs, frozenset(runs), frozenset(runs[: _persona(words)]))


@dataclass(slots=True)
class _Waiting:
    prompt: Prompt
    calls: int

    @property
    def weight(self) -> float:
        """A prompt that comes again and again is rather a task of its own."""
        return 1.0 if self.calls <= _FEW_CALLS else _REPEATED


class Siblings:
    """The last prompts that fill no known template, found by their parts.

    `enough` of them that share at least `least` words besides their first sentence make a template.
    """

    def __init__(self, enough: float, least: int) -> None:
        self._enough = enough
        self._least = least
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._having: dict[str, dict[str, None]] = {}
        self._runs = 0

    def seen(self, name: str) -> None:
        """Count another call with a prompt."""
        if name in self._waiting:
            self._waiting[name].calls += 1

    def add(self, name: str, prompt: Prompt, calls: int = 1) -> frozenset[str] | None:
        """The template that a prompt completes, as runs of words; else it waits for others like it."""
        if name in self._waiting:
            return None
        self._wait(name, _Waiting(prompt, calls))
        skeleton, members = self._template(name)
        for member in members:
            self._leave(member)
        return skeleton

    def _template(self, name: str) -> tuple[frozenset[str] | None, Collection[str]]:
        prompt, tried = self._waiting[name].prompt, set[str]()
        for run in self._shared(prompt):
            if run in tried or len(tried) > _TRIES * self._least:
                continue
            members = self._alike(name, list(self._having[run])[-_COMPARED:])
            skeleton = self._common(members)
            if self._weighs(members) and self._covered(prompt, skeleton - prompt.persona) >= self._least:
                return skeleton, members
            tried |= {run, *skeleton}
        return None, ()

    def _shared(self, prompt: Prompt) -> list[str]:
        """The runs that may be a template's, those that most prompts have first."""
        counts = {run: len(self._having[run]) for run in prompt.runs - prompt.persona}
        return sorted((run for run, n in counts.items() if n >= self._enough), key=lambda run: (-counts[run], run))

    def _alike(self, name: str, members: Sequence[str]) -> list[str]:
        """The members that a prompt is one template with.

        Where nearly all of them fall apart into several groups, each with at least half as much of its own in common as
        all have, they are several agents with the same introduction.
        """
        shared = self._common(members)
        least = max(self._least, len(shared) // 2)
        rest = {one: self._waiting[one].prompt.runs - shared for one in members}
        groups = list(_groups(rest, least))
        divided = [group for group in groups if len(group) > 1]
        if len(divided) > 1 and sum(map(len, divided)) >= _DIVIDED * len(members):
            return next(group for group in groups if name in group)
        return list(members)

    def _common(self, members: Sequence[str]) -> frozenset[str]:
        counts = Counter(run for one in members for run in self._waiting[one].prompt.runs)
        return frozenset(run for run, n in counts.items() if n >= _NEARLY_ALL * len(members))

    def _weighs(self, members: Sequence[str]) -> bool:
        return sum(self._waiting[one].weight for one in members) >= self._enough

    @staticmethod
    def _covered(prompt: Prompt, skeleton: frozenset[str]) -> int:
        return len(_places(prompt, skeleton))

    def _wait(self, name: str, waiting: _Waiting) -> None:
        self._waiting[name] = waiting
        for run in waiting.prompt.runs:
            self._having.setdefault(run, {})[name] = None
        self._runs += len(waiting.prompt.runs)
        while len(self._waiting) > _WAITING or self._runs > _WAITING_RUNS:
            self._leave(next(iter(self._waiting)))

    def _leave(self, name: str) -> None:
        left = self._waiting.pop(name).prompt.runs
        self._runs -= len(left)
        for run in left:
            having = self._having[run]
            del having[name]
            if not having:
                del self._having[run]


def skeleton_name(prompt: Prompt, skeleton: frozenset[str]) -> str:
    """The name of a template: of the words of a prompt that fills it, those that are the template's."""
    words = " ".join(prompt.words[place] for place in _places(prompt, skeleton))
    return "task-" + hashlib.sha256(words.encode()).hexdigest()[:10]


def _places(prompt: Prompt, skeleton: frozenset[str]) -> list[int]:
    """Where the words are that a template's runs cover."""
    known = [place for place, run in enumerate(prompt.order) if run in skeleton]
    near = {place + step for place in known for step in (-1, 0, 1)}
    return sorted(place for place in near if 0 <= place < len(prompt.words))


def _groups(parts: dict[str, frozenset[str]], least: int) -> Iterator[list[str]]:
    """The names whose parts are linked, each two by at least so many in common."""
    left = list(parts)
    while left:
        group, frontier = [left.pop(0)], 0
        while frontier < len(group):
            near = [name for name in left if len(parts[group[frontier]] & parts[name]) >= least]
            left = [name for name in left if name not in near]
            group, frontier = group + near, frontier + 1
        yield group


def _persona(masked: Sequence[str]) -> int:
    """How many words say who the model is, as "you are a helpful assistant" does: what agents share means nothing."""
    if masked[:2] != ("you", "are") and masked[:1] != ("you're",):
        return 0
    for place, word in enumerate(masked[:_PERSONA]):
        if word.endswith((".", ":", "!", "?")):
            return place + 1
    return _PERSONA
