"""Compute features of texts: weighted n-grams and sentence vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from understudies.students.classifier.sentences import normalize_text, static_vectors
from understudies.students.encoder.sentence_encoder import sentence_encoder
from understudies.students.vectors import Floats, normalize_rows

_ENOUGH = 200
_STATIC_SHARE = 0.5

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
        self._split = _vectorizer(analyzer, longest).build_analyzer()
        self._index = {term: index for index, term in enumerate(terms)}

    @classmethod
    def fit(cls, texts: Sequence[str], analyzer: str, longest: int) -> "NGrams":
        vectorizer = _vectorizer(analyzer, longest)
        # Use terms that occur only once only while there are few texts.
        vectorizer.min_df = 2 if len(texts) >= _ENOUGH else 1
        if not any(character.isalnum() for text in texts for character in text):
            return cls(analyzer, longest, (), np.zeros(0, np.float32))
        vectorizer.fit(texts)
        terms = tuple(str(term) for term in vectorizer.get_feature_names_out())
        return cls(analyzer, longest, terms, vectorizer.idf_.astype(np.float32))

    def __call__(self, texts: Sequence[str]) -> sparse.csr_matrix:
        # The vectorizer's own transform gives the same result, but spends a millisecond per call on validation.
        rows = [self._row(text) for text in texts]
        ends = np.cumsum([0, *(len(columns) for columns, _ in rows)])
        columns = np.concatenate([columns for columns, _ in rows] or [np.zeros(0, np.intp)])
        values = np.concatenate([values for _, values in rows] or [np.zeros(0, np.float32)])
        return sparse.csr_matrix((values, columns, ends), shape=(len(rows), len(self.terms)))

    def _row(self, text: str) -> tuple[NDArray[np.intp], Floats]:
        indexes = [index for gram in self._split(text) if (index := self._index.get(gram)) is not None]
        columns, counts = np.unique(np.array(indexes, np.intp), return_counts=True)
        values = ((1 + np.log(counts)) * self.rarity[columns]).astype(np.float32)
        scaled: Floats = values / max(float(np.linalg.norm(values)), 1e-9)
        return columns, scaled.astype(np.float32)


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
        grams = [NGrams.fit(texts, "char_wb", 4), NGrams.fit(texts, "word", 2)]
        sentences = _sentences(texts, encoder)
        centre = sentences.mean(axis=0)
        # Centring identical texts would leave only rounding errors.
        if float(np.abs(sentences - centre).max()) < 1e-4:
            centre = np.zeros_like(centre)
        featurizer = cls(grams, centre, encoder=encoder)
        return featurizer, Features(featurizer._grams(texts), normalize_rows(sentences - centre))

    def prepare(self, texts: Sequence[str]) -> None:
        """Encode texts in batches, which takes less than one by one; their vectors are cached."""
        if self.encoder:
            sentence_encoder().vectors([normalize_text(text) for text in texts])

    def is_prepared(self, texts: Sequence[str]) -> bool:
        """Return whether no text has to be encoded first."""
        return not self.encoder or all(sentence_encoder().is_cached(normalize_text(text)) for text in texts)

    def __call__(self, texts: Sequence[str]) -> Features:
        texts = [normalize_text(text) for text in texts]
        return Features(self._grams(texts), normalize_rows(_sentences(texts, self.encoder) - self.centre))

    def _grams(self, texts: Sequence[str]) -> sparse.csr_matrix:
        return sparse.csr_matrix(sparse.hstack([grams(texts) for grams in self.grams], format="csr"))


def _sentences(texts: Sequence[str], encoder: bool) -> Floats:
    static = static_vectors(texts)
    if not encoder:
        return static
    return normalize_rows(np.hstack([_STATIC_SHARE * static, sentence_encoder().vectors(texts)]).astype(np.float32))


def _vectorizer(analyzer: str, longest: int) -> TfidfVectorizer:
    settings: dict[str, Any] = {"token_pattern": r"(?u)\b\w+\b"} if analyzer == "word" else {}
    return TfidfVectorizer(
        analyzer=analyzer,
        ngram_range=(2 if analyzer == "char_wb" else 1, longest),
        sublinear_tf=True,
        lowercase=False,
        **settings,
    )
