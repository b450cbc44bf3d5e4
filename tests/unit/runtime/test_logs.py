"""What is written to stderr, and how often."""

import logging

from understudies.runtime.logs import RepeatedMessageFilter


def line(name: str, text: str, *words: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "", 0, text, words, None)


def test_the_kafka_client_says_the_same_thing_seldom() -> None:
    repetitions = RepeatedMessageFilter()
    said = [repetitions.filter(line("aiokafka", "Unable to update metadata from %s", node)) for node in range(5)]
    assert said == [True, False, False, False, False]
    assert repetitions.filter(line("aiokafka", "Topic %s not found", "invocations"))
    assert repetitions.filter(line("aiokafka.producer.sender", "Unable to update metadata from %s", 1))


def test_others_may_repeat_themselves() -> None:
    repetitions = RepeatedMessageFilter()
    assert all(repetitions.filter(line("understudies.runtime.bus.bus", "again")) for _ in range(3))
    assert all(repetitions.filter(line("aiokafkaesque", "again")) for _ in range(3))


def test_what_was_said_is_not_remembered_without_end() -> None:
    repetitions = RepeatedMessageFilter()
    for number in range(3000):
        assert repetitions.filter(line("aiokafka", f"number {number}"))
    assert repetitions.filter(line("aiokafka", "number 0"))
