from tests.support.books import TASK, audit, decision, hours, name, shadow, story, trained

from understudies.budget.student_book import StudentBook


def test_its_version_is_in_its_name() -> None:
    book = StudentBook(story("authorised", 12))
    assert (book.name, book.version) == (f"{TASK}@12", 12)


def test_a_story_moves_it_from_trial_to_force_to_neither() -> None:
    book = StudentBook(story("authorised"))
    places = []
    for stage in ("authorised", "collected", "trained", "qualified", "promoted", "demoted"):
        book.follow(story(stage))
        places.append((book.on_trial, book.in_force))
    assert places == [(True, False)] * 4 + [(False, True), (False, False)]


def test_it_remembers_what_it_was_promised() -> None:
    book = StudentBook(story("authorised"))
    book.follow(story("authorised", evidence={"examples": 400, "roi": 3.2}))
    book.follow(trained(coverage=0.65))
    assert (book.examples, book.expected_share, book.investment["roi"]) == (400, 0.65, 3.2)


def test_each_step_of_the_ramp_has_its_own_audits() -> None:
    book = StudentBook(story("qualified"))
    book.follow(story("promoted", hour=1, share=0.05, threshold=0.8))
    for agreed in (True, True, False):
        book.judge(audit(agreed))
    book.follow(story("promoted", hour=2, share=0.05, threshold=0.7))
    assert (book.step_audited, book.step_agreed, book.step_since) == (3, 2, hours(1))
    book.follow(story("promoted", hour=3, share=0.25, threshold=0.7))
    assert (book.step_audited, book.step_agreed, book.step_since) == (0, 0, hours(3))
    assert (book.audited, book.agreed) == (3, 2)


def test_a_book_that_begins_with_a_promotion_can_go_on_from_it() -> None:
    promotion = story("promoted", hour=5, share=0.25, threshold=0.8, evidence={"coverage": 0.6})
    book = StudentBook(promotion)
    book.follow(promotion)
    assert (book.step_since, book.proven_share) == (hours(5), 0.6)


def test_shadow_verdicts_that_are_evidence_are_counted() -> None:
    book = StudentBook(story("trained"))
    for verdict in (shadow(), shadow(counts=False), shadow(phase="validation")):
        book.judge(verdict)
    assert (book.judged, book.audited) == (1, 0)


def test_its_agreement_is_that_of_its_audits_and_before_them_of_its_gates() -> None:
    book = StudentBook(story("trained"))
    assert book.agreement is None
    book.decision = decision("reject")
    assert book.agreement == 0.9
    for agreed in (True, True, True, False):
        book.judge(audit(agreed))
    assert book.agreement == 0.75


def test_names_of_versions_are_those_of_the_task() -> None:
    assert StudentBook(story("trained", 3)).name == name(3)
