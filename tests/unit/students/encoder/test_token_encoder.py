from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from understudies.students.encoder import token_encoder as module
from understudies.students.encoder.runtime import ALL_STATES, create_tokenizer, load_session
from understudies.students.encoder.token_encoder import MAX_ENCODED_CHARS, Span, TokenEncoder
from understudies.students.vectors import Floats


@pytest.fixture
def encoder() -> TokenEncoder:
    """An encoder with an empty cache."""
    return TokenEncoder(create_tokenizer(), load_session())


def spans_of_words(text: str) -> list[Span]:
    spans, start = [], 0
    for word in text.split():
        start = text.index(word, start)
        spans.append((start, start + len(word)))
        start += len(word)
    return spans


def vectors(encoder: TokenEncoder, text: str) -> Floats:
    return encoder.vectors(text, spans_of_words(text))


def similarity(one: Floats, other: Floats) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_the_same_word_has_a_vector_for_its_context(encoder: TokenEncoder) -> None:
    money, cash, river = (
        vectors(encoder, f"at the bank {rest}")[2] for rest in ("we borrow money", "we borrow cash", "the river bends")
    )
    assert 1.0 > similarity(money, cash) > similarity(money, river)


def test_a_word_of_several_pieces_has_their_mean_and_a_space_nothing(encoder: TokenEncoder) -> None:
    text = "unaffordable  things"
    whole, space = encoder.vectors(text, [(0, 12), (12, 14)])
    states = encoder._forward(create_tokenizer().encode(text).ids)
    assert np.allclose(whole, states[1:5].mean(axis=0), atol=1e-2)
    assert not space.any()


def test_a_vector_is_the_mean_of_the_states_of_several_layers(encoder: TokenEncoder) -> None:
    ids = create_tokenizer().encode("at the bank").ids
    pieces = np.array([ids], np.int64)
    inputs = {"input_ids": pieces, "attention_mask": np.ones_like(pieces), "token_type_ids": np.zeros_like(pieces)}
    layers = [load_session().run([name], inputs)[0][0] for name in ALL_STATES]
    assert [layer.shape for layer in layers] == [(len(ids), 384)] * 4
    assert all(np.abs(one - other).max() > 0.1 for one, other in pairwise(layers))
    assert encoder._forward(ids) == pytest.approx(np.mean(layers, axis=0), abs=1e-5)


def test_a_long_text_is_encoded_in_parts_and_not_beyond_its_limit(encoder: TokenEncoder) -> None:
    text = "word " * 600
    found = vectors(encoder, text)
    within = MAX_ENCODED_CHARS // 5
    assert found.shape == (600, 384)
    assert np.all(np.abs(found[:within]).max(axis=1) > 0)
    assert not found[within:].any()


@pytest.mark.parametrize("text", ["", "  ", "\x00\x01"])
def test_a_text_without_pieces_has_no_vectors(encoder: TokenEncoder, text: str) -> None:
    assert not encoder.vectors(text, [(0, len(text))]).any()


def test_texts_are_encoded_once_and_those_used_longest_ago_forgotten(
    encoder: TokenEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    forward = encoder._forward

    def recorded(ids: Any) -> Floats:
        encoded.append(len(ids))
        return forward(ids)

    monkeypatch.setattr(encoder, "_forward", recorded)
    monkeypatch.setattr(module, "_MAX_CACHED_TOKENS", 4)
    first = vectors(encoder, "one two")
    vectors(encoder, "three four")
    assert np.array_equal(vectors(encoder, "one two"), first)
    assert len(encoded) == 2
    vectors(encoder, "five six")
    vectors(encoder, "one two")
    assert len(encoded) == 3
    vectors(encoder, "three four")
    assert len(encoded) == 4
