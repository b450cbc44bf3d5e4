"""Name a task by the words of its system prompt."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Final

_MAX_WORDS: Final = 5
_MAX_CHARACTERS: Final = 48
_MAX_WORD_CHARACTERS: Final = 24
_DIGEST_CHARACTERS: Final = 8
_UNNAMED: Final = "task"
_WORD: Final = re.compile(r"<\w+>|[^\W\d_]+(?:['’][^\W\d_]+)*")
_PERSONA: Final = re.compile(r"^\s*(?:you are|you're|act as|as)\b[^.:!?\n]{0,160}[.:!?\n]")
"""A first sentence that says who is asked, such as "you are a helpful assistant", and not for what."""
_COMMON: Final = re.compile(
    "a|an|and|are|as|at|be|been|being|by|can|do|does|each|every|following|for|from|given|has|have|how|if|in|into|is|it|"
    "its|may|must|no|not|of|on|only|or|out|please|return|should|so|some|such|than|that|the|their|them|then|there|these|"
    "they|this|those|to|under|up|use|user|users|using|was|were|what|when|which|who|will|with|would|you|your|yours|"
    "answer|always|assistant|based|below|exactly|expert|helpful|just|one|respond|reply"
)
"""Words that tell no task from another."""


def name_by_words(template: str) -> str:
    """Return a name of the first telling words of a masked prompt, and a few characters that make it its own.

    The characters are of the prompt's SHA-256: the same prompt has the same name everywhere and always, and prompts
    that begin alike have different ones.

    >>> name_by_words("you are a helpful assistant. extract the slots of a book rating as json.")
    'extract-slots-book-rating-json-bb7efbe8'
    >>> name_by_words("you are a <n> …").rpartition("-")[0]
    'task'
    """
    digest = hashlib.sha256(template.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    return "-".join([*(_fitting(_telling_words(template)) or [_UNNAMED]), digest])


def _telling_words(template: str) -> list[str]:
    """Return the telling words after a persona; where there is hardly one, those of the whole prompt."""
    persona = _PERSONA.match(template)
    after = list(_words_of(template[persona.end() :])) if persona else []
    return after if len(after) > 1 else list(_words_of(template))


def _words_of(text: str) -> Iterator[str]:
    seen: set[str] = set()
    for match in _WORD.finditer(text):
        word = match[0].lower().replace("’", "'").partition("'")[0]
        if word.startswith("<") or len(word) < 2 or word in seen or _COMMON.fullmatch(word):
            continue
        seen.add(word)
        yield word


def _fitting(words: Iterable[str]) -> list[str]:
    """Return as many of the words as a name holds, long ones cut."""
    shown: list[str] = []
    for word in words:
        shown.append(word[:_MAX_WORD_CHARACTERS])
        if len(shown) > _MAX_WORDS or len("-".join(shown)) > _MAX_CHARACTERS:
            return shown[:-1]
    return shown
