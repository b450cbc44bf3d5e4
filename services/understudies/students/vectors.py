"""Vectors of texts."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def normalize_rows(vectors: Floats) -> Floats:
    """Scale rows to length one; rows of zeros stay unchanged."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Floats = (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)
    return scaled
