"""Popular inputs: one text, word for word, in a good part of the calls. Who counts inputs sees it once."""

from collections.abc import Callable
from typing import Literal

from bench.honesty.log import SYSTEM, Frame, Log, Made
from bench.honesty.world import World, intents

from understudies.events import Message, Request, fingerprint, split_of

_SHARE = 0.15
_POPULAR, _POPULAR_SHARE = 5, 0.20


def learnable(frame: Frame) -> Log:
    """The popular input has the answer that its words suggest."""
    world = World(intents(4, 3, frame.rng), frame.rng)
    intent = world.intents[3]
    return _with_head(frame, world, world.plain(intent), intent.label)


def not_learnable(where: Literal["inside", "outside"]) -> Callable[[Frame], Log]:
    """Its answer is another one than its words suggest; it lies inside or outside of the inputs that train."""

    def make(frame: Frame) -> Log:
        world = World(intents(4, 3, frame.rng), frame.rng)
        while True:
            text = world.clear(world.intents[2]).text
            if _trains(text) == (where == "inside"):
                return _with_head(frame, world, text, world.intents[9].label)

    return make


def contradictory(frame: Frame) -> Log:
    """Five popular inputs, each answered one way or the other from call to call."""
    world = World(intents(4, 3, frame.rng), frame.rng)
    heads = [(world.clear(intent).text, intent.label, world.other(intent.label)) for intent in world.intents[:_POPULAR]]
    calls = []
    for at in frame.moments():
        if frame.rng.random() < _POPULAR_SHARE:
            text, *answers = frame.rng.choice(heads)
            calls.append(Made(at, text, frame.rng.choice(answers), "head"))
        else:
            said = world.say()
            calls.append(Made(at, said.text, said.answer, "tail"))
    return Log(calls)


def _with_head(frame: Frame, world: World, text: str, answer: str) -> Log:
    calls = []
    for at in frame.moments():
        if frame.rng.random() < _SHARE:
            calls.append(Made(at, text, answer, "head"))
        else:
            said = world.say()
            calls.append(Made(at, said.text, said.answer, "tail"))
    return Log(calls)


def _trains(text: str) -> bool:
    messages = (Message(role="system", content=SYSTEM), Message(role="user", content=text))
    return split_of(fingerprint(Request(messages=messages))) == "train"
