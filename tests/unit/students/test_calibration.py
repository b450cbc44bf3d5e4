import doctest
import math
import random
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.datasets.errors import ArtifactError
from understudies.students import calibration
from understudies.students.calibration import Calibration, Check, calibration_error, cross_fit, log_loss

LOGS = st.floats(max_value=0.0, allow_nan=False)
MAPS = st.builds(Calibration, slope=st.floats(1e-3, 100), lead=st.floats(0, 100), bias=st.floats(-100, 100))
CHECKED_MAPS = st.builds(
    Calibration,
    slope=st.floats(1e-3, 100),
    lead=st.floats(0, 100),
    bias=st.floats(-100, 100),
    confirmation=st.floats(0, 100),
    trust=st.floats(0, 100),
)
CHECKS = st.builds(Check, st.booleans(), st.floats(0, 1))
VERDICTS = st.lists(st.tuples(st.floats(-800, 0), st.booleans()), max_size=40)
ULPS = 1e-12


def played(n: int, seed: int = 7) -> tuple[list[float], list[bool]]:
    """Long answers of which most agree: log-odds 3.5 + 0.12 s, which exp(s) knows nothing of."""
    draw = random.Random(seed)
    sums = [-draw.gammavariate(3, 8) for _ in range(n)]
    return sums, [draw.random() < 1 / (1 + math.exp(-(3.5 + 0.12 * s))) for s in sums]


def test_the_examples_hold() -> None:
    module: ModuleType = calibration
    assert doctest.testmod(module).failed == 0


@given(s=LOGS)
def test_without_a_calibration_the_confidence_is_the_probability(s: float) -> None:
    assert Calibration()(s) == math.exp(s)


@given(known=MAPS, one=LOGS, other=LOGS)
def test_confidence_lies_in_0_to_1_and_never_rises_as_the_sum_falls(
    known: Calibration, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert 0.0 <= known(low) <= known(high) + ULPS <= 1.0 + ULPS


@settings(deadline=None, max_examples=40)
@given(verdicts=VERDICTS, one=st.floats(-800, 0), other=st.floats(-800, 0))
def test_what_is_fitted_is_monotone_too(verdicts: list[tuple[float, bool]], one: float, other: float) -> None:
    fitted = Calibration.fit([s for s, _ in verdicts], [agreed for _, agreed in verdicts])
    low, high = sorted((one, other))
    assert 0.0 <= fitted(low) <= fitted(high) + ULPS <= 1.0 + ULPS


@settings(deadline=None, max_examples=40)
@given(verdicts=VERDICTS)
def test_what_is_fitted_can_be_kept_and_read_again(verdicts: list[tuple[float, bool]]) -> None:
    fitted = Calibration.fit([s for s, _ in verdicts], [agreed for _, agreed in verdicts])
    assert Calibration.from_files(fitted.to_files()) == fitted


@pytest.mark.parametrize("wrong", [math.nan, math.inf, 0.1])
def test_what_is_no_log_probability_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="not the logarithm"):
        Calibration()(wrong)
    with pytest.raises(ValueError, match="logarithms"):
        Calibration.fit([-1.0, wrong], [True, False])


def test_an_impossible_answer_has_no_confidence() -> None:
    assert Calibration()(-math.inf) == 0.0
    assert Calibration(slope=0.01, lead=0.0, bias=5.0)(-math.inf) == 0.0
    assert Calibration.fit([-math.inf, -1.0], [False, True])(-math.inf) == 0.0


def test_verdicts_have_to_match() -> None:
    with pytest.raises(ValueError, match="do not match"):
        Calibration.fit([-1.0], [])


def test_long_answers_that_are_right_become_confident() -> None:
    sums, agreed = played(400)
    unseen, verdicts = played(4000, seed=8)
    fitted = Calibration.fit(sums, agreed)
    before = calibration_error([math.exp(s) for s in unseen], verdicts)
    after = calibration_error([fitted(s) for s in unseen], verdicts)
    assert before > 0.5
    assert after < 0.05


def test_what_is_calibrated_already_stays_nearly_as_it_is() -> None:
    draw = random.Random(3)
    sums = [-draw.expovariate(1.0) for _ in range(3000)]
    fitted = Calibration.fit(sums, [draw.random() < math.exp(s) for s in sums])
    assert all(abs(fitted(math.log(p)) - p) < 0.05 for p in (0.1, 0.3, 0.5, 0.7, 0.9))


@pytest.mark.parametrize(("agreed", "low", "high"), [(True, 0.95, 1.0), (False, 0.0, 0.05)])
def test_verdicts_that_are_all_alike_stay_finite(agreed: bool, low: float, high: float) -> None:
    for s in (0.0, -0.01, -5.0, -100.0):
        assert low < Calibration.fit([s] * 200, [agreed] * 200)(s) < high


