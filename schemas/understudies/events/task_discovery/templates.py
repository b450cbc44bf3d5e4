"""Name tasks that have no name: system prompts filled from the same template are one task."""

import hashlib
from collections import Counter, OrderedDict
from functools import lru_cache
from typing import Final, TypeVar

from understudies.events.fingerprint import masked, named_by
from understudies.events.json_values import replace_lone_surrogates
from understudies.events.request import Request
from understudies.events.task_discovery.template_inference import Prompt, TemplateInference, template_task_name

Key = TypeVar("Key")

_MIN_MATCHED_SHARE: Final = 0.9
_MAX_PROMPTS: Final = 65_536
_MAX_TEXTS: Final = 4_096
_MAX_TEMPLATES: Final = 1_024


class Templates:
    """Name the tasks of system prompts, and learn which prompts are fillings of one template.

    A prompt is its own task, by `discovered_task`, until several others that were each seen a few times share its
    parts: then the parts are a template, named by their words, and every prompt that has them belongs to its task. A
    name once given is kept for as long as it is remembered: prompts that do not vary are never renamed. Memory is
    bounded; the least recently seen is forgotten first.
    """

    def __init__(self, min_prompts: float = 8, min_words: int = 5) -> None:
        self._task_by_text_hash: OrderedDict[bytes, str] = OrderedDict()
        self._task_by_prompt: OrderedDict[str, str] = OrderedDict()
        self._templates: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._templates_by_trigram: dict[str, set[str]] = {}
        self._inference = TemplateInference(min_prompts, min_words)

    def task_of(self, request: Request) -> str:
        """Return the task of a request; the same prompt gets the same task as long as it is remembered."""
        system = request.system
        text = _digest(system)
        own = self._task_by_text_hash.get(text)
        template = masked(system) if own is None or own not in self._task_by_prompt else ""
        if own is None:
            own = _put_lru(self._task_by_text_hash, text, named_by(template), _MAX_TEXTS)
        self._inference.count_call(own)
        task = self._task_by_prompt.get(own)
        if task is None:
            return _put_lru(self._task_by_prompt, own, self._name_new_prompt(own, Prompt.of(template)), _MAX_PROMPTS)
        self._task_by_text_hash.move_to_end(text)
        self._task_by_prompt.move_to_end(own)
        return task

    def learn(self, own: str, prompt: Prompt, calls: int = 1) -> tuple[str, float] | None:
        """Learn from a prompt that some calls had, and return what it fits; the prompt itself is not named."""
        fit = self.fit(prompt)
        if fit is None and (skeleton := self._inference.add(own, prompt, calls)):
            self._add_template(template_task_name(prompt, skeleton), skeleton)
            return self.fit(prompt)
        return fit

    def fit(self, prompt: Prompt) -> tuple[str, float] | None:
        """Return the task of the largest template that a prompt fills, and the share that it covers, if any."""
        hits = Counter(
            name for run in self._templates_by_trigram.keys() & prompt.runs for name in self._templates_by_trigram[run]
        )
        sizes = {name: len(self._templates[name]) for name in hits}
        names = [name for name, count in hits.items() if count >= _MIN_MATCHED_SHARE * sizes[name]]
        if not names:
            return None
        task = max(names, key=lambda name: (sizes[name], name))
        return task, sizes[task] / len(prompt.runs)

    def _name_new_prompt(self, own: str, prompt: Prompt) -> str:
        fit = self.learn(own, prompt) if prompt.runs else None
        if fit is None:
            return own
        self._templates.move_to_end(fit[0])
        return fit[0]

    def _add_template(self, name: str, skeleton: frozenset[str]) -> None:
        self._remove_template(name)
        self._templates[name] = skeleton
        for run in skeleton:
            self._templates_by_trigram.setdefault(run, set()).add(name)
        while len(self._templates) > _MAX_TEMPLATES:
            self._remove_template(next(iter(self._templates)))

    def _remove_template(self, name: str) -> None:
        for run in self._templates.pop(name, ()):
            self._templates_by_trigram[run].discard(name)
            if not self._templates_by_trigram[run]:
                del self._templates_by_trigram[run]


@lru_cache(maxsize=128)
def _digest(text: str) -> bytes:
    """Return a hash of a text, which nearly all calls of a task share."""
    return hashlib.blake2b(replace_lone_surrogates(text).encode(), digest_size=16).digest()


def _put_lru(cache: OrderedDict[Key, str], key: Key, value: str, limit: int) -> str:
    cache[key] = value
    if len(cache) > limit:
        cache.popitem(last=False)
    return value
