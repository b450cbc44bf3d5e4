"""Compute features of texts: weighted n-grams and sentence vectors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, Final

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from understudies.students.classifier.sentences import normalize_text, static_vectors
from understudies.students.encoder.sentence_encoder import sentence_encoder
from understudies.students.vectors import Floats, normalize_rows
from understudies.students.without_pandas import without_pandas

with without_pandas():
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

_ENOUGH = 200
_STATIC_SHARE = 0.5
_LONGEST_IN_WORDS: Final = 4
_LONGEST_OF_WORDS: Final = 2

Terms = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Features:
    """Features of texts for the heads, one row per text."""

    grams: sparse.csr_matrix
    sentences: Floats

    def __len__(self) -> int:
        return int(self.sentences.shape[0])


class NGrams:
    """Weighted n-grams of characters inside words, or of words (tf-idf with sublinear counts, rows of length one)."""

    def __init__(self, analyzer: str, longest: int, terms: Terms, rarity: Floats) -> None:
        self.analyzer = analyzer
        self.longest = longest
        self.terms = terms
        self.rarity = rarity
        self._split = _splitter(analyzer, longest)
        self._index = {term: index for index, term in enumerate(terms)}

    @classmethod
    def fit(cls, texts: Sequence[str], analyzer: str, longest: int) -> tuple["NGrams", sparse.csr_matrix]:
        """Fit on texts; returns the n-grams, and the rows of the texts."""
        if not any(character.isalnum() for text in texts for character in text):
            nothing = sparse.csr_matrix((len(texts), 0), dtype=np.float32)
            return cls(analyzer, longest, (), np.zeros(0, np.float32)), nothing
        # Use terms that occur only once only while there are few texts.
        least = 2 if len(texts) >= _ENOUGH else 1
        options: dict[str, Any] = {"analyzer": _splitter(analyzer, longest), "min_df": least, "dtype": np.int64}
        vectorizer = CountVectorizer(**options)
        counts: Any = vectorizer.fit_transform(texts)
        counts.sort_indices()
        terms = tuple(str(term) for term in vectorizer.get_feature_names_out())
        rarity = TfidfTransformer().fit(counts).idf_.astype(np.float32)
        values = ((1 + np.log(counts.data)) * rarity[counts.indices]).astype(np.float32)
        for first, last in pairwise(counts.indptr):
            values[first:last] = _scaled(values[first:last])
        rows = sparse.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)
        return cls(analyzer, longest, terms, rarity), rows

    def __call__(self, texts: Sequence[str]) -> sparse.csr_matrix:
        # A vectorizer's own transform gives the same result, but spends a millisecond per call on validation.
        rows = [self._row(text) for text in texts]
        ends = np.cumsum([0, *(len(columns) for columns, _ in rows)])
        columns = np.concatenate([columns for columns, _ in rows] or [np.zeros(0, np.intp)])
        values = np.concatenate([values for _, values in rows] or [np.zeros(0, np.float32)])
        return sparse.csr_matrix((values, columns, ends), shape=(len(rows), len(self.terms)))

    def _row(self, text: str) -> tuple[NDArray[np.intp], Floats]:
        indexes = [index for gram in self._split(text) if (index := self._index.get(gram)) is not None]
        columns, counts = np.unique(np.array(indexes, np.intp), return_counts=True)
        values = ((1 + np.log(counts)) * self.rarity[columns]).astype(np.float32)
        return columns, _scaled(values)


class Featurizer:
    """Transformer of texts into features, fitted only on the training texts."""

    def __init__(self, grams: Sequence[NGrams], centre: Floats, *, encoder: bool) -> None:
        self.grams = tuple(grams)
        self.centre = centre
        self.encoder = encoder

    @classmethod
    def fit(cls, texts: Sequence[str], *, encoder: bool) -> tuple["Featurizer", Features]:
        """Fit a featurizer on texts; returns it and their features."""
        texts = [normalize_text(text) for text in texts]
        fitted = _fit_grams(tuple(texts))
        sentences = _sentences(texts, encoder)
        centre = sentences.mean(axis=0)
        # Centring identical texts would leave only rounding errors.
        if float(np.abs(sentences - centre).max()) < 1e-4:
            centre = np.zeros_like(centre)
        featurizer = cls([grams for grams, _ in fitted], centre, encoder=encoder)
        return featurizer, Features(_stack([rows for _, rows in fitted]), normalize_rows(sentences - centre))

    def is_prepared(self, texts: Sequence[str]) -> bool:
        """Return whether no text has to be encoded first."""
        return not self.encoder or all(sentence_encoder().is_cached(normalize_text(text)) for text in texts)

    def __call__(self, texts: Sequence[str]) -> Features:
        texts = [normalize_text(text) for text in texts]
        return Features(self._grams(texts), normalize_rows(_sentences(texts, self.encoder) - self.centre))

    def _grams(self, texts: Sequence[str]) -> sparse.csr_matrix:
        return _stack([grams(texts) for grams in self.grams])


def _sentences(texts: Sequence[str], encoder: bool) -> Floats:
    static = static_vectors(texts)
    if not encoder:
        return static
    return normalize_rows(np.hstack([_STATIC_SHARE * static, sentence_encoder().vectors(texts)]).astype(np.float32))


@lru_cache(maxsize=2)
def _fit_grams(texts: tuple[str, ...]) -> tuple[tuple[NGrams, sparse.csr_matrix], ...]:
    """Fit both kinds of n-grams; kept for the texts of the last fits, as the next variant of a student has the same."""
    return NGrams.fit(texts, "char_wb", _LONGEST_IN_WORDS), NGrams.fit(texts, "word", _LONGEST_OF_WORDS)


def _stack(parts: Sequence[sparse.csr_matrix]) -> sparse.csr_matrix:
    return sparse.csr_matrix(sparse.hstack(parts, format="csr"))


def _scaled(values: Floats) -> Floats:
    scaled: Floats = values / max(float(np.linalg.norm(values)), 1e-9)
    return scaled.astype(np.float32)


def _splitter(analyzer: str, longest: int) -> Callable[[str], list[str]]:
    """Return what splits a normalised text into n-grams."""
    if analyzer == "char_wb":
        return partial(_split_inside_words, longest=longest)
    split: Callable[[str], list[str]] = CountVectorizer(
        ngram_range=(1, longest), lowercase=False, token_pattern=r"(?u)\b\w+\b"
    ).build_analyzer()
    return split


def _split_inside_words(text: str, longest: int) -> list[str]:
    return [gram for word in text.split() for gram in _split_word(word, longest)]


@lru_cache(maxsize=20_000)
def _split_word(word: str, longest: int) -> tuple[str, ...]:
    """Return the n-grams of two and more characters of a word with a space on each side, as scikit-learn does.

    Words come again, so that this is most of the work of a text.
    """
    padded = f" {word} "
    return tuple(
        padded[begin : begin + length]
        for length in range(2, min(longest, len(padded)) + 1)
        for begin in range(len(padded) - length + 1)
    )
