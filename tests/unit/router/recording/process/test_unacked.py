"""What waits for the process that records: sent in batches, forgotten once settled, sent again to another one."""

from hypothesis import given
from hypothesis import strategies as st

from understudies.router.recording.process.unacked import EventBatch, UnackedQueue


def test_it_takes_so_many_and_so_much_and_one_of_any_size() -> None:
    few = UnackedQueue(2, 100)
    assert [few.add(b"x"), few.add(b"y"), few.add(b"z")] == [True, True, False]
    small = UnackedQueue(10, 100)
    assert [small.add(b"x" * 200), small.add(b"y")] == [True, False]
    assert (len(small), small.size) == (1, 200)


def test_a_batch_is_forgotten_once_all_of_it_is_settled() -> None:
    waiting = UnackedQueue(10)
    for event in (b"1", b"2"):
        waiting.add(event)
    assert waiting.take() == EventBatch(0, [b"1", b"2"])
    assert waiting.take() is None
    waiting.add(b"3")
    assert waiting.take() == EventBatch(2, [b"3"])
    waiting.ack(1)
    assert len(waiting) == 3
    waiting.ack(2)
    assert (len(waiting), waiting.size) == (1, 1)
    assert [*waiting.redeliver()] == [EventBatch(2, [b"3"])]
    waiting.ack(1)
    assert not waiting


def test_what_is_given_up_is_counted() -> None:
    waiting = UnackedQueue(10)
    assert waiting.drop_oldest_batch() == 0
    waiting.add(b"1")
    waiting.take()
    waiting.add(b"2")
    assert waiting.drop_oldest_batch() == 1
    assert waiting.drain() == [b"2"]
    assert (len(waiting), waiting.size) == (0, 0)


def taken(waiting: UnackedQueue) -> list[bytes]:
    batch = waiting.take()
    return [] if batch is None else batch.events


@given(st.lists(st.tuples(st.sampled_from(["add", "take", "settle", "again"]), st.integers(0, 8)), max_size=60))
def test_whoever_comes_last_has_been_sent_all_that_is_not_settled_in_order(steps: list[tuple[str, int]]) -> None:
    waiting = UnackedQueue(10**6)
    added = settled = 0
    sent: list[bytes] = []  # by the receiver of now
    for step, number in steps:
        if step == "add":
            waiting.add(b"%d" % added)
            added += 1
        elif step == "take":
            sent += taken(waiting)
        elif step == "settle":
            done = min(number, len(sent))
            if done > settled:
                settled = done
                waiting.ack(settled)
        else:
            sent, settled = [event for batch in waiting.redeliver() for event in batch.events], 0
    sent += taken(waiting)
    assert sent == [b"%d" % number for number in range(added - len(sent), added)]
    assert len(waiting) >= len(sent) - settled
    assert waiting.size == sum(len(b"%d" % number) for number in range(added - len(waiting), added))
