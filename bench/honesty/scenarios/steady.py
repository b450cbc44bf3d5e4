"""Traffic that stays as it is: what is served here has to be served well, and something has to be served."""

from collections.abc import Callable

from bench.honesty.log import Frame, Log, Made
from bench.honesty.world import World, intents


def stationary(frame: Frame) -> Log:
    """Twelve intents, most messages easy, some that nobody can tell."""
    world = World(intents(4, 3, frame.rng), frame.rng)
    return Log([Made(at, said.text, said.answer) for at in frame.moments() for said in (world.say(),)])


def noisy(rate: float) -> Callable[[Frame], Log]:
    """The same from a teacher that gives any other answer at a rate, whatever the message."""

    def make(frame: Frame) -> Log:
        world = World(intents(4, 3, frame.rng), frame.rng, vague=0.05, double=0.03)
        calls = []
        for at in frame.moments():
            said = world.say()
            answer = world.other(said.answer) if frame.rng.random() < rate else said.answer
            calls.append(Made(at, said.text, answer))
        return Log(calls)

    return make


def rare_class(frame: Frame) -> Log:
    """One answer in a hundred is one that no text tells: its messages are those of the commonest intent."""
    world = World(intents(4, 3, frame.rng), frame.rng)
    calls = []
    for at in frame.moments():
        if frame.rng.random() < 0.01:
            calls.append(Made(at, world.clear(world.intents[0]).text, "fraud", "rare"))
        else:
            said = world.say()
            calls.append(Made(at, said.text, said.answer))
    return Log(calls, watched=frozenset({"fraud"}))


def tenant(frame: Frame) -> Log:
    """A tenant with 13% of the calls, for which the teacher has rules of its own: one answer in five is another."""
    world = World(intents(4, 3, frame.rng), frame.rng, vague=0.02, double=0.02)
    calls = []
    for at in frame.moments():
        said = world.say()
        name = "umbra" if frame.rng.random() < 0.13 else frame.rng.choice(("acme", "borea", "cirrus", "delta"))
        answer = world.other(said.answer) if name == "umbra" and frame.rng.random() < 0.18 else said.answer
        calls.append(Made(at, said.text, answer, name, tags={"tenant": name}))
    return Log(calls)
