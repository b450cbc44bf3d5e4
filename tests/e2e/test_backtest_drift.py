"""A teacher who changes its mind: the student is taken off at once, and does not come back."""

from datetime import timedelta

from tests.support.logs import START
from tests.support.played import DAYS, TURNS_AT, Played

from understudies.events import Drift

TASK, FIRST, SECOND = "turning", "turning@1", "turning@2"
TURN = START + timedelta(days=DAYS * TURNS_AT)


def test_a_student_that_drifts_is_demoted_after_the_change_with_the_numbers(everything: Played) -> None:
    (demoted,) = everything.decisions(TASK, "demoted")
    alarms = everything.decisions(TASK, "drift_contract")
    assert demoted.student == FIRST
    assert TURN < alarms[0].at <= demoted.at < TURN + timedelta(days=1)
    assert "audited verdicts" in demoted.reason
    agreement = demoted.evidence["agreement_after"]
    assert isinstance(agreement, float)
    assert agreement < 0.95


def test_there_is_no_alarm_before_the_change(everything: Played) -> None:
    contracts = [e for e in everything.events if isinstance(e, Drift) and e.tier == "contract"]
    assert {event.task for event in contracts} == {TASK}
    assert all(event.at > TURN for event in contracts)


def test_the_student_never_serves_again_and_the_teacher_does(everything: Played) -> None:
    (demoted,) = everything.decisions(TASK, "demoted")
    served = [call for call in everything.calls(TASK) if call.served_by == "student" and call.student == FIRST]
    after = [call for call in everything.calls(TASK) if call.at > demoted.at]
    assert served
    assert max(call.at for call in served) <= demoted.at
    assert len(after) > 200
    assert {call.served_by for call in after} == {"teacher"}


def test_what_was_served_wrongly_is_counted(everything: Played) -> None:
    totals = everything.report.tasks[TASK].summary.totals
    wrong = [call for call in everything.calls(TASK) if call.served_by == "student" and call.at >= TURN]
    assert totals.served - totals.agreed == len(wrong) > 0
    # It was found within a day of the change.
    assert len(wrong) < 1400 / DAYS


def test_a_new_student_learns_from_what_was_said_since(everything: Played) -> None:
    (demoted,) = everything.decisions(TASK, "demoted")
    (authorised,) = [d for d in everything.decisions(TASK, "authorised") if d.student == SECOND]
    assert authorised.at > demoted.at
    assert authorised.evidence["since"] == demoted.at.isoformat()
    examples, needed = authorised.evidence["examples"], authorised.evidence["needed"]
    assert isinstance(examples, int)
    assert isinstance(needed, int)
    assert needed <= examples < needed + 20
    assert [d.event for d in everything.decisions(TASK) if d.student == FIRST][-1] == "demoted"
