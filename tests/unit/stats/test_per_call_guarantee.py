"""The promise by call: how often a trial of both gates promotes a student that agrees less than promised.

Each run is a whole trial: the gate of distinct inputs and that of the calls to come, 19 thresholds each under the
fallback procedure, looked at when a day of calls has ended, for a fortnight. Runs have fixed seeds; what is asserted of
a rate is that its Clopper-Pearson interval reaches down to alpha.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pytest

from understudies.evaluator.evidence.near_copy_cap import NearCopyCap
from understudies.stats.bounds import clopper_pearson_lower, clopper_pearson_upper
from understudies.stats.coverage import COVERAGES, Threshold
from understudies.stats.fallback import fallback_levels
from understudies.stats.gate import PROMOTE_BETS, REJECT_BETS
from understudies.stats.selective import SelectiveGate

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

P0, ALPHA, DAYS, RUNS = 0.95, 0.05, 14, 400
CANDIDATES = [Threshold(1.0 - coverage, coverage) for coverage in COVERAGES]
BETS = np.array(PROMOTE_BETS)[:, None]
MONDAY = date(2026, 1, 5)


@dataclass
class Evidence:
    """One gate: agreements and verdicts by threshold, and the largest evidence at any mark."""

    counts: Floats = field(default_factory=lambda: np.zeros((2, len(COVERAGES))))
    most: Floats = field(default_factory=lambda: np.zeros(len(COVERAGES)))

    def day(self, q: Floats, agreed: Bools) -> None:
        """Take in a day of verdicts, each by the coverage that its confidence is a quantile of; then mark."""
        place = np.searchsorted(np.array(COVERAGES), q)
        for row, weights in enumerate((agreed.astype(float), np.ones(len(q)))):
            self.counts[row] += np.cumsum(np.bincount(place, weights, len(COVERAGES)))
        agree, n = self.counts
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = agree * np.log1p(BETS * (1 / P0 - 1)) + np.where(n > agree, (n - agree) * np.log1p(-BETS), 0.0)
        self.most = np.maximum(self.most, np.logaddexp.reduce(logs, axis=0) - math.log(len(BETS)))

    def passed_flags(self, alpha: float) -> Bools:
        return np.array([passed for _, passed in fallback_levels(np.exp(-self.most).tolist(), alpha)])


@dataclass
class Outcome:
    """Whether each gate ever passed a threshold, and whether both ever passed the same one."""

    inputs: bool
    calls: bool
    both: bool


Verdicts = tuple[Floats, Bools]
"""The quantiles of their confidences, and whether the student agreed."""
Day = tuple[Verdicts, Verdicts, Verdicts]
"""Verdicts on distinct inputs, on calls, and on calls with near copies capped."""


def trial(days: list[Day], alpha: float = ALPHA) -> Outcome:
    inputs, calls, capped = Evidence(), Evidence(), Evidence()
    for of_inputs, of_calls, of_capped in days:
        inputs.day(*of_inputs)
        calls.day(*of_calls)
        capped.day(*of_capped)
    one, other = inputs.passed_flags(ALPHA), calls.passed_flags(alpha)
    both = one & other & capped.passed_flags(alpha)
    return Outcome(bool(one.any()), bool(other.any()), bool(both.any()))


def interval(events: int, runs: int = RUNS) -> tuple[float, float]:
    """The 95% Clopper-Pearson interval of a rate."""
    return clopper_pearson_lower(events, runs, ALPHA / 2), clopper_pearson_upper(events, runs, ALPHA / 2)


def rates(play: Callable[[np.random.Generator], Outcome], seed: int, runs: int = RUNS) -> tuple[int, int, int]:
    """In how many runs the gate of inputs, that of calls and both promote."""
    found = [play(np.random.default_rng([seed, run])) for run in range(runs)]
    return sum(one.inputs for one in found), sum(one.calls for one in found), sum(one.both for one in found)


# Worlds


@dataclass
class World:
    """Inputs that come again: how often each comes, how sure the student is of it, and whether it is right."""

    weights: Floats
    q: Floats
    right: Bools

    def by_call(self, coverage: float = 1.0) -> float:
        served = self.q <= coverage
        return float(self.weights[served] @ self.right[served] / self.weights[served].sum())

    def by_input(self, coverage: float = 1.0) -> float:
        return float(self.right[self.q <= coverage].mean())


def popularity(inputs: int) -> Floats:
    """How often each of some inputs comes, nearly by Zipf's law: the most popular is some .8% of the calls."""
    weights = 1.0 / (np.arange(inputs, dtype=np.float64) + 25.0)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def zipf(rng: np.random.Generator, *, popular_wrong: bool, inputs: int = 4000) -> World:
    """Popular and rare inputs, of which in every band of confidence calls that weigh a hair over 5% are wrong.

    Where the popular ones are wrong, distinct inputs agree far more often than calls; else the student is wrong on rare
    ones alone, and of those so often that distinct inputs agree less than promised while calls agree more.
    """
    weights = popularity(inputs)
    q, right = rng.random(inputs), np.ones(inputs, dtype=bool)
    if not popular_wrong:
        rare = np.arange(inputs) >= inputs // 4
        right[rare] = rng.random(rare.sum()) < 0.9
        return World(weights, q, right)
    world = World(weights, q, right)
    err_on(rng, world, np.arange(inputs))
    return world


