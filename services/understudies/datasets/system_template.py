"""Learn the common template of a task's system prompts, and extract the differing part: the context of a call."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, field_serializer

from understudies.datasets.errors import ArtifactError
from understudies.events import Request, Words, words_of

TEMPLATE_FILE: Final = "context.json"
_NEARLY_ALL: Final = 0.95
_OFTEN: Final = 0.05
_RETURNING: Final = 1.5
_SAMPLE: Final = 400
_SAMPLED_CHARACTERS: Final = 2_000_000
_NUMBER: Final = "<n>"
_AROUND: Final = ".,;:!?()[]{}\"'%$€£"


class SystemTemplate(BaseModel):
    """Template of a task's system prompts; an empty one means that no call has a context.

    `common` holds the runs of three masked words that nearly all prompts contain, each with its maximum count;
    `numbers` those of them whose middle is a number that differs from call to call and recurs, as a count of orders
    does and a date or an id does not. `differs` is the share of calls whose context differs from that of the previous
    call, `characters` the mean length of a context.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    common: dict[str, int] = {}
    numbers: frozenset[str] = frozenset()
    differs: float = 0.0
    characters: int = 0

    @field_serializer("numbers")
    def _sorted(self, numbers: frozenset[str]) -> list[str]:
        return sorted(numbers)

    @property
    def has_context(self) -> bool:
        """True if calls have a context."""
        return self.differs >= _OFTEN

    @classmethod
    def learn(cls, requests: Sequence[Request]) -> "SystemTemplate":
        """Learn the template of calls, oldest first; an empty one if hardly any differs from the previous call.

        A date, a time or an id differs in every call and is not a context, nor is a new version of the prompt, which
        differs once. Of many calls, a sample of a few hundred is used.
        """
        prompts = [words_of(text) for text in _sample([request.system for request in requests])]
        non_empty = [prompt for prompt in prompts if prompt.written]
        if not non_empty:
            return cls()
        common = _common_runs(non_empty)
        learnt = cls(common=common, numbers=_recurring_numbers(non_empty, common), differs=1.0)
        contexts = [learnt._context(prompt) for prompt in prompts]
        differs = sum(one != other for one, other in pairwise(contexts)) / max(1, len(contexts) - 1)
        if differs < _OFTEN:
            return cls()
        characters = sum(map(len, contexts)) // len(contexts)
        return learnt.model_copy(update={"differs": round(differs, 4), "characters": characters})

    def context(self, request: Request) -> str:
        """Return the part of a request's system prompt beyond the template; empty if there is no context."""
        return self._context(words_of(request.system)) if self.has_context else ""

    def context_mask(self, prompt: Words) -> list[bool]:
        """Return for each word of a prompt whether it is context.

        A run that a prompt contains more often than the template is context at every position: a record may use the
        template's own words to say which of its cases applies.
        """
        counts = Counter(prompt.runs)
        common = [counts[run] <= self.common.get(run, 0) for run in prompt.runs]
        covered = [any(common[max(0, index - 1) : index + 2]) for index in range(len(common))]
        return [not one or run in self.numbers for one, run in zip(covered, prompt.runs, strict=True)]

    def to_files(self) -> dict[str, bytes]:
        """Return the template's file in an artifact; none if there is no context."""
        return {TEMPLATE_FILE: self.model_dump_json().encode()} if self.has_context else {}

    @classmethod
    def from_files(cls, content: Mapping[str, bytes]) -> "SystemTemplate":
        """Read the template from an artifact's files; raises ArtifactError if it cannot be read."""
        try:
            return cls.model_validate_json(content[TEMPLATE_FILE]) if TEMPLATE_FILE in content else NO_CONTEXT
        except ValidationError as error:
            raise ArtifactError(f"the template of the system prompts is invalid: {error!r}") from error

    def summary(self) -> dict[str, JsonValue]:
        """Summarise the template for the evidence."""
        return {"differs": self.differs, "characters": self.characters}

    @property
    def description(self) -> str:
        """A sentence on the differences between the system prompts, with the numbers."""
        length = f"about {self.characters:,} characters of context"
        return f"the system prompt differs from call to call in {self.differs:.0%} of calls ({length})"

    def _context(self, prompt: Words) -> str:
        return " ".join(_with_labels(prompt.written, self.context_mask(prompt)))


NO_CONTEXT: Final = SystemTemplate()


def truncate_middle(text: str, most: int) -> str:
    """Return the text, or its beginning and end in at most `most` characters."""
    return text if len(text) <= most else f"{text[: (most - 1) // 2]} {text[-(most // 2) :]}"


def _with_labels(written: Sequence[str], differing: Sequence[bool]) -> Iterator[str]:
    """Yield the words that differ, each run of them after the preceding word, which often labels it."""
    for index, (word, differs) in enumerate(zip(written, differing, strict=True)):
        if differs or (index + 1 < len(differing) and differing[index + 1]):
            yield word


def _sample(texts: Sequence[str]) -> Sequence[str]:
    """Sample texts evenly, limited by number and by total length."""
    length = max(1, sum(map(len, texts)) // max(1, len(texts)))
    most = max(20, min(_SAMPLE, _SAMPLED_CHARACTERS // length))
    return texts[:: max(1, -(-len(texts) // most))]


def _common_runs(prompts: Sequence[Words]) -> dict[str, int]:
    """Return the runs that nearly all prompts contain, each with the count that nearly all reach."""
    counts = [Counter(prompt.runs) for prompt in prompts]
    having = Counter(run for one in counts for run in one)
    needed = _NEARLY_ALL * len(prompts)
    few = int((1 - _NEARLY_ALL) * len(prompts))
    return {run: sorted(one[run] for one in counts)[few] for run, times in sorted(having.items()) if times >= needed}


def _recurring_numbers(prompts: Sequence[Words], common: dict[str, int]) -> frozenset[str]:
    """Return the common runs around a plain number that fluctuates between values, unlike a clock or a counter."""
    values: dict[str, list[str]] = {}
    for prompt in prompts:
        for run, word, masked in zip(prompt.runs, prompt.written, prompt.masked, strict=True):
            if _NUMBER in masked and common.get(run) == 1 and "<date>" not in run and _is_plain_number(word):
                values.setdefault(run, []).append(word)
    return frozenset(run for run, numbers in values.items() if _fluctuates(numbers))


def _is_plain_number(word: str) -> bool:
    return word.strip(_AROUND).replace(",", "").replace(".", "", 1).isdecimal()


def _fluctuates(values: Sequence[str]) -> bool:
    changes = sum(one != other for one, other in pairwise(values))
    return changes >= max(_RETURNING * len(set(values)), _OFTEN * len(values))
