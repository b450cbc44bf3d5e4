"""Fine-tune the sentence encoder in PyTorch, which is imported only when a tuner is made."""

import importlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from bench.encoders.weights import LAYERS, NORMS, PARTS, read_weights
from numpy.typing import NDArray

from understudies.students.classifier.sentences import normalize_text
from understudies.students.encoder.runtime import DIMENSIONS, create_tokenizer
from understudies.students.vectors import Floats

_HEADS: Final = 12
_BATCH: Final = 32
_RATE: Final = 1e-4
_HEAD_RATE: Final = 1e-3
_SCALE: Final = 16.0
_DROPOUT: Final = 0.1
_MAX_TOKENS: Final = 128


class FineTunedEncoder:
    """Transformer with a linear head on its vectors of length one; its layers are trained, its word vectors are not."""

    def __init__(self, classes: int, seed: int) -> None:
        self.torch: Any = importlib.import_module("torch")
        self.torch.manual_seed(seed)
        self.torch.set_num_threads(1)
        self.functional: Any = self.torch.nn.functional
        self.random = np.random.default_rng(seed)
        self.weights = {name: self.torch.tensor(one) for name, one in read_weights().items()}
        self.trained = {name: one for name, one in self.weights.items() if not name.startswith("embeddings.")}
        self.head = self.torch.zeros(DIMENSIONS, classes)
        self.bias = self.torch.zeros(classes)
        for one in (*self.trained.values(), self.head, self.bias):
            one.requires_grad_(True)
        self.tokenizer = create_tokenizer(_MAX_TOKENS)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        return [one.ids for one in self.tokenizer.encode_batch([normalize_text(text) for text in texts])]

    def vectors(self, rows: Sequence[list[int]], dropout: float = 0.0) -> Any:
        """Return the vectors of tokenised texts, with the gradients of the weights."""
        torch, functional, weights = self.torch, self.functional, self.weights
        shape = len(rows), max(map(len, rows))
        ids, mask = torch.zeros(shape, dtype=torch.long), torch.zeros(shape)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        states = functional.embedding(ids, weights["embeddings.word_embeddings.weight"])
        states = states + weights["embeddings.position_embeddings.weight"][: shape[1]]
        states = self._norm(states + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        hidden = ((mask - 1) * 1e9)[:, None, None, :]
        for layer in range(LAYERS):
            query, key, value = (
                self._linear(states, f"{layer}.{part}").view(*shape, _HEADS, -1).transpose(1, 2) for part in PARTS[:3]
            )
            attended = functional.scaled_dot_product_attention(
                query, key, value, attn_mask=hidden.to(query.dtype), dropout_p=dropout
            )
            attended = self._linear(attended.transpose(1, 2).reshape(*shape, -1), f"{layer}.{PARTS[3]}")
            states = self._norm(states + functional.dropout(attended, dropout), f"{layer}.{NORMS[0]}")
            inner = functional.gelu(self._linear(states, f"{layer}.{PARTS[4]}"))
            inner = self._linear(inner, f"{layer}.{PARTS[5]}")
            states = self._norm(states + functional.dropout(inner, dropout), f"{layer}.{NORMS[1]}")
        mean = (states.float() * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return functional.normalize(mean, dim=1)

    def _linear(self, states: Any, name: str) -> Any:
        return self.functional.linear(states, self.weights[f"{name}.weight"].T, self.weights[f"{name}.bias"])

    def _norm(self, states: Any, name: str) -> Any:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return self.functional.layer_norm(states.float(), (DIMENSIONS,), weight, bias, 1e-12)

    def read(self, texts: Sequence[str]) -> Floats:
        """Return the vectors of texts."""
        rows = self.tokenize(texts)
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        vectors = np.zeros((len(rows), DIMENSIONS), np.float32)
        with self.torch.no_grad():
            for start in range(0, len(order), _BATCH):
                part = order[start : start + _BATCH]
                vectors[part] = self.vectors([rows[index] for index in part]).numpy()
        return vectors

    def fit(self, texts: Sequence[str], codes: NDArray[np.intp], epochs: int) -> None:
        """Train by cross-entropy with AdamW; the rate rises over a tenth of the steps and then falls to zero."""
        torch, rows, targets = self.torch, self.tokenize(texts), self.torch.tensor(codes)
        vectors = self.read(texts)
        for code in np.unique(codes):
            self.head.data[:, code] = torch.tensor(vectors[codes == code].mean(axis=0) - vectors.mean(axis=0))
        groups = [
            {"params": [one for one in self.trained.values() if one.ndim > 1], "weight_decay": 0.01},
            {"params": [one for one in self.trained.values() if one.ndim == 1], "weight_decay": 0.0},
            {"params": [self.head, self.bias], "weight_decay": 0.0, "lr": _HEAD_RATE},
        ]
        optimizer = torch.optim.AdamW(groups, lr=_RATE)
        steps = epochs * -(-len(rows) // _BATCH)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min(1.0, 10 * (step + 1) / steps) * max(0.0, 1 - step / steps)
        )
        everything = [*self.trained.values(), self.head, self.bias]
        for _ in range(epochs):
            for part in self._batches(rows):
                with torch.autocast("cpu", torch.bfloat16):
                    vectors_of_part = self.vectors([rows[index] for index in part], _DROPOUT)
                loss = self.functional.cross_entropy(_SCALE * (vectors_of_part @ self.head + self.bias), targets[part])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(everything, 1.0)
                optimizer.step()
                schedule.step()

    def _batches(self, rows: Sequence[list[int]]) -> list[list[int]]:
        """Return batches in random order, each of texts of similar length."""
        order = self.random.permutation(len(rows)).tolist()
        batches: list[list[int]] = []
        for start in range(0, len(order), 20 * _BATCH):
            chunk = sorted(order[start : start + 20 * _BATCH], key=lambda index: len(rows[index]))
            batches += [chunk[place : place + _BATCH] for place in range(0, len(chunk), _BATCH)]
        return [batches[index] for index in self.random.permutation(len(batches))]

    def round_to_bytes(self) -> None:
        """Round the trained matrices as an artifact would store them: a byte a weight, one factor a column."""
        for one in self.trained.values():
            if one.ndim > 1:
                factor = one.data.abs().amax(0, keepdim=True) / 127
                one.data = (one.data / factor).round() * factor

    def scores(self, texts: Sequence[str]) -> Floats:
        found: Floats = _SCALE * (self.read(texts) @ self.head.detach().numpy() + self.bias.detach().numpy())
        return found
