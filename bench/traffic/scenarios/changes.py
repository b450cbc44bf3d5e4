"""A teacher, or a world, that is not tomorrow what it was while the evidence was gathered."""

from collections.abc import Callable

from bench.traffic.generated_log import MODEL, GeneratedCall, GeneratedLog, LogSpec
from bench.traffic.message_source import Intent, MessageSource, choose_intents
from bench.traffic.vocabulary import WEEKEND_PHRASES

_NEW_MODEL = "teacher-2026-04"
_MANY = (10, 5)
"""Fifty intents: matters, and wishes of each."""


def weekend_answers(frame: LogSpec) -> GeneratedLog:
    """Students are right on weekdays; at weekends one answer in ten is one that they cannot know."""
    world = MessageSource(choose_intents(4, 3, frame.rng), frame.rng, vague=0.06, double=0.04)
    calls = []
    for at in frame.sample_times():
        weekend = at.weekday() >= 5
        said = world.sample_message(WEEKEND_PHRASES if weekend and frame.rng.random() < 0.5 else ())
        answer = world.other_answer(said.answer) if weekend and frame.rng.random() < 0.105 else said.answer
        calls.append(GeneratedCall(at, said.text, answer, "weekend" if weekend else "weekday"))
    return GeneratedLog(calls)


def slow_renaming(frame: LogSpec) -> GeneratedLog:
    """From half of the time on, the teacher more and more often uses new names for four of twelve intents."""
    world = MessageSource(choose_intents(4, 3, frame.rng), frame.rng)
    changed, end = frame.time_at(0.5), frame.time_at(1.0)
    renamed = {intent.label for intent in world.intents[1:12:3]}
    calls = []
    for at in frame.sample_times():
        said, answer = (said := world.sample_message()), said.answer
        hit = at >= changed and answer in renamed
        if hit and frame.rng.random() < (at - changed) / (end - changed):
            answer = f"{answer}-v2"
        calls.append(GeneratedCall(at, said.text, answer, "changed" if hit else "same"))
    watched = renamed | {f"{answer}-v2" for answer in renamed}
    return GeneratedLog(
        calls, changed_at=changed, changed_groups=frozenset({"changed"}), watched_classes=frozenset(watched)
    )


def model_change(classes: int, *, rare: bool = False, named: bool = True) -> Callable[[LogSpec], GeneratedLog]:
    """At 60% of the time another model answers: for some of fifty intents it says what was another intent's name.

    `rare` chooses the least common ones; unless `named`, the calls still bear the old model's name.
    """

    def make(frame: LogSpec) -> GeneratedLog:
        found = choose_intents(*_MANY, frame.rng)
        frame.rng.shuffle(found)
        world = MessageSource(found, frame.rng, vague=0.06, double=0.04)
        places = range(len(found) - classes, len(found)) if rare else range(2, 2 + 5 * classes, 5)
        renamed = {found[place].label: found[place - 1].label for place in places}
        changed = frame.time_at(0.6)
        calls = []
        for at in frame.sample_times():
            said, answer = (said := world.sample_message()), said.answer
            hit = at >= changed and answer in renamed
            answer = renamed[answer] if hit else answer
            model = _NEW_MODEL if named and at >= changed else MODEL
            calls.append(GeneratedCall(at, said.text, answer, "changed" if hit else "same", model))
        return GeneratedLog(
            calls,
            changed_at=changed,
            changed_groups=frozenset({"changed"}),
            watched_classes=frozenset(renamed.values()),
        )

    return make


def changing_intents(frame: LogSpec) -> GeneratedLog:
    """Every day two intents vanish and two others come, of the matters that there are."""
    everything = choose_intents(8, 8, frame.rng)
    frame.rng.shuffle(everything)
    calls: list[GeneratedCall] = []
    first, world = -1, MessageSource([], frame.rng)
    for at in frame.sample_times():
        day = (at - frame.time_at(0.0)).days
        if day != first:
            first, now = day, [everything[(2 * day + place) % len(everything)] for place in range(14)]
            world = MessageSource(_shuffled(now, frame), frame.rng, vague=0.06, double=0.04)
            fresh = {intent.label for intent in now[-4:]}
        said = world.sample_message()
        calls.append(GeneratedCall(at, said.text, said.answer, "new" if said.answer in fresh else "known"))
    return GeneratedLog(calls)


def _shuffled(found: list[Intent], frame: LogSpec) -> list[Intent]:
    """Which intent is common is not decided by how new it is."""
    return frame.rng.sample(found, len(found))
