"""Infer templates from system prompts that share parts."""

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

from understudies.events.task_discovery.prompt_names import name_by_words
from understudies.events.task_discovery.word_trigrams import word_trigrams

_MAX_PERSONA_WORDS: Final = 12
_MAX_CANDIDATES: Final = 512
_MAX_CANDIDATE_TRIGRAMS: Final = 100_000
_MAX_COMPARED: Final = 32
_MAX_TRIES: Final = 16
_FEW_CALLS: Final = 5
_REPEATED_PROMPT_WEIGHT: Final = 1 / 3
_MIN_COMMON_SHARE: Final = 0.9
_MIN_DIVIDED_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Prompt:
    """The masked words of a prompt, their trigrams in order and as a set, and the trigrams of its persona."""

    words: tuple[str, ...]
    order: tuple[str, ...]
    runs: frozenset[str]
    persona: frozenset[str]

    @classmethod
    def of(cls, template: str) -> Self:
        """Build a prompt from its masked text."""
        words = tuple(template.split())
        runs = word_trigrams(words)
        return cls(words, runs, frozenset(runs), frozenset(runs[: _persona_word_count(words)]))


@dataclass(slots=True)
class _Candidate:
    prompt: Prompt
    calls: int

    @property
    def weight(self) -> float:
        """The weight in forming a template: a repeated prompt is more likely a task of its own."""
        return 1.0 if self.calls <= _FEW_CALLS else _REPEATED_PROMPT_WEIGHT


class TemplateInference:
    """The most recent prompts that fill no known template, indexed by their trigrams.

    `min_prompts` of them that share at least `min_words` words besides their first sentence make a template.
    """

    def __init__(self, min_prompts: float, min_words: int) -> None:
        self._min_prompts = min_prompts
        self._min_words = min_words
        self._candidates: OrderedDict[str, _Candidate] = OrderedDict()
        self._candidates_by_trigram: dict[str, dict[str, None]] = {}
        self._trigram_count = 0

    def count_call(self, name: str) -> None:
        """Count another call with a prompt."""
        if name in self._candidates:
            self._candidates[name].calls += 1

    def add(self, name: str, prompt: Prompt, calls: int = 1) -> frozenset[str] | None:
        """Return the template that a prompt completes, as trigrams; else keep the prompt until similar ones come."""
        if name in self._candidates:
            return None
        self._add_candidate(name, _Candidate(prompt, calls))
        skeleton, members = self._infer_template(name)
        for member in members:
            self._remove_candidate(member)
        return skeleton

    def _infer_template(self, name: str) -> tuple[frozenset[str] | None, Collection[str]]:
        prompt, tried = self._candidates[name].prompt, set[str]()
        for run in self._shared_trigrams(prompt):
            if run in tried or len(tried) > _MAX_TRIES * self._min_words:
                continue
            members = self._same_template_members(name, list(self._candidates_by_trigram[run])[-_MAX_COMPARED:])
            skeleton = self._common_trigrams(members)
            if (
                self._has_enough_weight(members)
                and self._count_covered_words(prompt, skeleton - prompt.persona) >= self._min_words
            ):
                return skeleton, members
            tried |= {run, *skeleton}
        return None, ()

    def _shared_trigrams(self, prompt: Prompt) -> list[str]:
        """Return the trigrams that may belong to a template, the most frequent first."""
        counts = {run: len(self._candidates_by_trigram[run]) for run in prompt.runs - prompt.persona}
        return sorted((run for run, n in counts.items() if n >= self._min_prompts), key=lambda run: (-counts[run], run))

    def _same_template_members(self, name: str, members: Sequence[str]) -> list[str]:
        """Return the members that share a template with a prompt.

        If nearly all members split into several groups, each with at least half as much of its own in common as all
        have together, they are several agents with the same introduction.
        """
        shared = self._common_trigrams(members)
        least = max(self._min_words, len(shared) // 2)
        rest = {one: self._candidates[one].prompt.runs - shared for one in members}
        groups = list(_linked_groups(rest, least))
        divided = [group for group in groups if len(group) > 1]
        if len(divided) > 1 and sum(map(len, divided)) >= _MIN_DIVIDED_SHARE * len(members):
            return next(group for group in groups if name in group)
        return list(members)

    def _common_trigrams(self, members: Sequence[str]) -> frozenset[str]:
        counts = Counter(run for one in members for run in self._candidates[one].prompt.runs)
        return frozenset(run for run, n in counts.items() if n >= _MIN_COMMON_SHARE * len(members))

    def _has_enough_weight(self, members: Sequence[str]) -> bool:
        return sum(self._candidates[one].weight for one in members) >= self._min_prompts

    @staticmethod
    def _count_covered_words(prompt: Prompt, skeleton: frozenset[str]) -> int:
        return len(_covered_word_indices(prompt, skeleton))

    def _add_candidate(self, name: str, candidate: _Candidate) -> None:
        self._candidates[name] = candidate
        for run in candidate.prompt.runs:
            self._candidates_by_trigram.setdefault(run, {})[name] = None
        self._trigram_count += len(candidate.prompt.runs)
        while len(self._candidates) > _MAX_CANDIDATES or self._trigram_count > _MAX_CANDIDATE_TRIGRAMS:
            self._remove_candidate(next(iter(self._candidates)))

    def _remove_candidate(self, name: str) -> None:
        left = self._candidates.pop(name).prompt.runs
        self._trigram_count -= len(left)
        for run in left:
            names = self._candidates_by_trigram[run]
            del names[name]
            if not names:
                del self._candidates_by_trigram[run]


def template_task_name(prompt: Prompt, skeleton: frozenset[str]) -> str:
    """Return the name of a template, from the words of a prompt that the template covers."""
    words = " ".join(prompt.words[index] for index in _covered_word_indices(prompt, skeleton))
    return name_by_words(words)


def _covered_word_indices(prompt: Prompt, skeleton: frozenset[str]) -> list[int]:
    """Return the indices of the words that a template's trigrams cover."""
    matched = [index for index, run in enumerate(prompt.order) if run in skeleton]
    near = {index + step for index in matched for step in (-1, 0, 1)}
    return sorted(index for index in near if 0 <= index < len(prompt.words))


def _linked_groups(parts: dict[str, frozenset[str]], least: int) -> Iterator[list[str]]:
    """Yield groups of names whose parts are linked, each pair by at least `least` in common."""
    left = list(parts)
    while left:
        group, frontier = [left.pop(0)], 0
        while frontier < len(group):
            near = [name for name in left if len(parts[group[frontier]] & parts[name]) >= least]
            left = [name for name in left if name not in near]
            group, frontier = group + near, frontier + 1
        yield group


def _persona_word_count(masked: Sequence[str]) -> int:
    """Count the words of a persona such as "you are a helpful assistant", which different tasks may share."""
    if masked[:2] != ("you", "are") and masked[:1] != ("you're",):
        return 0
    for index, word in enumerate(masked[:_MAX_PERSONA_WORDS]):
        if word.endswith((".", ":", "!", "?")):
            return index + 1
    return _MAX_PERSONA_WORDS
