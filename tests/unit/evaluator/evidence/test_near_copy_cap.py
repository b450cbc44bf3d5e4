"""Near copies of one text: what belongs together, and how many of a day's may be evidence."""

import json
from datetime import date, timedelta

import pytest
from tests.support.distinct_words import distinct_words

from understudies.evaluator.evidence.near_copy_cap import NearCopyCap

MONDAY = date(2026, 1, 5)
ALARM = "disk full on host-{} at 2026-01-05T10:{:02}, job 7f3a{:04x} failed with exit code {}"


def day(number: int) -> date:
    return MONDAY + timedelta(days=number)


def alarm(number: int) -> str:
    return ALARM.format(number, number % 60, number, number % 256)


def filled(copies: NearCopyCap, on: date, n: int) -> None:
    """So many texts that have nothing to do with each other."""
    for number in range(n):
        copies.record(distinct_words(on.toordinal() * 1000 + number), on)


def test_texts_that_differ_in_numbers_dates_and_ids_are_one_group() -> None:
    copies = NearCopyCap()
    assert len({copies.record(alarm(number), MONDAY) for number in range(40)}) == 1


def test_texts_that_share_seven_words_in_ten_are_one_group_and_six_are_not() -> None:
    words = distinct_words(1, 20).split()
    other = distinct_words(2, 20).split()

    def grouped(shared: int) -> bool:
        copies = NearCopyCap()
        first = copies.record(" ".join(words[:10]), MONDAY)
        return copies.record(" ".join([*words[:shared], *other[: 10 - shared]]), MONDAY) == first

    # Jaccard 9/11 = .82, 8/12 = .67.
    assert [grouped(shared) for shared in (10, 9, 8, 6)] == [True, True, False, False]


def test_texts_of_one_kind_that_differ_in_words_are_told_apart() -> None:
    copies = NearCopyCap()
    groups = {copies.record(f"money back for order {number}: {distinct_words(number)}", MONDAY) for number in range(60)}
    assert len(groups) == 60


@pytest.mark.parametrize(("others", "most"), [(0, 50), (100, 55), (2000, 150)])
def test_on_the_first_days_near_copies_make_a_twentieth_of_a_day_at_most(others: int, most: int) -> None:
    copies = NearCopyCap()
    filled(copies, MONDAY, others)
    for number in range(1000):
        name = copies.record(alarm(number), MONDAY)
    assert copies.limit(name, MONDAY) == most


def test_at_least_one_verdict_of_a_group_counts() -> None:
    copies = NearCopyCap()
    assert copies.limit(copies.record(alarm(1), MONDAY), MONDAY) == 1
    assert copies.limit("unheard of", day(1)) == 1


def test_what_comes_as_often_every_day_counts_as_often() -> None:
    copies = NearCopyCap()
    for number in range(4):
        filled(copies, day(number), 20)
        for one in range(80):
            name = copies.record(alarm(one), day(number))
    assert copies.limit(name, day(3)) == 160


def test_a_burst_after_usual_days_counts_as_often_as_usual() -> None:
    copies = NearCopyCap()
    for number in range(4):
        filled(copies, day(number), 100)
        for one in range(3000 if number == 3 else 30):
            name = copies.record(alarm(one), day(number))
    assert copies.limit(name, day(3)) == 155, "a twentieth of 3,100 is more than twice 30"
    filled(copies, day(4), 300)
    assert copies.limit(name, day(4)) == 60


def test_a_text_that_came_on_no_day_before_makes_a_twentieth() -> None:
    copies = NearCopyCap()
    for number in range(5):
        filled(copies, day(number), 100)
    name = ""
    for one in range(300):
        name = copies.record(alarm(one), day(4))
    assert copies.limit(name, day(4)) == 20


def test_days_long_past_and_texts_seen_once_are_forgotten() -> None:
    copies = NearCopyCap()
    filled(copies, MONDAY, 50)
    for number in range(3):
        copies.record(alarm(number), MONDAY)
    copies.expire(day(2))
    (days,) = copies.state()["days"].values()
    assert days == {MONDAY.isoformat(): 3}
    assert len(copies.state()["words"]) == 1, "texts that came once, and not of late, are let go"
    name = copies.record(alarm(9), day(2))
    copies.expire(day(30))
    assert copies.state() == NearCopyCap().state()
    assert copies.record(alarm(0), day(30)) == name, "a text has its name from its words"


def test_a_restored_day_of_which_no_text_is_left_is_a_day_on_which_none_came() -> None:
    copies = NearCopyCap()
    for number in range(4):
        filled(copies, day(number), 30)
    copies.expire(day(9))
    restored = NearCopyCap.from_state(json.loads(json.dumps(copies.state())))
    for one in (copies, restored):
        name = one.record(alarm(1), day(9))
        filled(one, day(9), 100)
        assert one.limit(name, day(9)) == 6


def test_state_round_trips_and_groups_go_on() -> None:
    copies = NearCopyCap()
    for number in range(4):
        filled(copies, day(number), 30)
        copies.record(alarm(number), day(number))
    restored = NearCopyCap.from_state(json.loads(json.dumps(copies.state())))
    assert restored.state() == copies.state()
    for one in (copies, restored):
        filled(one, day(4), 10)
        one.record(alarm(77), day(4))
        one.record(distinct_words(day(2).toordinal() * 1000 + 4), day(4))
        one.expire(day(5))
    assert restored.state() == copies.state()
