import logging
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from understudies.datasets.errors import ArtifactError
from understudies.students.classifier import features, sentences
from understudies.students.classifier.model import ClassifierModel, fit_classifier
from understudies.students.classifier.sentences import (
    MAX_TEXT_CHARS,
    Floats,
    normalize_rows,
    normalize_text,
    static_vectors,
)


def letters(texts: list[str]) -> Floats:
    """A stand-in for the encoder: how often each letter occurs."""
    return normalize_rows(np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], np.float32))


def test_vectors_have_length_one_and_keep_the_order_of_the_texts() -> None:
    texts = ["a much longer text about cards", "short", "", "the weather in paris"]
    vectors = static_vectors(texts)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 0, 1], abs=1e-5)
    assert np.allclose(vectors[3], static_vectors(texts[3:])[0], atol=1e-5)


def test_texts_that_mean_alike_lie_near() -> None:
    card, plastic, weather = static_vectors(
        ["my bank card was stolen", "someone took my credit card", "it rains today"]
    )
    assert card @ plastic > card @ weather + 0.2


def test_loading_the_vectors_leaves_the_application_s_logging_alone() -> None:
    program = (
        "import logging; from understudies.students.classifier.sentences import static_vectors;"
        "static_vectors(['x']); root = logging.getLogger(); print(root.handlers, root.level)"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == f"[] {logging.WARNING}"


@pytest.mark.parametrize(
    ("text", "same"), [(" A\tB\n", "a b"), ("", ""), ("\ud800x", "?x"), ("x" * 10**6, "x" * (MAX_TEXT_CHARS // 2))]
)
def test_normalised_texts(text: str, same: str) -> None:
    assert normalize_text(text).startswith(same)
    assert len(normalize_text(text)) <= MAX_TEXT_CHARS + 1


def test_the_encoder_s_vectors_are_used_and_survive_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "encoder_vectors", letters)
    model = fit_classifier(["aaa bbb", "aab bba", "xyz zzy", "zyx yyz"], ["ab", "ab", "yz", "yz"], seed=0, encoder=True)
    again = ClassifierModel.from_files(model.to_files())
    assert again.featurizer.encoder
    assert model.kernel.support.shape == (4, 256 + 26)
    assert again.predict(["baba", "zzyy"])[0] == ["ab", "yz"]


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sentences._encoder.cache_clear()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ArtifactError, match="extra `encoder`"):
        fit_classifier(["a", "b"], ["x", "y"], seed=0, encoder=True)


def test_the_encoder_embeds_each_text_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def forward(_: Any, texts: list[str]) -> Floats:
        asked.extend(texts)
        return letters(texts)

    monkeypatch.setattr(sentences._Encoder, "_forward", forward)
    encoder = sentences._Encoder(
        None, SimpleNamespace(config=SimpleNamespace(hidden_size=26)), SimpleNamespace(get_num_threads=lambda: 1)
    )
    first = encoder.vectors(["abc", "b", "abc"])
    assert sorted(asked) == ["abc", "b"]
    assert np.array_equal(encoder.vectors(["b", "abc"]), first[[1, 0]])
    assert len(asked) == 2
    assert encoder.vectors([]).shape == (0, 26)


def test_the_encoder_forgets_what_was_used_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences._Encoder, "_forward", lambda _, texts: letters(texts))
    monkeypatch.setattr(sentences, "_REMEMBERED", 2)
    encoder = sentences._Encoder(
        None, SimpleNamespace(config=SimpleNamespace(hidden_size=26)), SimpleNamespace(get_num_threads=lambda: 1)
    )
    for text in ("a", "b", "a", "c"):
        encoder.vectors([text])
    assert encoder.is_cached("a")
    assert not encoder.is_cached("b")
