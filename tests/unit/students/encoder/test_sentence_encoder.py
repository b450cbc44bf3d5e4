import threading
from typing import Any

import numpy as np
import pytest

from understudies.datasets.errors import ArtifactError
from understudies.students.classifier import archive
from understudies.students.classifier.model import ClassifierModel, fit_classifier
from understudies.students.encoder import sentence_encoder as module
from understudies.students.encoder.sentence_encoder import SentenceEncoder, sentence_encoder
from understudies.students.vectors import Floats

CARDS = ["my bank card was stolen", "someone took my credit card", "it rains today"]


@pytest.fixture
def encoder() -> SentenceEncoder:
    """An encoder with an empty cache."""
    loaded = sentence_encoder()
    return SentenceEncoder(loaded._tokenizer, loaded._session)


def record_texts(encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of texts of each forward pass."""
    passes: list[int] = []
    forward = encoder._forward

    def recorded(rows: Any) -> Floats:
        passes.append(len(rows))
        return forward(rows)

    monkeypatch.setattr(encoder, "_forward", recorded)
    return passes


def test_texts_that_mean_alike_lie_near(encoder: SentenceEncoder) -> None:
    card, credit_card, rain = vectors = encoder.vectors(CARDS)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert card @ credit_card > 0.5 > card @ rain + 0.2


def test_the_vector_of_a_text_does_not_depend_on_the_texts_beside_it(encoder: SentenceEncoder) -> None:
    texts = [f"{'card ' * (n % 90)}number {n}" for n in range(40)]
    together = encoder.vectors(texts)
    loaded = sentence_encoder()
    alone = [SentenceEncoder(loaded._tokenizer, loaded._session).vectors([text])[0] for text in texts]
    assert np.array_equal(together, alone)
    assert np.array_equal(encoder.vectors(texts[::-1]), together[::-1])


def test_each_text_is_encoded_once(encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = record_texts(encoder, monkeypatch)
    first = encoder.vectors(["abc", "b", "abc"])
    assert passes == [2]
    assert np.array_equal(encoder.vectors(["b", "abc"]), first[[1, 0]])
    assert passes == [2]
    assert encoder.vectors([]).shape == (0, 384)


def test_what_was_used_longest_ago_is_forgotten(encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_CACHED", 2)
    for text in ("a", "b", "a", "c"):
        encoder.vectors([text])
    assert encoder.is_cached("a")
    assert not encoder.is_cached("b")
    assert len(encoder.vectors(["d", "e", "f"])) == 3


def test_a_call_is_answered_while_training_texts_are_encoded(
    encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    forward = encoder._forward

    def waits(rows: Any) -> Floats:
        if threading.current_thread() is training:
            begun.set()
            assert go_on.wait(30)
        return forward(rows)

    monkeypatch.setattr(encoder, "_forward", waits)
    trained: list[Floats] = []
    training = threading.Thread(target=lambda: trained.append(encoder.vectors(["a long training text"])))
    training.start()
    assert begun.wait(30)
    assert encoder.vectors(["a call"]).shape == (1, 384)
    go_on.set()
    training.join(30)
    assert trained[0].shape == (1, 384)


@pytest.mark.parametrize("text", ["", " ", "\u4f60\u597d", "x" * 4_000, "\x00", "\U0001f600 fine"])
def test_any_text_has_a_vector(encoder: SentenceEncoder, text: str) -> None:
    assert np.isfinite(encoder.vectors([text])).all()


def test_a_classifier_with_it_survives_its_files() -> None:
    texts = ["my card was stolen", "a thief took my card", "how is the weather", "will it rain"]
    model = fit_classifier(texts, ["card", "card", "rain", "rain"], seed=0, encoder=True)
    again = ClassifierModel.from_files(model.to_files())
    assert model.kernel.support.shape == (4, 256 + 384)
    assert again.predict(["somebody stole my credit card", "is it sunny outside"])[0] == ["card", "rain"]


def test_a_classifier_of_another_encoder_must_be_trained_again() -> None:
    model = fit_classifier(["a", "b"], ["x", "y"], seed=0)
    words, numbers = archive.unpack(model.to_files())
    with pytest.raises(ArtifactError, match="trained with another sentence encoder"):
        ClassifierModel.from_files(archive.pack({**words, "encoder": True}, numbers))