def err_on(rng: np.random.Generator, world: World, members: Ints) -> None:
    """Let the student err on a hair over 5% of these inputs' calls, in each band of confidence, mostly popular ones."""
    band = np.searchsorted(np.array(COVERAGES), world.q[members])
    for number in range(len(COVERAGES)):
        inside = members[band == number]
        weights = world.weights[inside]
        owed = (1 - P0) * weights.sum()
        for place in np.argsort(-weights * rng.uniform(0.5, 1, len(inside))):
            if weights[place] <= owed:
                world.right[inside[place]] = False
                owed -= weights[place]
        left = inside[world.right[inside]]
        if not len(left):
            continue
        world.right[left[np.argmin(world.weights[left])]] = False


def exchangeable(rng: np.random.Generator, world: World, per_day: int = 250) -> list[Day]:
    """Calls drawn one by one from the world's inputs; an input is distinct the first time it comes."""
    drawn = rng.choice(len(world.q), (DAYS, per_day), p=world.weights)
    _, first = np.unique(drawn.ravel(), return_index=True)
    fresh = np.zeros(drawn.size, dtype=bool)
    fresh[first] = True
    days: list[Day] = []
    for day, news in zip(drawn, fresh.reshape(drawn.shape), strict=True):
        calls = world.q[day], world.right[day]
        days.append(((world.q[day[news]], world.right[day[news]]), calls, calls))
    return days


def with_bursts(rng: np.random.Generator, days: list[Day], *, share: float = 0.3, copies: int = 400) -> list[Day]:
    """On some days an incident brings near copies of one text, which differ in ids: right or wrong all together.

    As calls all of them count; as distinct inputs, and in the gate of calls that caps them, so many as `NearCopyCap`
    lets a group prove in a day.
    """
    groups, of_calls = NearCopyCap(), NearCopyCap()
    found: list[Day] = []
    for number, ((q, right), (call_q, call_right), (capped_q, capped_right)) in enumerate(days):
        day = MONDAY + timedelta(days=number)
        n = int(rng.poisson(copies)) if rng.random() < share else 0
        sure, agreed = rng.random(), rng.random() < P0
        text = f"incident {number}: " + " ".join(rng.choice(list("abcdefghijklmnop"), 12))
        counted, in_calls = _most(groups, text, day, len(q), n), _most(of_calls, text, day, len(call_q), n)
        found.append(
            (
                (np.append(q, [sure] * counted), np.append(right, [agreed] * counted)),
                (np.append(call_q, [sure] * n), np.append(call_right, [agreed] * n)),
                (np.append(capped_q, [sure] * in_calls), np.append(capped_right, [agreed] * in_calls)),
            )
        )
    return found


def _most(groups: NearCopyCap, text: str, day: date, others: int, n: int) -> int:
    """How many of a burst's copies count beside the other verdicts of a day."""
    name = groups.record(text, day)
    groups._totals[day], groups._days[day][name] = others + n, n
    return min(n, groups.limit(name, day))


def fresh(rng: np.random.Generator, per_day: int = 250, agreement: float = P0 - 1e-4) -> list[Day]:
    """Calls that all have inputs of their own."""
    days: list[Day] = []
    for _ in range(DAYS):
        verdicts = rng.random(per_day), rng.random(per_day) < agreement
        days.append((verdicts, verdicts, verdicts))
    return days


# The promise


def test_the_simulation_is_the_gates() -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        days = exchangeable(rng, zipf(rng, popular_wrong=bool(seed % 2)), 60)
        evidence, gate = Evidence(), SelectiveGate(CANDIDATES, at_marks=True)
        for _, (q, agreed), _ in days:
            evidence.day(q, agreed)
            for one, score in zip(q.tolist(), agreed.tolist(), strict=True):
                gate.update(float(score), 1.0 - one)
            gate.mark()
        assert evidence.passed_flags(ALPHA).tolist() == gate.passed_flags
        assert np.exp(evidence.most) == pytest.approx([one.max_e for one in gate.evidence()], rel=1e-6)


