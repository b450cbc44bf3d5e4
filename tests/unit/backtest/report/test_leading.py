"""Which student leads a task."""

from datetime import timedelta

from tests.support.sample_events import START, make_promotion

from understudies.backtest.report.leading import find_leading
from understudies.events import Promotion, Stage, Steering, new_id, steer


def stage(name: Stage, hour: int, version: int = 1) -> Promotion:
    return make_promotion(name, version=version, minutes=60 * hour)


def leading(hour: int, *stages: Promotion) -> str | None:
    return find_leading(stages, START, START + timedelta(hours=hour))


def test_a_student_leads_from_its_training_until_its_end() -> None:
    story = [stage("authorised", 1), stage("trained", 2), stage("qualified", 3), stage("promoted", 4)]
    assert [leading(hour, *story) for hour in (1, 2, 3, 9)] == [None, "triage@1", "triage@1", "triage@1"]


def test_the_one_in_force_leads_until_its_successor_is_in_force() -> None:
    story = [stage("promoted", 1), stage("trained", 2, 2)]
    assert leading(9, *story) == "triage@1"
    assert leading(9, *story, stage("promoted", 5, 2)) == "triage@2"


def test_one_that_fell_within_the_span_still_leads_it_and_decisions_of_people_do_not() -> None:
    by_hand = steer("triage", Steering(action="pause", by="ada"), "", at=START, event_id=new_id(START))
    story = [by_hand, stage("promoted", 1), stage("demoted", 5)]
    assert leading(9, *story) == "triage@1"
    assert find_leading(story, START + timedelta(hours=6), START + timedelta(hours=9)) is None
