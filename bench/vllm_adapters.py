"""Requests/s of a vLLM server with 1, 8 and 32 adapters in use at once, against its base alone.

    VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 vllm serve BASE --enable-lora --max-loras 32 --max-cpu-loras 64
    python -m bench.vllm_adapters --url http://127.0.0.1:8000 --base BASE --folder /a/folder/that/it/sees

The adapters are random, of every linear module, and small. Each request has a prompt of its own and an answer of a
fixed number of tokens; those of a round go to the adapters in turn. Rounds of all counts take turns, and a ratio is the
median over them. On a GPU the bar is 0.7 of the base with 8 adapters. On a CPU a small base shows that it runs:
`--requests 16 --concurrent 4 --tokens 8 --counts 1 3`. The last line is one JSON object.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from understudies.students.endpoint.client import ChatClient
from understudies.students.endpoint.connection_pool import EndpointPool
from understudies.students.endpoint.settings import Endpoint
from understudies.students.lora.adapter import CONFIG_FILE, WEIGHTS_FILE
from understudies.students.lora.base_model import BaseShape, LoraBase, find_base
from understudies.students.lora.engine import AdapterRoute, ServedAdapter
from understudies.students.lora.settings import LoraServingSettings
from understudies.students.lora.vllm import VllmEngine
from understudies.students.lora.vllm_api import VllmApi

_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_WORDS = ["order", "card", "refund", "address", "delivery", "account", "change", "cancel", "payment", "invoice"]


@cache
def _noise(shape: BaseShape, rank: int) -> dict[str, NDArray[np.float16]]:
    draw = np.random.default_rng(0)
    tensors = {}
    for layer in range(shape.num_hidden_layers):
        for name in _MODULES:
            module = f"{'mlp' if name.endswith(('gate_proj', 'up_proj', 'down_proj')) else 'self_attn'}.{name}"
            sizes = shape.linear_size(module)
            assert sizes is not None
            stem = f"base_model.model.model.layers.{layer}.{module}"
            tensors[f"{stem}.lora_A.weight"] = draw.normal(0, 0.02, (rank, sizes[0])).astype(np.float16)
            tensors[f"{stem}.lora_B.weight"] = draw.normal(0, 0.001, (sizes[1], rank)).astype(np.float16)
    return tensors


def random_adapter(shape: BaseShape, rank: int, number: int) -> dict[str, bytes]:
    """The files of an adapter that changes little: noise, of another size for each number."""
    scale = np.float16(1 + number / 100)
    tensors = {name: tensor * scale if "lora_B" in name else tensor for name, tensor in _noise(shape, rank).items()}
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": list(_MODULES)}
    return {CONFIG_FILE: json.dumps(config).encode(), WEIGHTS_FILE: save(tensors)}


def body(draw: np.random.Generator, words: int, tokens: int) -> dict[str, Any]:
    """A request whose prompt no other has, and whose answer has that many tokens."""
    text = " ".join([str(draw.integers(1 << 40)), *draw.choice(_WORDS, words)])
    return {
        "messages": [{"role": "user", "content": text}],
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
    }


async def requests_per_s(routes: Sequence[AdapterRoute], bodies: Sequence[dict[str, Any]], concurrent: int) -> float:
    """Send all requests, to the routes in turn."""
    gate = asyncio.Semaphore(concurrent)

    async def send(number: int) -> None:
        route = routes[number % len(routes)]
        async with gate:
            await route.chat.complete({**bodies[number], **route.fields})

    began = time.perf_counter()
    await asyncio.gather(*(send(number) for number in range(len(bodies))))
    return len(bodies) / (time.perf_counter() - began)


async def measure(options: argparse.Namespace, base: LoraBase) -> dict[str, Any]:
    """Requests/s by number of adapters, 0 for the base alone, and their ratios to it."""
    draw = np.random.default_rng(0)
    name = next(card.id for card in await VllmApi(options.url, None, 60).models() if card.parent is None)
    endpoint = Endpoint(
        base_url=f"{options.url}/v1", model=name, timeout_seconds=600, concurrency=options.concurrent, streamed="always"
    )
    most = max(options.counts)
    engine = VllmEngine(
        LoraServingSettings(
            vllm_url=options.url,
            vllm_adapters=options.folder,
            vllm_concurrency=options.concurrent,
            answer_timeout_s=600,
            adapters=most,
        )
    )
    digest = engine.base_digest(base)
    async with AsyncExitStack() as stack:
        pool = EndpointPool(endpoint)
        stack.push_async_callback(pool.close)
        stack.push_async_callback(engine.close)
        adapters = [
            ServedAdapter(random_adapter(base.shape, options.rank, number), options.base_name or base.source, digest)
            for number in range(most)
        ]
        # Each loaded, one after the other.
        routes = [await stack.enter_async_context(engine.route(adapter)) for adapter in adapters]
        by_count = {0: [AdapterRoute(ChatClient(endpoint, pool), {})], **{n: routes[:n] for n in options.counts}}
        speeds: dict[int, list[float]] = {count: [] for count in by_count}
        for turn in range(options.rounds + 1):
            for count, some in by_count.items():
                bodies = [body(draw, options.words, options.tokens) for _ in range(options.requests)]
                speed = await requests_per_s(some, bodies, options.concurrent)
                # The first round warms up.
                if turn:
                    speeds[count].append(speed)
    return {
        "base": base.source,
        "rank": options.rank,
        "requests": options.requests,
        "concurrent": options.concurrent,
        "answer_tokens": options.tokens,
        "requests_per_s": {str(count): round(statistics.median(some), 2) for count, some in speeds.items()},
        "ratio": {
            str(count): round(statistics.median(a / b for a, b in zip(speeds[count], speeds[0], strict=True)), 3)
            for count in options.counts
        },
    }


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="vLLM server of the base, without /v1")
    parser.add_argument("--base", required=True, help="folder of the base, on this machine")
    parser.add_argument("--base-name", help="its name at the server, if its folder is not there on this machine")
    parser.add_argument("--folder", type=Path, required=True, help="folder of adapters that the server sees too")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--requests", type=int, default=512)
    parser.add_argument("--concurrent", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=32, help="tokens of an answer")
    parser.add_argument("--words", type=int, default=100, help="words of a prompt")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(measure(options, find_base(options.base)))))


if __name__ == "__main__":
    main()
