"""Find the terms of long contexts that discriminate between answers: the one decisive line among many others."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from understudies.students.without_pandas import without_pandas

with without_pandas():
    from sklearn.feature_extraction.text import CountVectorizer

MAX_CONTEXT_CHARS: Final = 16_000
"""Characters of a context to search: of a longer one, the first and the last 8,000."""

_FEWEST: Final = 5
_LEVEL: Final = 0.01
_LEAST_Z: Final = 3.0
_MOST: Final = 300


def find_discriminative_terms(contexts: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    """Return the words and word pairs whose presence is associated with a label beyond chance.

    Fisher's exact test of each term with each label, one-sided, at 1 % over all of them (Bonferroni); the 300 most
    significant terms are kept.
    """
    counter = _counter()
    counter.min_df = min(_FEWEST, max(1, len(contexts)))
    try:
        present = counter.fit_transform(contexts).astype(np.float64)
    except ValueError:  # no term is in enough contexts
        return ()
    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    given = np.eye(len(names))[codes]
    pairs = _significant_pairs(
        np.asarray(given.T @ present), np.asarray(present.sum(axis=0)).ravel(), given.sum(axis=0)
    )
    terms = counter.get_feature_names_out()
    best = sorted({int(term): p for p, term in sorted(pairs, reverse=True)}.items(), key=lambda one: (one[1], one[0]))
    return tuple(sorted(str(terms[term]) for term, _ in best[:_MOST]))


def extract_terms(context: str, terms: frozenset[str]) -> str:
    """Return those of the terms that occur in a context, each as one word."""
    found = sorted(terms.intersection(_counter().build_analyzer()(context)))
    return " ".join("_".join("".join(c if c.isalnum() else " " for c in term).split()) or term for term in found)


def _significant_pairs(
    together: NDArray[np.float64], having: NDArray[np.float64], labelled: NDArray[np.float64]
) -> list[tuple[float, int]]:
    """Return (p-value, term) of the significant pairs of a label and a term."""
    n = labelled.sum()
    expected = np.outer(labelled, having) / n
    spread = np.sqrt(np.maximum(expected * (1 - labelled[:, None] / n) * (1 - having / n), 1e-12))
    rows, columns = np.nonzero(together - expected > _LEAST_Z * spread)
    p = hypergeom.sf(together[rows, columns] - 1, n, having[columns], labelled[rows])
    significant = p < _LEVEL / together.size
    return [(float(one), int(term)) for one, term in zip(p[significant], columns[significant], strict=True)]


def _counter() -> Any:
    return CountVectorizer(binary=True, token_pattern=r"(?u)\S+", ngram_range=(1, 2), lowercase=True)