def test_a_few_verdicts_hardly_move_it() -> None:
    assert Calibration.fit([math.log(0.5)], [True])(math.log(0.5)) == pytest.approx(0.5, abs=0.35)
    assert Calibration.fit([math.log(0.5)] * 2, [True, False])(math.log(0.5)) == pytest.approx(0.5, abs=0.01)


def test_verdicts_against_the_order_flatten_it_but_keep_the_order() -> None:
    sums = [-0.1] * 100 + [-50.0] * 100
    fitted = Calibration.fit(sums, [False] * 100 + [True] * 100)
    assert fitted(-50.0) < fitted(-49.0) < fitted(-0.1)
    assert fitted(-0.1) - fitted(-50.0) < 0.1


def test_the_error_is_the_gap_between_confidence_and_agreement() -> None:
    assert calibration_error([], []) == 0.0
    assert calibration_error([1.0, 1.0], [True, True]) == 0.0
    assert calibration_error([0.8] * 10, [True] * 5 + [False] * 5, bins=1) == pytest.approx(0.3)


def test_cross_fitting_judges_each_answer_by_the_others() -> None:
    sums, agreed = played(50)
    found = cross_fit(sums, agreed)
    others = [i for i in range(50) if i % 5]
    assert found[10] == Calibration.fit([sums[i] for i in others], [agreed[i] for i in others])(sums[10])
    assert cross_fit([], []) == []
    assert cross_fit([-1.0], [True]) == [Calibration()(-1.0)]


def test_the_identity_needs_no_file_and_old_artifacts_have_none() -> None:
    assert Calibration().to_files() == {}
    assert Calibration.from_files({}).is_identity


@pytest.mark.parametrize("text", [b"{", b"[]", b'{"slope": -1}', b'{"lead": -0.1}', b'{"bias": NaN}', b'{"slope": 0}'])
def test_a_damaged_calibration_is_refused(text: bytes) -> None:
    with pytest.raises(ArtifactError, match="calibration is invalid"):
        Calibration.from_files({"calibration.json": text})


def checked(n: int, seed: int = 3) -> tuple[list[float], list[bool], list[Check | None]]:
    """Answers whose probability says little; a verifier agrees with most right ones and a tenth of the wrong ones."""
    draw = random.Random(seed)
    sums, agreed, checks = [], [], list[Check | None]()
    for _ in range(n):
        right = draw.random() < 0.8
        sums.append(-draw.gammavariate(2, 1 if right else 1.5))
        agreed.append(right)
        checks.append(Check(draw.random() < (0.9 if right else 0.1), 0.9) if draw.random() < 0.9 else None)
    return sums, agreed, checks


@given(known=CHECKED_MAPS, check=st.one_of(st.none(), CHECKS), one=LOGS, other=LOGS)
def test_with_a_check_too_confidence_never_rises_as_the_sum_falls(
    known: Calibration, check: Check | None, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert 0.0 <= known(low, check) <= known(high, check) + ULPS <= 1.0 + ULPS


@given(known=CHECKED_MAPS, check=CHECKS, so_far=LOGS, further=LOGS)
def test_no_answer_ends_with_more_confidence_than_its_bound(
    known: Calibration, check: Check, so_far: float, further: float
) -> None:
    assert known(so_far + further, check) <= known.upper_bound(so_far, check.confidence) + ULPS
    assert known(so_far + further) <= known.upper_bound(so_far) + ULPS


@given(known=CHECKED_MAPS, s=LOGS, confidence=st.floats(0.5, 1))
def test_a_confirmed_answer_is_surer_than_a_contradicted_one(known: Calibration, s: float, confidence: float) -> None:
    assert known(s, Check(True, confidence)) >= known(s) - ULPS >= known(s, Check(False, confidence)) - 2 * ULPS


def test_checks_of_a_verifier_that_tells_right_from_wrong_are_weighed() -> None:
    sums, agreed, checks = checked(400)
    fitted = Calibration.fit(sums, agreed, checks)
    assert fitted.needs_verifier
    assert fitted(-2.0, Check(True, 0.9)) > 0.9
    assert fitted(-2.0, Check(False, 0.9)) < 0.5
    assert log_loss(cross_fit(sums, agreed, checks), agreed) < 0.8 * log_loss(cross_fit(sums, agreed), agreed)
    assert Calibration.from_files(fitted.to_files()) == fitted


def test_a_verifier_that_agrees_at_random_hardly_counts() -> None:
    sums, agreed, _ = checked(400)
    draw = random.Random(4)
    fitted = Calibration.fit(sums, agreed, [Check(draw.random() < 0.5, 0.5) for _ in sums])
    assert fitted(-2.0, Check(True, 0.5)) - fitted(-2.0, Check(False, 0.5)) < 0.05


def test_without_a_verifier_the_file_is_as_it_was() -> None:
    assert b"trust" not in b"".join(Calibration(slope=0.5).to_files().values())


def test_as_many_checks_as_answers_are_needed() -> None:
    with pytest.raises(ValueError, match="do not match"):
        Calibration.fit([-1.0, -2.0], [True, False], [None])
