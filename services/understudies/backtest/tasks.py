"""Assign a task to every recorded call."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from understudies.events import Prompt, Templates, masked, named_by
from understudies.importers.recorded_call import RecordedCall
from understudies.importers.task_names import sanitize_task_name

_FEW_CALLS: Final = 5
_MIN_TEMPLATE_SHARE: Final = 0.5
_MIN_REPEATED_PROMPTS: Final = 24
_PASSES: Final = ((8, 5, 1_000_000), (3, 10, 2_000))
"""Passes: prompts that make a template, its minimum of words, and the most prompts to compare; few must share more."""


def assign_tasks(calls: Iterable[RecordedCall]) -> list[RecordedCall]:
    """Assign a valid task to each call: the record's own name, sanitized, or the task discovered from its prompt."""
    calls = list(calls)
    names = [sanitize_task_name(call.task) if call.task else None for call in calls]
    unnamed = Counter(call.request.system for call, name in zip(calls, names, strict=True) if name is None)
    templates = {system: masked(system) for system in unnamed}
    discovered = _discover_tasks(templates, unnamed)
    tasks = [name or discovered[templates[call.request.system]] for call, name in zip(calls, names, strict=True)]
    return [
        call if call.task == task else call.with_changes(at=call.at, task=task, episode=call.episode)
        for call, task in zip(calls, tasks, strict=True)
    ]


def _discover_tasks(masks: Mapping[str, str], calls: Mapping[str, int]) -> dict[str, str]:
    """Return the task of each masked prompt: that of the template that it fills, else its own.

    Prompts are read in an order of their own, so that the result does not depend on the order of the log.
    """
    counts: Counter[str] = Counter()
    for system, template in masks.items():
        counts[template] += calls[system]
    own = {template: named_by(template) for template in counts}
    by_template: dict[str, str] = {}
    for siblings, least, most in _PASSES:
        left = sorted((t for t in counts if t and t not in by_template), key=lambda template: own[template])
        if 1 < len(left) <= most:
            by_template |= _match_templates(left, own, counts, Templates(siblings, least))
    return own | by_template


def _match_templates(
    prompts: Sequence[str], own: Mapping[str, str], counts: Mapping[str, int], templates: Templates
) -> dict[str, str]:
    """Return the templates of the prompts that fill one.

    A repeated prompt is a task of its own, unless the template covers most of it or many such prompts fill it.
    """
    fits = {text: templates.learn(own[text], Prompt.of(text), counts[text]) for text in prompts}
    if any(fits.values()):
        # Some prompts came before their template was learned.
        fits |= {text: templates.fit(Prompt.of(text)) for text, fit in fits.items() if fit is None}
    fitted = {text: fit for text, fit in fits.items() if fit is not None}
    repeated = Counter(task for text, (task, _) in fitted.items() if counts[text] > _FEW_CALLS)
    return {
        text: task
        for text, (task, share) in fitted.items()
        if counts[text] <= _FEW_CALLS or share >= _MIN_TEMPLATE_SHARE or repeated[task] >= _MIN_REPEATED_PROMPTS
    }
