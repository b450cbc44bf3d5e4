import logging
import subprocess
import sys

import numpy as np
import pytest

from understudies.students.classifier.sentences import MAX_TEXT_CHARS, normalize_text, static_vectors


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
