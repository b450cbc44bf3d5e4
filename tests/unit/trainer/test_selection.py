import asyncio
import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from tests.support.chat_messages import assistant_message, tool_call_message
from tests.support.chat_server import chat_server, completion
from tests.support.datasets import INTENTS, dataset, intents
from tests.support.decision_server import decision_server
from tests.support.orders import make_orders

from understudies.datasets.dataset import Dataset
from understudies.judges.choice import choose_judge
from understudies.runtime.errors import ConfigurationError, RetryLater, StopService
from understudies.students.base import StudentError
from understudies.students.calibration import Calibration
from understudies.students.exact_match import ExactMatchStudent
from understudies.trainer.selection import Selection, select_student
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import TRAINERS, NotApplicable, StudentTrainer, TrainedStudent, TrainingData
from understudies.trainer.training import FinishedTraining, acceptance_reason
from understudies.trainer.validation import ValidationCall

SETTINGS = TrainerSettings(encoder=False)


def lesson(data: Dataset, seed: int = 1) -> TrainingData:
    return TrainingData(data, choose_judge([example.answer for example in data.in_split("train")]), seed)


def climbed(data: Dataset, settings: TrainerSettings = SETTINGS) -> Selection:
    return select_student(TRAINERS, lesson(data), settings, 0.95)


def judged(*runs: tuple[float, int, int]) -> tuple[ValidationCall, ...]:
    return tuple(ValidationCall(sure, right) for sure, yes, no in runs for right in [True] * yes + [False] * no)


def rung(
    kind: str,
    *runs: tuple[float, int, int],
    variant: str = "",
    training: tuple[ValidationCall, ...] = (),
    price: str = "0",
) -> StudentTrainer:
    trained = TrainedStudent(
        ExactMatchStudent({}, 1.0), {}, judged(*runs), training_calls=training, answer_cost_usd=Decimal(price)
    )
    return StudentTrainer(kind, lambda lesson, settings: trained, variant)


def variants(*, price: str, teacher: str | None, settings: TrainerSettings | None = None) -> Selection:
    """Of a kind with and without the encoder, which serves .1 more at its price."""
    trainers = [
        rung("a", (0.9, 60, 0), (0.1, 0, 40), variant="without encoder"),
        rung("a", (0.9, 70, 0), (0.1, 0, 30), variant="with encoder", price=price),
    ]
    data = replace(lesson(intents(30)), teacher_cost_usd=None if teacher is None else Decimal(teacher))
    return select_student(trainers, data, settings or TrainerSettings(kinds=("a",)), 0.95)


def of(factories: list[StudentTrainer], **settings: Any) -> tuple[Selection, TrainerSettings]:
    chosen = TrainerSettings(kinds=tuple(factory.kind for factory in factories), **settings)
    return select_student(factories, lesson(intents(30)), chosen, 0.95), chosen


def random_labels(n: int) -> Dataset:
    rng = random.Random(7)
    return intents(n, lambda intent, number: assistant_message(f"label {rng.randrange(10)}"))


def test_a_closed_set_gets_a_classifier() -> None:
    found = climbed(intents(300))
    best = found.best(SETTINGS)
    assert best is not None
    assert best.kind == "classifier"
    assert best.validation.expected_coverage > 0.9


def test_closed_json_and_tool_calls_get_one_too() -> None:
    for data in (
        intents(300, lambda intent, _: assistant_message(f'{{"intent": "{intent}"}}')),
        intents(300, lambda intent, _: tool_call_message((intent.replace(" ", "_"), '{"now": true}'))),
    ):
        best = climbed(data).best(SETTINGS)
        assert best is not None
        assert best.validation.expected_coverage > 0.9


def test_json_whose_values_stand_in_the_request_gets_an_extractor() -> None:
    data = Dataset("orders", tuple(make_orders(300)))
    found = climbed(data)
    best = found.best(SETTINGS)
    assert best is not None
    assert best.kind == "extractor"
    assert best.validation.expected_coverage > 0.9
    assert isinstance(best.outcome, TrainedStudent)
    fields = best.outcome.hyper_parameters["fields"]
    assert isinstance(fields, dict)
    assert (fields["delivery.due"], fields["currency"]) == ("copied as date", "chosen")


