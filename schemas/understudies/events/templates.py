"""Tasks that are not named: system prompts that have their common parts in common are one task."""

import hashlib
from collections import Counter, OrderedDict
from typing import Final, TypeVar

from understudies.events.fingerprint import masked, named_by
from understudies.events.json_values import well_formed
from understudies.events.request import Request
from understudies.events.siblings import Prompt, Siblings, skeleton_name

Key = TypeVar("Key")

_NEARLY_ALL: Final = 0.9
_PROMPTS: Final = 65_536
_TEXTS: Final = 4_096
_TEMPLATES: Final = 1_024


class Templates:
    """Names the tasks of system prompts, and learns from them which are fillings of one template.

    A prompt is its own task, by `discovered_task`, until several others that were each seen a few times share its
    parts: then the parts are a template, named by their words, and whatever prompt has them is of its task. What was
    named once keeps its name, for as long as it is remembered: prompts that do not vary are never renamed. Memory is
    bounded, the least recently seen is forgotten first.
    """

    def __init__(self, siblings: float = 8, least: int = 5) -> None:
        self._texts: OrderedDict[bytes, str] = OrderedDict()
        self._named: OrderedDict[str, str] = OrderedDict()
        self._templates: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._where: dict[str, set[str]] = {}
        self._siblings = Siblings(siblings, least)

    def task_of(self, request: Request) -> str:
        """The name of the task that a request belongs to; the same for the same prompt as long as it is remembered."""
        system = request.system
        text = hashlib.blake2b(well_formed(system).encode(), digest_size=16).digest()
        own = self._texts.get(text)
        template = masked(system) if own is None or own not in self._named else ""
        if own is None:
            own = _remember(self._texts, text, named_by(template), _TEXTS)
        self._siblings.seen(own)
        task = self._named.get(own)
        if task is None:
            return _remember(self._named, own, self._first_seen(own, Prompt.of(template)), _PROMPTS)
        self._texts.move_to_end(text)
        self._named.move_to_end(own)
        return task

    def learn(self, own: str, prompt: Prompt, calls: int = 1) -> tuple[str, float] | None:
        """Learn from a prompt that some calls had, and tell what it fits; it is given no name."""
        fit = self.fit(prompt)
        if fit is None and (skeleton := self._siblings.add(own, prompt, calls)):
            self._keep(skeleton_name(prompt, skeleton), skeleton)
            return self.fit(prompt)
        return fit

    def fit(self, prompt: Prompt) -> tuple[str, float] | None:
        """The task of the largest template that a prompt fills, if any, and what share of the prompt it is."""
        hits = Counter(name for run in self._where.keys() & prompt.runs for name in self._where[run])
        sizes = {name: len(self._templates[name]) for name in hits}
        found = [name for name, count in hits.items() if count >= _NEARLY_ALL * sizes[name]]
        if not found:
            return None
        task = max(found, key=lambda name: (sizes[name], name))
        return task, sizes[task] / len(prompt.runs)

    def _first_seen(self, own: str, prompt: Prompt) -> str:
        fit = self.learn(own, prompt) if prompt.runs else None
        if fit is None:
            return own
        self._templates.move_to_end(fit[0])
        return fit[0]

    def _keep(self, name: str, skeleton: frozenset[str]) -> None:
        self._forget(name)
        self._templates[name] = skeleton
        for run in skeleton:
            self._where.setdefault(run, set()).add(name)
        while len(self._templates) > _TEMPLATES:
            self._forget(next(iter(self._templates)))

    def _forget(self, name: str) -> None:
        for run in self._templates.pop(name, ()):
            self._where[run].discard(name)
            if not self._where[run]:
                del self._where[run]


def _remember(known: OrderedDict[Key, str], key: Key, value: str, most: int) -> str:
    known[key] = value
    if len(known) > most:
        known.popitem(last=False)
    return value
