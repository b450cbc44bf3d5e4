"""The cosine by which texts are judged, of texts longer than the encoder reads, and of odd ones."""

import pytest

from understudies.judge_backends.install import install_judge_backends
from understudies.judges.backends import text_similarity

install_judge_backends()
OPENING = "The order was sent from our shop in Delft, and the parcel arrives at your door within three days. " * 8


def test_what_the_encoder_would_cut_off_counts() -> None:
    assert text_similarity(OPENING, OPENING) == pytest.approx(1.0, abs=1e-3)
    assert text_similarity(f"{OPENING}You get your money back.", f"{OPENING}Cats like to sleep in the sun.") < 0.95
    assert text_similarity(OPENING, f"{OPENING}{'Cats like to sleep in the sun. ' * 40}") < 0.8


def test_short_texts_are_read_whole() -> None:
    assert text_similarity("a lamp", "a lamp!") > 0.8
    assert text_similarity("", "a lamp") < 0.9


def test_half_of_a_surrogate_pair_is_no_error() -> None:
    assert text_similarity("all good \ud83d", "all good") > 0.5