def test_json_that_needs_knowledge_gets_none_and_the_field_is_named() -> None:
    data = dataset((f"who wrote book {n}", assistant_message(f'{{"author": "{n * 7919} Smith"}}')) for n in range(100))
    found = climbed(data)
    assert found.best(SETTINGS) is None
    assert "extractor: field author: 0% of its values stand in the text" in found.rejection_reason(SETTINGS)


def test_random_answers_get_none_with_the_reason() -> None:
    found = climbed(random_labels(600))
    assert found.best(SETTINGS) is None
    why = found.rejection_reason(SETTINGS)
    assert why.startswith("no student reaches 95% agreement on any tenth of the ")
    assert "validation calls: classifier without encoder agrees on " in why
    assert "few_shot: no endpoint is configured" in why


def test_a_few_random_answers_are_not_enough_to_reject() -> None:
    assert climbed(random_labels(100)).best(SETTINGS) is not None


def test_open_answers_get_none_with_the_reason() -> None:
    found = climbed(dataset((f"write about {n}", assistant_message(f"an essay on {n}")) for n in range(100)))
    assert found.best(SETTINGS) is None
    assert (
        "no kind of student suits the task: classifier: answers given at least twice cover 0 of"
        in found.rejection_reason(SETTINGS)
    )


def test_no_examples_get_none() -> None:
    assert climbed(dataset([])).best(SETTINGS) is None


def test_the_same_seed_makes_the_same_student() -> None:
    one, other = (climbed(intents(120)).candidates[0].outcome for _ in range(2))
    assert isinstance(one, TrainedStudent)
    assert isinstance(other, TrainedStudent)
    assert one.files == other.files
    assert one.validation_calls == other.validation_calls


def test_the_first_rung_that_is_enough_ends_the_climb() -> None:
    found, settings = of([rung("a", (0.9, 60, 0), (0.1, 0, 40)), rung("b", (0.9, 100, 0))])
    assert [r.kind for r in found.candidates] == ["a"]
    assert (best := found.best(settings)) is not None
    assert best.kind == "a"


def test_a_dearer_rung_wins_where_it_serves_more() -> None:
    found, settings = of([rung("a", (0.9, 30, 0), (0.1, 0, 70)), rung("b", (0.9, 40, 0), (0.1, 0, 60))])
    assert (best := found.best(settings)) is not None
    assert best.kind == "b"


def test_the_cheaper_of_equals_wins() -> None:
    same = ((0.9, 30, 0), (0.1, 0, 70))
    found, settings = of([rung("a", *same), rung("b", *same)])
    assert (best := found.best(settings)) is not None
    assert best.kind == "a"


@pytest.mark.parametrize(
    ("price", "teacher", "chosen"),
    [
        ("0.0000001", "0.03", "with encoder"),
        ("0.0029", "0.03", "with encoder"),
        ("0.0031", "0.03", "without encoder"),
        ("0.0000001", "0.0000005", "without encoder"),
        ("0.0000001", None, "with encoder"),
    ],
)
def test_the_encoder_is_kept_where_what_more_is_served_pays_for_it(
    price: str, teacher: str | None, chosen: str
) -> None:
    best = variants(price=price, teacher=teacher).best(SETTINGS)
    assert best is not None
    assert best.variant == chosen


def test_both_variants_are_told() -> None:
    found = variants(price="0.001", teacher="0.03")
    best = found.best(SETTINGS)
    assert best is not None
    assert [one.summary["variant"] for one in found.candidates if isinstance(one.summary, dict)] == [
        "without encoder",
        "with encoder",
    ]
    reason = acceptance_reason(best, FinishedTraining(lesson(intents(30)), found, 0.0))
    assert reason.startswith("a with encoder is expected to serve 70% of the calls")
    assert reason.endswith("; a without encoder: 60%")


