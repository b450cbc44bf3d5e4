"""Popular inputs: one text, word for word, in a good part of the calls. Who counts inputs sees it once."""

from collections.abc import Callable
from typing import Literal

from bench.traffic.generated_log import SYSTEM, GeneratedCall, GeneratedLog, LogSpec
from bench.traffic.message_source import MessageSource, choose_intents

from understudies.events import Message, Request, fingerprint, split_of

_SHARE = 0.15
_POPULAR, _POPULAR_SHARE = 5, 0.20


def learnable_input(frame: LogSpec) -> GeneratedLog:
    """The popular input has the answer that its words suggest."""
    world = MessageSource(choose_intents(4, 3, frame.rng), frame.rng)
    intent = world.intents[3]
    return _with_popular_input(frame, world, world.plain_text(intent), intent.label)


def unlearnable_input(where: Literal["inside", "outside"]) -> Callable[[LogSpec], GeneratedLog]:
    """Its answer is another one than its words suggest; it lies inside or outside of the inputs that train."""

    def make(frame: LogSpec) -> GeneratedLog:
        world = MessageSource(choose_intents(4, 3, frame.rng), frame.rng)
        while True:
            text = world.clear_message(world.intents[2]).text
            if _is_training_input(text) == (where == "inside"):
                return _with_popular_input(frame, world, text, world.intents[9].label)

    return make


def contradictory_input(frame: LogSpec) -> GeneratedLog:
    """Five popular inputs, each answered one way or the other from call to call."""
    world = MessageSource(choose_intents(4, 3, frame.rng), frame.rng)
    heads = [
        (world.clear_message(intent).text, intent.label, world.other_answer(intent.label))
        for intent in world.intents[:_POPULAR]
    ]
    calls = []
    for at in frame.sample_times():
        if frame.rng.random() < _POPULAR_SHARE:
            text, *answers = frame.rng.choice(heads)
            calls.append(GeneratedCall(at, text, frame.rng.choice(answers), "head"))
        else:
            said = world.sample_message()
            calls.append(GeneratedCall(at, said.text, said.answer, "tail"))
    return GeneratedLog(calls)


def _with_popular_input(frame: LogSpec, world: MessageSource, text: str, answer: str) -> GeneratedLog:
    calls = []
    for at in frame.sample_times():
        if frame.rng.random() < _SHARE:
            calls.append(GeneratedCall(at, text, answer, "head"))
        else:
            said = world.sample_message()
            calls.append(GeneratedCall(at, said.text, said.answer, "tail"))
    return GeneratedLog(calls)


def _is_training_input(text: str) -> bool:
    messages = (Message(role="system", content=SYSTEM), Message(role="user", content=text))
    return split_of(fingerprint(Request(messages=messages))) == "train"
