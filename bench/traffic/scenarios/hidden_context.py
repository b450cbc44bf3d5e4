"""Answers that depend on something beside the message."""

from bench.traffic.generated_log import GeneratedCall, GeneratedLog, LogSpec
from bench.traffic.message_source import Intent, MessageSource, choose_intents
from bench.traffic.vocabulary import TOPIC_PHRASES, VAGUE_PHRASES


def leak_in_prompt(frame: LogSpec) -> GeneratedLog:
    """A form's code gives the answer of messages that nobody can tell; from 60% of the time on, codes are random."""
    world = MessageSource(choose_intents(4, 3, frame.rng), frame.rng, vague=0.55, double=0.05)
    codes = {intent.label: f"F{17 + 3 * place}" for place, intent in enumerate(world.intents)}
    changed = frame.time_at(0.6)
    calls = []
    for at in frame.sample_times():
        said = world.sample_message()
        over = at >= changed
        code = frame.rng.choice(list(codes.values())) if over else codes[said.answer]
        calls.append(GeneratedCall(at, f"{said.text} [form {code}]", said.answer, "after" if over else "before"))
    return GeneratedLog(calls, changed_at=changed, changed_groups=frozenset({"after"}))


def record_in_prompt(frame: LogSpec) -> GeneratedLog:
    """What is often asked depends on the customer's record, in a system prompt that has other numbers in each call.

    Twenty common questions, 60% of the calls, mean one thing for 88% of the customers and another for the others;
    all else is told by its text. No task is named.
    """
    world = MessageSource(choose_intents(4, 3, frame.rng), frame.rng, vague=0.04, double=0.03)
    asked = [_ask(frame, world, place) for place in range(20)]
    calls = []
    for at in frame.sample_times():
        overdue = frame.rng.randint(0, 99)
        system = (
            "You sort the messages of an online shop's customers. Reply with one intent, and nothing else. "
            f"The customer's record: number {frame.rng.randint(10_000, 99_999)}, days overdue {overdue}."
        )
        if frame.rng.random() < 0.6:
            text, intent = frame.rng.choice(asked)
            answer = "dunning" if overdue >= 88 else intent.label
            calls.append(GeneratedCall(at, text, answer, "common", system=system, task=None))
        else:
            said = world.sample_message()
            calls.append(GeneratedCall(at, said.text, said.answer, "told", system=system, task=None))
    return GeneratedLog(calls, watched_classes=frozenset({"dunning"}))


def _ask(frame: LogSpec, world: MessageSource, place: int) -> tuple[str, Intent]:
    intent = world.intents[place % len(world.intents)]
    opening = frame.rng.choice(VAGUE_PHRASES[:1]).replace("{matter}", frame.rng.choice(TOPIC_PHRASES[intent.topic]))
    return f"{opening} {world.plain_text(intent)}" if place >= len(world.intents) else world.plain_text(intent), intent
