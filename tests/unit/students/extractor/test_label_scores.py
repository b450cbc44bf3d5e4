"""Scores of labels from token vectors."""

import numpy as np
import pytest

from understudies.students.extractor import label_scores as module
from understudies.students.extractor.label_scores import LabelScores


def _make_texts() -> tuple[list[np.ndarray], list[list[str]]]:
    generator = np.random.default_rng(0)
    vectors = [generator.normal(size=(length, 384)).astype(np.float32) for length in (3, 5, 4, 6)]
    return vectors, [["B-0" if row[0] > 0 else "O" for row in one] for one in vectors]


def test_held_out_scores_equal_those_of_a_fit_without_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudies.students.extractor.label_scores._PENALTY", 1.0)
    monkeypatch.setattr("understudies.students.extractor.label_scores._standard", lambda _: (np.zeros(768), 1.0))
    vectors, tags = _make_texts()
    _, held_out = LabelScores.fit(vectors, tags)
    for index, one in enumerate(vectors):
        rest = [i for i in range(len(vectors)) if i != index]
        without, _ = LabelScores.fit([vectors[i] for i in rest], [tags[i] for i in rest])
        assert held_out[index] == pytest.approx(without(one), abs=1e-4)


def test_scores_survive_a_file() -> None:
    vectors, tags = _make_texts()
    scores, _ = LabelScores.fit(vectors, tags)
    assert LabelScores.from_bytes(scores.to_bytes())(vectors[0]) == pytest.approx(scores(vectors[0]))


def test_damaged_files_are_refused() -> None:
    vectors, tags = _make_texts()
    content = LabelScores.fit(vectors, tags)[0].to_bytes()
    narrow = LabelScores(("O",), np.zeros(3, np.float32), 1.0, np.zeros((4, 1), np.float32)).to_bytes()
    for damaged in (b"", b"PK", content[:200], content[:-30], narrow):
        with pytest.raises(ValueError, match="the scores of labels"):
            LabelScores.from_bytes(damaged)


def test_scores_of_other_states_of_the_encoder_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, tags = _make_texts()
    scores, _ = LabelScores.fit(vectors, tags)
    with monkeypatch.context() as earlier:
        earlier.setattr(module, "ALL_STATES", ("last_hidden_state",))
        content = scores.to_bytes()
    with pytest.raises(ValueError, match="the scores of labels are of the states"):
        LabelScores.from_bytes(content)


def test_features_get_the_scores_that_say_something() -> None:
    vectors, tags = _make_texts()
    scores, _ = LabelScores.fit(vectors, tags)
    added = scores.add_to([["w=a"]], np.array([[0.001, 0.9]]))
    assert added == [{"w=a": 1.0, "r=O": pytest.approx(1.8)}]