def test_worlds_are_what_they_say() -> None:
    for seed in range(10):
        popular = zipf(np.random.default_rng(seed), popular_wrong=True)
        assert all(0.945 < popular.by_call(coverage) < P0 for coverage in COVERAGES)
        assert min(popular.by_input(coverage) for coverage in COVERAGES) > 0.96
        rare = zipf(np.random.default_rng(seed), popular_wrong=False)
        assert rare.by_call() > 0.955
        assert rare.by_input() < 0.94


def test_where_popular_inputs_are_wrong_the_gate_of_calls_keeps_the_promise() -> None:
    """By call .950 everywhere, by distinct input .97 and more: of 400 runs, inputs promote in .98, calls in .0075.

    Both promote in 1 of 400: .0025, [.0001, .0138].
    """
    inputs, _, both = rates(lambda rng: trial(exchangeable(rng, zipf(rng, popular_wrong=True))), 1)
    assert interval(both)[0] <= ALPHA
    assert inputs > 0.9 * RUNS, "distinct inputs alone break it"


def test_where_rare_inputs_are_wrong_the_gate_of_inputs_stops_what_calls_would_promote() -> None:
    """By call .96, by distinct input .925: calls promote in every run, both in 22 of 400: .055, [.035, .082].

    Nobody is harmed by those: what is served agrees by call.
    """
    _, calls, both = rates(lambda rng: trial(exchangeable(rng, zipf(rng, popular_wrong=False))), 2)
    assert interval(both)[0] <= ALPHA
    assert calls == RUNS


@pytest.mark.parametrize(("share", "seed"), [(0.3, 3), (0.6, 4)])
def test_where_near_copies_come_in_bursts_the_gate_of_inputs_keeps_the_promise(share: float, seed: int) -> None:
    """Agreement is .950, and on 3 (or 6) days in 10 come 400 copies of one text beside 250 other calls.

    Calls promote in .87 (.985) of 400 runs. Both do so in .030, [.016, .052] (.0425, [.025, .067]).
    """
    _, calls, both = rates(lambda rng: trial(with_bursts(rng, fresh(rng), share=share)), seed)
    assert interval(both)[0] <= ALPHA
    assert calls > 0.8 * RUNS, "calls alone break it"


@pytest.mark.parametrize("copies", [50, 400])
def test_where_popular_inputs_are_wrong_and_bursts_come_all_gates_together_keep_the_promise(copies: int) -> None:
    """Bursts of 50 (400) on 3 days in 10, beside 250 calls a day: 1 (2) of 400 runs promote: .005, [.0006, .018].

    Neither view of traffic holds. Without the gate that caps near copies among calls, bursts of 400 promote in .88, as
    incidents promote by calls and what is popular and wrong is one input among many.
    """

    def play(rng: np.random.Generator) -> Outcome:
        return trial(with_bursts(rng, exchangeable(rng, zipf(rng, popular_wrong=True)), copies=copies))

    inputs, calls, together = rates(play, 5)
    assert interval(together)[0] <= ALPHA
    assert inputs > 0.9 * RUNS
    assert copies < 400 or calls > 0.8 * RUNS