@pytest.mark.parametrize(("encoder", "tried"), [(True, ["with encoder"]), (False, ["without encoder"])])
def test_the_settings_leave_one_variant(encoder: bool, tried: list[str]) -> None:
    found = variants(price="0", teacher="0.03", settings=TrainerSettings(kinds=("a",), encoder=encoder))
    assert [one.variant for one in found.candidates] == tried


def test_training_examples_decide_between_variants_where_validation_is_small() -> None:
    light = rung("a", (0.9, 8, 0), (0.1, 0, 2), training=judged((0.9, 500, 0), (0.1, 0, 500)))
    encoder = rung("a", (0.9, 7, 0), (0.1, 0, 3), training=judged((0.9, 700, 0), (0.1, 0, 300)), variant="with encoder")
    found, settings = of([light, encoder])
    best = found.best(settings)
    assert best is not None
    assert best.variant == "with encoder"


def test_no_variant_is_tried_where_nothing_is_left_to_gain_or_the_kind_does_not_suit() -> None:
    found, _ = of([rung("a", (0.9, 99, 0), (0.1, 0, 1)), rung("a", (0.9, 100, 0), variant="with encoder")])
    assert [one.variant for one in found.candidates] == [""]
    unsuited = StudentTrainer("a", lambda lesson, settings: NotApplicable("no closed set"))
    found, _ = of([unsuited, rung("a", (0.9, 100, 0), variant="with encoder"), rung("b", (0.9, 90, 0))])
    assert [one.kind for one in found.candidates] == ["a", "b"]


def test_every_rung_tried_is_paid_for() -> None:
    prices = {"a": Decimal("1"), "b": Decimal("2")}
    weak = ((0.9, 10, 0), (0.1, 0, 90))
    found, _ = of([rung("a", *weak), rung("b", *weak)], usd_per_1000_examples=prices)
    examples = len(intents(30).in_split("train"))
    assert found.cost_usd == Decimal(3 * examples) / 1000


def test_a_kind_that_is_not_allowed_is_not_tried() -> None:
    assert [r.kind for r in climbed(intents(60), TrainerSettings(kinds=())).candidates] == []


