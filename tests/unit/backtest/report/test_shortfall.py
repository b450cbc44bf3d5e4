"""Why an average may lie below the promise."""

from datetime import UTC, datetime

from understudies.backtest.report.shortfall import explain_shortfall
from understudies.events import Promotion

AT = datetime(2026, 1, 14, 9, tzinfo=UTC)
DEMOTED = Promotion(id="d", at=AT, task="mail", student="mail@1", stage="demoted")
SERVED = [*[("mail@1", True)] * 80, *[("mail@1", False)] * 20, *[("mail@2", True)] * 50]


def test_an_average_as_promised_needs_no_word() -> None:
    assert explain_shortfall(0.95, None, [], [], None) is None
    assert explain_shortfall(0.95, 0.95, SERVED, [DEMOTED], "mail@2") is None


def test_each_student_is_told_with_its_own_agreement_and_its_end() -> None:
    text = explain_shortfall(0.95, 130 / 150, SERVED, [DEMOTED], "mail@2")
    assert text is not None
    assert text.startswith("On average 86.7% of what students served agreed, less than the 95% promised.")
    assert text.endswith(
        "mail@1 agreed on 80.0% of 100, and was taken out of service on Jan 14; "
        "mail@2 agreed on 100.0% of 50, and is in force."
    )
