"""Hot swap: 1,000 concurrent requests over three adapters, the third of which joins while the others are asked.

    python -m bench.hot_swap --engine llama.cpp
    python -m bench.hot_swap --engine vllm --python .venv-vllm/bin/python
    python -m bench.hot_swap --engine llama.cpp --base FOLDER --adapters FOLDER FOLDER FOLDER --question "a text"

Without `--adapters`, three of a tiny base are trained here, to answer the same questions differently. Every
answer is compared with what its adapter answers alone: one that another adapter would give is mixed up. `restarts` are
processes of the server that took the place of another. The last line is one JSON object.
"""

import argparse
import asyncio
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.support.lora_jobs import WORDS, job, texts
from tests.support.lora_students import question, student
from tests.support.tiny_base import write_tiny_base
from tests.support.vllm_server import vllm_server

from understudies.events import Request
from understudies.students.base import StudentError
from understudies.students.lora.adapter import CONFIG_FILE, WEIGHTS_FILE
from understudies.students.lora.engine import LoraEngine
from understudies.students.lora.llama_cpp import LlamaCppEngine
from understudies.students.lora.settings import LoraServingSettings
from understudies.students.lora.vllm import VllmEngine
from understudies.trainer.lora.fit import AdapterFit
from understudies.trainer.lora.job import BEST_FOLDER

_ANSWERS = (("1", "2", "3"), ("C", "B", "A"), ("x", "y", "z"))
_CONCURRENT = 32
_FAILED = "failed: "


def train(base: Path, folder: Path, answers: tuple[str, ...]) -> dict[str, bytes]:
    """An adapter that gives these answers."""
    fit = AdapterFit(job(base, epochs=40, patience=3, evaluate_every=20), folder, lambda _: None)
    finished = fit.run(texts(60, answers=answers), texts(12, first=200, answers=answers))
    if finished.agreement < 1:
        raise SystemExit(f"an adapter has not learned its answers: {finished.agreement:.2f}")
    return read(folder / BEST_FOLDER)


def read(folder: Path) -> dict[str, bytes]:
    """The files of an adapter."""
    return {name: (folder / name).read_bytes() for name in (CONFIG_FILE, WEIGHTS_FILE)}


def make_engine(options: argparse.Namespace, base: Path, folder: Path, stack: ExitStack) -> LoraEngine:
    """The engine; vLLM's server ends with the stack."""
    if options.engine == "llama.cpp":
        settings = {"base": str(base), "slots": 8, "slot_tokens": 512, "answer_timeout_s": 600}
        return LlamaCppEngine(LoraServingSettings.model_validate(settings))
    url = options.url or stack.enter_context(vllm_server(base, folder / "vllm.log", python=options.python))
    settings = {"vllm_url": url, "vllm_adapters": options.folder or folder / "adapters", "answer_timeout_s": 600}
    return VllmEngine(LoraServingSettings.model_validate(settings))


async def measure(
    engine: LoraEngine, base: Path, adapters: list[dict[str, bytes]], asked: list[Request], requests: int
) -> dict[str, Any]:
    """Failed and mixed-up answers; the last two thirds of the requests are to all three adapters."""
    students = [student(base, files, engine) for files in adapters]
    expected = []
    for one in students:
        expected.append([answer.text for answer in await one.answer(asked)])
        await one.close()
    if any(len(set(answers)) < len(adapters) for answers in zip(*expected, strict=True)):
        raise SystemExit(f"the adapters cannot be told apart by their answers: {expected}")
    gate = asyncio.Semaphore(_CONCURRENT)
    waits: list[float] = []
    servers = set()

    async def ask(number: int, which: int) -> str:
        async with gate:
            began = time.perf_counter()
            try:
                [answer] = await students[which].answer([asked[number % len(asked)]])
            except StudentError as error:
                return f"{_FAILED}{error}"
            finally:
                waits.append(time.perf_counter() - began)
                servers.add(getattr(getattr(engine, "_server", None), "pid", 0))
            return answer.text

    order = [number % 2 if number < requests // 3 else number % 3 for number in range(requests)]
    began = time.perf_counter()
    answers = await asyncio.gather(*(ask(number, which) for number, which in enumerate(order)))
    seconds = time.perf_counter() - began
    pairs = [
        (expected[which][number % len(asked)], answer, [other[number % len(asked)] for other in expected])
        for number, (which, answer) in enumerate(zip(order, answers, strict=True))
    ]
    waits.sort()
    return {
        "engine": engine.kind,
        "requests": requests,
        "concurrent": _CONCURRENT,
        "failed": sum(answer.startswith(_FAILED) for answer in answers),
        "mixed_up": sum(answer != own and answer in all_of_them for own, answer, all_of_them in pairs),
        "other": sum(answer not in all_of_them and not answer.startswith(_FAILED) for _, answer, all_of_them in pairs),
        "reasons": sorted({answer.removeprefix(_FAILED) for answer in answers if answer.startswith(_FAILED)}),
        "restarts": len(servers) - 1,
        "requests_per_s": round(requests / seconds, 1),
        "median_s": round(waits[len(waits) // 2], 3),
        "longest_s": round(waits[-1], 3),
    }


async def run(
    options: argparse.Namespace, base: Path, adapters: list[dict[str, bytes]], folder: Path
) -> dict[str, Any]:
    """Measure with one engine, which is closed afterwards."""
    asked = (
        [question(options.question, max_tokens=16)]
        if options.question
        else [question(f"order {word} please 5") for word in WORDS]
    )
    with ExitStack() as stack:
        engine = make_engine(options, base, folder, stack)
        try:
            return await measure(engine, base, adapters, asked, options.requests)
        finally:
            await engine.close()


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("llama.cpp", "vllm"), required=True)
    parser.add_argument("--python", help="Python that has vLLM, to start a server; or name one by --url")
    parser.add_argument("--url", help="vLLM server of the base, which runs")
    parser.add_argument("--folder", type=Path, help="folder of adapters that this server sees too")
    parser.add_argument("--base", type=Path, help="folder of the base; without it, a tiny one")
    parser.add_argument("--adapters", type=Path, nargs=3, help="folders of three adapters of that base")
    parser.add_argument("--question", help="what they answer differently")
    parser.add_argument("--requests", type=int, default=1000)
    options = parser.parse_args()
    if options.engine == "vllm" and not (options.python or options.url):
        parser.error("name a server by --url, or a Python that has vLLM by --python")
    if bool(options.adapters) != bool(options.question) or (options.adapters and not options.base):
        parser.error("--adapters need their --base and a --question")
    with tempfile.TemporaryDirectory(prefix="understudies-hot-swap-") as name:
        folder = Path(name)
        base = options.base or write_tiny_base(folder / "base", heads=2)
        adapters = (
            [read(one) for one in options.adapters]
            if options.adapters
            else [train(base, folder / str(number), answers) for number, answers in enumerate(_ANSWERS)]
        )
        print(json.dumps(asyncio.run(run(options, base, adapters, folder))))


if __name__ == "__main__":
    main()
