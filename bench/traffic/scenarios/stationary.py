"""Traffic that stays as it is: what is served here has to be served well, and something has to be served."""

from collections.abc import Callable

from bench.traffic.generated_log import GeneratedCall, GeneratedLog, LogSpec
from bench.traffic.message_source import MessageSource, choose_intents


def stationary(frame: LogSpec) -> GeneratedLog:
    """Twelve intents, most messages easy, some that nobody can tell."""
    world = MessageSource(choose_intents(4, 3, frame.rng), frame.rng)
    return GeneratedLog(
        [GeneratedCall(at, said.text, said.answer) for at in frame.sample_times() for said in (world.sample_message(),)]
    )


def noisy_labels(rate: float) -> Callable[[LogSpec], GeneratedLog]:
    """The same from a teacher that gives any other answer at a rate, whatever the message."""

    def make(frame: LogSpec) -> GeneratedLog:
        world = MessageSource(choose_intents(4, 3, frame.rng), frame.rng, vague=0.05, double=0.03)
        calls = []
        for at in frame.sample_times():
            said = world.sample_message()
            answer = world.other_answer(said.answer) if frame.rng.random() < rate else said.answer
            calls.append(GeneratedCall(at, said.text, answer))
        return GeneratedLog(calls)

    return make


def rare_class(frame: LogSpec) -> GeneratedLog:
    """One answer in a hundred is one that no text tells: its messages are those of the commonest intent."""
    world = MessageSource(choose_intents(4, 3, frame.rng), frame.rng)
    calls = []
    for at in frame.sample_times():
        if frame.rng.random() < 0.01:
            calls.append(GeneratedCall(at, world.clear_message(world.intents[0]).text, "fraud", "rare"))
        else:
            said = world.sample_message()
            calls.append(GeneratedCall(at, said.text, said.answer))
    return GeneratedLog(calls, watched_classes=frozenset({"fraud"}))


def dominant_tenant(frame: LogSpec) -> GeneratedLog:
    """A tenant with 13% of the calls, for which the teacher has rules of its own: one answer in five is another."""
    world = MessageSource(choose_intents(4, 3, frame.rng), frame.rng, vague=0.02, double=0.02)
    calls = []
    for at in frame.sample_times():
        said = world.sample_message()
        name = "umbra" if frame.rng.random() < 0.13 else frame.rng.choice(("acme", "borea", "cirrus", "delta"))
        answer = world.other_answer(said.answer) if name == "umbra" and frame.rng.random() < 0.18 else said.answer
        calls.append(GeneratedCall(at, said.text, answer, name, tags={"tenant": name}))
    return GeneratedLog(calls)
