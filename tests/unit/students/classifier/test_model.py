import random
from typing import Any

import numpy as np
import pytest

from understudies.students.classifier import model as classifier_model
from understudies.students.classifier.confidence import predict_labels
from understudies.students.classifier.model import ClassifierModel, fit_classifier
from understudies.students.classifier.sentences import MAX_TEXT_CHARS

SUBJECTS = {
    "card": ["my card", "the credit card", "a debit card", "this bank card"],
    "transfer": ["a transfer", "my payment abroad", "the bank transfer", "money I sent"],
    "loan": ["my mortgage", "a personal loan", "the loan", "my house credit"],
}
FRAMES = ["please help with {} number {}", "where is {} of {}?", "I have a question on {}, day {}", "{} {} again"]


def synthetic(count: int, seed: int) -> tuple[list[str], list[str]]:
    rng = random.Random(seed)
    labels = [rng.choice(sorted(SUBJECTS)) for _ in range(count)]
    return [rng.choice(FRAMES).format(rng.choice(SUBJECTS[label]), rng.randrange(99)) for label in labels], labels


@pytest.fixture(scope="module")
def model() -> ClassifierModel:
    return fit_classifier(*synthetic(300, 1), seed=0, validation=synthetic(40, 2))


def test_it_agrees_on_texts_it_has_not_seen(model: ClassifierModel) -> None:
    texts, labels = synthetic(200, 3)
    predicted, confidences = model.predict(texts)
    assert np.mean([one == other for one, other in zip(predicted, labels, strict=True)]) >= 0.97
    assert confidences.min() >= 0
    assert confidences.max() <= 1


def test_it_is_less_sure_of_what_it_has_never_seen(model: ClassifierModel) -> None:
    _, familiar = model.predict(synthetic(50, 4)[0])
    _, strange = model.predict(["", "日本語のテキスト", "the volcano erupted", "\ud800"])
    assert strange.max() < np.median(familiar)


def test_confidence_ranks_errors_last_when_a_third_of_the_answers_is_noise() -> None:
    texts, labels = synthetic(600, 5)
    rng = random.Random(6)
    noisy = [
        rng.choice(sorted(SUBJECTS)) if "loan" in text else label for text, label in zip(texts, labels, strict=True)
    ]
    model = fit_classifier(texts[:400], noisy[:400], seed=0)
    predicted, confidences = model.predict(texts[400:])
    agreed = np.array([one == other for one, other in zip(predicted, noisy[400:], strict=True)])
    surest = np.argsort(-confidences)[: len(confidences) // 2]
    assert agreed[surest].mean() > 0.97
    assert agreed.mean() < 0.95


def test_confidence_is_calibrated_under_noise() -> None:
    texts, labels = synthetic(900, 7)
    rng = random.Random(8)
    noisy = [label if rng.random() < 0.8 else rng.choice(sorted(SUBJECTS)) for label in labels]
    model = fit_classifier(texts[:500], noisy[:500], seed=0)
    predicted, confidences = model.predict(texts[500:])
    agreement = np.mean([one == other for one, other in zip(predicted, noisy[500:], strict=True)])
    assert confidences.mean() == pytest.approx(agreement, abs=0.06)


def test_the_same_seed_gives_the_same_bytes() -> None:
    texts, labels = synthetic(60, 9)
    assert fit_classifier(texts, labels, seed=3).to_files() == fit_classifier(texts, labels, seed=3).to_files()


def test_answers_in_a_batch_are_those_given_alone(model: ClassifierModel) -> None:
    texts, _ = synthetic(30, 10)
    labels, confidences = model.predict(texts)
    alone = [model.predict([text]) for text in texts]
    assert [label for (label,), _ in alone] == labels
    assert np.allclose([sure[0] for _, sure in alone], confidences, atol=1e-4)


@pytest.mark.parametrize("chunk", [1, 7, 1_000])
def test_texts_are_compared_with_a_chunk_of_training_texts_at_a_time(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    data, validation, (probes, _) = synthetic(60, 11), synthetic(25, 12), synthetic(15, 13)
    expected = fit_classifier(*data, seed=0, validation=validation).predict(probes)
    widest: list[int] = []

    def measured(*arguments: Any) -> Any:
        widest.append(len(arguments[0]))
        return predict_labels(*arguments)

    monkeypatch.setattr(classifier_model, "CHUNK", chunk)
    monkeypatch.setattr(classifier_model, "predict_labels", measured)
    labels, confidences = fit_classifier(*data, seed=0, validation=validation).predict(probes)
    assert max(widest) == min(chunk, 25)
    assert labels == expected[0]
    assert np.allclose(confidences, expected[1], atol=1e-3)


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        (["hello"], ["a"]),
        (["hello", "bye"], ["a", "b"]),
        (["", "", ""], ["a", "b", "a"]),
        (["?!", "…"], ["a", "b"]),
        (["same"] * 20, ["a"] * 20),
        (["same"] * 20, ["a", "b"] * 10),
        ([f"text {i}" for i in range(20)], [f"label {i}" for i in range(20)]),
    ],
)
def test_small_and_odd_sets_give_a_model(texts: list[str], labels: list[str]) -> None:
    predicted, confidences = fit_classifier(texts, labels, seed=0).predict([*texts, "", "日本", "\ud800"])
    assert set(predicted) <= set(labels)
    assert np.all((confidences >= 0) & (confidences <= 1))


def test_one_label_is_doubted_where_the_text_is_strange() -> None:
    texts = [text for text, _ in zip(*synthetic(40, 11), strict=True)]
    _, confidences = fit_classifier(texts, ["yes"] * len(texts), seed=0).predict([texts[0], "quantum chromodynamics"])
    assert confidences[0] > confidences[1]


def test_no_texts_give_no_predictions(model: ClassifierModel) -> None:
    labels, confidences = model.predict([])
    assert labels == []
    assert confidences.shape == (0,)


def test_the_middle_of_a_very_long_text_does_not_count(model: ClassifierModel) -> None:
    start, end = "where is my card " * MAX_TEXT_CHARS, "of 3?" * MAX_TEXT_CHARS
    assert model.predict([start + end])[1] == model.predict([start + "the mortgage " * 80_000 + end])[1]


def test_weights_decide_between_contradicting_answers() -> None:
    texts = ["is it open?"] * 30
    labels = ["yes", "no", "no"] * 10
    assert fit_classifier(texts, labels, seed=0).predict(texts[:1])[0] == ["no"]
    assert fit_classifier(texts, labels, weights=[9.0, 1.0, 1.0] * 10, seed=0).predict(texts[:1])[0] == ["yes"]


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, float("nan")]])
def test_bad_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weights must be finite and above 0"):
        fit_classifier(["a", "b"], ["x", "y"], weights=weights, seed=0)


def test_texts_and_labels_must_pair() -> None:
    with pytest.raises(ValueError, match="got 2 and 1"):
        fit_classifier(["a", "b"], ["x"], seed=0)
    with pytest.raises(ValueError, match="validation has 1 texts and 0 labels"):
        fit_classifier(["a", "b"], ["x", "y"], seed=0, validation=(["c"], []))


def test_white_space_around_a_label_does_not_count() -> None:
    assert fit_classifier(["a b", "c d"], ["yes\n", " yes"], seed=0).labels == ("yes",)