def test_a_head_of_its_own_and_the_rest_err_together_with_alpha() -> None:
    """Head and rest agree a hair less than promised by call, each with half of alpha.

    Either is served in 0 of 200 runs: [0, .018].
    """

    def play(rng: np.random.Generator) -> bool:
        world = zipf(rng, popular_wrong=True)
        head = world.weights * 4000 >= 5
        right = world.right = np.ones(len(world.q), dtype=bool)
        err_on(rng, world, np.flatnonzero(~head))
        # The head is remembered, so one threshold holds all of it.
        world.q[head] = 0.0
        err_on(rng, world, np.flatnonzero(head))
        drawn = rng.choice(len(world.q), (DAYS, 250), p=world.weights)
        of_head = SelectiveGate([Threshold(1.0, 0.0)], alpha=ALPHA / 2, at_marks=True)
        days: list[Day] = []
        seen: set[int] = set()
        for day in drawn:
            agreed = int(right[day[head[day]]].sum())
            for number in range(int(head[day].sum())):
                of_head.update(float(number < agreed), 1.0)
            of_head.mark()
            rest = day[~head[day]]
            news = np.array([one for one in dict.fromkeys(rest.tolist()) if one not in seen], dtype=np.int64)
            seen.update(news.tolist())
            calls = world.q[rest], right[rest]
            days.append(((world.q[news], right[news]), calls, calls))
        return bool(of_head.loosest_passed) or trial(days, ALPHA / 2).both

    wrong = sum(play(np.random.default_rng([6, run])) for run in range(RUNS // 2))
    assert interval(wrong, RUNS // 2)[0] <= ALPHA


def test_a_student_that_is_good_by_both_views_is_promoted_soon() -> None:
    """At .99 on calls of which half are repeats, both gates promote within a fortnight in every run."""

    def play(rng: np.random.Generator) -> Outcome:
        world = zipf(rng, popular_wrong=True)
        world.right[:] = rng.random(len(world.q)) < 0.99
        return trial(exchangeable(rng, world))

    assert rates(play, 7, 100)[2] == 100


# Detectors


def alarms(world: World, after: World | None, change: int, runs: int, cap: int, seed: int) -> Ints:
    """Audited calls to the first alarm of the contract tier, at most `cap`; repeats count each time."""
    rng = np.random.default_rng(seed)
    bets = np.array(REJECT_BETS)[:, None]
    won, lost = 1 - bets, 1 - bets + bets / (1 - P0)
    statistic = np.zeros((len(REJECT_BETS), runs))
    length = np.full(runs, cap)
    edges = np.cumsum(world.weights)
    for step in range(1, cap + 1):
        drawn = np.minimum(np.searchsorted(edges, rng.random(runs)), len(edges) - 1)
        right = world.right if after is None or step <= change else after.right
        statistic = np.where(right[drawn], won, lost) * (statistic + 1)
        alarmed = (statistic.mean(axis=0) >= 1000) & (length == cap)
        length[alarmed] = step
        statistic[:, alarmed] = 0.0
    return length


def at(agreement: float, seed: int) -> World:
    """Inputs that come again, of which the student is wrong on so much of the calls, the popular ones first."""
    weights = popularity(2000)
    order = np.argsort(-weights * np.random.default_rng(seed).uniform(0.2, 1, len(weights)))
    right = np.ones(len(weights), dtype=bool)
    owed = 1 - agreement
    for one in order:
        if weights[one] <= owed:
            right[one], owed = False, owed - weights[one]
    return World(weights, np.zeros(len(weights)), right)


def test_false_alarms_are_a_thousand_audited_calls_apart_with_all_repeats() -> None:
    """By call .950: the mean run to a false alarm, cut off at 8,000 audits, is 1,434."""
    lengths = alarms(at(P0, 8), None, 0, 400, 8_000, 9)
    assert lengths.mean() >= 1000


def test_a_fall_of_what_comes_often_is_found_as_fast_as_designed() -> None:
    """From .97 to .90 by call, as popular inputs are answered wrongly from then on: 128 audits on average."""
    lengths = alarms(at(0.97, 10), at(0.90, 11), 300, 400, 2_500, 12)
    delays = lengths[lengths > 300] - 300
    assert delays.mean() == pytest.approx(126, rel=0.2)
    assert np.mean(lengths <= 300) <= 0.1


def inspect(agreement: float, *, rate: float, follow_ups: int, runs: int, cap: int, seed: int) -> tuple[Ints, Ints]:
    """Served calls and audits to the first alarm of the contract tier, where audits after a wrong one are certain."""
    rng = np.random.default_rng(seed)
    bets = np.array(REJECT_BETS)[:, None]
    statistic = np.zeros((len(REJECT_BETS), runs))
    remaining, audits = np.zeros(runs, dtype=np.int64), np.zeros(runs, dtype=np.int64)
    calls, spent = np.full(runs, cap), np.full(runs, cap)
    for call in range(1, cap + 1):
        audited = rng.random(runs) < np.where(remaining > 0, 1.0, rate)
        remaining = np.maximum(remaining - 1, 0)
        wrong = rng.random(runs) >= agreement
        remaining = np.where(audited & wrong, follow_ups, remaining)
        factors = np.where(wrong, 1 - bets + bets / (1 - P0) * wrong, 1 - bets)
        statistic = np.where(audited, factors * (statistic + 1), statistic)
        audits += audited
        alarmed = (statistic.mean(axis=0) >= 1000) & (calls == cap)
        calls[alarmed], spent[alarmed] = call, audits[alarmed]
        if (calls < cap).all():
            break
    return calls, np.where(calls == cap, audits, spent)


def test_tightened_inspection_finds_a_fall_in_a_third_of_the_calls_and_errs_no_more_often() -> None:
    """From one call in 14 audited, a fall to .50 takes 31 served calls instead of 121 (median of 400 runs), one to .80
    230 instead of 493. At .950 false alarms are 1,413 audits apart (1,376 without); at .97 it takes 12% more audits.
    """
    sampled, tightened = (inspect(0.5, rate=0.07, follow_ups=n, runs=400, cap=3000, seed=1)[0] for n in (0, 4))
    assert np.median(tightened) <= np.median(sampled) / 3
    assert inspect(P0, rate=0.2, follow_ups=4, runs=200, cap=20_000, seed=2)[1].mean() >= 1000
    calls, audits = inspect(0.97, rate=0.07, follow_ups=4, runs=200, cap=4000, seed=2)
    assert audits.sum() / calls.sum() <= 0.07 * 1.2
