"""What the teacher's own consistency allows, and the gate relative to it."""

import json
import math

import numpy as np
import pytest

from understudies.stats.consistency import RELATIVE_BETS, RelativeGate, agreement_ceiling


def test_ceiling_is_the_root_of_the_upper_bound() -> None:
    assert math.sqrt(0.82) == pytest.approx(0.9055, abs=5e-5)
    assert agreement_ceiling(8_200_000, 10**7) == pytest.approx(0.9055, abs=3e-4)
    assert agreement_ceiling(164, 200) == pytest.approx(math.sqrt(0.8773), abs=1e-3)
    assert agreement_ceiling(0, 0) == agreement_ceiling(50, 50) == 1.0


def test_no_student_exceeds_the_ceiling_of_a_random_teacher() -> None:
    # The best student names the likeliest answer: max q <= sqrt(sum q^2), input by input.
    rng = np.random.default_rng(3)
    answers = rng.dirichlet(np.full(4, 0.5), size=2_000)
    best, again = answers.max(axis=1).mean(), (answers**2).sum(axis=1).mean()

    assert best <= math.sqrt(again)


def test_relative_gate_promotes_at_the_pinned_number_of_pairs() -> None:
    gate = RelativeGate()
    for count in range(1, 109):
        gate = gate.update(1.0, 1.0)
        assert gate.decision == ("promote" if count == 108 else "continue")


def test_relative_gate_gives_up_after_n_max() -> None:
    gate = RelativeGate(n_max=2).update(0.0, 1.0)

    assert gate.decision == "continue"
    assert gate.update(0.0, 1.0).decision == "inconclusive"


def test_relative_gate_round_trips_through_json() -> None:
    gate = RelativeGate(rho=0.9).update(1.0, 0.0).update(0.0, 1.0).update(0.5, 0.5)

    assert RelativeGate.from_state(json.loads(json.dumps(gate.state()))) == gate


@pytest.mark.parametrize("rho", [0.0, 1.01, math.nan])
def test_relative_gate_refuses_an_impossible_share(rho: float) -> None:
    with pytest.raises(ValueError, match=f"{rho!r}"):
        RelativeGate(rho=rho)


def test_false_promotion_of_the_relative_gate_stays_below_alpha() -> None:
    rng = np.random.default_rng(31)
    runs, consistency, rho = 2000, 0.85, 0.95
    logs = np.zeros((len(RELATIVE_BETS), runs))
    bets = np.array(RELATIVE_BETS)[:, None]
    ever = np.zeros(runs, dtype=bool)
    for _ in range(1000):
        student, teacher = rng.random(runs) < rho * consistency, rng.random(runs) < consistency
        logs += np.log1p(bets * (student / rho - teacher))
        ever |= np.exp(logs).mean(axis=0) >= 20

    assert ever.mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
