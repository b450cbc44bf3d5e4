"""The words for what happens to tasks and students: the same in the console, the report and the terminal."""

from typing import Final

_WORDS: Final = {
    "gate_promote": "proven",
    "gate_reject": "failed its trial",
    "gate_inconclusive": "not proven yet",
    "inconclusive": "not proven yet",
    "drift_warn": "drift suspected",
    "drift_contract": "drift",
    "fallback_teacher": "kept with the teacher",
    "distilled": "served by a student",
    "collecting": "recording",
    "training": "on trial",
    "no_change": "within its budget",
    "by_hand": "by hand",
}


def event_words(event: str) -> str:
    """Return an event, stage or outcome in words; unknown ones have their underscores replaced.

    >>> event_words("gate: promote"), event_words("drift_contract"), event_words("not_worth_it")
    ('proven', 'drift', 'not worth it')
    >>> event_words("promoted for 25% of the eligible calls"), event_words("by hand: mark critical")
    ('promoted for 25% of the eligible calls', 'by hand: mark critical')
    """
    return _WORDS.get(event.replace(": ", "_"), event.replace("_", " "))