def breaking(error: Exception) -> StudentTrainer:
    def breaks(lesson: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
        raise error

    return StudentTrainer("a", breaks)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("singular"), "ValueError('singular')"),
        (RuntimeError("shape mismatch"), "RuntimeError('shape mismatch')"),
        (KeyError("pad_token"), "KeyError('pad_token')"),
        (TypeError("not a string"), "TypeError('not a string')"),
        (Exception("tokenizer"), "Exception('tokenizer')"),
        (StudentError("no answer"), "no answer"),
    ],
)
def test_a_training_that_breaks_in_any_way_declines_and_is_logged_whole(
    error: Exception, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    found, settings = of([breaking(error), rung("b", (0.9, 60, 0))])
    assert found.candidates[0].summary == {"kind": "a", "declined": f"training failed: {reason}"}
    assert (best := found.best(settings)) is not None
    assert best.kind == "b"
    assert caplog.records[0].exc_info is not None


@pytest.mark.parametrize("error", [RetryLater("away"), StopService("harm"), ConfigurationError("wrong")])
def test_what_is_of_the_service_is_no_outcome_of_a_rung(error: Exception) -> None:
    with pytest.raises(type(error)):
        of([breaking(error)])


def test_the_cache_is_judged_on_later_repeats() -> None:
    data = dataset((f"question {n % 40}", assistant_message(f"answer {n % 40}")) for n in range(400))
    settings = TrainerSettings(kinds=("cache",))
    best = climbed(data, settings).best(settings)
    assert best is not None
    assert best.validation.expected_coverage == 1.0


def test_a_cache_without_repeats_is_expected_to_serve_nothing() -> None:
    settings = TrainerSettings(kinds=("cache",))
    found = climbed(intents(300), settings)
    assert found.candidates[0].validation.expected_coverage == 0
    assert found.best(settings) is None


async def test_few_shot_is_judged_by_asking_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrainerSettings(kinds=("few_shot",), few_shot_endpoint="cheap", few_shot_validation=30)
    data = dataset((f"what is {n} plus 1", assistant_message(f"it is {n + 1}")) for n in range(400))

    def adds(body: dict[str, Any]) -> dict[str, Any]:
        n = int(body["messages"][-1]["content"].split()[2])
        return completion({"content": f"it is {n + 1}"}, [-0.01])

    async with chat_server(adds) as server:
        monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__BASE_URL", server.base_url)
        monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__MODEL", "cheap-1")
        monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__USD_PER_MILLION_PROMPT_TOKENS", "1")
        monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__USD_PER_MILLION_COMPLETION_TOKENS", "2")
        found = await asyncio.to_thread(climbed, data, settings)
    best = found.best(settings)
    assert best is not None
    assert best.validation.expected_coverage == 1.0
    assert 15 <= len(server.bodies) <= 30
    assert best.metrics["cost_per_call_usd"] == "0.000011000"


async def test_few_shot_is_calibrated_and_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Improbable by their log-probabilities, and yet four in five are right."""
    settings = TrainerSettings(kinds=("few_shot",), few_shot_endpoint="cheap")
    data = dataset((f"what is {n} plus 1", assistant_message(f"it is {n + 1}")) for n in range(400))

    def adds(body: dict[str, Any]) -> dict[str, Any]:
        n = int(body["messages"][-1]["content"].split()[2])
        return completion({"content": f"it is {n + (1 if n % 5 else 2)}"}, [-5.0, -(n % 7)])

    async with chat_server(adds) as server:
        monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__BASE_URL", server.base_url)
        monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__MODEL", "cheap-1")
        [rung] = (await asyncio.to_thread(climbed, data, settings)).candidates
    assert isinstance(rung.outcome, TrainedStudent)
    assert Calibration.from_files(rung.outcome.files)(-5.0) > 0.6
    errors: Any = rung.metrics["calibration"]
    assert errors["error_before"] > 0.7
    assert errors["error_after"] < 0.3
    assert "cost_per_call_usd" not in rung.metrics


def test_few_shot_declines_where_the_endpoint_is_away_or_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrainerSettings(kinds=("few_shot",), few_shot_endpoint="cheap")
    assert "no endpoint named 'cheap'" in climbed(intents(60), settings).rejection_reason(settings)
    monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__MODEL", "cheap-1")
    assert "is unavailable" in climbed(intents(60), settings).rejection_reason(settings)


def free(trainer: StudentTrainer) -> StudentTrainer:
    return replace(trainer, is_free=True)


def test_a_rung_charged_per_answer_does_not_keep_the_free_ones_from_being_tried() -> None:
    paid = rung("decision", (0.9, 70, 0), (0.1, 0, 30), price="0.001")
    weaker, costly = free(rung("b", (0.9, 60, 0), (0.1, 0, 40))), rung("c", (0.9, 100, 0))
    for teacher, chosen in (("0.03", "decision"), ("0.005", "b")):
        data = replace(lesson(intents(30)), teacher_cost_usd=Decimal(teacher))
        settings = TrainerSettings(kinds=("decision", "b", "c"), decision_endpoint="cheap")
        found = select_student([paid, weaker, costly], data, settings, 0.95)
        assert [one.kind for one in found.candidates] == ["decision", "b"]
        assert (best := found.best(settings)) is not None
        assert best.kind == chosen


def test_what_others_charged_counts_as_cost_whatever_comes_of_it() -> None:
    def charges(data: TrainingData, settings: TrainerSettings) -> NotApplicable:
        return NotApplicable("the job failed", charged_usd=Decimal("1.25"))

    found, _ = of([StudentTrainer("a", charges), rung("b", (0.9, 60, 0))])
    assert found.cost_usd == Decimal("1.25")


KNOWN = {f"{'bcdfghjk'[n % 8]}{'aeiou'[n // 8 % 5]}{'lmnprstvz'[n // 40]}o{'kx'[n % 2]}": n % 3 for n in range(360)}
"""Made-up words, and of which intent each is: what only a model can know that was not trained here."""


def worded(n: int, wrong: int | None = None) -> Dataset:
    """Requests of a word each that is in no other; the teacher answers every `wrong`-th otherwise."""
    names, words = list(INTENTS), list(KNOWN.items())
    return dataset(
        (f"what is {word}", assistant_message(names[(intent + (wrong is not None and number % wrong == 0)) % 3]))
        for number, (word, intent) in enumerate(words[:n])
    )


def by_knowledge(text: str, values: list[str]) -> dict[str, float]:
    """Certain of the words that it knows, and of those that stand in a choice."""
    word = text.split()[-1]
    known = list(INTENTS)[KNOWN[word]] if word in KNOWN else ""
    intent = known or max(values, key=lambda value: sum(one in value for one in text.split()))
    return {value: 0.98 if value == intent else 0.02 / (len(values) - 1) for value in values}


async def decided(data: Dataset, teacher_usd: str, price: str, monkeypatch: pytest.MonkeyPatch) -> Selection:
    """The ladder with a decision API at a price per million tokens."""
    async with decision_server(by_knowledge) as server:
        named = "UNDERSTUDIES_ENDPOINTS__CHEAP__"
        monkeypatch.setenv(f"{named}BASE_URL", server.base_url)
        monkeypatch.setenv(f"{named}MODEL", "cheap-1")
        monkeypatch.setenv(f"{named}API", "decisions")
        monkeypatch.setenv(f"{named}USD_PER_MILLION_PROMPT_TOKENS", price)
        settings = TrainerSettings(encoder=False, decision_endpoint="cheap", kinds=("decision", "classifier"))
        taught = replace(lesson(data), teacher_cost_usd=Decimal(teacher_usd))
        return await asyncio.to_thread(select_student, TRAINERS, taught, settings, 0.95)


@pytest.mark.parametrize(("price", "chosen"), [("1", "decision"), ("4000", "classifier"), ("0.01", "decision")])
async def test_a_decision_api_serves_where_examples_are_too_few_to_train_on(
    price: str, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await decided(worded(150), "0.03", price, monkeypatch)
    candidate = found.candidates[0]
    assert candidate.kind == "decision"
    assert isinstance(candidate.outcome, TrainedStudent)
    assert candidate.validation.expected_coverage > 0.9
    assert candidate.outcome.charged_usd > 0
    assert found.cost_usd >= candidate.outcome.charged_usd.quantize(Decimal("1e-9"))
    best = found.best(TrainerSettings())
    assert (best.kind if best and best.saving(Decimal("0.03")) > 0 else None) == chosen


async def test_with_examples_enough_the_classifier_wins_by_its_price(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await decided(intents(300), "0.03", "20", monkeypatch)
    assert [one.kind for one in found.candidates] == ["decision", "classifier"]
    best = found.best(TrainerSettings())
    assert best is not None
    assert best.kind == "classifier"


async def test_a_decision_is_calibrated_on_the_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await decided(worded(360, wrong=4), "0.03", "1", monkeypatch)
    calls = found.candidates[0].validation.calls
    agreement = sum(one.agreed for one in calls) / len(calls)
    mean = sum(one.confidence for one in calls) / len(calls)
    assert 0.5 < agreement < 0.9
    assert abs(mean - agreement) < 0.05 < 0.98 - agreement
    assert isinstance(found.candidates[0].metrics["calibration"], dict)


def test_an_endpoint_that_speaks_another_api_declines_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__MODEL", "m")
    settings = TrainerSettings(kinds=("decision",), decision_endpoint="cheap")
    assert "ENDPOINTS__CHEAP__API to decisions" in climbed(intents(60), settings).rejection_reason(settings)
    monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__API", "decisions")
    settings = TrainerSettings(kinds=("few_shot",), few_shot_endpoint="cheap")
    assert "answers decisions, not chat" in climbed(intents(60), settings).rejection_reason(settings)


def test_without_an_endpoint_no_task_is_told_of_decisions() -> None:
    settings = TrainerSettings(kinds=("decision",))
    assert climbed(intents(60), settings).candidates == ()
