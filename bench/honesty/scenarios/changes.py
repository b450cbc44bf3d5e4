"""A teacher, or a world, that is not tomorrow what it was while the evidence was gathered."""

from collections.abc import Callable

from bench.honesty.log import MODEL, Frame, Log, Made
from bench.honesty.words import AT_WEEKENDS
from bench.honesty.world import Intent, World, intents

_NEW_MODEL = "teacher-2026-04"
_MANY = (10, 5)
"""Fifty intents: matters, and wishes of each."""


def weekends(frame: Frame) -> Log:
    """Students are right on weekdays; at weekends one answer in ten is one that they cannot know."""
    world = World(intents(4, 3, frame.rng), frame.rng, vague=0.06, double=0.04)
    calls = []
    for at in frame.moments():
        weekend = at.weekday() >= 5
        said = world.say(AT_WEEKENDS if weekend and frame.rng.random() < 0.5 else ())
        answer = world.other(said.answer) if weekend and frame.rng.random() < 0.105 else said.answer
        calls.append(Made(at, said.text, answer, "weekend" if weekend else "weekday"))
    return Log(calls)


def renaming(frame: Frame) -> Log:
    """From half of the time on, the teacher more and more often uses new names for four of twelve intents."""
    world = World(intents(4, 3, frame.rng), frame.rng)
    changed, end = frame.after(0.5), frame.after(1.0)
    renamed = {intent.label for intent in world.intents[1:12:3]}
    calls = []
    for at in frame.moments():
        said, answer = (said := world.say()), said.answer
        hit = at >= changed and answer in renamed
        if hit and frame.rng.random() < (at - changed) / (end - changed):
            answer = f"{answer}-v2"
        calls.append(Made(at, said.text, answer, "changed" if hit else "same"))
    watched = renamed | {f"{answer}-v2" for answer in renamed}
    return Log(calls, changed=changed, hit=frozenset({"changed"}), watched=frozenset(watched))


def new_model(classes: int, *, rare: bool = False, named: bool = True) -> Callable[[Frame], Log]:
    """At 60% of the time another model answers: for some of fifty intents it says what was another intent's name.

    `rare` chooses the least common ones; unless `named`, the calls still bear the old model's name.
    """

    def make(frame: Frame) -> Log:
        found = intents(*_MANY, frame.rng)
        frame.rng.shuffle(found)
        world = World(found, frame.rng, vague=0.06, double=0.04)
        places = range(len(found) - classes, len(found)) if rare else range(2, 2 + 5 * classes, 5)
        renamed = {found[place].label: found[place - 1].label for place in places}
        changed = frame.after(0.6)
        calls = []
        for at in frame.moments():
            said, answer = (said := world.say()), said.answer
            hit = at >= changed and answer in renamed
            answer = renamed[answer] if hit else answer
            model = _NEW_MODEL if named and at >= changed else MODEL
            calls.append(Made(at, said.text, answer, "changed" if hit else "same", model))
        return Log(calls, changed=changed, hit=frozenset({"changed"}), watched=frozenset(renamed.values()))

    return make


def changing_intents(frame: Frame) -> Log:
    """Every day two intents vanish and two others come, of the matters that there are."""
    everything = intents(8, 8, frame.rng)
    frame.rng.shuffle(everything)
    calls: list[Made] = []
    first, world = -1, World([], frame.rng)
    for at in frame.moments():
        day = (at - frame.after(0.0)).days
        if day != first:
            first, now = day, [everything[(2 * day + place) % len(everything)] for place in range(14)]
            world = World(_shuffled(now, frame), frame.rng, vague=0.06, double=0.04)
            fresh = {intent.label for intent in now[-4:]}
        said = world.say()
        calls.append(Made(at, said.text, said.answer, "new" if said.answer in fresh else "known"))
    return Log(calls)


def _shuffled(found: list[Intent], frame: Frame) -> list[Intent]:
    """Which intent is common is not decided by how new it is."""
    return frame.rng.sample(found, len(found))
